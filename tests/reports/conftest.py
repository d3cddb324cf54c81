"""A run whose cases have everything that an export must tell apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from energybench.model import Case, Domain, Mark, Provenance, Round, Run, Status, Window

GPU = Domain("gpu:0", "nvml", Provenance.MEASURED, device="NVIDIA H100")
PACKAGE = Domain("package:0", "rapl", Provenance.MEASURED)
RAM = Domain("ram", "estimate", Provenance.ESTIMATED)
PSYS = Domain("psys:0", "rapl", Provenance.MEASURED, in_total=False)


@pytest.fixture
def mixed() -> Case:
    """Two rounds of 2 s: gpu:0 60 and 62 J, package:0 30 J, ram 10 J (estimated), psys:0 outside the total."""
    rounds = tuple(
        Round(
            Window(
                2.0,
                {"gpu:0": joules, "package:0": 30.0, "ram": 10.0, "psys:0": 200.0},
                {"gpu:0": 0.3, "package:0": 0.4},
                marks=(Mark.TOO_SHORT,) if seed else (),
                warnings=("a warning; with a semicolon", 'and "quotes"') if seed else (),
            ),
            {"accuracy": 0.9 + seed / 100, "epochs": 4.0},
            seed=seed,
            started=f"2026-01-02T03:04:0{seed}.125000+00:00",
            session="s1",
        )
        for seed, joules in enumerate((60.0, 62.0))
    )
    return Case(
        "benches/test_f.py::test_f[mixed]",
        rounds,
        domains=(GPU, PACKAGE, RAM, PSYS),
        pue=1.5,
        workload="w",
        comparability={"scope": "machine"},
    )


@pytest.fixture
def make_run() -> Callable[..., Run]:
    def make(*cases: Case, **fields: Any) -> Run:
        return Run(
            **{
                "source": "store/box/0003_run1.json",
                "cases": cases,
                "machine": {
                    "system": "Linux",
                    "release": "6.1",
                    "machine": "x86_64",
                    "python_version": "3.11.7",
                    "cpu": {"count": 8, "brand_raw": "A CPU, fast"},
                },
                "commit": {"id": "c0ffee", "branch": "main", "time": None},
                "created": "2026-01-02T03:05:00+00:00",
                "session": {"status": "ok"},
                **fields,
            }
        )

    return make


@pytest.fixture
def difficult(make_case: Any) -> tuple[Case, ...]:
    """Cases that a reader must not misunderstand."""
    measured = make_case("measured", [100.0, 104.0], accuracy=[0.9, 0.92], pue=1.5)
    return (
        measured,
        make_case("estimated", [50.0], accuracy=[0.8], provenance=Provenance.ESTIMATED, pue=1.5),
        make_case("replayed", [50.0], provenance=Provenance.REPLAYED),
        make_case("unread", [None, None], accuracy=[0.7, 0.7]),
        make_case("partly", [None, 10.0]),
        make_case("still", [0.0, 0.0]),
        replace(measured, id="f[failed]", status=Status.FAILED),
        replace(measured, id="f[worse]", status=Status.FAILED_ACCURACY),
        replace(measured, id="f[stopped]", status=Status.PARTIAL),
        make_case("empty", []),
    )

"""Runs that have something for every chart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from energybench.analysis.compare import compare_runs
from energybench.analysis.trend import Measured, trend
from energybench.commands.subject import subject
from energybench.model import Case, Domain, Provenance, Round, Run, Status, Window
from energybench.reports.charts import Subject

MakeRun = Callable[..., Run]
HOSTILE = (
    "<script>alert('$x^2$')</script>&amp;\n]]>--><!--",
    "モデル" * 40,
    "مودل\u202e\x00\x1b[31m",
    "$\\frac{1}{0}$ #0072b2 url(#x) \ud800",
)
"""texts that a case's parameters may hold"""
DOMAINS = (
    Domain("gpu:0", "nvml", Provenance.MEASURED),
    Domain("package:0", "rapl", Provenance.MEASURED),
    Domain("ram", "estimate", Provenance.ESTIMATED),
)
COST = {"none": 1.0, "stego": 0.9, "prune": 0.8, "lowrank": 1.3}


def study_case(
    model: str,
    compressor: str,
    *,
    function: str = "finetune",
    rounds: int = 3,
    epochs: int = 5,
    joules: float = 100.0,
    accuracy: float = 0.95,
    protocol: str = "early stopping",
    domains: tuple[Domain, ...] = DOMAINS,
    status: Status = Status.OK,
    metrics: Mapping[str, float] | None = None,
    tolerance: float = 0.01,
    **facts: Any,
) -> Case:
    """A case of the study: `joules` a round, two thirds of it on the GPU, its epochs alike but for the first."""
    made = []
    for seed in range(rounds):
        whole = joules * (1 + 0.01 * seed)
        parts = dict(zip([d.name for d in domains], (0.6 * whole, 0.3 * whole, 0.1 * whole), strict=False))
        each = [1.2 if number == 0 else 1.0 + 0.004 * (number % 3) for number in range(epochs)]
        laps = tuple(
            Window(2.0, {name: value * share / (epochs + 0.5) for name, value in parts.items()}, label="epoch")
            for share in each
        )
        found = {"accuracy": accuracy + 0.002 * (seed - 1), "total": 500.0, "epochs": float(epochs), **(metrics or {})}
        made.append(Round(Window(2.0 * epochs + 0.5, parts, laps=laps), found, seed=seed))
    workload = {
        "protocol": protocol,
        "model": model,
        "compressor": compressor,
        "compressor_parameters": {"tolerance": tolerance},
        "profile": "quick",
        "data": "mnist5k",
    }
    suffix = f"@{tolerance:g}" if function == "tolerance" else ""
    return Case(
        id=f"benches/test_{function}.py::test_{function}[{model}-{compressor}{suffix}]",
        rounds=tuple(made),
        domains=domains,
        facts={"workload": workload, **facts},
        workload=f"{model}-{compressor}-{protocol}",
        status=status,
        pue=1.58,
    )


def study_run(name: str = "0001_study", *, models: int = 3, factor: float = 1.0, created: str = "", **of: Any) -> Run:
    """Fine-tunes of all compressors, capacities, inferences and tolerances of `models` models."""
    cases = []
    for number in range(models):
        model, joules = f"model{number}", 100.0 * (number + 1) * factor
        for compressor, cost in COST.items():
            cases.append(study_case(model, compressor, joules=joules * cost, **of))
            images = {"images": 1000.0, "batch": 32.0}
            inference = {"function": "inference", "protocol": "inference", "metrics": images, "epochs": 0}
            cases.append(study_case(model, compressor, joules=joules * cost / 50, **{**of, **inference}))
        tolerant = {"function": "tolerance", "joules": joules * 0.9}
        cases += [study_case(model, "stego", tolerance=tolerance, **tolerant) for tolerance in (0.01, 0.02, 0.05)]
        capacity = {
            "rule": "truncate",
            "evaluation_size": 200,
            "reference": 0.95,
            "tolerance": 0.01,
            "points": [[0, 0.95, True], [16, 0.95, False], [17, 0.945, True], [18, 0.9, True]],
            "capacity": 17,
        }
        cases.append(study_case(model, "stego", function="capacity", protocol="capacity", rounds=1, capacity=capacity))
    return Run(f"s/{name}.json", tuple(cases), created=created)


def whole_subject(run: Run, past: tuple[Run, ...] = (), baseline: Run | None = None) -> Subject:
    """With all that charts are made of."""
    measured = [*past, run]
    trends = tuple(
        trend(
            case.id,
            [Measured(r.name, r.created, "abc", found) for r in measured if (found := r.case(case.id)) is not None],
            "energy",
        )
        for case in run.cases
    )
    comparison = None if baseline is None else compare_runs(baseline, run)
    return replace(subject([run], comparison=comparison), trends=trends)


@pytest.fixture(scope="session")
def everything() -> Subject:
    """A run of three models, its baseline, and six runs before it, of which the last three cost an eighth more."""
    past = tuple(
        study_run(f"{n:04d}_past", created=f"2026-01-{n:02d}T00:00:00+00:00", factor=1 + n / 999 + 0.125 * (n > 3))
        for n in range(1, 7)
    )
    return whole_subject(study_run("0007_now", created="2026-01-07T00:00:00+00:00", factor=1.125), past, past[0])


@pytest.fixture(scope="session")
def make_subject() -> Callable[..., Subject]:
    return whole_subject


@pytest.fixture(scope="session")
def make_study() -> MakeRun:
    return study_run


@pytest.fixture(scope="session")
def make_study_case() -> Callable[..., Case]:
    return study_case


@pytest.fixture
def hostile() -> tuple[str, ...]:
    return HOSTILE

"""How a comparison reads in a gate, and which ids --lf is told about."""

from __future__ import annotations

import math
from typing import Any

import pytest

from energybench.harness.gate import describe, remember_cases_for_last_failed
from energybench.model import Comparison, Verdict


def test_an_energy_regression_reads_with_its_interval_and_its_terms() -> None:
    text = describe(
        Comparison(
            "f.py::t",
            "energy",
            Verdict.REGRESSED,
            reason="p = 0.001",
            change=0.2,
            interval=(0.18, 0.22),
            terms={"epochs": 0.0, "seconds_per_epoch": math.log(1.2), "power": 0.0},
            labels=("estimated",),
        )
    )
    assert text.startswith("energy regressed +20.0 % (+18.0 % to +22.0 %) [epochs ")
    assert "seconds per epoch +20.0 %" in text
    assert text.endswith(": p = 0.001 (estimated)")


def test_accuracy_reads_in_points() -> None:
    comparison = Comparison("f.py::t", "accuracy", Verdict.REGRESSED, change=-0.1, interval=(-0.12, -0.08))
    assert describe(comparison) == "accuracy regressed -10.00 points (-12.00 points to -8.00 points)"


@pytest.mark.parametrize(
    ("failed", "remembered"),
    [
        ({"energybench::gate[f.py::t[a]]": True}, {"f.py::t[a]": True}),
        ({"energybench::gate[run]": True, "f.py::other": True}, {"f.py::other": True}),
        ({"f.py::gate[x]": True}, {"f.py::gate[x]": True}),
    ],
)
def test_a_failed_gate_is_remembered_as_its_case(failed: dict[str, bool], remembered: dict[str, bool]) -> None:
    class Cache:
        stored: Any = failed

        def get(self, key: str, default: Any) -> Any:
            return self.stored

        def set(self, key: str, value: Any) -> None:
            assert key == "cache/lastfailed"
            self.stored = value

    class Config:
        cache = Cache()

    config: Any = Config()
    remember_cases_for_last_failed(config)
    assert config.cache.stored == remembered

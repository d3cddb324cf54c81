"""Which verdict decides a gate, and which ids --lf is told about."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.analysis.report import Report
from energybench.harness.gate import case_verdict, gated_comparisons, remember_cases_for_last_failed
from energybench.model import Comparison, Verdict


def comparison(metric: str, verdict: Verdict) -> Comparison:
    return Comparison("f.py::t", metric, verdict)


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        ([Verdict.OK, Verdict.IMPROVED], Verdict.OK),
        ([Verdict.NEW], Verdict.OK),
        ([Verdict.INCONCLUSIVE, Verdict.OK], Verdict.INCONCLUSIVE),
        ([Verdict.INCONCLUSIVE, Verdict.REGRESSED], Verdict.REGRESSED),
        ([Verdict.NOT_COMPARABLE, Verdict.INCONCLUSIVE], Verdict.NOT_COMPARABLE),
        ([], None),
    ],
)
def test_the_worst_metric_decides(verdicts: list[Verdict], worst: Verdict | None) -> None:
    assert case_verdict([comparison("energy", verdict) for verdict in verdicts]) is worst


def test_seconds_epochs_and_power_do_not_gate() -> None:
    found = tuple(comparison(metric, Verdict.REGRESSED) for metric in ("seconds", "epochs", "power", "accuracy"))
    assert [c.metric for c in gated_comparisons(Report(found), "f.py::t")] == ["accuracy"]
    assert gated_comparisons(Report(found), "f.py::other") == []


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

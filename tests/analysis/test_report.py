"""Options, counts and exit codes."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.analysis.report import CompareOptions, Report
from energybench.errors import UsageError
from energybench.model import Comparison, Verdict

V = Verdict


def report(*verdicts: Verdict, strict: bool = False, metric: str = "energy") -> Report:
    rows = tuple(Comparison(f"case{i}", metric, verdict) for i, verdict in enumerate(verdicts))
    return Report(rows, options=CompareOptions(strict=strict))


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((V.OK, V.IMPROVED), 0),
        ((V.OK, V.NEW), 0),
        ((V.OK, V.INCONCLUSIVE), 0),
        ((V.OK, V.MISSING), 4),
        ((V.OK, V.NOT_COMPARABLE), 4),
        ((V.OK, V.REGRESSED), 1),
        ((V.REGRESSED, V.MISSING, V.INCONCLUSIVE), 1),
        ((V.MISSING, V.INCONCLUSIVE), 4),
        ((V.NEW,), 4),
        ((), 4),
    ],
)
def test_the_gravest_verdict_decides_the_exit_code(verdicts: tuple[Verdict, ...], code: int) -> None:
    assert report(*verdicts).exit_code == code


def test_inconclusive_fails_only_where_strict() -> None:
    assert report(V.OK, V.INCONCLUSIVE, strict=True).exit_code == 3
    assert report(V.REGRESSED, V.INCONCLUSIVE, strict=True).exit_code == 1
    assert report(V.MISSING, V.INCONCLUSIVE, strict=True).exit_code == 4


def test_seconds_and_power_never_decide() -> None:
    rows = (Comparison("a", "energy", V.OK), Comparison("a", "seconds", V.REGRESSED))
    assert Report(rows).exit_code == 0
    assert report(V.OK, metric="seconds").nothing_compared


@pytest.mark.parametrize(
    "wrong", [{"margin": 0.0}, {"margin": float("nan")}, {"accuracy_margin": 1.5}, {"noise_floor": -0.1}]
)
def test_a_margin_out_of_range_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("_", " ")):
        CompareOptions(**wrong)


@pytest.mark.parametrize("key", ["provenance", "domains"])
def test_another_kind_of_joule_cannot_be_declared_away(key: str) -> None:
    with pytest.raises(UsageError, match=key):
        CompareOptions(vary=frozenset({key}))

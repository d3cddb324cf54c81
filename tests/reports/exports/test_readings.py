"""What an export takes from a case, and what it leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.model import Case, Provenance
from energybench.reports.exports.readings import Reading, label, labelled, reading, readings


def test_each_case_that_is_left_out_has_its_reason(make_run: Any, difficult: tuple[Case, ...]) -> None:
    run = make_run(*difficult, session={"unmeasured": [{"fullname": "f[never]"}]})
    taken, left_out = readings(run, "joules")
    assert [one.case.short_id for one in taken] == ["measured", "estimated", "replayed", "partly", "stopped"]
    assert left_out == (
        "unread: no energy reading",
        "still: 0 J in every round: too short for its counter",
        "failed: it failed",
        "worse: failed-accuracy, so that less of it is no saving",
        "empty: no energy reading",
        "f[never]: no round",
    )


def test_a_failed_accuracy_is_still_an_accuracy(make_run: Any, difficult: tuple[Case, ...]) -> None:
    taken, left_out = readings(make_run(*difficult), "accuracy")
    assert [one.case.short_id for one in taken] == ["measured", "estimated", "unread", "worse", "stopped"]
    assert "failed: it failed" in left_out
    assert "still: no accuracy recorded" in left_out


def test_values_are_in_the_unit_of_the_metric(make_case: Any) -> None:
    case = make_case(joules=[3.6e6, 7.2e6], accuracy=[0.5, 0.75], pue=1.5, seconds=2.0)

    def values(metric: str, pue: float | None = None) -> tuple[float, ...]:
        found = reading(case, metric, pue)
        assert isinstance(found, Reading)
        return found.values

    assert values("joules") == (3.6e6, 7.2e6)
    assert values("kwh") == pytest.approx((1.5, 3.0))
    assert values("kwh", 1.0) == pytest.approx((1.0, 2.0))
    assert values("accuracy") == (50.0, 75.0)
    assert values("seconds") == (2.0, 2.0)
    one = Reading(case, (4.0,))
    assert (one.mean, one.sd) == (4.0, None)
    assert Reading(case, (4.0, 6.0)).sd == pytest.approx(2**0.5)


def test_an_absent_round_is_no_zero(make_case: Any) -> None:
    found = reading(make_case(joules=[None, 10.0]), "joules")
    assert isinstance(found, Reading)
    assert found.mean == 10.0


def test_only_joules_that_nothing_counted_are_labelled(make_case: Any) -> None:
    said = {source: label(make_case(joules=[1.0], provenance=source)) for source in Provenance}
    assert said == {
        Provenance.MEASURED: "",
        Provenance.INTEGRATED: "",
        Provenance.ESTIMATED: "estimated",
        Provenance.REPLAYED: "replayed",
    }
    assert labelled("x", make_case(joules=[1.0])) == "x"
    assert labelled("x", make_case(joules=[1.0], provenance=Provenance.ESTIMATED)) == "x (estimated)"

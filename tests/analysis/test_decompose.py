"""Epochs x seconds per epoch x mean power."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from energybench.analysis.decompose import TERMS, decompose, is_fewer_epochs, label, log_interval, split
from energybench.model import Case, Domain, Provenance, Round, Window, mean

POSITIVE = st.floats(1e-3, 1e6)
SIDES = st.lists(st.tuples(POSITIVE, POSITIVE, st.integers(1, 50)), min_size=1, max_size=4)


def case(rows: list[tuple[float, float, int]]) -> Case:
    rounds = tuple(Round(Window(seconds, {"gpu:0": joules}), {"epochs": count}) for joules, seconds, count in rows)
    return Case("f", rounds, domains=(Domain("gpu:0", "nvml", Provenance.MEASURED),))


@given(SIDES, SIDES)
def test_the_three_terms_add_up_to_the_change_in_energy(a: list[Any], b: list[Any]) -> None:
    terms = split(case(a), case(b))
    logs = [mean(math.log(row[0]) for row in rows) or 0.0 for rows in (a, b)]
    assert tuple(terms) == TERMS
    assert sum(terms.values()) == pytest.approx(logs[1] - logs[0], abs=1e-9)


def test_each_term_is_what_it_says() -> None:
    terms = split(case([(1000.0, 20.0, 4)]), case([(900.0, 12.0, 3)]))
    assert terms["epochs"] == pytest.approx(math.log(3 / 4))
    assert terms["seconds_per_epoch"] == pytest.approx(math.log(4 / 5))
    assert terms["power"] == pytest.approx(math.log(75 / 50))


def test_a_round_without_epochs_is_one_pass() -> None:
    def passes(metrics: dict[str, float | None]) -> Case:
        return replace(case([(100.0, 2.0, 1)]), rounds=(Round(Window(2.0, {"gpu:0": 100.0}), metrics),))

    for one_pass in ({}, {"epochs": 0.0}):
        terms = split(passes({"epochs": 4.0}), passes(one_pass))
        assert terms["epochs"] == pytest.approx(math.log(1 / 4))


def test_a_saving_that_is_mostly_fewer_epochs_is_called_that() -> None:
    assert is_fewer_epochs(split(case([(400.0, 8.0, 4)]), case([(300.0, 6.0, 3)])))
    assert not is_fewer_epochs(split(case([(400.0, 8.0, 4)]), case([(300.0, 6.0, 4)])))
    assert not is_fewer_epochs(split(case([(300.0, 6.0, 3)]), case([(400.0, 8.0, 4)])))
    assert not is_fewer_epochs({})


@pytest.mark.parametrize("joules", [None, 0.0, -1.0])
def test_without_a_usable_reading_there_is_no_split(joules: float | None, make_case: Any) -> None:
    assert split(make_case("a", [joules]), make_case("a", [1.0])) == {}


@given(SIDES, SIDES)
def test_a_decomposition_has_the_same_terms_and_their_sum(a: list[Any], b: list[Any]) -> None:
    found = decompose(case(a), case(b))
    assert found is not None
    assert found.terms == split(case(a), case(b))
    assert found.total == pytest.approx(sum(found.terms.values()), abs=1e-9)
    assert found.rounds == (len(a), len(b))


LOGS = st.lists(st.floats(-5, 5), min_size=2, max_size=6)


@given(LOGS, LOGS)
def test_an_interval_is_welch_s(a: list[float], b: list[float]) -> None:
    assume(min(max(a) - min(a), max(b) - min(b)) > 1e-3)
    expected = scipy.stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert log_interval(a, b) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


def test_each_term_has_its_interval_and_epochs_that_never_vary_have_one_of_no_width() -> None:
    old, new = [(400.0, 8.0, 4), (420.0, 8.2, 4), (396.0, 8.1, 4)], [(300.0, 6.0, 3), (310.0, 6.3, 3), (305.0, 6.1, 3)]
    found = decompose(case(old), case(new))
    assert found is not None
    assert found.intervals["epochs"] == pytest.approx((math.log(3 / 4), math.log(3 / 4)))
    seconds = log_interval([math.log(s / n) for _, s, n in old], [math.log(s / n) for _, s, n in new])
    assert found.intervals["seconds_per_epoch"] == pytest.approx(seconds)
    assert found.interval == pytest.approx(log_interval(*([math.log(j) for j, _, _ in side] for side in (old, new))))
    low, high = found.interval or (0.0, 0.0)
    assert low < found.total < high < 0


def test_one_round_on_a_side_has_no_interval() -> None:
    found = decompose(case([(400.0, 8.0, 4)]), case([(300.0, 6.0, 3), (310.0, 6.0, 3)]))
    assert found is not None
    assert found.interval is None
    assert set(found.intervals.values()) == {None}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ((300.0, 6.0, 3), "fewer epochs"),
        ((300.0, 6.0, 4), "faster epochs"),
        ((300.0, 8.0, 4), "lower power"),
        ((500.0, 10.0, 5), "more epochs"),
        ((500.0, 10.0, 4), "slower epochs"),
        ((500.0, 8.0, 4), "higher power"),
        ((400.0, 8.0, 4), ""),
    ],
)
def test_the_term_that_holds_most_of_a_difference_names_it(after: tuple[float, float, int], expected: str) -> None:
    found = decompose(case([(400.0, 8.0, 4)]), case([after]))
    assert found is not None
    assert found.label == expected


def test_a_difference_that_no_term_holds_most_of_has_no_name() -> None:
    assert label({"epochs": -0.1, "seconds_per_epoch": -0.1, "power": -0.1}) == ""
    assert label({"epochs": -0.4, "seconds_per_epoch": -0.5, "power": 0.5}) == "faster epochs"
    assert label({}) == ""


def test_a_case_that_trained_nothing_is_not_split() -> None:
    trained, untouched = case([(400.0, 8.0, 4)]), case([(10.0, 0.5, 0)])
    assert decompose(trained, untouched) is None


def test_without_a_usable_reading_there_is_no_decomposition(make_case: Any) -> None:
    assert decompose(make_case("a", [None]), make_case("a", [1.0])) is None

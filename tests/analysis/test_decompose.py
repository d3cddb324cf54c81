"""Epochs x seconds per epoch x mean power."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.decompose import TERMS, epochs, is_fewer_epochs, split
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


def test_laps_count_before_what_was_recorded_and_no_epochs_are_one() -> None:
    laps = (Window(1.0, label="epoch"), Window(1.0, label="epoch"), Window(1.0, label="eval"))
    assert epochs(Round(Window(3.0, laps=laps), {"epochs": 7})) == 2
    assert epochs(Round(Window(3.0), {"epochs": 7})) == 7
    assert epochs(Round(Window(3.0))) == 1
    assert epochs(Round(Window(3.0), {"epochs": 0.0})) == 1


def test_a_saving_that_is_mostly_fewer_epochs_is_called_that() -> None:
    assert is_fewer_epochs(split(case([(400.0, 8.0, 4)]), case([(300.0, 6.0, 3)])))
    assert not is_fewer_epochs(split(case([(400.0, 8.0, 4)]), case([(300.0, 6.0, 4)])))
    assert not is_fewer_epochs(split(case([(300.0, 6.0, 3)]), case([(400.0, 8.0, 4)])))
    assert not is_fewer_epochs({})


@pytest.mark.parametrize("joules", [None, 0.0, -1.0])
def test_without_a_usable_reading_there_is_no_split(joules: float | None, make_case: Any) -> None:
    assert split(make_case("a", [joules]), make_case("a", [1.0])) == {}

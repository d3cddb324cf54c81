"""The order in which base and head are measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.ab.turns import BASE, HEAD, turns


@pytest.mark.parametrize(
    ("rounds", "order"),
    [(1, "base head"), (2, "base head head base"), (3, "base head head base base head")],
)
def test_the_order_is_a_b_b_a_and_ends_in_a_b_where_the_rounds_are_odd(rounds: int, order: str) -> None:
    assert [side for side, _ in turns(rounds)] == order.split()


@given(st.integers(1, 40))
def test_each_side_has_every_round_once_and_both_have_a_round_one_after_the_other(rounds: int) -> None:
    planned = list(turns(rounds))
    assert sorted(planned) == sorted((side, index) for side in (BASE, HEAD) for index in range(rounds))
    assert [index for _, index in planned] == [index for index in range(rounds) for _ in range(2)]


@given(st.integers(1, 20))
def test_of_a_drift_in_a_straight_line_nothing_stays_between_the_sides_in_an_even_number_of_rounds(half: int) -> None:
    times = {BASE: 0, HEAD: 0}
    for time, (side, _) in enumerate(turns(2 * half)):
        times[side] += time
    assert times[BASE] == times[HEAD]

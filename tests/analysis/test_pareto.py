"""The Pareto front, held against its definition."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.pareto import front

Point = tuple[float | None, float | None]
# Few values, so that ties and equal points are common.
VALUE = st.one_of(st.none(), st.sampled_from([math.nan, math.inf]), st.integers(-3, 3).map(float), st.floats(-9, 9))
POINTS = st.lists(st.tuples(VALUE, VALUE), max_size=12)


def by_definition(points: Sequence[Point]) -> tuple[bool, ...]:
    known = [(c, m) for c, m in points if c is not None and m is not None and math.isfinite(c) and math.isfinite(m)]

    def is_beaten(cost: float, merit: float) -> bool:
        return any(c <= cost and m >= merit and (c < cost or m > merit) for c, m in known)

    return tuple((point in known) and not is_beaten(*point) for point in points)  # type: ignore[arg-type]


@given(POINTS)
def test_a_point_is_on_the_front_where_no_other_is_as_good_in_both_and_better_in_one(points: list[Point]) -> None:
    assert front(points) == by_definition(points)


@given(POINTS, st.randoms())
def test_the_order_of_the_points_does_not_matter(points: list[Point], random: object) -> None:
    order = list(range(len(points)))
    random.shuffle(order)  # type: ignore[attr-defined]
    flags = front(points)
    assert front([points[i] for i in order]) == tuple(flags[i] for i in order)


@given(POINTS)
def test_points_without_a_cost_or_a_merit_are_never_on_it_and_beat_none(points: list[Point]) -> None:
    absent: list[Point] = [(None, 1.0), (1.0, None), (math.nan, math.nan), (-math.inf, math.inf)]
    assert front([*points, *absent]) == (*front(points), False, False, False, False)


def test_of_equal_points_all_are_on_the_front() -> None:
    assert front([(1.0, 0.9), (1.0, 0.9), (1.0, 0.8), (2.0, 0.9), (3.0, 0.95)]) == (True, True, False, False, True)


def test_nothing_has_no_front() -> None:
    assert front([]) == ()

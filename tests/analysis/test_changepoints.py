"""Steps in a series: exact partitions, and how often noise alone makes one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.changepoints import SHORTEST, _Partitions, partition

RUNS = 30
SERIES = 200


def white(rng: random.Random, n: int = RUNS, sd: float = 0.02) -> list[float]:
    return [rng.gauss(0.0, sd) for _ in range(n)]


def stepped(rng: random.Random, steps: dict[int, float], n: int = RUNS) -> list[float]:
    """Noise of 2 % on levels that change at these places by these amounts."""
    return [x + sum(by for at, by in steps.items() if i >= at) for i, x in enumerate(white(rng, n))]


def places(values: Sequence[float], **options: float) -> list[int]:
    return [step.at for step in partition(values, **options).steps]


@pytest.mark.parametrize("n", [4, 10, RUNS])
def test_noise_alone_makes_a_step_in_at_most_5_percent_of_series(n: int) -> None:
    rng = random.Random(n)
    assert sum(bool(places(white(rng, n))) for _ in range(SERIES)) <= 0.05 * SERIES


def test_a_step_of_10_percent_in_noise_of_2_is_found_within_one_run_in_at_least_95_percent() -> None:
    rng = random.Random(1)
    found = 0
    for _ in range(SERIES):
        at = rng.randrange(3, RUNS - 2)
        found += any(abs(place - at) <= 1 for place in places(stepped(rng, {at: math.log(1.1)})))
    assert found >= 0.95 * SERIES


def test_a_rise_that_is_taken_back_is_found_though_each_half_hides_the_other() -> None:
    rng = random.Random(2)
    found = 0
    for _ in range(60):
        seen = places(stepped(rng, {10: 0.1, 20: -0.1}))
        found += len(seen) == 2 and abs(seen[0] - 10) <= 1 and abs(seen[1] - 20) <= 1
    assert found >= 54


def test_two_runs_on_a_new_level_are_one_and_a_single_run_is_not() -> None:
    rng = random.Random(3)
    assert places(stepped(rng, {28: 0.2})) == [28]
    assert places(stepped(rng, {29: 0.2})) == []


def test_a_single_outlying_run_makes_no_step_anywhere() -> None:
    rng = random.Random(7)
    for at in range(RUNS):
        values = white(rng)
        values[at] += 0.2
        assert places(values) == [], at


def test_rare_large_outliers_make_a_step_in_at_most_5_percent_of_series() -> None:
    rng = random.Random(8)
    series = [[rng.choice((1, 1, 1, 4)) * x for x in white(rng)] for _ in range(SERIES)]
    assert sum(bool(places(values)) for values in series) <= 0.05 * SERIES


def test_the_step_comes_with_its_size_and_interval() -> None:
    (step,) = partition(stepped(random.Random(4), {15: 0.1})).steps
    low, high = step.difference.interval()
    assert low < 0.1 < high
    assert high - low < 0.04
    assert step.p < 1e-6


def test_values_without_any_noise_change_exactly_where_they_change() -> None:
    assert places([5.0] * 3 + [6.0] * 3) == [3]
    assert places([5.0] * 20) == []
    assert places([5.0, 5.0 + 1e-12] * 10) == []


def test_pieces_cover_the_series() -> None:
    values = [0.0] * 4 + [1.0] * 5 + [0.5] * 3
    assert partition(values).pieces(len(values)) == ((0, 4), (4, 9), (9, 12))
    assert partition([1.0]).pieces(1) == ((0, 1),)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [1.0, 1.0, 9.0]])
def test_too_few_values_have_no_step(values: list[float]) -> None:
    assert partition(values).steps == ()


def test_noise_that_is_known_from_the_rounds_keeps_a_quiet_series_from_stepping() -> None:
    values = [0.0, 0.0001] * 3 + [0.01, 0.0101] * 3
    assert places(values) == [6]
    assert places(values, floor=0.02) == []
    assert partition(values, floor=0.02).sd == 0.02


SMALL = st.lists(st.floats(-1, 1, allow_nan=False, width=16), min_size=4, max_size=10)


@given(SMALL, st.integers(1, 3))
def test_no_other_partition_has_a_smaller_sum_of_squares(values: list[float], count: int) -> None:
    n = len(values)
    possible = [
        cuts
        for cuts in combinations(range(1, n), count)
        if all(behind - first >= SHORTEST for first, behind in pairwise((0, *cuts, n)))
    ]
    if not possible:
        return
    search = _Partitions(values)
    for fewer in range(1, count):
        search.cuts(fewer)
    cuts = search.cuts(count)
    assert cuts in possible
    assert squares(values, cuts) == pytest.approx(min(squares(values, other) for other in possible), abs=1e-9)


def squares(values: Sequence[float], cuts: Sequence[int]) -> float:
    pieces = [values[first:behind] for first, behind in pairwise((0, *cuts, len(values)))]
    return math.fsum((x - math.fsum(piece) / len(piece)) ** 2 for piece in pieces for x in piece)


@pytest.mark.parametrize(
    "change",
    [lambda x: -x, lambda x: 1e6 + x, lambda x: 1000 * x],
    ids=["mirrored", "far from zero", "in another unit"],
)
def test_neither_sign_nor_place_nor_unit_of_the_values_matters(change: Callable[[float], float]) -> None:
    values = stepped(random.Random(5), {9: 0.1, 21: -0.2})
    assert places(values) == [9, 21]
    assert places([change(x) for x in values]) == [9, 21]


def test_a_reversed_series_has_its_steps_at_the_mirrored_places() -> None:
    values = stepped(random.Random(6), {9: 0.1, 21: -0.2})
    assert places(values[::-1]) == [RUNS - at for at in reversed(places(values))]

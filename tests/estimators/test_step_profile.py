"""Matrix profile and FLUSS against a slow reference of their definitions, and against stumpy where it is installed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench.estimators.step.profile import arc_curve, ideal_arcs, matrix_profile, regime_change


def normalised(values: Sequence[float]) -> list[float] | None:
    """z-normalised; None for a constant subsequence."""
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return None if deviation < 1e-9 else [(value - mean) / deviation for value in values]


def slow_profile(series: Sequence[float], m: int) -> list[float]:
    """Nearest distances by the definition, one pair at a time."""
    parts = [normalised(series[i : i + m]) for i in range(len(series) - m + 1)]

    def distance(a: list[float] | None, b: list[float] | None) -> float:
        if a is None or b is None:
            return 0.0 if a is b else math.sqrt(m)
        return math.dist(a, b)

    return [
        min(distance(a, b) for j, b in enumerate(parts) if abs(i - j) > math.ceil(m / 4)) for i, a in enumerate(parts)
    ]


def slow_arcs(nearest: Sequence[int]) -> list[int]:
    """Arcs from i to its neighbour that lie above each place: they begin at or before it and end behind it."""
    return [sum(min(i, j) <= place < max(i, j) for i, j in enumerate(nearest)) for place in range(len(nearest))]


def two_regimes(change: int, count: int, seed: int = 0) -> list[float]:
    """Power at 1 Hz: epochs of 10 s, from `change` on of 20 s, the last fifth of each at less power."""
    draw = random.Random(seed)
    length = [10 if second < change else 20 for second in range(count)]
    return [200 + 60 * (second % n < 0.8 * n) + draw.gauss(0, 3) for second, n in enumerate(length)]


VALUES = st.one_of(st.integers(-3, 3).map(float), st.floats(-100, 100).map(lambda value: round(value, 3)))


@settings(max_examples=40)
@given(st.lists(VALUES, min_size=16, max_size=40), st.integers(4, 8))
def test_distances_are_those_of_the_definition(series: list[float], m: int) -> None:
    distances, nearest = matrix_profile(series, m)
    # A distance is the root of a difference of two numbers near 2 m: it is exact to about 1e-7.
    assert distances == pytest.approx(slow_profile(series, m), abs=2e-5)
    assert all(abs(int(j) - i) > math.ceil(m / 4) for i, j in enumerate(nearest))


def test_a_series_of_more_than_one_block_is_compared_with_all_of_itself() -> None:
    draw = random.Random(5)
    series = [draw.gauss(0, 1) for _ in range(600)]
    distances, _ = matrix_profile(series, 10)
    chosen = (0, 300, 511, 512, 590)
    whole = slow_profile(series, 10)
    assert [distances[i] for i in chosen] == pytest.approx([whole[i] for i in chosen], abs=1e-6)


def test_too_short_a_series_is_refused() -> None:
    with pytest.raises(ValueError, match="12 samples are too few for subsequences of 10"):
        matrix_profile([1.0] * 12, 10)


@given(st.lists(st.integers(0, 29), min_size=30, max_size=30))
def test_arcs_are_counted_as_by_hand(nearest: list[int]) -> None:
    places = np.array(nearest, dtype=np.int64)
    expected = [min(1.0, arcs / max(2 * i * (30 - i) / 30, 1e-10)) for i, arcs in enumerate(slow_arcs(nearest))]
    assert arc_curve(places, 0) == pytest.approx(expected)
    assert list(arc_curve(places, 4)[:4]) == [1.0] * 4
    assert list(arc_curve(places, 4)[-4:]) == [1.0] * 4


@pytest.mark.parametrize("change", [120, 200, 333])
def test_a_known_change_of_regime_is_found_within_one_epoch(change: int) -> None:
    place, curve = regime_change(two_regimes(change, 480, seed=change), 10, 30)
    assert abs(place - change) <= 20
    assert curve < 0.4


def test_one_regime_has_no_plain_change() -> None:
    curves = [regime_change(two_regimes(0, 300, seed), 10, 30)[1] for seed in range(6)]
    assert sorted(curves)[1] > 0.6


def test_profile_and_segmentation_are_those_of_stumpy() -> None:
    stumpy = pytest.importorskip(
        "stumpy", reason="stumpy is not installed; the slow reference above is checked instead"
    )
    series = two_regimes(200, 400, seed=1)
    theirs = stumpy.stump(np.array(series), m=10)
    distances, nearest = matrix_profile(series, 10)
    assert distances == pytest.approx(theirs[:, 0].astype(float), abs=1e-5)
    assert (nearest == theirs[:, 1].astype(int)).mean() > 0.99  # equally near neighbours may be told differently
    curve, places = stumpy.fluss(
        theirs[:, 1].astype(np.int64), L=10, n_regimes=2, excl_factor=3, custom_iac=ideal_arcs(len(nearest)).copy()
    )
    assert arc_curve(nearest, 30) == pytest.approx(curve, abs=0.05)
    assert abs(regime_change(series, 10, 30)[0] - places[0]) <= 2

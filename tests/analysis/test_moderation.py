"""Variances moderated by one another."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.moderation import FEWEST, Prior, Spread, moderated, prior


def drawn(rng: random.Random, sd: float, df: int) -> Spread:
    """A sample variance of df + 1 normal values."""
    return Spread(statistics.variance(rng.gauss(0, sd) for _ in range(df + 1)), df)


def test_the_prior_of_variances_that_really_are_drawn_from_one_is_found() -> None:
    # True variances d0 s0^2 / chi^2(d0): what the method assumes. 4,000 cases of 4 degrees of freedom.
    rng, d0, s0 = random.Random(1), 8, 0.02
    spreads = []
    for _ in range(4000):
        chi = sum(rng.gauss(0, 1) ** 2 for _ in range(d0))
        spreads.append(drawn(rng, math.sqrt(d0 / chi) * s0, 4))
    found = prior(spreads)
    assert found is not None
    assert found.df == pytest.approx(d0, rel=0.25)
    assert math.sqrt(found.variance) == pytest.approx(s0, rel=0.05)


def test_equal_true_variances_are_pooled() -> None:
    rng = random.Random(2)
    spreads = [drawn(rng, 0.015, 4) for _ in range(1000)]
    found = prior(spreads)
    assert found is not None
    assert found.df > 40
    shrunk = [math.sqrt(spread.variance) for spread in moderated(spreads)]
    assert max(shrunk) / min(shrunk) < 1.5
    assert max(s.variance for s in spreads) > 100 * min(s.variance for s in spreads)
    assert statistics.mean(shrunk) == pytest.approx(0.015, rel=0.15)


def test_fewer_than_six_stay_as_they_are() -> None:
    spreads = [Spread(0.01 * (k + 1), 4) for k in range(FEWEST - 1)]
    assert prior(spreads) is None
    assert moderated(spreads) == spreads


def test_a_variance_of_nothing_takes_what_the_others_say() -> None:
    spreads = [Spread(4e-4, 4)] * 8 + [Spread(0.0, 4)]
    last = moderated(spreads)[-1]
    assert 0 < last.variance < 4e-4


def test_the_formula_is_a_mean_weighted_by_degrees_of_freedom() -> None:
    assert Prior(2.0, 6).moderate(Spread(5.0, 2)) == Spread((6 * 2.0 + 2 * 5.0) / 8, 8)


@given(st.lists(st.tuples(st.floats(1e-12, 1e6), st.integers(1, 30)), min_size=6, max_size=40))
def test_a_moderated_variance_lies_between_its_own_and_the_common_one(given_spreads: list[tuple[float, int]]) -> None:
    spreads = [Spread(variance, df) for variance, df in given_spreads]
    common = prior(spreads)
    assert common is not None
    assert common.df > 0
    for own, shrunk in zip(spreads, moderated(spreads), strict=True):
        low, high = sorted((own.variance, common.variance))
        assert low * (1 - 1e-9) <= shrunk.variance <= high * (1 + 1e-9)
        assert shrunk.df > own.df

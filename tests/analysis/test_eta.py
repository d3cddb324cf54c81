"""Partial eta squared and the F distributions, held against scipy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from energybench.analysis.eta import f_tail, noncentral_f_below, partial_eta

CASES = [
    (4.0, 2, 27, 30),
    (1.1, 88, 216, 324),
    (40.0, 88, 216, 324),
    (4e3, 8, 216, 324),
    (2e5, 8, 216, 324),
    (9, 1, 6, 8),
]


@pytest.mark.parametrize(("f", "df", "error_df", "n"), CASES)
def test_the_ends_of_the_interval_are_the_noncentralities_that_scipy_finds(
    f: float, df: int, error_df: int, n: int
) -> None:
    found = partial_eta(f, df, error_df, n)
    for end, below in ((found.low, 0.975), (found.high, 0.025)):
        if end > 0:
            noncentrality = n * end / (1 - end)
            assert stats.ncf.cdf(f, df, error_df, noncentrality) == pytest.approx(below, abs=1e-5)
        else:
            assert stats.f.cdf(f, df, error_df) <= below


def test_values_are_those_of_the_formulas() -> None:
    found = partial_eta(14.0, 2, 6, 12)
    assert found.value == pytest.approx(56 / 68)  # SS 56 beside an error of 12 with 6 degrees of freedom
    assert found.omega == pytest.approx(26 / 38)  # (14 - 1) x 2 / ((14 - 1) x 2 + 12)


def test_an_f_that_chance_gives_easily_has_an_interval_that_begins_at_0() -> None:
    found = partial_eta(0.5, 3, 12, 16)
    assert found.low == found.omega == 0.0
    assert 0 < found.high < 1


def test_an_f_below_what_chance_gives_has_an_interval_of_0_alone() -> None:
    assert stats.f.cdf(0.001, 5, 100) < 0.025
    found = partial_eta(0.001, 5, 100, 120)
    assert (found.low, found.high) == (0.0, 0.0)


def test_a_lower_confidence_makes_a_narrower_interval() -> None:
    wide, narrow = partial_eta(14.0, 2, 6, 12), partial_eta(14.0, 2, 6, 12, confidence=0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


F, DF, ERROR_DF = st.floats(0.01, 50), st.integers(1, 60), st.integers(1, 300)


@given(F, DF, ERROR_DF)
def test_the_tail_of_f_is_scipys(f: float, df: int, error_df: int) -> None:
    assert f_tail(f, df, error_df) == pytest.approx(stats.f.sf(f, df, error_df), rel=1e-8, abs=1e-300)


# Not between: scipy 1.17's distribution is 1 for noncentralities such as 5e-209, of which ours is the central one.
@given(F, DF, ERROR_DF, st.just(0.0) | st.floats(1e-9, 500))
def test_the_noncentral_f_distribution_is_scipys(f: float, df: int, error_df: int, noncentrality: float) -> None:
    expected = stats.ncf.cdf(f, df, error_df, noncentrality)
    assert noncentral_f_below(f, df, error_df, noncentrality) == pytest.approx(expected, abs=1e-8)

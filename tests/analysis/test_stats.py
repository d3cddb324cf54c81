"""The distributions and tests, against scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from energybench.analysis.stats import (
    INFINITE,
    Difference,
    benjamini_hochberg,
    combined,
    digamma,
    incomplete_beta,
    rounds_needed,
    t_quantile,
    t_tail,
    trigamma,
    trigamma_inverse,
    welch,
    wilson,
)

scipy_stats = pytest.importorskip("scipy.stats")
scipy_special = pytest.importorskip("scipy.special")

DF = st.floats(1, 1e6)
VALUES = st.lists(st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), min_size=2, max_size=12)


@given(st.floats(0.05, 500), st.floats(0.05, 500), st.floats(0, 1))
def test_the_incomplete_beta_function_is_scipys(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) == pytest.approx(scipy_special.betainc(a, b, x), rel=1e-9, abs=1e-12)


@given(st.floats(-50, 50), DF)
def test_the_tail_of_student_t_is_scipys(t: float, df: float) -> None:
    assert t_tail(t, df) == pytest.approx(scipy_stats.t.sf(t, df), rel=1e-8, abs=1e-14)


@given(st.floats(-8, 8))
def test_infinite_degrees_of_freedom_are_the_normal_distribution(t: float) -> None:
    assert t_tail(t, INFINITE) == pytest.approx(scipy_stats.norm.sf(t), rel=1e-12)


@given(st.floats(1e-6, 0.49), DF)
def test_the_quantile_of_student_t_is_scipys(tail: float, df: float) -> None:
    assert t_quantile(tail, df) == pytest.approx(scipy_stats.t.isf(tail, df), rel=1e-7, abs=1e-9)


@given(VALUES, VALUES)
def test_welch_is_scipys(a: list[float], b: list[float]) -> None:
    assume(max(a) - min(a) > 1e-2 and max(b) - min(b) > 1e-2)  # scipy warns of samples without spread
    ours = welch(a, b)
    theirs = scipy_stats.ttest_ind(b, a, equal_var=False, alternative="greater")
    assert ours is not None
    assert ours.df == pytest.approx(theirs.df, rel=1e-6)
    assert ours.p_above(0.0) == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)
    assert ours.interval() == pytest.approx(
        tuple(scipy_stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)), rel=1e-6, abs=1e-9
    )


def test_samples_without_spread_have_no_test_until_an_error_is_known() -> None:
    assert welch([1.1, 1.1, 1.1], [2.2, 2.2]) is None
    known = welch([1.0, 1.0], [2.0, 2.0], floor_a=0.02, floor_b=0.06)
    assert known is not None
    assert known.se == pytest.approx(math.sqrt(0.02 / 2 + 0.06 / 2))


def test_tiny_variances_do_not_underflow() -> None:
    found = welch([0.0, 1e-170], [0.0, 1e-170])
    assert found is None or found.df == pytest.approx(2)


@given(st.lists(st.floats(0, 1), max_size=40))
def test_benjamini_hochberg_is_scipys(p_values: list[float]) -> None:
    expected = scipy_stats.false_discovery_control(p_values) if p_values else []
    assert benjamini_hochberg(p_values) == pytest.approx(list(expected))


@given(st.integers(1, 2000), st.floats(0, 1))
def test_wilsons_interval_is_scipys(total: int, share: float) -> None:
    correct = round(share * total)
    theirs = scipy_stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert wilson(correct, total) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_the_rounds_that_would_settle_it_follow_the_formula() -> None:
    assert [rounds_needed(cv, 0.05) for cv in (0.015, 0.03, 0.05)] == [2, 5, 13]


def test_a_known_error_gives_the_normal_interval() -> None:
    low, high = Difference(1.0, 0.5, INFINITE).interval()
    assert (low, high) == pytest.approx((1 - 0.98, 1 + 0.98), abs=1e-3)


@given(st.floats(1e-3, 1e6))
def test_digamma_and_trigamma_are_scipys(x: float) -> None:
    assert digamma(x) == pytest.approx(float(scipy_special.digamma(x)), rel=1e-10, abs=1e-11)
    assert trigamma(x) == pytest.approx(float(scipy_special.polygamma(1, x)), rel=1e-10)


@given(st.floats(1e-5, 1e6))
def test_trigamma_inverse_undoes_trigamma(value: float) -> None:
    assert trigamma(trigamma_inverse(value)) == pytest.approx(value, rel=1e-9)


def test_variances_add_and_degrees_of_freedom_are_satterthwaites() -> None:
    found = combined(0.5, [(4.0, 10), (1.0, 2), (0.0, 1), (4.0, INFINITE)])
    assert found is not None
    assert (found.value, found.se) == (0.5, 3.0)
    assert found.df == pytest.approx(81 / (16 / 10 + 1 / 2))
    assert combined(0.5, [(4.0, INFINITE)]) == Difference(0.5, 2.0, INFINITE)
    assert combined(0.5, [(0.0, 3), (0.0, INFINITE)]) is None

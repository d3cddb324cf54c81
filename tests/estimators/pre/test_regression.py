from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.preprocessing import StandardScaler

from energybench.errors import UsageError
from energybench.estimators.pre.regression import KERNEL_ALPHA, KERNEL_GAMMA, RIDGE_ALPHA, KernelRidge, Ridge, fit


def data(seed: int, rows: int = 14, columns: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(rows, columns)) * draw.uniform(0.1, 5, size=columns)
    return matrix, draw.normal(size=rows), draw.normal(size=columns)


@given(st.integers(0, 10_000))
def test_ridge_is_scikit_learns_on_standardised_columns(seed: int) -> None:
    rows, targets, at = data(seed)
    scaler = StandardScaler().fit(rows)
    theirs = SklearnRidge(alpha=RIDGE_ALPHA).fit(scaler.transform(rows), targets)
    expected = theirs.predict(scaler.transform(at[np.newaxis]))[0]
    assert Ridge.fit(rows, targets).predict(list(at)) == pytest.approx(expected, rel=1e-8, abs=1e-8)


@given(st.integers(0, 10_000))
def test_kernel_ridge_is_scikit_learns_on_centred_targets(seed: int) -> None:
    rows, targets, at = data(seed)
    scaler = StandardScaler().fit(rows)
    theirs = SklearnKernelRidge(alpha=KERNEL_ALPHA, gamma=KERNEL_GAMMA, kernel="rbf")
    theirs.fit(scaler.transform(rows), targets - targets.mean())
    expected = theirs.predict(scaler.transform(at[np.newaxis]))[0] + targets.mean()
    assert KernelRidge.fit(rows, targets).predict(list(at)) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_line_through_two_points_is_shrunk_by_what_alpha_says() -> None:
    """x = -1, 1 is standardised already; the weight is sum(xy) / (sum(xx) + alpha) = 2 / (2 + alpha)."""
    fitted = Ridge.fit(np.array([[-1.0], [1.0]]), np.array([4.0, 6.0]), alpha=0.5)
    assert fitted.predict([1.0]) == pytest.approx(5 + 2 / 2.5)
    assert fitted.predict([0.0]) == 5.0


def test_far_from_all_rows_a_kernel_says_the_mean_and_ridge_goes_on() -> None:
    rows, targets = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 2.0])
    assert KernelRidge.fit(rows, targets).predict([1e6]) == pytest.approx(1.0)
    assert Ridge.fit(rows, targets).predict([1e6]) > 1e5


def test_a_column_without_spread_has_no_effect() -> None:
    rows = np.array([[7.0, 0.0], [7.0, 1.0], [7.0, 2.0]])
    for fitted in (Ridge.fit(rows, np.array([0.0, 1.0, 2.0])), KernelRidge.fit(rows, np.array([0.0, 1.0, 2.0]))):
        assert fitted.predict([7.0, 1.0]) == pytest.approx(1.0)


def test_boosting_is_repeatable_and_stays_within_what_it_saw() -> None:
    rows, targets, at = data(1, rows=30)
    one, two = (fit("boosting", rows.tolist(), targets.tolist()) for _ in range(2))
    assert one.predict(list(at)) == two.predict(list(at))
    assert min(targets) <= one.predict([1e6, 1e6, 1e6]) <= max(targets)
    assert one.as_record() == {}


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="there are ridge, kernel, boosting"):
        fit("forest", [[1.0]], [1.0])

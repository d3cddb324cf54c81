"""Partial eta squared, with the interval of its population value by the noncentral F distribution.

The sample value SS / (SS + SS of the error) grows with the degrees of freedom of the effect even where there is none.
The interval and omega squared are of the population: lambda / (lambda + n), with the noncentralities lambda under which
the observed F would be a 97.5 % and a 2.5 % quantile (Steiger, "Beyond the F test", Psychological Methods 9, 2004). So
the sample value can lie above its own interval. Exact for balanced tables, usual for others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from energybench.analysis.stats import incomplete_beta

_REACH = 7.0
"""standard deviations of the Poisson distribution that are summed; beyond lie less than 1e-11"""
_NODES = 3
"""terms of the sum within one of these standard deviations: more change nothing, the sum is that smooth"""
_EXACT = 1e-6
"""error in the logit of a probability at which the search ends"""


@dataclass(frozen=True, slots=True)
class PartialEta:
    """How much of what varies an effect holds, the other effects left out of the account."""

    value: float
    """of the sample: SS / (SS + SS of the error)"""
    low: float
    high: float
    """95 % interval of the population's, unless another confidence was asked for"""
    omega: float
    """partial omega squared, the less biased estimate of the population's: (F - 1) df / ((F - 1) df + n), 0 at least"""


def partial_eta(f: float, df: int, error_df: int, n: int, confidence: float = 0.95) -> PartialEta:
    """From an F ratio with `df` and `error_df` degrees of freedom among `n` values in all."""
    tail = (1 - confidence) / 2
    low, high = (_noncentrality(f, df, error_df, below) for below in (1 - tail, tail))
    above = max(0.0, (f - 1) * df)
    return PartialEta(f * df / (f * df + error_df), low / (low + n), high / (high + n), above / (above + n))


def f_tail(f: float, df: float, error_df: float) -> float:
    """P(F > f) of the central F distribution: an incomplete beta function (DLMF 8.17)."""
    whole = error_df + df * f
    return incomplete_beta(error_df / 2, df / 2, error_df / whole, df * f / whole)


def noncentral_f_below(f: float, df: float, error_df: float, noncentrality: float) -> float:
    """P(F <= f) of the noncentral F distribution: incomplete betas, weighted by Poisson (Johnson and Kotz 1970).

    Of a Poisson distribution with many terms every n-th is summed: its bell is smooth, so that the sum over equal
    steps is exact long before the step is one term (Euler-Maclaurin).
    """
    if noncentrality <= 0:
        return 1 - f_tail(f, df, error_df)
    mean = noncentrality / 2
    spread = math.sqrt(mean)
    step = max(1, int(spread / _NODES))
    whole = error_df + df * f
    x, rest = df * f / whole, error_df / whole
    first = max(0, int(mean - _REACH * spread) - 10)
    last = int(mean + _REACH * spread) + 30
    below, weights = [], []
    for j in range(first, last, step):
        weight = math.exp(j * math.log(mean) - mean - math.lgamma(j + 1))
        weights.append(weight)
        below.append(weight * incomplete_beta(df / 2 + j, error_df / 2, x, rest))
    return math.fsum(below) / math.fsum(weights)


def _noncentrality(f: float, df: int, error_df: int, below: float) -> float:
    """The lambda with P(F <= f) = `below`; 0 where even lambda = 0 gives less.

    By false position (Illinois) on the logits of the probabilities, which fall almost evenly with lambda.
    """

    def excess(noncentrality: float) -> float:
        found = min(1 - 1e-12, max(1e-12, noncentral_f_below(f, df, error_df, noncentrality)))
        return math.log(found / (1 - found)) - math.log(below / (1 - below))

    left, at_left = 0.0, excess(0.0)
    if at_left <= 0:
        return 0.0
    right = max(1.0, f * df)
    while (at_right := excess(right)) > 0:
        left, at_left, right = right, at_right, 2 * right
    moved = ""
    for _ in range(200):
        middle = (left * at_right - right * at_left) / (at_right - at_left)
        at_middle = excess(middle)
        if abs(at_middle) < _EXACT:
            return middle
        if at_middle > 0:
            left, at_left = middle, at_middle
            at_right /= 2 if moved == "left" else 1  # the end that stays twice would stay for good
            moved = "left"
        else:
            right, at_right = middle, at_middle
            at_left /= 2 if moved == "right" else 1
            moved = "right"
    return middle

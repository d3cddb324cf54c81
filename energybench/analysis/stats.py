"""The few distributions and tests that verdicts need, from the standard library alone.

`energybench compare` starts in a tenth of a second because nothing here loads numpy or scipy; the tests hold every
function against scipy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

INFINITE = math.inf
"""Degrees of freedom of a standard deviation that is known, not estimated: the normal distribution."""
_MANY_DF = 200.0
"""Beyond, expansions about the normal distribution give the tail of t to 1e-9 (down to 1e-20), and faster than the
continued fraction, which needs the more terms the more degrees of freedom there are."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of means with its standard error and degrees of freedom (infinite: a known error)."""

    value: float
    se: float
    df: float

    def p_above(self, bound: float) -> float:
        """One-sided p value of the null hypothesis "the true difference is at most `bound`"."""
        return t_tail((self.value - bound) / self.se, self.df)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Two-sided confidence interval of the difference."""
        reach = t_quantile((1 - confidence) / 2, self.df) * self.se
        return self.value - reach, self.value + reach


def combined(value: float, parts: Sequence[tuple[float, float]]) -> Difference | None:
    """A difference whose variance is the sum of `parts`, each (variance, degrees of freedom); None where that is zero.

    Degrees of freedom after Satterthwaite (1946): (sum V)^2 / sum(V^2 / df).
    """
    variance = math.fsum([part for part, _ in parts])
    if variance <= 0:
        return None
    # Fractions of the whole, not squares of tiny variances, which would underflow to 0.
    doubt = math.fsum([(part / variance) ** 2 / df for part, df in parts])
    return Difference(value, math.sqrt(variance), 1 / doubt if doubt > 0 else INFINITE)


def digamma(x: float) -> float:
    """psi(x) for x > 0: recurrence up to 10, then the asymptotic series (DLMF 5.5.2, 5.11.2)."""
    shift = 0.0
    while x < 10:
        shift -= 1 / x
        x += 1
    y = 1 / (x * x)
    return shift + math.log(x) - 0.5 / x - y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y / 132))))


def trigamma(x: float) -> float:
    """psi'(x) for x > 0: recurrence up to 10, then the asymptotic series (DLMF 5.5.2, 5.15.8)."""
    shift = 0.0
    while x < 10:
        shift += 1 / (x * x)
        x += 1
    y = 1 / (x * x)
    return shift + 1 / x + y / 2 + y / x * (1 / 6 - y * (1 / 30 - y * (1 / 42 - y * (1 / 30 - y * 5 / 66))))


def trigamma_inverse(value: float) -> float:
    """The x > 0 with psi'(x) = `value` > 0, by bisection of ln x: psi' falls from infinity to 0."""
    low, high = -20.0, 20.0
    if value >= trigamma(math.exp(low)):
        return math.exp(low)
    if value <= trigamma(math.exp(high)):
        return math.exp(high)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if trigamma(math.exp(middle)) > value else (low, middle)
    return math.exp((low + high) / 2)


def sample_variance(values: Sequence[float]) -> float:
    """Unbiased variance of two or more values; exactly 0 where all are equal."""
    if values.count(values[0]) == len(values):
        return 0.0
    centre = math.fsum(values) / len(values)
    return math.dist(values, [centre] * len(values)) ** 2 / (len(values) - 1)


def welch(a: Sequence[float], b: Sequence[float], *, floor_a: float = 0.0, floor_b: float = 0.0) -> Difference | None:
    """mean(b) - mean(a) of two samples of at least two values with unequal variances (Welch 1947).

    `floor_a` and `floor_b` are variances of one value that are known from elsewhere, such as the meter's random error;
    a sample whose own variance is smaller takes them. None where the standard error is zero.
    """
    value = math.fsum(b) / len(b) - math.fsum(a) / len(a)
    sides = ((a, floor_a), (b, floor_b))
    return combined(value, [(max(sample_variance(x), floor) / len(x), len(x) - 1) for x, floor in sides])


def t_tail(t: float, df: float) -> float:
    """P(T > t) of Student's t with `df` > 0 degrees of freedom (infinite: the normal distribution)."""
    if math.isinf(df):
        return 0.5 * math.erfc(t / math.sqrt(2))
    if t < 0:
        return 1.0 - t_tail(-t, df)
    if df > _MANY_DF:
        return 0.5 * math.erfc(_as_normal(t, df) / math.sqrt(2))
    return 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t))


def _as_normal(t: float, df: float) -> float:
    """The normal deviate with the tail of t >= 0 (G. W. Hill, Communications of the ACM 13 (1970), Algorithm 395)."""
    a = df - 0.5
    b, y = 48 * a * a, a * math.log1p(t * t / df)
    return (((((-0.4 * y - 3.3) * y - 24) * y - 85.5) / (0.8 * y * y + 100 + b) + y + 3) / b + 1) * math.sqrt(y)


@lru_cache(maxsize=4096)
def t_quantile(tail: float, df: float) -> float:
    """The t >= 0 with P(T > t) = `tail`, for 0 < tail <= 0.5 and df >= 1.

    Cornish and Fisher's expansion about the normal quantile (Abramowitz & Stegun 26.7.5), and from there Newton's
    method on ln P against ln t: the tail of t is a power law, so that is nearly a straight line.
    """
    if tail == 0.5:
        return 0.0
    z = _normal_quantile(tail)
    t = z + (z**3 + z) / (4 * df)
    if df > _MANY_DF:
        return (
            t
            + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
            + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * df**3)
            + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * df**4)
        )
    for _ in range(60):
        p = t_tail(t, df)
        step = math.log(p / tail) / (t * _t_density(t, df) / p)
        t *= math.exp(max(-1.0, min(1.0, step)))
        if abs(step) < 1e-7:  # the step after it would be its square
            break
    return t


@lru_cache(maxsize=256)
def _normal_quantile(tail: float) -> float:
    return -NormalDist().inv_cdf(tail)


def incomplete_beta(a: float, b: float, x: float, rest: float | None = None) -> float:
    """Regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22) and Lentz's method.

    `rest` is 1 - x where the caller knows it without the cancellation.
    """
    rest = 1 - x if rest is None else rest
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side only
        return 1.0 - incomplete_beta(b, a, rest, x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    tiny = 1e-300
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    fraction = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for coefficient in (even, odd):
            d = 1 / ((1 + coefficient * d) or tiny)
            c = (1 + coefficient / c) or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return math.exp(log_front) * fraction / a


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values in the order given: rejecting those <= q keeps the false discovery rate at q."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    adjusted = [1.0] * len(p_values)
    smallest = 1.0
    for position, index in enumerate(order):
        rank = len(p_values) - position
        smallest = min(smallest, p_values[index] * len(p_values) / rank)
        adjusted[index] = smallest
    return adjusted


def wilson(correct: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's (1927) score interval of a proportion: `correct` of `total` > 0."""
    z = t_quantile((1 - confidence) / 2, INFINITE)
    p, spread = correct / total, z * z / total
    centre = (p + spread / 2) / (1 + spread)
    reach = z / (1 + spread) * math.sqrt(p * (1 - p) / total + spread / (4 * total))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def rounds_needed(sd: float, distance: float) -> int:
    """Rounds a side for an 80 % chance to tell `distance` from zero, one-sided at 5 %: 2 (2.49 sd / distance)^2."""
    return max(2, math.ceil(2 * (2.49 * sd / distance) ** 2))


def _t_density(t: float, df: float) -> float:
    if math.isinf(df) or df > 1e9:
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    log_front = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return math.exp(log_front - (df + 1) / 2 * math.log1p(t * t / df))

"""How far the epochs that are left may come from the mean of a window of epochs: a prediction interval.

An epoch's energy is taken as a level that wanders slowly plus a noise of its own (the local level model):

    E_i = level_i + noise_i,   level_(i+1) = level_i + step_i,   var(noise) = s2,  var(step) = r * s2

STEP puts the mean of w epochs for each of the M epochs left. The level at the start cancels, and the error of the sum
has the variance

    s2 * (M + M^2 / w  +  r * (M^2 (w - 1)(2w - 1) / (6 w) + M (M + 1)(2M + 1) / 6))

The first two terms are the usual prediction interval of a sum, the third is what wandering adds: it grows with the
cube of the epochs left. r is not known: each value of a grid counts by how likely it makes the window, and a few epochs
leave the grid's prior as it is. s2 is moderated by the spread of earlier trainings on the machine, or a declared one,
since two epochs that happen to agree prove no precision; given r it makes the error a Student's t, over r a mixture of
them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from energybench.analysis import moderation
from energybench.analysis.stats import t_tail

DECLARED = 0.02
"""relative standard deviation of one epoch that is assumed before any is seen"""
DECLARED_DF = 1.0
"""degrees of freedom that the declared spread is worth

Both are the prior (`analysis.moderation`) of the variances of 135 fine-tunes of 4 to 5 epochs, the first left out: 54
on a quiet machine, 81 on a busy one. They come to 1.94 % and 1.03: machines differ so much that it says little.
"""
NEWEST = 100
"""trainings that a spread is learnt from"""
WANDERING = ((0.0, 0.2), (0.01, 0.3), (0.1, 0.3), (1.0, 0.2))
"""(r, how likely it is before any epoch is seen)"""
LONGEST = 100
"""newest epochs of a window that are looked at for r and s2"""


@dataclass(frozen=True, slots=True)
class Scatter:
    """How far epochs of one training scatter on this machine, before any of it is seen."""

    relative: float = DECLARED
    """standard deviation of one epoch over the mean"""
    df: float = DECLARED_DF
    """degrees of freedom that it is worth"""
    trainings: int = 0
    """earlier ones that it was learnt from; 0: declared"""

    @property
    def said(self) -> str:
        """In words: `2 % is assumed`, `5.9 % of 30 earlier trainings is taken`."""
        if not self.trainings:
            return f"{100 * self.relative:g} % is assumed"
        return f"the {100 * self.relative:.2g} % of {self.trainings} earlier trainings is taken"


ASSUMED = Scatter()


def learnt(trainings: Sequence[Sequence[float]]) -> Scatter:
    """The scatter of earlier trainings on the machine, from the joules of their epochs, the oldest training first.

    The first epoch of each pays for warming up and is left out. It is worth one degree of freedom however many they
    are: neighbours come and go, and a training of its own kind is soon told by its own epochs (taken as worth more it
    held 63 to 91 % of the totals instead of 87 to 99 % on the 135 fine-tunes). The declared one where fewer than six
    have scattered.
    """
    spreads = [spread for joules in trainings[-NEWEST:] if (spread := _relative(joules[1:])) is not None]
    found = moderation.prior(spreads)
    return ASSUMED if found is None else Scatter(math.sqrt(found.variance), DECLARED_DF, len(spreads))


def _relative(joules: Sequence[float]) -> moderation.Spread | None:
    """Relative variance; None of fewer than two epochs."""
    if len(joules) < 2:
        return None
    centre = math.fsum(joules) / len(joules)
    squares = math.fsum((value / centre - 1) ** 2 for value in joules)
    return moderation.Spread(squares / (len(joules) - 1), len(joules) - 1)


@dataclass(frozen=True, slots=True)
class Part:
    """One term of a mixture of Student's t distributions."""

    weight: float
    centre: float
    scale: float
    df: float


def error_of_sum(
    window: Sequence[float], left: int, before: float | None = None, scatter: Scatter = ASSUMED
) -> tuple[Part, ...]:
    """The error of `left` times the window's mean as the sum of `left` further epochs, centred on 0, in joules.

    `window` holds joules of consecutive epochs, the newest last. One is enough: its spread then comes from the epoch
    `before` it, which was left out of the window, and is that of `scatter` alone where there is none.
    """
    weights, parts = [], []
    looked_at = (before, *window) if before is not None and len(window) == 1 else window[-LONGEST:]
    for ratio, likely in WANDERING:
        variance, df, log_likelihood = _fitted(looked_at, ratio, scatter)
        scale = math.sqrt(variance * _growth(len(window), left, ratio))
        parts.append(Part(likely, 0.0, scale, df))
        weights.append(math.log(likely) + log_likelihood)
    top = max(weights)
    shares = [math.exp(weight - top) for weight in weights]
    return tuple(
        Part(share / math.fsum(shares), part.centre, part.scale, part.df)
        for share, part in zip(shares, parts, strict=True)
    )


def quantile(mixture: Sequence[Part], probability: float) -> float:
    """Where the mixture reaches `probability` in (0, 1): the Illinois variant of the false position."""
    widest = max(part.scale for part in mixture)
    if widest == 0:
        return _step(mixture, probability)
    low = min(part.centre for part in mixture) - widest
    high = max(part.centre for part in mixture) + widest
    while (at_low := below(mixture, low) - probability) > 0:
        low -= high - low
    while (at_high := below(mixture, high) - probability) < 0:
        high += high - low
    side = 0
    for _ in range(100):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        at = below(mixture, middle) - probability
        if abs(at) < 1e-6 or high - low < 1e-6 * widest:
            return middle
        if at < 0:
            low, at_low = middle, at
            at_high = at_high / 2 if side < 0 else at_high
            side = -1
        else:
            high, at_high = middle, at
            at_low = at_low / 2 if side > 0 else at_low
            side = 1
    return (low + high) / 2


def below(mixture: Sequence[Part], value: float) -> float:
    """Probability of at most `value`."""
    return math.fsum(
        part.weight
        * (t_tail((part.centre - value) / part.scale, part.df) if part.scale > 0 else float(part.centre <= value))
        for part in mixture
    )


def _step(mixture: Sequence[Part], probability: float) -> float:
    """The quantile where nothing is left to err about but the centre."""
    total = 0.0
    ordered = sorted(mixture, key=lambda part: part.centre)
    for part in ordered:
        total += part.weight
        if total >= probability - 1e-12:
            return part.centre
    return ordered[-1].centre


def _growth(w: int, m: int, ratio: float) -> float:
    return m + m * m / w + ratio * (m * m * (w - 1) * (2 * w - 1) / (6 * w) + m * (m + 1) * (2 * m + 1) / 6)


def _fitted(window: Sequence[float], ratio: float, scatter: Scatter) -> tuple[float, float, float]:
    """s2 in J^2 with its degrees of freedom, and ln of the likelihood of the window up to a constant, given r.

    The innovations of the Kalman filter that begins at the first epoch (Durbin and Koopman, Time Series Analysis by
    State Space Methods, 2012, chapter 2), with a scaled inverse chi-square prior on s2.
    """
    level, doubt = window[0], 1.0 + ratio
    squares = logs = 0.0
    for value in window[1:]:
        variance = doubt + 1
        surprise = value - level
        gain = doubt / variance
        squares += surprise * surprise / variance
        logs += math.log(variance)
        level += gain * surprise
        doubt = doubt * (1 - gain) + ratio
    expected_j = scatter.relative * math.fsum(window) / len(window)
    df = scatter.df + len(window) - 1
    total = scatter.df * expected_j**2 + squares
    return total / df, df, -0.5 * logs - df / 2 * math.log(total)

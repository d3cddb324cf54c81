"""How many epochs a training with early stopping will run, predicted from its validation losses.

The rule is known and is played forward on likely losses. A loss curve is fitted to what was seen,

    loss_i = a + b * exp(-c * (i - 1)),   b >= 0

by least squares over a grid of c, and PATHS paths go on from it: each takes one curve, by how well it fits (weight
squares^(-n/2)), and adds noise of the size of its residuals, never less than NOISE of the lowest loss. Where a path
ends is one guess at the number of epochs. The paths come from a fixed seed: the same losses give the same answer.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from energybench.estimators import EstimateError

PATHS = 400
NOISE = 0.01
"""relative noise of a validation loss that is assumed at least"""
_RATES = tuple(0.02 * 1.35**k for k in range(17))
"""c per epoch, 0.02 to 2.4"""


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Stops after `patience` epochs in a row whose loss fell by no more than `min_delta` below the best before.

    As `energybench.lab.stopping.EarlyStopping` and Keras have it. `limit` bounds the epochs.
    """

    patience: int
    min_delta: float
    limit: int

    def __post_init__(self) -> None:
        if self.patience < 1 or self.min_delta < 0 or self.limit < 1:
            raise EstimateError(
                f"Early stopping takes a patience and a limit of 1 or more and a min_delta of 0 or more, not "
                f"{self.patience}, {self.limit} and {self.min_delta:g}."
            )

    def ends(self, losses: Sequence[float]) -> int | None:
        """After which epoch these losses end the training; None where they do not."""
        reference, waited = math.inf, 0
        for epoch, loss in enumerate(losses, 1):
            if loss < reference - self.min_delta:
                reference, waited = loss, 0
            else:
                waited += 1
            if waited >= self.patience or epoch >= self.limit:
                return epoch
        return None


@dataclass(frozen=True, slots=True)
class Length:
    """How many epochs a training will run, as far as can be told."""

    likely: tuple[tuple[int, float], ...]
    """(epochs, probability), ascending"""

    @property
    def mean(self) -> float:
        """Expected number of epochs."""
        return math.fsum(epochs * share for epochs, share in self.likely)

    def quantile(self, probability: float) -> int:
        """The smallest number of epochs that is not exceeded with this probability."""
        reached = 0.0
        for epochs, share in self.likely:
            reached += share
            if reached >= probability - 1e-12:
                return epochs
        return self.likely[-1][0]


def length(losses: Sequence[float], rule: EarlyStopping) -> Length:
    """The number of epochs of a training whose validation losses so far are `losses`.

    Raises EstimateError where the rule ended the training earlier than the losses do, or fewer than two are known.
    """
    if len(losses) < 2:
        raise EstimateError(
            f"Early stopping is predicted from two validation losses at least; there are {len(losses)}."
        )
    ended = rule.ends(losses)
    if ended is not None and ended < len(losses):
        raise EstimateError(
            f"Early stopping (patience {rule.patience}, min_delta {rule.min_delta:g}, at most {rule.limit}) ends these "
            f"losses after epoch {ended}, but there are {len(losses)}. Give the rule that the training ran with."
        )
    if ended is not None:
        return Length(((ended, 1.0),))
    curves = _curves(losses)
    draw = random.Random(0)
    shares = [share for share, _, _, _, _ in curves]
    counts: Counter[int] = Counter()
    for _, a, b, c, noise in draw.choices(curves, shares, k=PATHS):
        counts[_played(losses, rule, a, b, c, noise, draw)] += 1
    return Length(tuple((epochs, count / PATHS) for epochs, count in sorted(counts.items())))


def _played(
    losses: Sequence[float], rule: EarlyStopping, a: float, b: float, c: float, noise: float, draw: random.Random
) -> int:
    """After which epoch one path ends."""
    reference, waited = math.inf, 0
    for epoch in range(1, rule.limit + 1):
        seen = epoch <= len(losses)
        loss = losses[epoch - 1] if seen else a + b * math.exp(-c * (epoch - 1)) + draw.gauss(0.0, noise)
        if loss < reference - rule.min_delta:
            reference, waited = loss, 0
        else:
            waited += 1
        if not seen and waited >= rule.patience:
            return epoch
    return rule.limit


def _curves(losses: Sequence[float]) -> list[tuple[float, float, float, float, float]]:
    """(weight, a, b, c, noise) of each curve of the grid, fitted by least squares."""
    n = len(losses)
    centre = math.fsum(losses) / n
    least = NOISE * max(abs(min(losses)), 1e-12)
    found = []
    for c in _RATES:
        shape = [math.exp(-c * i) for i in range(n)]
        middle = math.fsum(shape) / n
        across = math.fsum((x - middle) * (y - centre) for x, y in zip(shape, losses, strict=True))
        along = math.fsum((x - middle) ** 2 for x in shape)
        b = max(0.0, across / along)
        a = centre - b * middle
        squares = math.fsum((y - a - b * x) ** 2 for x, y in zip(shape, losses, strict=True)) + n * least**2
        noise = math.sqrt(squares / max(1, n - 2))
        found.append((-n / 2 * math.log(squares), a, b, c, noise))
    top = max(weight for weight, *_ in found)
    return [(math.exp(weight - top), a, b, c, noise) for weight, a, b, c, noise in found]

"""From which epoch on the epochs of a training are alike, told by their energies alone.

The rule, for when there is no power series: everything before the last change of level is left out. A change is a place
that parts the epochs in two whose means differ by more than chance and by more than 1 %:

    t = |mean(after) - mean(before)| / (sigma * sqrt(1/k + 1/(n - k)))

Its two-sided p value under Student's t, times the number of places looked at (Bonferroni), must be below 1 %. The place
with the largest t counts first, and what lies behind it is looked through again until no change is left. sigma comes
from the differences of neighbouring epochs, which a change of level cannot swell, moderated by the declared spread of
`spread`: two epochs that happen to agree do not prove that the third differs.

Two epochs at least must lie behind a change: one cannot tell a new level from an outlier. So an inner epoch that
neither neighbour resembles while they resemble each other (a checkpoint, a validation every few epochs) is seen as
their mean, and a last epoch that does not resemble the one before it is seen as that one, until the next one tells.
Both still count in every sum and mean of the projection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from energybench.analysis.stats import t_tail
from energybench.estimators.step.spread import DECLARED, DECLARED_DF

P_VALUE = 0.01
ALIKE = 0.01
"""relative difference of two levels that is no change, however sure it is"""
FEWEST_AFTER = 2
_MAD = 1.4826
"""standard deviations per median absolute deviation of a normal distribution"""


def stable_from(joules: Sequence[float]) -> int:
    """Index of the first epoch of the last stretch without a change; 0 where there is no change. Joules are above 0."""
    start = 0
    values = _without_spikes(joules)
    while (change := _change(values[start:])) is not None:
        start += change
    return start


def _change(values: Sequence[float]) -> int | None:
    """How many values lie before the plainest change; None where there is none."""
    places = range(1, len(values) - FEWEST_AFTER + 1)
    if not places:
        return None
    sigma, df = _sigma(values)
    whole, before, best, at = math.fsum(values), 0.0, 0.0, 0
    for k in places:
        before += values[k - 1]
        first, second = before / k, (whole - before) / (len(values) - k)
        t = abs(second - first) / (sigma * math.sqrt(1 / k + 1 / (len(values) - k)))
        if t > best and abs(second - first) > ALIKE * second:
            best, at = t, k
    return at if at and 2 * t_tail(best, df) * len(places) < P_VALUE else None


def _sigma(values: Sequence[float]) -> tuple[float, float]:
    """Standard deviation of one epoch and its degrees of freedom, from neighbours' differences and the declared one."""
    steps = [abs(b - a) for a, b in pairwise(values)]
    seen = _MAD * median(steps) / math.sqrt(2)
    declared = DECLARED * median(values)
    df = DECLARED_DF + len(steps)
    return math.sqrt((DECLARED_DF * declared**2 + len(steps) * seen**2) / df), df


def _without_spikes(joules: Sequence[float]) -> list[float]:
    """An inner epoch far from neighbours that resemble each other takes their mean; a far last one the former value."""
    values = list(joules)
    if len(joules) < FEWEST_AFTER + 1:
        return values
    sigma, _ = _sigma(joules)
    for i in range(1, len(joules) - 1):
        before, here, after = joules[i - 1 : i + 2]
        nearest = min(abs(here - before), abs(here - after))
        if nearest > 4 * sigma and nearest > 3 * abs(after - before) and (here > before) == (here > after):
            values[i] = (before + after) / 2
    if abs(joules[-1] - joules[-2]) > 4 * sigma:
        values[-1] = values[-2]
    return values

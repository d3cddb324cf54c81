"""Where the level of a series changes: exact least-squares partitions, and the steps that noise alone does not make.

For each number of steps the partition with the least sum of squares is found exactly, by dynamic programming over all
places (Jackson et al. 2005; pieces of at least two values, since one value is no level). The partition with the most
steps is taken in which every step stands out: a two-sided t test of the levels on its sides, with one variance for all
pieces, multiplied by the number of places where a step might have been (Bonferroni); and it must do so without the
value of either side that speaks loudest for it, since one outlying run is no change of level. Partitions of several
steps are looked at also where one step does not stand out, because a rise and a fall hide one another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from energybench.analysis.stats import Difference, t_tail

LEVEL = 0.05
"""corrected p value up to which a step is one; noise alone has one in about 1 of 100 series, since both corrections err
on the safe side (simulated for 4 to 120 values)"""
SHORTEST = 2
"""values of a piece"""
_LOOK_AHEAD = 3
"""further steps that are tried where one more does not stand out"""
_ROUNDING = 1e-9
"""differences below this are those of floating-point arithmetic"""


@dataclass(frozen=True, slots=True)
class Step:
    """A change of level."""

    at: int
    """position of the first value on the new level"""
    difference: Difference
    """new level less old level, in the unit of the values"""
    p: float
    """two-sided, corrected for the places searched"""


@dataclass(frozen=True, slots=True)
class Partition:
    """A series cut into pieces of one level each."""

    steps: tuple[Step, ...]
    sd: float
    """standard deviation of one value about its level, as the tests took it"""

    def pieces(self, n: int) -> tuple[tuple[int, int], ...]:
        """(first, behind the last) position of each piece of a series of `n` values."""
        return tuple(pairwise([0, *(step.at for step in self.steps), n]))


def partition(values: Sequence[float], *, floor: float = 0.0, level: float = LEVEL) -> Partition:
    """The steps of `values`, oldest first, each with a corrected p value of at most `level`.

    `floor` is a standard deviation of one value that is known from elsewhere, such as that of its rounds: the values
    are not taken for quieter than that. Time grows with the square of the number of values.
    """
    n = len(values)
    if n < 1:
        return Partition((), floor)
    found = _tested(values, (), floor)
    search = _Partitions(values)
    count = 0
    while count < len(found.steps) + _LOOK_AHEAD and (count + 2) * SHORTEST <= n:
        count += 1
        candidate = _tested(values, search.cuts(count), floor)
        if all(step.p <= level for step in candidate.steps):
            found = candidate
    return found


def _tested(values: Sequence[float], cuts: Sequence[int], floor: float) -> Partition:
    """The partition at `cuts` with the test of each step."""
    n = len(values)
    pieces = [values[first:behind] for first, behind in pairwise([0, *cuts, n])]
    levels = [math.fsum(piece) / len(piece) for piece in pieces]
    squares = math.fsum((x - level) ** 2 for piece, level in zip(pieces, levels, strict=True) for x in piece)
    df = n - len(pieces)
    sd = max(math.sqrt(squares / df) if df else 0.0, floor)
    steps = []
    for at, (before, after) in zip(cuts, pairwise(pieces), strict=True):
        whole = _difference(before, after, sd, df)
        # One run alone must not make a step: neither side's loudest voice for it is decisive.
        rise = whole.value > 0
        quieter = (
            _difference(before, _without(after, rise), sd, df),
            _difference(_without(before, not rise), after, sd, df),
        )
        p = max(_p(difference) for difference in (whole, *quieter))
        steps.append(Step(at, whole, min(1.0, p * (n - 1))))
    return Partition(tuple(steps), sd)


def _difference(before: Sequence[float], after: Sequence[float], sd: float, df: int) -> Difference:
    value = math.fsum(after) / len(after) - math.fsum(before) / len(before)
    return Difference(value, sd * math.sqrt(1 / len(before) + 1 / len(after)), df)


def _without(values: Sequence[float], greatest: bool) -> list[float]:
    """All but the greatest (or the least) value."""
    return sorted(values)[:-1] if greatest else sorted(values)[1:]


def _p(difference: Difference) -> float:
    """Two-sided p value of no difference at all, for one place."""
    size = abs(difference.value)
    if size <= _ROUNDING:
        return 1.0
    if difference.se <= _ROUNDING * size:
        return 0.0
    return 2 * t_tail(size / difference.se, difference.df)


class _Partitions:
    """The least-squares partitions of a series into 1, 2, 3, ... pieces, each built on those before."""

    def __init__(self, values: Sequence[float]) -> None:
        self._n = len(values)
        centre = math.fsum(values) / len(values)  # sums of squares about 0 would lose the digits that matter
        sums, squares = [0.0], [0.0]
        for value in values:
            sums.append(sums[-1] + value - centre)
            squares.append(squares[-1] + (value - centre) ** 2)
        self._costs = [
            [squares[b] - squares[a] - (sums[b] - sums[a]) ** 2 / (b - a) for a in range(b)] for b in range(self._n + 1)
        ]
        # Of each number of pieces: the least cost of the first b values, and where the last piece begins.
        self._least = [[self._costs[b][0] if b >= SHORTEST else math.inf for b in range(self._n + 1)]]
        self._begins: list[list[int]] = [[0] * (self._n + 1)]

    def cuts(self, count: int) -> tuple[int, ...]:
        """Where the pieces after the first begin, for `count` cuts; `count` grows by at most one from call to call."""
        if count == len(self._least):
            self._extend()
        cuts = []
        behind = self._n
        for pieces in range(count, 0, -1):
            behind = self._begins[pieces][behind]
            cuts.append(behind)
        return tuple(reversed(cuts))

    def _extend(self) -> None:
        fewer, shortest = self._least[-1], SHORTEST * len(self._least)
        least, begins = [math.inf] * (self._n + 1), [0] * (self._n + 1)
        for b in range(shortest + SHORTEST, self._n + 1):
            costs = self._costs[b]
            least[b], begins[b] = min((fewer[a] + costs[a], a) for a in range(shortest, b - SHORTEST + 1))
        self._least.append(least)
        self._begins.append(begins)

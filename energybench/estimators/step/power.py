"""A power series: what it must be like, and from which epoch on it is stable.

The parameters are those of the paper (del Rey et al., arXiv 2307.05520): subsequences of 10 samples at 1 Hz, two
regimes, 3 x 10 samples at either end left out. Since two regimes are always found where two are asked for, a change
counts only where the corrected arc curve falls below 0.6; of 48 simulated series of one regime one fell so low. FLUSS
compares shapes: a plain change of level it does not see, which the epochs' energies are looked through for as well.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from energybench.estimators import EstimateError

SAMPLES = 10
"""m and L: samples of a subsequence"""
EDGE = 3 * SAMPLES
FEWEST = 100
"""samples; below, the two ends that are left out are most of the series"""
PLAIN = 0.6
RATE_S = 1.0
"""seconds per sample that the parameters are meant for"""
SLOWEST_S = 2.0
GAP = 3.0
"""steps longer than so many usual ones are a gap"""
MOST = 4000
"""samples that are compared with one another; a longer series is averaged down, with a sentence"""


@dataclass(frozen=True, slots=True)
class Power:
    """Mean watts over steps of time, on a clock of its own."""

    start_s: float
    seconds: tuple[float, ...]
    """end of each step, growing"""
    watts: tuple[float, ...]
    ends_s: tuple[float, ...] = ()
    """end of each epoch on the same clock, the first seen first; empty: not known"""
    starts_s: tuple[float, ...] = ()
    """begin of each epoch; empty: each begins where the one before ended, the first with the series"""

    @property
    def spans(self) -> tuple[tuple[float, float], ...]:
        """(begin, end) of each epoch."""
        starts = self.starts_s or (self.start_s, *self.ends_s[:-1])
        return tuple(zip(starts, self.ends_s, strict=True))

    @property
    def steps(self) -> tuple[tuple[float, float, float], ...]:
        """(begin, end, watts) of each step."""
        return tuple(
            (begin, end, watts)
            for (begin, end), watts in zip(pairwise((self.start_s, *self.seconds)), self.watts, strict=True)
        )

    def joules(self, begin_s: float, end_s: float) -> float:
        """Energy between two times, a step that lies across either by its share."""
        first = bisect_right(self.seconds, begin_s)
        total = 0.0
        for begin, end, watts in self.steps[first:]:
            if begin >= end_s:
                break
            total += watts * (min(end, end_s) - max(begin, begin_s))
        return total

    def upto(self, epochs: int) -> Power:
        """The series as it stood when that many epochs had ended."""
        end = self.ends_s[epochs - 1]
        count = bisect_right(self.seconds, end)
        return Power(
            self.start_s, self.seconds[:count], self.watts[:count], self.ends_s[:epochs], self.starts_s[:epochs]
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """What a power series says of when it became stable."""

    epoch: int | None
    """index of the first epoch after the change, 0 where there is no change; None where it cannot be told"""
    said: str
    """how it was told, or why not"""


def from_samples(seconds: Sequence[float], watts: Sequence[float], source: str) -> Power:
    """The series of samples at `seconds`: between two of them power is their mean (trapezoid).

    Raises EstimateError where times do not grow, a value is no power, or a step is a gap of more than three usual ones.
    """
    if len(seconds) < 3:
        raise EstimateError(f"{source} has {len(seconds)} samples of power; a series needs three at least.")
    for number, (time, value) in enumerate(zip(seconds, watts, strict=True), 1):
        if not math.isfinite(time) or not math.isfinite(value) or value < 0:
            raise EstimateError(f"Sample {number} of {source} is {value:g} W at {time:g} s: no power at a time.")
    steps = [after - before for before, after in pairwise(seconds)]
    usual = median(steps)
    for before, step in zip(seconds, steps, strict=False):
        if step <= 0:
            raise EstimateError(f"The times of {source} do not grow: {before + step:g} s follows {before:g} s.")
        if step > GAP * usual:
            raise EstimateError(
                f"{source} has a gap of {step:.3g} s after second {before:g}, where a sample comes every {usual:.3g} "
                f"s: the energy in it is not known. Give a whole series, or the part before or behind the gap."
            )
    means = tuple((before + after) / 2 for before, after in pairwise(watts))
    return Power(seconds[0], tuple(seconds[1:]), means)


def settled(power: Power) -> Settled:
    """The first epoch that is stable, by matrix profile and FLUSS.

    That is the epoch after the one in which the regime changes: the one that it changes in is half of the old regime.
    A faster series is averaged to 1 Hz; of one that is slower, has gaps or is short, nothing is told.
    """
    if not power.ends_s:
        return Settled(None, "the power series does not say where its epochs end")
    steps = [end - begin for begin, end, _ in power.steps]
    usual = median(steps) if steps else math.inf
    if usual > SLOWEST_S:
        return Settled(None, f"the power series has a sample every {usual:.3g} s; the method is made for one a second")
    gap = max(steps)
    if gap > GAP * max(usual, RATE_S):
        return Settled(None, f"the power series has a gap of {gap:.3g} s")
    length = power.seconds[-1] - power.start_s
    grid_s = max(RATE_S if usual < RATE_S / 1.5 else usual, length / MOST)
    count = int(length / grid_s + 1e-9)
    if count < FEWEST:
        return Settled(None, f"the power series has {count} samples of {grid_s:.3g} s; {FEWEST} are needed")
    try:
        from energybench.estimators.step.profile import regime_change
    except ImportError:
        return Settled(None, "numpy is not installed, which a power series is searched with")
    place, curve = regime_change(_averaged(power, grid_s, count), SAMPLES, EDGE)
    how = f"matrix profile and FLUSS on {count} samples of {grid_s:.3g} s"
    if curve >= PLAIN:
        return Settled(0, f"{how}: no change of regime (arc curve {curve:.2f} at its lowest)")
    when = power.start_s + place * grid_s
    epoch = bisect_right(power.ends_s, when) + 1
    return Settled(epoch, f"{how}: the regime changes after {when - power.start_s:.0f} s (arc curve {curve:.2f})")


def _averaged(power: Power, grid_s: float, count: int) -> list[float]:
    """Mean watts over `count` equal steps from the start."""
    joules, means = 0.0, []
    steps = iter(power.steps)
    begin, end, watts = next(steps)
    for index in range(count):
        until, joules = power.start_s + (index + 1) * grid_s, 0.0
        at = power.start_s + index * grid_s
        while True:
            joules += watts * max(0.0, min(end, until) - max(begin, at))
            if end >= until:
                break
            following = next(steps, None)
            if following is None:
                break
            begin, end, watts = following
        means.append(joules / grid_s)
    return means

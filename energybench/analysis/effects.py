"""How much worse a candidate is than its baseline, on the scale on which a metric is tested.

Lower-is-better quantities (J, s, epochs, W) are compared as ln(candidate / baseline); accuracy as a difference of
shares. `worse` is positive where the candidate is worse, for either kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from energybench.analysis.moderation import Spread
from energybench.analysis.stats import INFINITE, Difference, combined, sample_variance, welch
from energybench.model import Case

EVALUATION_KEYS = ("evaluation_images", "eval_images", "test_images")
"""Facts that hold the size of the evaluation set where the rounds did not record `total`."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One metric of one case: the change, and the test that its rounds allow."""

    worse: float
    test: Difference | None = None
    """None where a side has one round, or neither side varies: a declared noise must stand in"""
    sd: float = 0.0
    """standard deviation of one round on the metric's scale, for counting the rounds that would settle it"""
    rounds: int = 1
    """rounds of the smaller side"""
    identical: bool = False
    """every round of both sides has the same value"""
    spread: Spread | None = None
    """variance of one round, both sides pooled, at least the meter's; None where a side has one round"""
    share: float = 2.0
    """1 / rounds of the baseline + 1 / rounds of the candidate: the variance of the change in variances of a round"""
    residual: Difference | None = None
    """the change beside what all cases have in common; None where that is not known"""
    between: float = 0.0
    """standard deviation that sessions alone give to the change: no number of rounds makes it smaller"""


def log_effect(
    baseline: Sequence[float],
    candidate: Sequence[float],
    *,
    error_baseline: float = 0.0,
    error_candidate: float = 0.0,
) -> Effect:
    """Effect of two samples of positive values. `error_*` is the meter's relative random error of one round."""
    rounds = min(len(baseline), len(candidate))
    identical = tuple(baseline) == tuple(candidate)
    old, new = [math.log(value) for value in baseline], [math.log(value) for value in candidate]
    worse = math.fsum(new) / len(new) - math.fsum(old) / len(old)
    share = 1 / len(old) + 1 / len(new)
    if rounds < 2:
        return Effect(worse, rounds=rounds, identical=identical, share=share)
    # Welch's test with the variances at hand: they are needed beside it.
    variances = (max(sample_variance(old), error_baseline**2), max(sample_variance(new), error_candidate**2))
    test = combined(worse, [(variances[0] / len(old), len(old) - 1), (variances[1] / len(new), len(new) - 1)])
    df = len(old) + len(new) - 2
    pooled = ((len(old) - 1) * variances[0] + (len(new) - 1) * variances[1]) / df
    sd = math.sqrt((variances[0] + variances[1]) / 2)
    return Effect(worse, test, sd, rounds, identical, Spread(pooled, df), share)


@dataclass(frozen=True, slots=True)
class Sides:
    """The values that a metric of one case is held against itself by; None where a round has none."""

    baseline: Sequence[float | None]
    candidate: Sequence[float | None]
    in_pairs: bool = False
    """each value of one side belongs to the one at its place on the other"""


def accuracy_sides(baseline: Case, candidate: Case) -> Sides:
    """The accuracies of both, in pairs by seed where one side has all seeds of the other; those that only one side has
    then do not count. Else all that were recorded.
    """
    seeds = baseline.columns.seeds, candidate.columns.seeds
    values = baseline.metric("accuracy"), candidate.metric("accuracy")
    if seeds[0] == seeds[1] and len(set(seeds[0])) == len(seeds[0]) and None not in values[0] and None not in values[1]:
        return Sides(*values, in_pairs=bool(seeds[0]))
    old, new = (
        {seed: value for seed, value in zip(*side, strict=True) if value is not None}
        for side in zip(seeds, values, strict=True)
    )
    shared = sorted(old.keys() & new.keys())
    # Of a seed that was used twice the last would count: the lengths tell that such rounds cannot be paired.
    whole = len(old) == len(seeds[0]) and len(new) == len(seeds[1])
    if whole and shared and len(shared) == min(len(old), len(new)):
        return Sides([old[seed] for seed in shared], [new[seed] for seed in shared], in_pairs=True)
    known = [[value for value in side if value is not None] for side in values]
    return Sides(known[0], known[1])


def accuracy_effect(baseline: Case, candidate: Case, *, same_images: bool, sides: Sides | None = None) -> Effect | None:
    """Effect on accuracy, a share in [0, 1]; None where a side recorded none.

    The standard error is at least half an image of the evaluation set; where the two sets differ (`same_images` False),
    at least their binomial error. `sides` are `accuracy_sides` of the two, where they are known already.
    """
    sides = sides or accuracy_sides(baseline, candidate)
    if sides.in_pairs:
        both = zip(sides.baseline, sides.candidate, strict=True)
        found = _paired([old - new for old, new in both if old is not None and new is not None])
    else:
        old, new = ([value for value in side if value is not None] for side in (sides.baseline, sides.candidate))
        if not old or not new:
            return None
        found = _unpaired(old, new)
    if found.rounds < 2:
        return Effect(found.worse, rounds=found.rounds, identical=found.identical)
    se, df = found.se, found.df
    floor = _floor(baseline, candidate, same_images=same_images)
    if se < floor:
        se, df = floor, INFINITE  # the floor is known, not estimated from a few rounds
    test = Difference(found.worse, se, df) if se > 0 else None
    return Effect(found.worse, test, found.sd, found.rounds, found.identical)


class _Fall(NamedTuple):
    """How much accuracy fell, by the rounds alone."""

    worse: float
    se: float
    df: float
    sd: float
    """of one round of one side"""
    rounds: int
    identical: bool


def _paired(falls: Sequence[float]) -> _Fall:
    count = len(falls)
    variance = sample_variance(falls) if count > 1 else 0.0
    # Rounds are counted a side, with two sides' variance in the difference; a paired difference has it all.
    sd = math.sqrt(variance / 2)
    return _Fall(math.fsum(falls) / count, math.sqrt(variance / count), count - 1, sd, count, not any(falls))


def _unpaired(old: Sequence[float], new: Sequence[float]) -> _Fall:
    rounds = min(len(old), len(new))
    worse = math.fsum(old) / len(old) - math.fsum(new) / len(new)
    test = welch(new, old) if rounds > 1 else None
    sd = math.sqrt((sample_variance(old) + sample_variance(new)) / 2) if rounds > 1 else 0.0
    se, df = (test.se, test.df) if test else (0.0, INFINITE)
    return _Fall(worse, se, df, sd, rounds, identical=False)


def _floor(baseline: Case, candidate: Case, *, same_images: bool) -> float:
    sizes = evaluation_size(baseline), evaluation_size(candidate)
    if same_images:
        known = [size for size in sizes if size]
        return 0.5 / min(known) if known else 0.0
    shares = [case.mean_metric("accuracy") for case in (baseline, candidate)]
    return math.sqrt(
        sum(share * (1 - share) / size for share, size in zip(shares, sizes, strict=True) if size and share is not None)
    )


def evaluation_size(case: Case) -> float | None:
    """Images in the evaluation set: what the rounds recorded as `total`, else the case's facts; None if unknown.

    A set holds one image at least; a smaller number is no size.
    """
    recorded = case.mean_metric("total")
    if recorded is not None and recorded >= 1:
        return recorded
    for key in EVALUATION_KEYS:
        value = case.facts.get(key)
        if isinstance(value, (int, float)) and value >= 1:
            return float(value)
    return None

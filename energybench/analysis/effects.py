"""How much worse a candidate is than its baseline, on the scale on which a metric is tested.

Lower-is-better quantities (J, s, epochs, W) are compared as ln(candidate / baseline); accuracy as a difference of
shares. `worse` is positive where the candidate is worse, for either kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from energybench.analysis.moderation import Spread
from energybench.analysis.stats import INFINITE, Difference, combined, sample_variance, welch
from energybench.model import Case, mean

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


def accuracy_effect(baseline: Case, candidate: Case, *, same_images: bool) -> Effect | None:
    """Effect on accuracy, a share in [0, 1]; None where a side recorded none.

    Rounds are paired by seed where one side has all seeds of the other; those that only one side has then do not count.
    The standard error is at least half an image of the
    evaluation set; where the two sets differ (`same_images` False), at least their binomial error.
    """
    old, new = _by_seed(baseline), _by_seed(candidate)
    if not old or not new:
        return None
    shared = _paired(baseline, candidate, old, new)
    if not shared:
        return _unpaired(baseline, candidate, same_images=same_images)
    falls = [old[seed] - new[seed] for seed in shared]
    worse = math.fsum(falls) / len(falls)
    variance = sample_variance(falls) if len(falls) > 1 else 0.0
    return _with_floor(
        baseline,
        candidate,
        worse=worse,
        se=math.sqrt(variance / len(falls)),
        df=len(falls) - 1,
        # Rounds are counted a side, with two sides' variance in the difference; a paired difference has it all.
        sd=math.sqrt(variance / 2),
        rounds=len(falls),
        same_images=same_images,
        identical=not any(falls),
    )


def accuracy_means(baseline: Case, candidate: Case) -> tuple[float | None, float | None]:
    """The two means that `accuracy_effect` holds against one another: of the paired rounds, where it pairs them."""
    old, new = _by_seed(baseline), _by_seed(candidate)
    shared = _paired(baseline, candidate, old, new)
    if not shared:
        return baseline.mean_metric("accuracy"), candidate.mean_metric("accuracy")
    return mean(old[seed] for seed in shared), mean(new[seed] for seed in shared)


def _paired(baseline: Case, candidate: Case, old: Mapping[int, float], new: Mapping[int, float]) -> list[int]:
    """The seeds of both sides where one side has all of the other's; none where rounds cannot be paired."""
    whole = len(old) == len(baseline.rounds) and len(new) == len(candidate.rounds)
    shared = sorted(old.keys() & new.keys())
    return shared if whole and len(shared) == min(len(old), len(new)) else []


def _unpaired(baseline: Case, candidate: Case, *, same_images: bool) -> Effect:
    old, new = ([value for value in case.metric("accuracy") if value is not None] for case in (baseline, candidate))
    rounds = min(len(old), len(new))
    worse = math.fsum(old) / len(old) - math.fsum(new) / len(new)
    test = welch(new, old) if rounds > 1 else None
    sd = math.sqrt((sample_variance(old) + sample_variance(new)) / 2) if rounds > 1 else 0.0
    se, df = (test.se, test.df) if test else (0.0, INFINITE)
    return _with_floor(
        baseline, candidate, worse=worse, se=se, df=df, sd=sd, rounds=rounds, same_images=same_images, identical=False
    )


def _with_floor(
    baseline: Case,
    candidate: Case,
    *,
    worse: float,
    se: float,
    df: float,
    sd: float,
    rounds: int,
    same_images: bool,
    identical: bool,
) -> Effect:
    if rounds < 2:
        return Effect(worse, rounds=rounds, identical=identical)
    floor = _floor(baseline, candidate, same_images=same_images)
    if se < floor:
        se, df = floor, INFINITE  # the floor is known, not estimated from a few rounds
    return Effect(worse, Difference(worse, se, df) if se > 0 else None, sd, rounds, identical)


def _floor(baseline: Case, candidate: Case, *, same_images: bool) -> float:
    sizes = [evaluation_size(case) for case in (baseline, candidate)]
    if same_images:
        return max((0.5 / size for size in sizes if size), default=0.0)
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


def _by_seed(case: Case) -> dict[int, float]:
    """Seed -> accuracy; of a seed used twice the last (the lengths then tell that rounds cannot be paired)."""
    known = zip(case.columns.seeds, case.metric("accuracy"), strict=True)
    return {seed: value for seed, value in known if value is not None}

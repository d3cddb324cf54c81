"""From effects to verdicts: what may be claimed of each case, given all cases of the metric.

- regressed: the estimate is at least the margin, and Benjamini-Hochberg over the cases rejects "not worse" at q = 0.05.
- improved: the mirror image.
- ok: the one-sided 95 % upper bound lies below the margin (non-inferiority, a positive statement; no correction,
  since a run passes only where every case does).
- inconclusive: everything else, with the reason and the rounds that would settle it.

Where no variance can be had (one round on a side) a declared noise stands in: a change beyond the margin and beyond
three times the noise is a claim, anything smaller is inconclusive and never ok.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from energybench.analysis.effects import Effect
from energybench.analysis.stats import benjamini_hochberg, rounds_needed
from energybench.model import Verdict

LEVEL = 0.05
"""Level of each non-inferiority test, and the false discovery rate of the claims."""
_MANY_ROUNDS = 100
_LARGEST_LOG = 700.0
"""exp of more is no float; a change of 1e304 is wrong enough as it is."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a metric's effects are held against."""

    margin: float
    """on the metric's test scale: ln(1.05), or 0.005 of accuracy"""
    noise: float
    """declared standard deviation of one round, same scale"""
    claim: float
    """the smallest change that is a claim without a variance: beyond the margin and three times the noise"""
    shown: Callable[[float], float]
    """how much worse on the test scale -> the change that people see: exp(x) - 1, or -x"""
    percent: Callable[[float], str]
    """a shown change as text: `+3.1 %`, `-0.4 points`"""
    noise_text: str
    """`3 %`, `1 point`"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and what it rests on; `change` and `interval` as shown to people."""

    verdict: Verdict
    reason: str
    change: float
    interval: tuple[float, float] | None = None
    p: float | None = None


def relative_rule(margin: float, noise: float) -> Rule:
    """For quantities compared as ln(candidate / baseline); both arguments are ratios (0.05 = 5 %)."""
    return Rule(
        margin=math.log1p(margin),
        noise=math.log1p(noise),
        claim=math.log1p(max(margin, 3 * noise)),
        shown=lambda worse: math.expm1(min(worse, _LARGEST_LOG)),
        percent=lambda change: f"{100 * change:+.1f} %",
        noise_text=f"{100 * noise:g} %",
    )


def points_rule(margin: float, noise: float) -> Rule:
    """For accuracy, where a fall is worse; both arguments are shares (0.005 = half a point)."""
    points = 100 * noise
    return Rule(
        margin=margin,
        noise=noise,
        claim=max(margin, 3 * noise),
        shown=lambda worse: -worse + 0.0,
        percent=lambda change: f"{100 * change:+.2f} points",
        noise_text=f"{points:g} point{'' if points == 1 else 's'}",
    )


def judge_all(effects: Sequence[Effect], rule: Rule) -> list[Judgement]:
    """One judgement per effect, in order. The effects are all cases of one metric: the family of its claims."""
    tested = [effect for effect in effects if effect.test is not None and not effect.identical]
    worse = [effect.test.p_above(0.0) for effect in tested if effect.test is not None]
    adjusted_worse = benjamini_hochberg(worse)
    adjusted_better = benjamini_hochberg([1 - p for p in worse])
    row = {id(effect): position for position, effect in enumerate(tested)}
    judgements = []
    for effect in effects:
        if effect.identical:
            judgements.append(Judgement(Verdict.OK, "identical rounds", rule.shown(0.0), (0.0, 0.0)))
        elif effect.test is None:
            judgements.append(_by_declared_noise(effect, rule))
        else:
            position = row[id(effect)]
            judgements.append(
                _by_test(effect, rule, worse[position], adjusted_worse[position], adjusted_better[position])
            )
    return judgements


def _by_declared_noise(effect: Effect, rule: Rule) -> Judgement:
    change = rule.shown(effect.worse)
    why = "one round" if effect.rounds < 2 else "rounds without spread"
    basis = f"{why}, assumed noise {rule.noise_text}"
    # The 1e-12 lets a change of exactly the bound count, whatever the last bit of its logarithm is.
    if abs(effect.worse) >= rule.claim - 1e-12:
        verdict = Verdict.REGRESSED if effect.worse > 0 else Verdict.IMPROVED
        return Judgement(verdict, basis, change)
    needed = _rounds(rounds_needed(rule.noise, rule.margin))
    reason = f"{basis}: {rule.percent(change)} is below three times that; about {needed} a side would settle it"
    return Judgement(Verdict.INCONCLUSIVE, reason, change)


def _by_test(effect: Effect, rule: Rule, p: float, adjusted_worse: float, adjusted_better: float) -> Judgement:
    assert effect.test is not None
    change = rule.shown(effect.worse)
    ends = sorted(rule.shown(end) for end in effect.test.interval())
    interval = (ends[0], ends[1])
    text = f"interval {rule.percent(ends[0])} .. {rule.percent(ends[1])}"

    def judged(verdict: Verdict, reason: str) -> Judgement:
        return Judgement(verdict, reason, change, interval, p)

    if effect.worse >= rule.margin - 1e-12 and adjusted_worse <= LEVEL:
        certain = effect.test.p_above(rule.margin) < LEVEL
        return judged(Verdict.REGRESSED, f"{text}, beyond the margin with confidence" if certain else text)
    if effect.worse <= -rule.margin + 1e-12 and adjusted_better <= LEVEL:
        return judged(Verdict.IMPROVED, text)
    # p_above(margin) tests "at most the margin"; its complement tests "at least the margin".
    if 1 - effect.test.p_above(rule.margin) < LEVEL:
        return judged(Verdict.OK, text)
    return judged(Verdict.INCONCLUSIVE, f"{text} crosses the margin; {_advice(effect, rule)}")


def _advice(effect: Effect, rule: Rule) -> str:
    """Rounds for an 80 % chance: to show a change this large, or to show that there is less than the margin."""
    large = effect.worse >= rule.margin
    distance = effect.worse if large else rule.margin - max(effect.worse, 0.0)
    needed = rounds_needed(effect.sd, distance) if distance > 0 else _MANY_ROUNDS + 1
    needed = max(needed, effect.rounds + 1)
    if needed > _MANY_ROUNDS:
        return f"with this spread more than {_MANY_ROUNDS} rounds a side would be needed to tell it from the margin"
    return f"about {_rounds(needed)} a side would settle it"


def _rounds(count: int) -> str:
    return f"{count} rounds"

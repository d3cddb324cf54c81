"""From effects to verdicts: what may be claimed of each case, given all cases of the metric.

- regressed: the estimate is at least the margin, and Benjamini-Hochberg over the cases rejects "not worse". Where the
  cases of a session have a shift in common, both are asked of what a case has beside it, and of its whole change the
  margin again; the shift is a claim of its own, and where it is one, cases that moved with it are regressed too.
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
from functools import lru_cache

from energybench.analysis.effects import Effect
from energybench.analysis.stats import Difference, benjamini_hochberg, rounds_needed, t_quantile
from energybench.model import Verdict

LEVEL = 0.05
"""Level of each non-inferiority test, and of the claims on cases where nothing is known of what they share."""
SHIFT_LEVEL = 0.036
"""Level of the claim on what all cases share. Whole sessions vary more than what one case has beside them, so that this
claim is the harder one to make, and gets the larger part of what both may come to."""
CASE_LEVEL = 0.011
"""False discovery rate of the claims on cases beside their shift: with it false alarms stay below one run in 20."""
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
    rounds: int | None = None
    """a side that would settle it, where it is inconclusive and rounds can"""


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
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


def judge_all(
    effects: Sequence[Effect],
    rules: Rule | Sequence[Rule],
    *,
    shift: Judgement | None = None,
    looks: int = 1,
) -> list[Judgement]:
    """One judgement per effect, in order. The effects are all cases of one metric: the family of its claims.

    `rules` is one for all or one each. `shift` is the judgement on what the cases have in common. With several `looks`
    at one change each may use its part of the level.
    """
    each = [rules] * len(effects) if isinstance(rules, Rule) else list(rules)
    claims = [_claim(effect) for effect in effects]
    worse = [claim.p_above(0.0) for claim in claims if claim is not None]
    adjusted_worse, adjusted_better = (benjamini_hochberg(ps) for ps in (worse, [1 - p for p in worse]))
    apart = any(effect.residual is not None for effect in effects)
    level = (CASE_LEVEL if apart else LEVEL) / looks
    judgements = []
    position = 0
    for effect, rule, claim in zip(effects, each, claims, strict=True):
        if effect.identical:
            judgements.append(Judgement(Verdict.OK, "identical rounds", rule.shown(0.0), (0.0, 0.0)))
        elif claim is None:
            judgements.append(_by_declared_noise(effect, rule))
        else:
            tail = _Tail(worse[position], adjusted_worse[position] <= level, adjusted_better[position] <= level)
            judgements.append(_by_test(effect, rule, claim, tail, shift, LEVEL / looks))
            position += 1
    return judgements


def judge_shift(change: Difference, rule: Rule, *, canary: float | None, looks: int = 1) -> Judgement:
    """The verdict on what all cases have in common; `canary` is ln of the change of a load that no code under test
    touches, None where there is none: where it moved the same way, the machine is the likelier cause.
    """
    shown = rule.shown(change.value)
    low, high = sorted(rule.shown(end) for end in change.interval())
    text = f"interval {rule.percent(low)} .. {rule.percent(high)}"
    p, level = change.p_above(0.0), SHIFT_LEVEL / looks
    if canary is None:
        told = "no canary tells the machine's drift from the code"
    else:
        told = f"the canary changed by {rule.percent(rule.shown(canary))}"

    def judged(verdict: Verdict, reason: str) -> Judgement:
        return Judgement(verdict, reason, shown, (low, high), p)

    if abs(change.value) >= rule.margin - 1e-12 and min(p, 1 - p) <= level:
        if canary is not None and canary * change.value > 0 and abs(canary) >= abs(change.value) / 2:
            return judged(Verdict.INCONCLUSIVE, f"{text}; the environment drifted: {told}")
        return judged(Verdict.REGRESSED if change.value > 0 else Verdict.IMPROVED, f"{text}; {told}")
    if 1 - change.p_above(rule.margin) < LEVEL / looks:
        return judged(Verdict.OK, text)
    return judged(Verdict.INCONCLUSIVE, f"{text} crosses the margin; {told}")


@dataclass(frozen=True, slots=True)
class _Tail:
    """What the family of cases says of one."""

    p: float
    worse: bool
    better: bool


def _claim(effect: Effect) -> Difference | None:
    """What a claim on the case rests on: what it has beside the others where that is known, else its change."""
    if effect.test is None or effect.identical:
        return None
    return effect.residual or effect.test


def _by_declared_noise(effect: Effect, rule: Rule) -> Judgement:
    change = rule.shown(effect.worse)
    why = "one round" if effect.rounds < 2 else "rounds without spread"
    basis = f"{why}, assumed noise {rule.noise_text}"
    # The 1e-12 lets a change of exactly the bound count, whatever the last bit of its logarithm is.
    if abs(effect.worse) >= rule.claim - 1e-12:
        verdict = Verdict.REGRESSED if effect.worse > 0 else Verdict.IMPROVED
        return Judgement(verdict, basis, change)
    needed = rounds_needed(rule.noise, rule.margin)
    reason = f"{basis}: {rule.percent(change)} is below three times that; {_settling(needed)}"
    return Judgement(Verdict.INCONCLUSIVE, reason, change, rounds=needed)


def _by_test(
    effect: Effect, rule: Rule, claim: Difference, tail: _Tail, shift: Judgement | None, level: float
) -> Judgement:
    assert effect.test is not None
    change = rule.shown(effect.worse)
    low, high = map(rule.shown, effect.test.interval())
    interval = (low, high) if low < high else (high, low)  # a fall of accuracy is worse, and shown as less
    text = f"interval {rule.percent(interval[0])} .. {rule.percent(interval[1])}"
    if effect.residual is not None:
        text += f"; {rule.percent(rule.shown(claim.value))} beside the other cases"

    def judged(verdict: Verdict, reason: str, rounds: int | None = None) -> Judgement:
        return Judgement(verdict, reason, change, interval, tail.p, rounds)

    least = min(effect.worse, claim.value)
    most = max(effect.worse, claim.value)
    if least >= rule.margin - 1e-12 and tail.worse:
        certain = effect.test.p_above(rule.margin) < LEVEL
        return judged(Verdict.REGRESSED, f"{text}, beyond the margin with confidence" if certain else text)
    if most <= -rule.margin + 1e-12 and tail.better:
        return judged(Verdict.IMPROVED, text)
    if shift is not None and shift.verdict in (Verdict.REGRESSED, Verdict.IMPROVED):
        sign = 1 if shift.verdict is Verdict.REGRESSED else -1
        if sign * effect.worse >= rule.margin - 1e-12:
            return judged(shift.verdict, f"{text}; all cases moved, by {rule.percent(shift.change)}")
    # p_above(margin) tests "at most the margin"; its complement tests "at least the margin".
    if 1 - effect.test.p_above(rule.margin) < level:
        return judged(Verdict.OK, text)
    needed, advice = _advice(effect, rule)
    return judged(Verdict.INCONCLUSIVE, f"{text} crosses the margin; {advice}", needed)


def _advice(effect: Effect, rule: Rule) -> tuple[int | None, str]:
    """What would settle it with a chance of 80 %: rounds a side, or, None, less noise between sessions."""
    assert effect.test is not None
    large = effect.worse >= rule.margin
    distance = effect.worse if large else rule.margin - max(effect.worse, 0.0)
    reach = t_quantile(LEVEL, effect.test.df) * effect.between
    if effect.between > 0 and distance <= reach:
        spread = rule.percent(rule.shown(reach)).lstrip("+-")
        return None, (
            f"sessions alone differ by up to {spread}, which no rounds make less: measure both sides in turn, "
            "lower the noise between sessions, or widen the margin"
        )
    needed = rounds_needed(effect.sd, distance - reach) if distance > reach else _MANY_ROUNDS + 1
    needed = max(needed, effect.rounds + 1)
    if needed > _MANY_ROUNDS:
        return None, f"with this spread more than {_MANY_ROUNDS} rounds a side would be needed to tell it apart"
    return needed, _settling(needed)


def _settling(rounds: int) -> str:
    return f"about {rounds} rounds a side would settle it"

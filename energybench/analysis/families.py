"""All cases of one metric, judged together: effects, the noise of all levels, one rule for each case."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from energybench.analysis.effects import Effect, Sides, accuracy_effect, accuracy_sides, log_effect
from energybench.analysis.margins import margin_for
from energybench.analysis.metrics import ACCURACY, ENERGY, positive
from energybench.analysis.report import CompareOptions, SessionNoise, Shift
from energybench.analysis.shift import two_levels
from energybench.analysis.verdicts import Judgement, Rule, judge_all, judge_shift, points_rule, relative_rule
from energybench.model import Case, Comparison, Metric, Verdict, mean
from energybench.units import energy_scale, time_scale

Effects = Callable[[Case, Case, Sides], Effect | None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of one case in both runs."""

    metric: Metric
    case: Case
    """the candidate's"""
    sides: Sides
    means: tuple[float | None, float | None]
    """of the baseline and of the candidate"""

    def without(self, verdict: Verdict, reason: str) -> Comparison:
        """What is said of it where it cannot be judged."""
        return Comparison(self.case.id, self.metric.name, verdict, reason, *self.means)

    def judged(self, judgement: Judgement) -> Comparison:
        """What is said of it where it is."""
        reason = judgement.reason
        if judgement.rounds is not None and self.metric is ENERGY:
            reason += _price(self.case, judgement.rounds)
        return Comparison(
            self.case.id,
            self.metric.name,
            judgement.verdict,
            reason,
            *self.means,
            judgement.change,
            judgement.interval,
            judgement.p,
            judgement.rounds,
        )


class Family:
    """All cases of one metric: gathered pair by pair, then judged together."""

    def __init__(self, metric: Metric, effect_of: Effects, *, between: bool = False) -> None:
        """With `between` sessions have noise of their own in the metric."""
        self.metric = metric
        self._effect_of = effect_of
        self._between = between
        self._found: dict[str, Comparison] = {}
        self._testable: list[tuple[Measured, Effect]] = []

    def gather(self, old: Case, new: Case, obstacles: tuple[str, ...]) -> None:
        """Take in one case; `obstacles` say why its two sides cannot be compared."""
        metric, one = self.metric, _measured(self.metric, old, new)
        if obstacles:
            if metric is ENERGY or one.means != (None, None):
                self._found[new.id] = one.without(Verdict.NOT_COMPARABLE, _why_not(obstacles))
            return
        lost = _lost_accuracy(old, new) if metric is ACCURACY else ""
        if lost:
            self._found[new.id] = one.without(Verdict.NOT_COMPARABLE, lost)
            return
        effect = self._effect_of(old, new, one.sides)
        if effect is not None:
            self._testable.append((one, effect))
        elif metric is ENERGY or (metric is ACCURACY and one.means[0] is not None):
            self._found[new.id] = one.without(Verdict.NOT_COMPARABLE, _absent(metric, old, one.means))
        elif metric is ACCURACY and one.means[1] is not None:
            self._found[new.id] = one.without(Verdict.NEW, "the baseline recorded no accuracy")

    def judged(
        self, options: CompareOptions, noise: SessionNoise, canary: float | None
    ) -> tuple[dict[str, Comparison], Shift | None]:
        """Case id -> comparison, and what all cases have in common where that can be told."""
        effects = tuple([effect for _, effect in self._testable])
        shift, common = None, None
        if self._between:
            levels = two_levels(effects, noise, math.log1p(options.noise_floor))
            effects = levels.effects
            if levels.shift is not None:
                rule = relative_rule(options.margin, options.noise_floor)
                common = judge_shift(levels.shift, rule, canary=canary, looks=options.looks)
                shift = _shift(self.metric, common, len(effects))
        rules = [self._rule(one.case, options) for one, _ in self._testable]
        judgements = judge_all(effects, rules, shift=common, looks=options.looks)
        found = dict(self._found)
        for (one, _), judgement in zip(self._testable, judgements, strict=True):
            found[one.case.id] = one.judged(judgement)
        return found, shift

    def _rule(self, case: Case, options: CompareOptions) -> Rule:
        margin = margin_for(case, self.metric.name, options)
        if self.metric is ACCURACY:
            return points_rule(margin, options.accuracy_noise)
        return relative_rule(margin, options.noise_floor)


def _shift(metric: Metric, judgement: Judgement, cases: int) -> Shift:
    return Shift(
        metric.name, judgement.verdict, judgement.change, judgement.interval, judgement.reason, cases, judgement.p
    )


def _price(case: Case, rounds: int) -> str:
    """What further rounds of the candidate would cost: ` (7 more, 0.4 kWh and 12 min for the candidate)`."""
    more = rounds - len(case.rounds)
    spent, seconds = case.mean_j, case.mean_seconds
    if more <= 0 or spent is None or seconds is None:
        return ""
    energy, time = energy_scale([more * spent]), time_scale([more * seconds])
    cost = f"{energy.text(more * spent, 2)} {energy.unit} and {time.text(more * seconds, 2)} {time.unit}"
    return f" ({more} more of the candidate: {cost})"


def energy_change(old: Case, new: Case, sides: Sides) -> Effect | None:
    """The change of energy, its variance at least the meters' random error; None where a side has no joules."""
    a, b = positive(sides.baseline), positive(sides.candidate)
    if not a or not b:
        return None
    return log_effect(a, b, error_baseline=_relative_error(old), error_candidate=_relative_error(new))


def accuracy_change(old: Case, new: Case, sides: Sides) -> Effect | None:
    """The fall of accuracy, paired by seed where both sides have the same."""
    return accuracy_effect(old, new, same_images=old.workload == new.workload, sides=sides)


def relative_change(old: Case, new: Case, sides: Sides) -> Effect | None:
    """The change of any other quantity above zero."""
    a, b = positive(sides.baseline), positive(sides.candidate)
    return log_effect(a, b) if a and b else None


def _measured(metric: Metric, old: Case, new: Case) -> Measured:
    sides = accuracy_sides(old, new) if metric is ACCURACY else Sides(metric.values(old), metric.values(new))
    return Measured(metric, new, sides, (mean(sides.baseline), mean(sides.candidate)))


def _relative_error(case: Case) -> float:
    """Root mean square over the rounds of the meter's random error relative to the round's joules; 0 if not stated.

    At most 1: an error as large as its reading already says that nothing is known.
    """
    stated = [column for name in case.verdict_domains if (column := case.columns.error_j.get(name))]
    if not stated:
        return 0.0
    errors = map(math.hypot, *[[part or 0.0 for part in column] for column in stated])
    read = zip(errors, case.verdict_joules, strict=True)
    shares = [error / joules if error < joules else 1.0 for error, joules in read if joules is not None and joules > 0]
    return math.hypot(*shares) / math.sqrt(len(shares)) if shares else 0.0


def _why_not(clauses: Sequence[str]) -> str:
    """`differs in workload (...), gpus (...)`; clauses that are sentences of their own stand first."""
    differing = [clause for clause in clauses if not clause.startswith(("no ", "the "))]
    own = [clause for clause in clauses if clause.startswith(("no ", "the "))]
    return "; ".join([*own, *([f"differs in {', '.join(differing)}"] if differing else [])])


def _lost_accuracy(baseline: Case, candidate: Case) -> str:
    """Why there is no verdict where rounds that should have one have no accuracy: a training that diverged, say, must
    not pass for the others.
    """
    old, new = ACCURACY.values(baseline), ACCURACY.values(candidate)
    if None not in new:
        return ""
    lacking = sum(value is None for value in new)
    if lacking == len(new) or None in old:
        return ""
    return f"{lacking} of {len(new)} rounds of the candidate recorded no accuracy, the baseline's all did"


def _absent(metric: Metric, old: Case, values: Sequence[float | None]) -> str:
    if metric is ACCURACY:
        return "the candidate recorded no accuracy, the baseline did"
    sides = [side for side, value in zip(("baseline", "candidate"), values, strict=True) if not value or value <= 0]
    return f"no energy reading in the {' and the '.join(sides) or 'rounds'}"

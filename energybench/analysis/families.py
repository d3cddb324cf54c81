"""All cases of one metric, judged together: effects, the noise of all levels, one rule for each case."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from energybench.analysis.effects import Effect, accuracy_effect, accuracy_means, log_effect
from energybench.analysis.margins import margin_for
from energybench.analysis.metrics import ACCURACY, ENERGY, positive
from energybench.analysis.report import CompareOptions, SessionNoise, Shift
from energybench.analysis.shift import two_levels
from energybench.analysis.verdicts import Judgement, Rule, judge_all, judge_shift, points_rule, relative_rule
from energybench.model import Case, Comparison, Metric, Verdict, mean
from energybench.units import energy_scale, time_scale

Samples = tuple[tuple[float | None, ...], tuple[float | None, ...]]
"""values of the metric in the rounds of the baseline and of the candidate"""
Effects = Callable[[Case, Case, Samples], Effect | None]


@dataclass(frozen=True, slots=True)
class Family:
    """All cases of one metric, judged together."""

    comparisons: dict[str, Comparison]
    """by case id"""
    shift: Shift | None = None


@dataclass(frozen=True, slots=True)
class Families:
    """What the metrics of one comparison have in common."""

    both: Sequence[tuple[Case, Case]]
    options: CompareOptions
    noise: SessionNoise
    canary: float | None

    def judged(
        self, metric: Metric, effect_of: Effects, obstacles: Mapping[str, tuple[str, ...]], *, between: bool = False
    ) -> Family:
        """The comparisons of one metric; with `between` sessions have noise of their own in it."""
        found: dict[str, Comparison] = {}
        testable: list[tuple[Comparison, Effect, Case]] = []
        for old, new in self.both:
            samples = (metric.values(old), metric.values(new))
            values = [*accuracy_means(old, new)] if metric is ACCURACY else [mean(sample) for sample in samples]
            blank = Comparison(new.id, metric.name, Verdict.NOT_COMPARABLE, baseline=values[0], candidate=values[1])
            if obstacles[new.id]:
                if metric is ENERGY or values != [None, None]:
                    found[new.id] = replace(blank, reason=_why_not(obstacles[new.id]))
                continue
            lost = _lost_accuracy(samples) if metric is ACCURACY else ""
            if lost:
                found[new.id] = replace(blank, reason=lost)
                continue
            effect = effect_of(old, new, samples)
            if effect is not None:
                testable.append((blank, effect, new))
            elif metric is ENERGY or (metric is ACCURACY and values[0] is not None):
                found[new.id] = replace(blank, reason=_absent(metric, old, values))
            elif metric is ACCURACY and values[1] is not None:
                found[new.id] = replace(blank, verdict=Verdict.NEW, reason="the baseline recorded no accuracy")
        effects = tuple(effect for _, effect, _ in testable)
        shift, common = None, None
        if between:
            levels = two_levels(effects, self.noise, math.log1p(self.options.noise_floor))
            effects = levels.effects
            if levels.shift is not None:
                rule = relative_rule(self.options.margin, self.options.noise_floor)
                common = judge_shift(levels.shift, rule, canary=self.canary, looks=self.options.looks)
                shift = _shift(metric, common, len(effects))
        rules = [self._rule(metric, case) for _, _, case in testable]
        judgements = judge_all(effects, rules, shift=common, looks=self.options.looks)
        for (blank, _, case), judgement in zip(testable, judgements, strict=True):
            found[blank.case] = _filled(blank, judgement, case)
        return Family(found, shift)

    def _rule(self, metric: Metric, case: Case) -> Rule:
        margin = margin_for(case, metric.name, self.options)
        if metric is ACCURACY:
            return points_rule(margin, self.options.accuracy_noise)
        return relative_rule(margin, self.options.noise_floor)


def _shift(metric: Metric, judgement: Judgement, cases: int) -> Shift:
    return Shift(
        metric.name, judgement.verdict, judgement.change, judgement.interval, judgement.reason, cases, judgement.p
    )


def _filled(blank: Comparison, judgement: Judgement, case: Case) -> Comparison:
    reason = judgement.reason
    if judgement.rounds is not None and blank.metric == ENERGY.name:
        reason += _price(case, judgement.rounds)
    return Comparison(
        blank.case,
        blank.metric,
        judgement.verdict,
        reason,
        blank.baseline,
        blank.candidate,
        judgement.change,
        judgement.interval,
        judgement.p,
        judgement.rounds,
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


def energy_change(old: Case, new: Case, samples: Samples) -> Effect | None:
    """The change of energy, its variance at least the meters' random error; None where a side has no joules."""
    a, b = map(positive, samples)
    if not a or not b:
        return None
    return log_effect(a, b, error_baseline=_relative_error(old), error_candidate=_relative_error(new))


def accuracy_change(old: Case, new: Case, samples: Samples) -> Effect | None:
    """The fall of accuracy, paired by seed where both sides have the same."""
    return accuracy_effect(old, new, same_images=old.workload == new.workload)


def relative_change(old: Case, new: Case, samples: Samples) -> Effect | None:
    """The change of any other quantity above zero."""
    a, b = map(positive, samples)
    return log_effect(a, b) if a and b else None


def _relative_error(case: Case) -> float:
    """Root mean square over the rounds of the meter's random error relative to the round's joules; 0 if not stated.

    At most 1: an error as large as its reading already says that nothing is known.
    """
    errors = [column for name in case.verdict_domains if (column := case.columns.error_j.get(name))]
    stated = zip(*errors, strict=True) if errors else [()] * len(case.rounds)
    count, squares = 0, 0.0
    for parts, read in zip(stated, case.verdict_joules, strict=True):
        if read is not None and read > 0:
            count += 1
            squares += min(1.0, math.hypot(*[part or 0.0 for part in parts]) / read) ** 2
    return math.sqrt(squares / count) if count else 0.0


def _why_not(clauses: Sequence[str]) -> str:
    """`differs in workload (...), gpus (...)`; clauses that are sentences of their own stand first."""
    differing = [clause for clause in clauses if not clause.startswith(("no ", "the "))]
    own = [clause for clause in clauses if clause.startswith(("no ", "the "))]
    return "; ".join([*own, *([f"differs in {', '.join(differing)}"] if differing else [])])


def _lost_accuracy(samples: Samples) -> str:
    """Why there is no verdict where rounds that should have one have no accuracy: a training that diverged, say, must
    not pass for the others.
    """
    old, new = samples
    lacking = sum(value is None for value in new)
    if not lacking or lacking == len(new) or None in old:
        return ""
    return f"{lacking} of {len(new)} rounds of the candidate recorded no accuracy, the baseline's all did"


def _absent(metric: Metric, old: Case, values: Sequence[float | None]) -> str:
    if metric is ACCURACY:
        return "the candidate recorded no accuracy, the baseline did"
    sides = [side for side, value in zip(("baseline", "candidate"), values, strict=True) if not value or value <= 0]
    return f"no energy reading in the {' and the '.join(sides) or 'rounds'}"

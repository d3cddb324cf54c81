"""Two runs -> a report: one comparison per case and metric, notes, and the exit code.

Statistics on joules before PUE, so that a display factor never moves a verdict. Only energy and accuracy decide the
exit code; seconds, epochs and mean power are compared for show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from energybench.analysis import decompose
from energybench.analysis.comparability import accuracy_differences, differences
from energybench.analysis.effects import Effect, accuracy_effect, log_effect
from energybench.analysis.report import COMPARED, GATING, CompareOptions, Pair, Report
from energybench.analysis.verdicts import Judgement, Rule, judge_all, points_rule, relative_rule
from energybench.model import Case, Comparison, Metric, Provenance, Run, Status, Verdict, mean

__all__ = ["ACCURACY", "ENERGY", "METRICS", "CompareOptions", "Pair", "Report", "compare_cases", "compare_runs"]


def _joules(case: Case) -> tuple[float | None, ...]:
    return case.joules(case.verdict_domains)


def _watts(case: Case) -> tuple[float | None, ...]:
    return tuple(
        None if joules is None or seconds <= 0 or not math.isfinite(joules / seconds) else joules / seconds
        for joules, seconds in zip(_joules(case), case.seconds, strict=True)
    )


def _epochs(case: Case) -> tuple[float | None, ...]:
    if not decompose.has_epochs(case):
        return ()
    return tuple(decompose.epochs(round) for round in case.rounds)


ENERGY = Metric("energy", "J", "lower", _joules, gates=True)
ACCURACY = Metric("accuracy", "", "higher", lambda case: case.metric("accuracy"), gates=True)
SHOWN = (
    Metric("seconds", "s", "lower", lambda case: case.seconds),
    Metric("epochs", "", "lower", _epochs),
    Metric("power", "W", "lower", _watts),
)
METRICS = (ENERGY, ACCURACY, *SHOWN)


def compare_runs(baseline: Run, candidate: Run, options: CompareOptions | None = None) -> Report:
    """Compare all cases of two stored runs, with notes on what differs between the sessions."""
    report = compare_cases(baseline.cases, candidate.cases, options or CompareOptions())
    never_measured = {
        str(item.get("fullname")): str(item.get("status", "failed"))
        for item in candidate.session.get("unmeasured", ())
        if isinstance(item, dict)
    }
    comparisons = tuple(
        replace(c, reason=f"it ended as {never_measured[c.case]} before its first round was finished")
        if c.verdict is Verdict.MISSING and c.case in never_measured
        else c
        for c in report.comparisons
    )
    return replace(
        report,
        comparisons=comparisons,
        notes=(*_run_notes(baseline, candidate), *report.notes),
        baseline=baseline.name,
        candidate=candidate.name,
    )


def compare_cases(baseline: Sequence[Case], candidate: Sequence[Case], options: CompareOptions | None = None) -> Report:
    """Compare the cases that have the same id; of an id given twice on a side the last counts."""
    options = options or CompareOptions()
    old, new = ({case.id: case for case in cases} for cases in (baseline, candidate))
    pairs = [Pair(id, old.get(id), case) for id, case in new.items()]
    pairs += [Pair(id, case, None) for id, case in old.items() if id not in new]
    if options.common:
        pairs = [pair for pair in pairs if pair.baseline and pair.candidate]
    both = [(pair.baseline, pair.candidate) for pair in pairs if pair.baseline and pair.candidate]

    relative = relative_rule(options.margin, options.noise_floor)
    points = points_rule(options.accuracy_margin, options.accuracy_noise)
    obstacles = {new.id: differences(old, new, options.vary) for old, new in both}
    accuracy_obstacles = {new.id: accuracy_differences(old, new, options.vary) for old, new in both}
    found = {
        ENERGY.name: _family(both, ENERGY, relative, obstacles, _energy_effect),
        ACCURACY.name: _family(both, ACCURACY, points, accuracy_obstacles, _accuracy_effect),
        **{metric.name: _family(both, metric, relative, obstacles, _positive_effect) for metric in SHOWN},
    }
    comparisons: list[Comparison] = []
    for pair in pairs:
        if pair.baseline and pair.candidate:
            rows = [found[metric.name].get(pair.case) for metric in METRICS]
            comparisons += _labelled(pair.baseline, pair.candidate, [row for row in rows if row is not None])
        else:
            comparisons.append(_one_sided(pair))
    report = Report(tuple(comparisons), tuple(pairs), options)
    return replace(report, notes=_case_notes(report, both))


Effects = Callable[[Case, Case, Metric], Effect | None]


def _family(
    both: Iterable[tuple[Case, Case]],
    metric: Metric,
    rule: Rule,
    obstacles: Mapping[str, tuple[str, ...]],
    effect_of: Effects,
) -> dict[str, Comparison]:
    """Case id -> comparison of one metric; all cases are judged together."""
    found: dict[str, Comparison] = {}
    testable: list[tuple[Comparison, Effect]] = []
    for old, new in both:
        values = [mean(metric.values(case)) for case in (old, new)]
        blank = Comparison(new.id, metric.name, Verdict.NOT_COMPARABLE, baseline=values[0], candidate=values[1])
        if obstacles[new.id]:
            if metric is ENERGY or values != [None, None]:
                found[new.id] = replace(blank, reason=_why_not(obstacles[new.id]))
            continue
        effect = effect_of(old, new, metric)
        if effect is not None:
            testable.append((blank, effect))
        elif metric is ENERGY or (metric is ACCURACY and values[0] is not None):
            found[new.id] = replace(blank, reason=_absent(metric, old, values))
        elif metric is ACCURACY and values[1] is not None:
            found[new.id] = replace(blank, verdict=Verdict.NEW, reason="the baseline recorded no accuracy")
    judgements = judge_all([effect for _, effect in testable], rule)
    for (blank, _), judgement in zip(testable, judgements, strict=True):
        found[blank.case] = _filled(blank, judgement)
    return found


def _filled(blank: Comparison, judgement: Judgement) -> Comparison:
    return replace(
        blank,
        verdict=judgement.verdict,
        reason=judgement.reason,
        change=judgement.change,
        interval=judgement.interval,
        p=judgement.p,
    )


def _energy_effect(old: Case, new: Case, metric: Metric) -> Effect | None:
    a, b = _positive(old, metric), _positive(new, metric)
    if not a or not b:
        return None
    return log_effect(a, b, error_baseline=_relative_error(old), error_candidate=_relative_error(new))


def _accuracy_effect(old: Case, new: Case, metric: Metric) -> Effect | None:
    return accuracy_effect(old, new, same_images=old.workload == new.workload)


def _positive_effect(old: Case, new: Case, metric: Metric) -> Effect | None:
    a, b = _positive(old, metric), _positive(new, metric)
    return log_effect(a, b) if a and b else None


def _positive(case: Case, metric: Metric) -> list[float]:
    return [value for value in metric.values(case) if value is not None and value > 0]


def _relative_error(case: Case) -> float:
    """Root mean square over the rounds of the meter's random error relative to the round's joules; 0 if not stated.

    At most 1: an error as large as its reading already says that nothing is known.
    """
    shares = [
        min(1.0, math.hypot(*(round.window.error_j.get(name) or 0.0 for name in case.verdict_domains)) / joules)
        for round, joules in zip(case.rounds, _joules(case), strict=True)
        if joules is not None and joules > 0
    ]
    return math.hypot(*shares) / math.sqrt(len(shares)) if shares else 0.0


def _labelled(old: Case, new: Case, rows: list[Comparison]) -> list[Comparison]:
    """Add what one metric's verdict needs to know of the others, of the case's status and of its provenance."""
    by_metric = {row.metric: row for row in rows}
    energy = by_metric[ENERGY.name]
    terms = decompose.split(old, new) if energy.verdict in COMPARED else {}
    labels = [new.verdict_provenance.value] if new.verdict_provenance in _WEAK and energy.verdict in COMPARED else []
    if decompose.is_fewer_epochs(terms):
        labels.append("fewer epochs")
    if new.status in (Status.FAILED_ACCURACY, Status.PARTIAL):
        labels.append(new.status.value)
    labels += [mark.value for mark in dict.fromkeys((*old.marks, *new.marks))]
    if new.status is Status.FAILED_ACCURACY:
        if energy.verdict is Verdict.IMPROVED:
            energy = replace(
                energy,
                verdict=Verdict.INCONCLUSIVE,
                reason=f"{energy.reason}; it ended below its accuracy tolerance, so this is no saving",
            )
        if old.status is Status.OK:
            by_metric[ACCURACY.name] = _failed_accuracy(new, by_metric.get(ACCURACY.name))
    by_metric[ENERGY.name] = replace(energy, terms=terms, labels=tuple(labels))
    accuracy = by_metric.get(ACCURACY.name)
    cheaper = energy.change is not None and energy.verdict is Verdict.IMPROVED
    if accuracy is not None and accuracy.verdict is Verdict.REGRESSED and cheaper:
        for name in GATING:
            by_metric[name] = replace(by_metric[name], labels=(*by_metric[name].labels, "trade-off"))
    return [by_metric[metric.name] for metric in METRICS if metric.name in by_metric]


_WEAK = (Provenance.ESTIMATED, Provenance.REPLAYED)


def _failed_accuracy(new: Case, accuracy: Comparison | None) -> Comparison:
    blank = accuracy or Comparison(new.id, ACCURACY.name, Verdict.REGRESSED)
    said = f"; {accuracy.reason}" if accuracy and accuracy.verdict is Verdict.REGRESSED and accuracy.reason else ""
    return replace(
        blank,
        verdict=Verdict.REGRESSED,
        reason=f"ended below its accuracy tolerance, where the baseline was ok{said}",
        labels=("failed-accuracy",),
    )


def _one_sided(pair: Pair) -> Comparison:
    if pair.candidate is not None:
        reason = "in the candidate only"
        return Comparison(pair.case, ENERGY.name, Verdict.NEW, reason, candidate=mean(_joules(pair.candidate)))
    assert pair.baseline is not None
    reason = "in the baseline only: not measured, renamed or deselected"
    return Comparison(pair.case, ENERGY.name, Verdict.MISSING, reason, baseline=mean(_joules(pair.baseline)))


def _why_not(clauses: Sequence[str]) -> str:
    """`differs in workload (...), gpus (...)`; clauses that are sentences of their own stand first."""
    differing = [clause for clause in clauses if not clause.startswith(("no ", "the "))]
    own = [clause for clause in clauses if clause.startswith(("no ", "the "))]
    return "; ".join([*own, *([f"differs in {', '.join(differing)}"] if differing else [])])


def _absent(metric: Metric, old: Case, values: Sequence[float | None]) -> str:
    if metric is ACCURACY:
        return "the candidate recorded no accuracy, the baseline did"
    sides = [side for side, value in zip(("baseline", "candidate"), values, strict=True) if not value or value <= 0]
    return f"no energy reading in the {' and the '.join(sides) or 'rounds'}"


def _case_notes(report: Report, both: Sequence[tuple[Case, Case]]) -> tuple[str, ...]:
    notes = []
    if not both:
        notes.append("No case was compared: the two runs have no case in common.")
    elif report.nothing_compared:
        notes.append("No case was compared: none of the common cases is comparable.")
    if any(old.pue != new.pue for old, new in both):
        notes.append("The PUE of the two runs differs; kWh are shown at PUE 1. Verdicts use joules before PUE.")
    lost = sum(None in _joules(case) and any(_joules(case)) for pair in both for case in pair)
    if lost:
        notes.append(f"{lost} case(s) have rounds without a full energy reading; those rounds are left out.")
    inconclusive = report.counts.get(Verdict.INCONCLUSIVE, 0)
    if inconclusive and not report.options.strict:
        notes.append(
            f"{inconclusive} verdict{'' if inconclusive == 1 else 's'} inconclusive; that does not fail the run "
            "(--strict makes it)."
        )
    return tuple(notes)


def _run_notes(baseline: Run, candidate: Run) -> tuple[str, ...]:
    notes = []
    if baseline.source == candidate.source:
        notes.append("Both sides are the same file.")
    for run, side in ((baseline, "baseline"), (candidate, "candidate")):
        status = run.session.get("status", "ok")
        if status != "ok":
            notes.append(f"The {side} {run.name} ended as {status}.")
        sessions = {round.session for case in run.cases for round in case.rounds if round.session}
        if len(sessions) > 1:
            notes.append(f"The {side} {run.name} holds rounds of {len(sessions)} sessions (resumed).")
    for key, what in (("node", "machine"), ("python_version", "Python")):
        old, new = _shown(baseline, key), _shown(candidate, key)
        if old and new and old != new:
            notes.append(f"{what}: {old} -> {new}.")
    return tuple(notes)


def _shown(run: Run, key: str) -> Any:
    return run.machine.get(key)

"""Two runs -> a report: one comparison per case and metric, notes, and the exit code.

Statistics on joules before PUE, so that a display factor never moves a verdict. Only energy and accuracy decide the
exit code; seconds, epochs and mean power are compared for show.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from energybench.analysis import decompose
from energybench.analysis.comparability import accuracy_differences, differences
from energybench.analysis.families import Family, accuracy_change, energy_change, relative_change
from energybench.analysis.metrics import ACCURACY, BETWEEN_SESSIONS, ENERGY, METRICS, SHOWN, joules
from energybench.analysis.noise import canary_change, declared, session_noise
from energybench.analysis.report import COMPARED, GATING, CompareOptions, Pair, Report, SessionNoise
from energybench.model import Case, Comparison, Metric, Provenance, Run, Status, Verdict, mean

__all__ = [
    "ACCURACY",
    "ENERGY",
    "METRICS",
    "CompareOptions",
    "Pair",
    "Report",
    "compare_cases",
    "compare_runs",
    "were_in_turn",
]


def compare_runs(
    baseline: Run,
    candidate: Run,
    options: CompareOptions | None = None,
    history: Sequence[Run] = (),
    *,
    shown: Sequence[Metric] = SHOWN,
) -> Report:
    """Compare all cases of two stored runs, with notes on what differs between the sessions.

    `history` holds earlier runs of the same machine, from which the noise between sessions is learnt (see `noise`);
    without three of them the declared one stands. `shown` are the metrics that are compared beside energy and accuracy:
    they decide nothing, and a report that does not show them need not wait for them.
    """
    options = options or CompareOptions()
    report = compare_cases(
        baseline.cases,
        candidate.cases,
        options,
        noise=session_noise(_others(candidate, (*history, baseline)), options, like=candidate.cases),
        canary=canary_change(baseline.session, candidate.session),
        shown=shown,
    )
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


def were_in_turn(baseline: Run, candidate: Run) -> bool:
    """Whether the two are the sides of one `energybench ab`: each names the other's sessions beside its own."""
    sides = (baseline.session, candidate.session)
    return all(
        bool(other.get("sessions")) and _mapping(one.get("ab")).get("with_sessions") == other.get("sessions")
        for one, other in (sides, sides[::-1])
    )


def compare_cases(
    baseline: Sequence[Case],
    candidate: Sequence[Case],
    options: CompareOptions | None = None,
    *,
    noise: SessionNoise | None = None,
    canary: float | None = None,
    shown: Sequence[Metric] = SHOWN,
) -> Report:
    """Compare the cases that have the same id; of an id given twice on a side the last counts.

    `noise` between sessions is what the options declare where it is not given; `canary` is ln of the change of a load
    that no code under test touches.
    """
    options = options or CompareOptions()
    noise = noise or declared(options)
    old, new = ({case.id: case for case in cases} for cases in (baseline, candidate))
    pairs = [Pair(id, old.get(id), case) for id, case in new.items()]
    pairs += [Pair(id, case, None) for id, case in old.items() if id not in new]
    if options.common:
        pairs = [pair for pair in pairs if pair.baseline and pair.candidate]
    both = [(pair.baseline, pair.candidate) for pair in pairs if pair.baseline and pair.candidate]

    families = [
        Family(ENERGY, energy_change, between=True),
        Family(ACCURACY, accuracy_change),
        *(Family(metric, relative_change, between=metric.name in BETWEEN_SESSIONS) for metric in shown),
    ]
    other_work: dict[str, bool] = {}
    terms: dict[str, dict[str, float]] = {}
    for before, after in both:  # a case at a time: what one family looked at is at hand for the next
        obstacles = differences(before, after, options.vary)
        of_accuracy = accuracy_differences(before, after, options.vary)
        for family in families:
            family.gather(before, after, of_accuracy if family.metric is ACCURACY else obstacles)
        other_work[after.id] = bool(of_accuracy)
        terms[after.id] = {} if obstacles else decompose.split(before, after)
    judged = [family.judged(options, noise, canary) for family in families]
    comparisons: list[Comparison] = []
    for pair in pairs:
        if pair.baseline and pair.candidate:
            rows = [row for found, _ in judged if (row := found.get(pair.case)) is not None]
            comparisons += _labelled(
                pair.baseline, pair.candidate, rows, terms[pair.case], same_work=not other_work[pair.case]
            )
        else:
            comparisons.append(_one_sided(pair))
    change = None if canary is None else math.expm1(canary)
    report = Report(tuple(comparisons), tuple(pairs), options, shift=judged[0][1], canary=change, noise=noise)
    return replace(report, notes=_case_notes(report, both))


def _labelled(
    old: Case, new: Case, rows: list[Comparison], terms: dict[str, float], *, same_work: bool
) -> list[Comparison]:
    """Add what one metric's verdict needs to know of the others, of the case's status and of its provenance."""
    by_metric = {row.metric: row for row in rows}
    energy = by_metric[ENERGY.name]
    terms = terms if energy.verdict in COMPARED else {}
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
        if old.status is Status.OK and same_work:
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
        return Comparison(pair.case, ENERGY.name, Verdict.NEW, reason, candidate=mean(joules(pair.candidate)))
    assert pair.baseline is not None
    reason = "in the baseline only: not measured, renamed or deselected"
    return Comparison(pair.case, ENERGY.name, Verdict.MISSING, reason, baseline=mean(joules(pair.baseline)))


def _case_notes(report: Report, both: Sequence[tuple[Case, Case]]) -> tuple[str, ...]:
    notes = []
    if not both:
        notes.append("No case was compared: the two runs have no case in common.")
    elif report.nothing_compared:
        notes.append("No case was compared: none of the common cases is comparable.")
    if any(old.pue != new.pue for old, new in both):
        notes.append("The PUE of the two runs differs; kWh are shown at PUE 1. Verdicts use joules before PUE.")
    lost = sum(None in joules(case) and any(joules(case)) for pair in both for case in pair)
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
        sessions = set().union(*[case.columns.sessions for case in run.cases]) - {""}
        if len(sessions) > 1 and "ab" not in run.session:  # whose rounds are sessions by design
            notes.append(f"The {side} {run.name} holds rounds of {len(sessions)} sessions (resumed).")
    for key, what in (("node", "machine"), ("python_version", "Python")):
        old, new = _shown(baseline, key), _shown(candidate, key)
        if old and new and old != new:
            notes.append(f"{what}: {old} -> {new}.")
    return tuple(notes)


def _others(candidate: Run, runs: Iterable[Run]) -> list[Run]:
    """The runs beside the candidate, each once; not those of `ab`, which are means over several sessions."""
    each = {run.source: run for run in runs if "ab" not in run.session}
    return [run for source, run in each.items() if source != candidate.source]


def _shown(run: Run, key: str) -> Any:
    return run.machine.get(key)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

"""The epochs of a stored round, with the trace of its power where one was recorded."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from itertools import pairwise

from energybench.estimators import EstimateError
from energybench.estimators.step.epochs import epochs_of, joules_of
from energybench.estimators.step.power import Power
from energybench.estimators.step.recorded import Recorded
from energybench.estimators.step.spread import Scatter, learnt
from energybench.model import Case, Mark, Provenance, Round, Run
from energybench.store import read_trace, trace_path


def find_case(run: Run, ref: str | None) -> Case:
    """The case that `ref` names: its id, the part in brackets, or a pattern that fits one; the only one without `ref`.

    Raises EstimateError where none or several are meant, naming what there is.
    """
    if ref is None:
        found = [case for case in run.cases if any(epochs_of(case, round) for round in case.rounds)]
        if not found:
            raise EstimateError(f"No case of {run.name} has laps named `epoch`, from which STEP projects.")
    else:
        named = [case for case in run.cases if ref in (case.id, case.short_id)]
        found = named or [c for c in run.cases if fnmatchcase(c.id, ref) or fnmatchcase(c.short_id, ref)]
    if len(found) == 1:
        return found[0]
    known = [case.id if len(found) > 1 and ref else case.short_id for case in found or run.cases]
    shown = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
    if not found:
        raise EstimateError(f"{run.name} has no case {ref!r}; it has {shown or 'none'}.")
    raise EstimateError(
        f"{run.name} has {len(found)} cases{f' like {ref!r}' if ref else ''}: {shown}. Name one: --case ID."
    )


def scatter_of(run: Run, case: Case) -> Scatter:
    """How far epochs scattered in the other cases of the run; the declared scatter where they tell nothing."""
    others = [(other, round) for other in run.cases if other.id != case.id for round in other.rounds]
    return learnt([joules for other, round in others if (joules := joules_of(epochs_of(other, round)))])


def recorded(run: Run, case: Case, number: int | None = None) -> Recorded:
    """The epochs of round `number` (1 is the first; default: the last) of a case.

    Raises EstimateError where there is no such round or it has no laps named `epoch`.
    """
    if not case.rounds:
        raise EstimateError(f"{case.short_id} of {run.name} has no finished round.")
    chosen = len(case.rounds) if number is None else number
    if not 1 <= chosen <= len(case.rounds):
        raise EstimateError(f"{case.short_id} of {run.name} has {len(case.rounds)} rounds, not a round {chosen}.")
    round = case.rounds[chosen - 1]
    source = f"{run.name}, {case.short_id}, round {chosen} of {len(case.rounds)}"
    epochs = epochs_of(case, round)
    if not epochs:
        raise EstimateError(f"{source} has no laps named `epoch`: mark them with `with energy.lap('epoch'):`.")
    warnings = list(_said(case, round))
    power, why = _power(run, case, round)
    if why:
        warnings.append(f"{why}: the stable epoch is told by the epochs' energies")
    return Recorded(source, epochs, power, tuple(warnings))


def round_power(run: Run, round: Round, names: tuple[str, ...]) -> Power | None:
    """Mean watts of the domains `names` between the lines of the round's trace; None where no two lines have them all.

    Raises StoreError where the trace is absent or damaged.
    """
    span = round.trace
    if span is None:
        return None
    trace = read_trace(trace_path(run, span))
    lines = []
    for index, second in enumerate(trace.seconds):
        values = [trace.joules[name][index] for name in names if name in trace.joules]
        whole = [value for value in values if value is not None]
        if span.start_s - 1e-6 <= second <= span.end_s + 1e-6 and len(whole) == len(names):
            lines.append((second, math.fsum(whole)))
    if len(lines) < 2:
        return None
    watts = tuple((after_j - before_j) / (after - before) for (before, before_j), (after, after_j) in pairwise(lines))
    return Power(lines[0][0], tuple(second for second, _ in lines[1:]), watts)


def _power(run: Run, case: Case, round: Round) -> tuple[Power | None, str]:
    """The trace with the places of the epochs in it, or why it cannot be used; ("", None) where there is none.

    Laps are stored with their lengths, in order: they are taken as following one another, with what no lap covers
    before the first of them.
    """
    if round.trace is None:
        return None, ""
    laps = round.window.laps
    idle_s = round.window.seconds - math.fsum(lap.seconds for lap in laps)
    if round.iterations > 1 or idle_s < -0.01 * round.window.seconds:
        return None, "its laps overlap or its calls were repeated, so that their places in the trace are not known"
    power = round_power(run, round, case.total_domains)
    if power is None:
        return None, "its trace has fewer than two whole lines"
    begin, starts, ends = round.trace.start_s + max(0.0, idle_s), [], []
    for lap in laps:
        if lap.label == "epoch":
            starts.append(begin)
            ends.append(begin + lap.seconds)
        begin += lap.seconds
    return Power(power.start_s, power.seconds, power.watts, tuple(ends), tuple(starts)), ""


def _said(case: Case, round: Round) -> tuple[str, ...]:
    """What a reader must know of the joules themselves, and of what the epochs leave out."""
    said = []
    if case.provenance is Provenance.ESTIMATED:
        said.append("the epochs' joules are estimated, not measured: the projection can be no better")
    if Mark.LOST in round.window.marks or Mark.SHARED in round.window.marks:
        said.append("the round is marked: " + ", ".join(mark.value for mark in round.window.marks))
    whole, epochs = round.window.total_j(case.total_domains), [epoch.joules for epoch in epochs_of(case, round)]
    if whole and round.iterations == 1 and None not in epochs:
        outside = whole - math.fsum(value for value in epochs if value is not None)
        if outside > 0.01 * whole:
            said.append(f"{100 * outside / whole:.0f} % of the round lies outside its epochs and is not projected")
    return tuple(said)

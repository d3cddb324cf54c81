"""Whether the numbers of a stored run fit one another.

Three statements, of which a broken meter or a wrong reading of a file violates one: joules over a round are mean power
times seconds of the same interval (where power was traced); epochs are single energies and no running total; laps are
no more than the round that holds them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from energybench.errors import StoreError
from energybench.estimators.step.epochs import is_running_total
from energybench.estimators.step.stored import round_power
from energybench.model import Case, Round, Run, Window

TOLERANCE = 0.01
"""relative difference of two ways to one energy, beside three times the readings' stated random errors"""


@dataclass(frozen=True, slots=True)
class Consistency:
    """What was checked in one run, and what does not fit."""

    run: str
    rounds: int = 0
    lapped: int = 0
    """rounds whose laps were checked"""
    traced: int = 0
    """rounds whose joules were checked against their trace"""
    findings: tuple[str, ...] = ()


def consistency(run: Run) -> Consistency:
    """Check every round of a run. A round without laps or trace is counted and not checked for them."""
    findings: list[str] = []
    rounds = lapped = traced = 0
    for case in run.cases:
        for number, round in enumerate(case.rounds, 1):
            rounds += 1
            said = _standing_still(case, round)
            if round.window.laps and round.iterations == 1:  # else they are of the first call, the window of the mean
                lapped += 1
                said += _laps(case, round.window)
            if round.trace is not None:
                what, checked = _trace(run, case, round)
                traced += checked
                said += what
            findings += [f"{case.short_id}, round {number}: {text}" for text in said]
    return Consistency(run.name, rounds, lapped, traced, tuple(findings))


def _standing_still(case: Case, round: Round) -> list[str]:
    return [
        f"{domain.name} counted {joules:g} J in {round.window.seconds:.3g} s"
        for domain in case.domains
        if (joules := round.window.joules.get(domain.name)) is not None and joules <= 0 < round.window.seconds
    ]


def _laps(case: Case, window: Window) -> list[str]:
    said = []
    for label in dict.fromkeys(lap.label for lap in window.laps):
        said += _more_than_whole(case, window, window.laps_named(label), f"the laps `{label}`")
    # Laps may nest; where they are not longer than the round they do not, and then their energies add up too.
    if not said and math.fsum(lap.seconds for lap in window.laps) <= window.seconds:
        said += _more_than_whole(case, window, window.laps, "all laps")
    epochs = window.laps_named("epoch")
    totals = [lap.total_j(case.total_domains) for lap in epochs]
    known = [value for value in totals if value is not None]
    if len(known) == len(totals) and is_running_total(known):
        said.append("the epochs' joules grow like a running total")
    if is_running_total([lap.seconds for lap in epochs]):
        said.append("the epochs' seconds grow like a running total")
    return said


def _more_than_whole(case: Case, window: Window, laps: Sequence[Window], what: str) -> list[str]:
    said = []
    seconds = math.fsum(lap.seconds for lap in laps)
    if seconds > window.seconds * (1 + TOLERANCE):
        said.append(f"{what} took {seconds:.4g} s of a round of {window.seconds:.4g} s")
    for domain in case.domains:
        parts = [lap.joules.get(domain.name) for lap in laps]
        known = [value for value in parts if value is not None]
        whole = window.joules.get(domain.name)
        if whole is None or len(known) < len(parts):
            continue
        errors = [part.error_j.get(domain.name) or 0.0 for part in (window, *laps)]
        if math.fsum(known) > whole * (1 + TOLERANCE) + 3 * math.hypot(*errors):
            said.append(f"{what} took {math.fsum(known):.4g} J of {domain.name}, the round {whole:.4g} J")
    return said


def _trace(run: Run, case: Case, round: Round) -> tuple[list[str], bool]:
    """Mean power times seconds against joules, over what the trace covers of the round."""
    try:
        power = round_power(run, round, case.total_domains)
    except StoreError as error:
        return [f"its trace cannot be read: {error}"], False
    whole = round.window.total_j(case.total_domains)
    if power is None or whole is None:
        return [], False
    covered = power.seconds[-1] - power.start_s
    calls_j, calls_s = whole * round.iterations, round.window.seconds * round.iterations
    by_power = power.joules(power.start_s, power.seconds[-1]) / covered * calls_s
    step = max(end - begin for begin, end, _ in power.steps)
    # What lies between the round's ends and the nearest lines of the trace may cost more or less than the rest.
    allowed = TOLERANCE + max(0.0, 1 - covered / calls_s) + (step / calls_s if covered < calls_s * 0.999 else 0.0)
    if abs(by_power - calls_j) > allowed * calls_j:
        return [f"mean power of the trace x seconds is {by_power:.4g} J, the round counted {calls_j:.4g} J"], True
    return [], True

"""What rounds of the session's cases took before: for the progress line, which must not cost a session its start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from energybench.model import Case, Run, mean

if TYPE_CHECKING:
    from energybench.harness.engine import Sweep

READ_AT_MOST = 2_000_000
"""bytes of earlier runs that are read before the first case: some hundredths of a second"""
READ_FILES = 3
Costs = Mapping[str, tuple[float, float | None]]
"""case id -> seconds and joules of a round, joules None where they are not known"""


def earlier_costs(sweep: Sweep, baseline: Run | None) -> Costs:
    """What rounds of these cases took in the baseline, else in the newest stored runs of this machine.

    Of the store at most READ_FILES files and READ_AT_MOST bytes are read; what cannot be read says nothing.
    """
    if len(sweep.cases) < 2:
        return {}
    if baseline is not None:
        return _costs([baseline], sweep.cases)
    from energybench.errors import StoreError
    from energybench.store import machine_id, read_run
    from energybench.store.runs import entries

    found: list[Run] = []
    left = READ_AT_MOST
    try:
        stored = [entry for entry in entries(sweep.storage) if entry.machine == machine_id()]
    except StoreError:
        return {}
    for entry in sorted(stored, key=lambda entry: entry.age, reverse=True)[:READ_FILES]:
        try:
            left -= entry.path.stat().st_size
            if left < 0:
                break
            found.append(read_run(entry.path))
        except (OSError, StoreError):
            continue
    return _costs(found, sweep.cases)


def _costs(runs: Iterable[Run], wanted: Mapping[str, object]) -> Costs:
    """By case; of several runs the first that has it counts."""
    costs: dict[str, tuple[float, float | None]] = {}
    for run in runs:
        for case in run.cases:
            seconds = mean(round.window.seconds * round.iterations for round in case.rounds)
            if case.id in wanted and seconds:
                costs.setdefault(case.id, (seconds, _whole_j(case)))
    return costs


def _whole_j(case: Case) -> float | None:
    joules = zip(case.joules(), case.rounds, strict=True)
    return mean(None if value is None else value * round.iterations for value, round in joules)

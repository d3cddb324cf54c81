"""One case through all runs: a table per case, the oldest run first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from energybench.model import Status
from energybench.reports.table import Column, render
from energybench.store.runs import moment
from energybench.units import energy_scale, time_scale

if TYPE_CHECKING:
    from energybench.store import PastCase

WIDTH = 80


def history_tables(history: Mapping[str, Sequence[PastCase]], *, width: int = WIDTH) -> str:
    """A table for each case id: means over the rounds of each run, IT joules before PUE."""
    return "\n\n".join(f"{id}\n{_table(past, width)}" for id, past in history.items())


def _table(past: Sequence[PastCase], width: int) -> str:
    joules = [one.case.mean_j for one in past]
    seconds = [one.case.mean_seconds for one in past]
    scale, clock = energy_scale(joules), time_scale(seconds)
    sources = [str(one.case.provenance or "no energy") for one in past]
    columns = [
        Column("run", tuple(one.run for one in past), left=True),
        Column("date", tuple(_minute(one.created) for one in past), drop=3, left=True),
        Column("commit", tuple(_commit(one) for one in past), drop=6, left=True),
        Column("branch", tuple(one.commit.branch or "-" for one in past), drop=7, left=True),
        Column("status", tuple(map(_status, past)), left=True),
        Column("rounds", tuple(str(len(one.case.rounds)) for one in past), drop=5),
        Column(scale.unit, tuple(scale.text(value) for value in joules)),
        Column(clock.unit, tuple(clock.text(value) for value in seconds), drop=4),
        Column("acc %", tuple(_accuracy(one) for one in past), drop=1),
    ]
    if len(set(sources)) > 1:
        columns.append(Column("provenance", tuple(sources), drop=2, left=True))
    said = [] if len(set(sources)) > 1 else [f"Energy: {sources[0]}."]
    return "\n".join([render(columns, width), *said, *_breaks(past)])


def _breaks(past: Sequence[PastCase]) -> list[str]:
    """Where two rows below each other must not be compared, or are not in the order of their dates."""
    lines = []
    for before, after in pairwise(past):
        if before.case.workload != after.case.workload:
            lines.append(f"From {after.run} on another workload is measured: not comparable with the rows above it.")
        if -math.inf < moment(after.created) < moment(before.created):
            lines.append(f"The clock was set back before {after.run}; rows are in the order in which they were saved.")
    return lines


def _status(one: PastCase) -> str:
    """The run's status, and the case's where that is not ok."""
    return one.status or "-" if one.case.status is Status.OK else f"{one.status or '-'} (case {one.case.status})"


def _commit(one: PastCase) -> str:
    """Twelve digits, and a plus where the tree had uncommitted changes."""
    return f"{one.commit.id[:12]}{'+' if one.commit.dirty else ''}" if one.commit.id else "-"


def _minute(created: str) -> str:
    return created[:16].replace("T", " ") or "-"


def _accuracy(one: PastCase) -> str:
    value = one.case.mean_metric("accuracy")
    return "-" if value is None else f"{100 * value:.1f}"

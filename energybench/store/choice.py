"""Which of several matching runs is meant: this machine's first, then the newest, and where asked the newest ok one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from energybench.store.files import machine_id
from energybench.store.runs import RunEntry, is_further_rank, moment, read_entry

_NAMED = 8
"""runs that a note names before it only counts"""


@dataclass(frozen=True, slots=True)
class Choice:
    """The newest fit run among those that match, and the newer ones that were passed over."""

    entry: RunEntry | None = None
    """None where none is fit"""
    over: tuple[str, ...] = ()
    """`0007_slow (regressed)`: each with the reason"""

    @property
    def matched(self) -> bool:
        """Whether there is any run at all."""
        return self.entry is not None or bool(self.over)

    @property
    def abroad(self) -> str:
        """`, of another machine folder, X` where this machine has none."""
        if self.entry is None or self.entry.machine in ("", machine_id()):
            return ""
        return f", of another machine folder, {self.entry.machine}"

    @property
    def passed(self) -> str:
        """The runs that were passed over, in one line."""
        more = f" and {len(self.over) - _NAMED} more" if len(self.over) > _NAMED else ""
        return ", ".join(self.over[:_NAMED]) + more

    @property
    def passed_note(self) -> tuple[str, ...]:
        """A sentence that names them; none where there are none."""
        return (f"Passed over, though newer: {self.passed}.",) if self.over else ()


def best(stored: Sequence[RunEntry], matches: Callable[[RunEntry], bool], any_status: bool = False) -> Choice:
    """The newest run that `matches` and ended ok (with `any_status` the newest), of this machine if it has any.

    Files are opened from the newest on, and no further than needed. Between the folders of other machines the date
    decides.
    """
    folders = _folders(stored)
    mine = _walk(folders.pop(machine_id(), ()), matches, any_status)
    if mine.matched:
        return mine
    others = [_walk(folder, matches, any_status) for folder in folders.values()]
    fit = [choice for choice in others if choice.entry is not None]
    if fit:
        return max(fit, key=lambda choice: _date(choice.entry))
    return Choice(None, tuple(run for choice in others for run in choice.over))


def newest(ref: str, matches: Sequence[RunEntry]) -> tuple[Path, tuple[str, ...]] | None:
    """The newest of the runs that `ref` names, of this machine if it has any; None where there are none."""
    if not matches:
        return None
    here, folders = machine_id(), _folders(matches)
    if here in folders:
        mine, chosen = folders[here], folders[here][0]
    else:
        mine = [entry for folder in folders.values() for entry in folder]
        heads = [folder[0] for folder in folders.values()]
        chosen = heads[0] if len(heads) == 1 else max(map(read_entry, heads), key=_date)
    notes = []
    if len(mine) > 1:
        notes.append(f"{ref!r} names {len(mine)} runs; the newest, {chosen.name}, is taken.")
    if len(folders) > 1 and chosen.machine == here:
        notes.append(f"{ref!r} exists for {len(folders)} machines; the run of this one ({here}) is taken.")
    elif chosen.machine not in ("", here):
        notes.append(f"{ref!r} is a run of another machine folder, {chosen.machine}.")
    return chosen.path, tuple(notes)


def _folders(stored: Iterable[RunEntry]) -> dict[str, list[RunEntry]]:
    """The files of each machine, newest first."""
    folders: dict[str, list[RunEntry]] = {}
    for entry in stored:
        folders.setdefault(entry.machine, []).append(entry)
    for folder in folders.values():
        folder.sort(key=lambda entry: entry.age, reverse=True)
    return folders


def _walk(newest_first: Iterable[RunEntry], matches: Callable[[RunEntry], bool], any_status: bool) -> Choice:
    over: list[str] = []
    for entry in newest_first:
        if not matches(entry):
            continue
        read = read_entry(entry)
        if not read.unfit or (any_status and _is_whole(read)):
            return Choice(read, tuple(over))
        over.append(f"{read.name} ({read.unfit})")
    return Choice(None, tuple(over))


def _is_whole(entry: RunEntry) -> bool:
    return entry.run is not None and bool(entry.run.cases) and not is_further_rank(entry.run)


def _date(entry: RunEntry | None) -> float:
    return -math.inf if entry is None or entry.run is None else moment(entry.run.created)

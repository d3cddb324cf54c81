"""Reading runs, and listing what a store holds."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from energybench.errors import StoreError
from energybench.model import Case, Run
from energybench.store.files import NUMBERED
from energybench.store.members import parsed
from energybench.store.parsing import case_from_record
from energybench.store.sessions import checked_session

BASELINES = "baselines.json"
"""The one file at the top of a store that is no run: which runs were promoted (see `baselines`)."""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One line of `energybench list`: a stored file, or why it cannot be read."""

    path: Path
    machine: str = ""
    """the folder: `Linux-CPython-3.11-64bit`"""
    number: int | None = None
    save: str = ""
    """save name: `run1` of `0003_run1.json`"""
    run: Run | None = None
    error: str = ""

    @property
    def name(self) -> str:
        """File name without `.json`: `0003_run1`."""
        return self.path.name.removesuffix(".json")

    @property
    def status(self) -> str:
        """How the session ended; `unreadable` where the file is, empty where it does not say."""
        return "unreadable" if self.run is None else str(self.run.session.get("status", ""))

    @property
    def age(self) -> tuple[int, str]:
        """Sorts the files of one folder, oldest first. Numbers only count up, while a clock may be set back."""
        return self.number or 0, self.name

    @property
    def unfit(self) -> str:
        """Why a read file is no baseline (`regressed`, `not the first rank`, ...); empty for a run that ended ok."""
        if self.run is None or self.status != "ok":
            return self.status or "does not say how it ended"
        if not self.run.cases:
            return "no energy cases"
        return "not the first rank" if is_further_rank(self.run) else ""


def read_run(path: Path | str) -> Run:
    """The run stored at `path`.

    Plain pytest-benchmark entries are counted in `Run.foreign`. Where a case is stored several times (a plugin that
    re-runs failures), the last one counts and carries a warning. Raises StoreError for a file that is absent, empty,
    torn, not strict JSON, not pytest-benchmark's, from a newer schema, damaged, or without any energy case.
    """
    path = Path(path)
    document = _load(path)
    try:
        session = checked_session(document.get("energybench"))
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from error
    stored = [case for case in document["benchmarks"] if case is not None]
    foreign = len(document["benchmarks"]) - len(stored)
    times = Counter(case.id for case in stored)
    cases = {case.id: case for case in stored}
    if not cases and not session:
        raise StoreError(
            f"{path} holds no energy case ({foreign} plain pytest-benchmark entries): it was not measured with the "
            f"`energy` fixture."
        )
    created, pue, carbon = document.get("datetime"), session.get("pue"), session.get("carbon_g_per_kwh")
    return Run(
        source=str(path),
        cases=tuple(_with_count(case, times[case.id]) for case in cases.values()),
        machine=_mapping(document.get("machine_info")),
        commit=_mapping(document.get("commit_info")),
        created=created if isinstance(created, str) else "",
        pue=next((case.pue for case in cases.values()), 1.0) if pue is None else float(pue),
        carbon_g_per_kwh=None if carbon is None else float(carbon),
        session=session,
        foreign=foreign,
    )


def is_further_rank(run: Run) -> bool:
    """Whether it is the part of a distributed run that lacks what the first rank counted."""
    return bool(_mapping(run.session.get("rank")).get("rank"))


def moment(created: str) -> float:
    """Seconds since 1970 of an ISO 8601 text, UTC where it has no offset; minus infinity where it is none."""
    try:
        stored = datetime.fromisoformat(created)
        return (stored if stored.tzinfo else stored.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return -math.inf


def list_runs(storage: Path) -> tuple[RunEntry, ...]:
    """Every stored file of every machine, in order of machine folder and number; what cannot be read says why."""
    return tuple(read_entries(storage))


def read_entries(storage: Path, machine: str | None = None) -> Iterator[RunEntry]:
    """The same one at a time, of one machine folder if it is named: thousands of runs need not be held at once."""
    for entry in entries(storage):
        if machine is None or entry.machine == machine:
            yield read_entry(entry)


def entries(storage: Path) -> list[RunEntry]:
    """All files by name, none of them opened. Hidden folders (the journal) and hidden files hold no runs.

    Raises StoreError where a folder cannot be listed.
    """
    if not storage.is_dir():
        return []
    found = []
    for place in (storage, *_folders(storage)):
        machine = "" if place is storage else place.name
        for name in _files(place):
            if name == BASELINES and not machine:
                continue
            match = NUMBERED.fullmatch(name.removesuffix(".json"))
            number, save = (int(match[1]), match[2]) if match else (None, name.removesuffix(".json"))
            found.append(RunEntry(place / name, machine, number, save))
    return sorted(found, key=lambda entry: (entry.machine, entry.age))


def read_entry(entry: RunEntry) -> RunEntry:
    """The entry with its run, or with the reason why it has none."""
    try:
        return replace(entry, run=read_run(entry.path))
    except StoreError as error:
        return replace(entry, error=str(error))


def _folders(storage: Path) -> list[Path]:
    return [storage / item.name for item in _scan(storage) if item.is_dir() and not item.name.startswith(".")]


def _files(folder: Path) -> list[str]:
    return [item.name for item in _scan(folder) if _is_stored(item)]


def _is_stored(item: os.DirEntry[str]) -> bool:
    return item.name.endswith(".json") and not item.name.startswith(".") and item.is_file()


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return list(items)
    except OSError as error:
        raise StoreError(f"The folder {folder} cannot be listed: {error.strerror or error}.") from error


def _load(path: Path) -> dict[str, Any]:
    """The document; its entries as cases, and None for each that is not ours."""
    try:
        with path.open("rb") as file:
            document = parsed(file, "benchmarks", partial(_case, path))
    except FileNotFoundError as error:
        raise StoreError(f"There is no file {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}.") from error
    except EOFError as error:
        raise StoreError(
            f"{path} is empty: the process that wrote it was stopped. Delete it and measure again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is not a whole JSON file ({error}). Delete it or restore it from a copy.") from error
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise StoreError(f"{path} is not a run: it has no list 'benchmarks', so pytest-benchmark did not write it.")
    return document


def _case(path: Path, entry: Any) -> Case | None:
    """The case of an entry; None of one without energy."""
    extra = entry.get("extra_info") if isinstance(entry, dict) else None
    record = extra.get("energybench") if isinstance(extra, dict) else None
    if record is None:
        return None
    fullname = str(entry.get("fullname") or entry.get("name") or "")
    try:
        return case_from_record(fullname, record, entry.get("params"))
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from error
    except RecursionError as error:
        raise StoreError(f"{path}: its objects lie too deep in one another. Restore the file from a copy.") from error


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _with_count(case: Case, times: int) -> Case:
    if times == 1:
        return case
    return replace(case, warnings=(*case.warnings, f"stored {times} times in this file; the last one counts"))

"""Reading runs, listing them, and finding the one that a person means."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

from energybench.errors import StoreError
from energybench.model import Case, Run
from energybench.store.files import NUMBERED, machine_id
from energybench.store.record import SCHEMA, case_from_record


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


@dataclass(frozen=True, slots=True)
class Found:
    """The file that a reference means, and what a reader should be told about the choice."""

    path: Path
    notes: tuple[str, ...] = ()


def read_run(path: Path | str) -> Run:
    """The run stored at `path`.

    Plain pytest-benchmark entries are counted in `Run.foreign`. Where a case is stored several times (a plugin that
    re-runs failures), the last one counts and carries a warning. Raises StoreError for a file that is absent, empty,
    torn, not strict JSON, not pytest-benchmark's, from a newer schema, damaged, or without any energy case.
    """
    path = Path(path)
    document = _load(path)
    cases: dict[str, Case] = {}
    times: dict[str, int] = {}
    foreign = 0
    for item in document["benchmarks"]:
        extra = item.get("extra_info") if isinstance(item, dict) else None
        record = extra.get("energybench") if isinstance(extra, dict) else None
        if record is None:
            foreign += 1
            continue
        fullname = str(item.get("fullname") or item.get("name") or "")
        try:
            cases[fullname] = case_from_record(fullname, record, item.get("params"))
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from error
        times[fullname] = times.get(fullname, 0) + 1
    session = _mapping(document.get("energybench"))
    if not cases and not session:
        raise StoreError(
            f"{path} holds no energy case ({foreign} plain pytest-benchmark entries): it was not measured with the "
            f"`energy` fixture."
        )
    carbon = session.get("carbon_g_per_kwh")
    pue = session.get("pue")
    return Run(
        source=str(path),
        cases=tuple(_with_count(case, times[case.id]) for case in cases.values()),
        machine=_mapping(document.get("machine_info")),
        commit=_mapping(document.get("commit_info")),
        created=str(document.get("datetime", "")),
        pue=float(pue) if isinstance(pue, (int, float)) else next((case.pue for case in cases.values()), 1.0),
        carbon_g_per_kwh=float(carbon) if isinstance(carbon, (int, float)) else None,
        session=session,
        foreign=foreign,
    )


def list_runs(storage: Path) -> tuple[RunEntry, ...]:
    """Every stored file of every machine, in order of machine folder and number; what cannot be read says why."""
    return tuple(_read_entry(item) for item in _entries(storage))


def find_run(ref: str, storage: Path) -> Found:
    """The file that `ref` names: a path, a number (`3`, `0003`), a save name, `NNNN_name`, a glob, or `latest`.

    `latest` is the newest run whose status is ok: a failed, partial or regressed run is never a baseline by accident.
    Of several matches this machine's come first, then the newest, and the notes say so. Raises StoreError where
    nothing matches, naming what there is.
    """
    as_path = Path(ref)
    if as_path.suffix == ".json" or len(as_path.parts) > 1:
        for candidate in (as_path, storage / ref, storage / f"{ref}.json"):
            if candidate.is_file():
                return Found(candidate)
        if as_path.is_dir():
            raise StoreError(f"{ref} is a folder, not a run; name one of the files in it.")
    entries = _entries(storage)
    if ref == "latest":
        return _latest(entries, storage)
    matches = _matches(ref, entries)
    if not matches:
        _not_found(ref, entries, storage)
    return _newest(ref, matches)


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StoreError(f"There is no file {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}.") from error
    if not text.strip():
        raise StoreError(f"{path} is empty: the process that wrote it was stopped. Delete it and measure again.")
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is not a whole JSON file ({error}). Delete it or restore it from a copy.") from error
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise StoreError(f"{path} is not a run: it has no list 'benchmarks', so pytest-benchmark did not write it.")
    schema = _mapping(document.get("energybench")).get("schema", SCHEMA)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise StoreError(
            f"{path} was written by a newer energybench (schema {schema}, this one reads up to {SCHEMA}). "
            f"Upgrade energybench to read it."
        )
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _with_count(case: Case, times: int) -> Case:
    if times == 1:
        return case
    from dataclasses import replace

    return replace(case, warnings=(*case.warnings, f"stored {times} times in this file; the last one counts"))


def _entries(storage: Path) -> list[RunEntry]:
    """All files by name, none of them opened. Hidden folders (the journal) and hidden files hold no runs."""
    if not storage.is_dir():
        return []
    paths = [path for pattern in ("*.json", "*/*.json") for path in storage.glob(pattern)]
    entries = []
    for path in paths:
        machine = "" if path.parent == storage else path.parent.name
        if machine.startswith(".") or path.name.startswith("."):
            continue
        match = NUMBERED.fullmatch(path.name.removesuffix(".json"))
        entries.append(
            RunEntry(
                path=path,
                machine=machine,
                number=int(match[1]) if match else None,
                save=match[2] if match else path.name.removesuffix(".json"),
            )
        )
    return sorted(entries, key=lambda entry: (entry.machine, entry.number or 0, entry.name))


def _read_entry(entry: RunEntry) -> RunEntry:
    from dataclasses import replace

    try:
        return replace(entry, run=read_run(entry.path))
    except StoreError as error:
        return replace(entry, error=str(error))


def _matches(ref: str, entries: Sequence[RunEntry]) -> list[RunEntry]:
    """The entries that `ref` names in the strictest sense that finds any: number, name, glob."""
    if ref.isascii() and ref.isdigit():
        numbered = [entry for entry in entries if entry.number == int(ref)]
        if numbered:
            return numbered
    named = [entry for entry in entries if ref in (entry.save, entry.name, f"{entry.machine}/{entry.name}")]
    if named or not any(sign in ref for sign in "*?["):
        return named
    pattern = ref.removesuffix(".json")
    return [
        entry
        for entry in entries
        if any(fnmatchcase(name, pattern) for name in (entry.save, entry.name, f"{entry.machine}/{entry.name}"))
    ]


def _newest(ref: str, matches: Sequence[RunEntry]) -> Found:
    here = machine_id()
    mine = [entry for entry in matches if entry.machine == here] or list(matches)
    chosen = max(mine, key=_age(mine))
    notes = []
    if len(mine) > 1:
        notes.append(f"{ref!r} names {len(mine)} runs; the newest, {chosen.name}, is taken.")
    machines = {entry.machine for entry in matches}
    if len(machines) > 1 and chosen.machine == here:
        notes.append(f"{ref!r} exists for {len(machines)} machines; the run of this one ({here}) is taken.")
    elif chosen.machine not in ("", here):
        notes.append(f"{ref!r} is a run of another machine folder, {chosen.machine}.")
    return Found(chosen.path, tuple(notes))


def _age(entries: Iterable[RunEntry]) -> Any:
    """Sorting key, oldest first: the number within one folder; the stored date where folders must be compared."""
    if len({entry.machine for entry in entries}) == 1:
        return lambda entry: (entry.number or 0, entry.name)
    created = {}
    for entry in entries:
        read = _read_entry(entry)
        created[entry.path] = read.run.created if read.run else ""
    return lambda entry: (created[entry.path], entry.number or 0, entry.name)


def _latest(entries: Sequence[RunEntry], storage: Path) -> Found:
    here = machine_id()
    mine = [entry for entry in entries if entry.machine == here] or list(entries)
    passed_over: list[str] = []
    for entry in sorted(mine, key=_age(mine), reverse=True):
        read = _read_entry(entry)
        if read.run is not None and read.status == "ok" and read.run.cases and not _is_a_further_rank(read.run):
            notes = [f"latest: {entry.name}."]
            if entry.machine not in ("", here):
                notes = [f"latest: {entry.name}, of another machine folder, {entry.machine}."]
            if passed_over:
                notes.append(f"Passed over, though newer: {', '.join(passed_over)}.")
            return Found(entry.path, tuple(notes))
        passed_over.append(f"{entry.name} ({_why_not(read)})")
    seen = f" There are: {', '.join(passed_over[:8])}." if passed_over else ""
    raise StoreError(f"No run in {storage} ended ok, so there is no `latest`.{seen} Measure one, or name a run.")


def _why_not(entry: RunEntry) -> str:
    if entry.run is not None and entry.run.cases and entry.status == "ok":
        return "not the first rank"
    return entry.status or "no energy cases"


def _is_a_further_rank(run: Run) -> bool:
    """Whether it is the part of a distributed run that lacks what the first rank counted."""
    return bool(_mapping(run.session.get("rank")).get("rank"))


def _not_found(ref: str, entries: Sequence[RunEntry], storage: Path) -> NoReturn:
    if not entries:
        raise StoreError(
            f"There is no run {ref!r}: {storage} holds none. Measure one with pytest, or give the folder of the runs "
            f"with --storage."
        )
    from difflib import get_close_matches

    names = {name: entry for entry in entries for name in (entry.save, entry.name)}
    near = [names[name].name for name in get_close_matches(ref, names, n=5, cutoff=0.5)]
    newest_first = [entry.name for entry in reversed(entries)]
    shown = list(dict.fromkeys(near or newest_first[:8]))
    more = "" if near or len(newest_first) <= 8 else f" and {len(newest_first) - 8} older"
    what = "Nearest" if near else "There are"
    raise StoreError(f"There is no run {ref!r} in {storage}. {what}: {', '.join(shown)}{more}.")

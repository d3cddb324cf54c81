"""Promoted runs: `baselines.json` at the top of the store, made to be committed beside the runs that it names.

    {"schema": 1, "baselines": {"main": {"Linux-CPython-3.11-64bit": {
        "run": "Linux-CPython-3.11-64bit/0042_x.json", "commit": "<id>", "created": "<ISO 8601>", "set": "<ISO 8601>",
        "sha256": "<of the file, its line ends as \\n>"}}}}

A name has at most one run per machine folder. The hash says whether the file is still the one that was promoted; line
ends do not count, for git may turn them.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from energybench.errors import StoreError
from energybench.store.commits import commit
from energybench.store.files import machine_id, replace_whole
from energybench.store.runs import BASELINES, RunEntry, read_run

SCHEMA = 1
PATIENCE_S = 10.0
"""how long another process may hold the lock before it counts as dead"""
_LOCK = ".baselines.lock"
_OTHER_SENSE = re.compile(r"\d+|\d{4,}_.*|latest|latest@.*|-.*|.*\.json|\s*|.*[*?\[\]\x00-\x1f].*")
_FIELDS = ("run", "commit", "created", "set", "sha256")

Baselines = Mapping[str, Mapping[str, "Promoted"]]
"""name -> machine folder -> promoted run"""


@dataclass(frozen=True, slots=True)
class Promoted:
    """One machine's run of a baseline."""

    run: str
    """the file, relative to the store, with `/`"""
    commit: str
    created: str
    set: str
    """when it was promoted"""
    sha256: str

    @property
    def name(self) -> str:
        """File name without folder and `.json`: `0042_x`."""
        return PurePosixPath(self.run).name.removesuffix(".json")

    def state(self, storage: Path) -> str:
        """`ok`; `gone` where the file is not there; `changed` where it is not what was promoted."""
        path = storage / self.run
        if not path.is_file():
            return "gone"
        return "ok" if _hash(path) == self.sha256 else "changed"


def read_baselines(storage: Path) -> Baselines:
    """All baselines of the store; none where there is no file.

    Raises StoreError for a file that cannot be read, is damaged (a merge may have left its marks), or is newer.
    """
    path = storage / BASELINES
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        return {}
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is not JSON ({error}). Resolve what a merge left in it, or restore it.") from error
    try:
        return _parsed(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise StoreError(f"{path} is damaged ({what}). Restore it, or set its baselines again.") from error


def find_baseline(name: str, storage: Path) -> tuple[Path, tuple[str, ...]] | None:
    """The file that was promoted as `name` and what to say of it; None where there is no such baseline.

    This machine's folder first, else the one that was promoted last. Raises StoreError where the file is gone or
    changed, and as `read_baselines` does.
    """
    machines = read_baselines(storage).get(name)
    if not machines:
        return None
    here = machine_id()
    folder = here if here in machines else max(machines, key=lambda machine: machines[machine].set)
    promoted = machines[folder]
    state = promoted.state(storage)
    path = storage / promoted.run
    if state != "ok":
        what = "is not there" if state == "gone" else "is not the file that was promoted: its content has changed"
        raise StoreError(
            f"The baseline {name!r} is {promoted.run}, which {what}. Restore it (git checkout, git lfs pull), or "
            f"promote another run: energybench baseline set {name} REF."
        )
    abroad = "" if folder == here else f", of another machine folder, {folder}"
    return path, (f"{name!r} is a baseline: {promoted.name}{abroad}.",)


def set_baseline(name: str, path: Path, storage: Path, *, force: bool = False) -> tuple[Promoted, Promoted | None]:
    """Promote the run at `path` to the baseline `name` of its machine folder; the new entry and the one it replaces.

    Raises StoreError for a name that would be read in another sense, for a file outside the store's machine folders,
    and, without `force`, for a run that did not end ok, holds no energy, or is not the first rank.
    """
    if _OTHER_SENSE.fullmatch(name):
        raise StoreError(
            f"A baseline cannot be called {name!r}: that would be read as an option, a number, a file, a glob or "
            f"`latest`. Give a word such as `main`."
        )
    inside = path.resolve().relative_to(storage.resolve()) if path.resolve().is_relative_to(storage.resolve()) else None
    if inside is None or len(inside.parts) != 2:
        raise StoreError(f"{path} lies in no machine's folder of {storage}, so it cannot be a baseline there.")
    digest = _hash(path)
    run = read_run(path)
    unfit = RunEntry(path, run=run).unfit
    if unfit and not force:
        raise StoreError(
            f"{run.name} cannot become the baseline {name!r} ({unfit}). Promote a run that ended ok, or insist with "
            f"--force."
        )
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    promoted = Promoted(inside.as_posix(), commit(run.commit).id, run.created, now, digest)
    with _locked(storage):
        baselines = {known: dict(machines) for known, machines in read_baselines(storage).items()}
        machines = baselines.setdefault(name, {})
        replaced = machines.get(inside.parts[0])
        machines[inside.parts[0]] = promoted
        _write(baselines, storage)
    return promoted, replaced


def remove_baseline(name: str, storage: Path, machine: str | None = None) -> Mapping[str, Promoted]:
    """Forget a baseline, or its run of one machine folder; returns what it was. The runs stay.

    Raises StoreError where there is no such baseline.
    """
    known_baseline(name, storage, machine)  # before a lock is taken in a folder that may not be there
    with _locked(storage):
        removed = known_baseline(name, storage, machine)
        baselines = {known: dict(machines) for known, machines in read_baselines(storage).items()}
        baselines[name] = {folder: run for folder, run in baselines[name].items() if folder not in removed}
        _write({known: machines for known, machines in baselines.items() if machines}, storage)
    return removed


def known_baseline(name: str, storage: Path, machine: str | None = None) -> Mapping[str, Promoted]:
    """The runs of a baseline, by machine folder. Raises StoreError where there is none, naming what there is."""
    baselines = read_baselines(storage)
    machines = baselines.get(name, {})
    if not machines:
        there = f"There are: {', '.join(sorted(baselines))}" if baselines else "There is none yet"
        raise StoreError(f"There is no baseline {name!r} in {storage}. {there}; `energybench baseline set` makes one.")
    if machine is None:
        return machines
    if machine not in machines:
        raise StoreError(f"The baseline {name!r} has no run of {machine}, only of: {', '.join(sorted(machines))}.")
    return {machine: machines[machine]}


def _parsed(document: Any) -> dict[str, dict[str, Promoted]]:
    schema = document["schema"]
    if not isinstance(schema, int) or isinstance(schema, bool) or schema > SCHEMA:
        raise ValueError(f"schema {schema!r}; this energybench reads up to {SCHEMA}")
    return {
        name: {folder: _promoted(record) for folder, record in machines.items()}
        for name, machines in document["baselines"].items()
    }


def _promoted(record: Mapping[str, Any]) -> Promoted:
    values = {field: record[field] for field in _FIELDS}
    wrong = [field for field, value in values.items() if not isinstance(value, str)]
    if wrong:
        raise TypeError(f"{wrong[0]} {values[wrong[0]]!r} instead of a text")
    place = PurePosixPath(values["run"])
    if len(place.parts) != 2 or place.is_absolute() or ".." in place.parts:
        raise ValueError(f"run {values['run']!r} instead of FOLDER/FILE.json")
    return Promoted(**values)


def _write(baselines: Baselines, storage: Path) -> None:
    whole = {
        "schema": SCHEMA,
        "baselines": {
            name: {
                folder: {field: getattr(run, field) for field in _FIELDS} for folder, run in sorted(machines.items())
            }
            for name, machines in sorted(baselines.items())
        },
    }
    path = storage / BASELINES
    try:
        replace_whole(path, json.dumps(whole, indent=2) + "\n")
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _locked(storage: Path) -> Iterator[None]:
    """One process at a time reads, changes and writes the file. Creating a file exclusively works over NFS too."""
    lock = storage / _LOCK
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            lock.open("x").close()
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{lock} has been there for {PATIENCE_S:g} s: another process sets a baseline, or one was killed "
                    f"while it did. If none runs, delete that file."
                ) from None
            time.sleep(0.02)
        except OSError as error:
            raise StoreError(f"{lock} cannot be written: {error.strerror or error}.") from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _hash(path: Path) -> str:
    import hashlib

    try:
        return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}.") from error

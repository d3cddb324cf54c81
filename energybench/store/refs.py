"""Finding the run that a person means."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

from energybench.errors import StoreError
from energybench.store.baselines import find_baseline
from energybench.store.choice import Choice, best, newest
from energybench.store.commits import Commit, commit_of
from energybench.store.runs import RunEntry, entries
from energybench.store.tags import find_repository, is_branch, peeled, tagged

_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")


@dataclass(frozen=True, slots=True)
class Found:
    """The file that a reference means, and what a reader should be told about the choice."""

    path: Path
    notes: tuple[str, ...] = ()


def find_run(ref: str, storage: Path, *, any_status: bool = False) -> Found:
    """The file that `ref` names, in the first of these senses that finds one:

    1. a path, as it stands or inside the store;
    2. `latest`, the newest run whose status is ok, and `latest@BRANCH`, the same among the runs of a branch;
    3. a number: `3`, `0003`;
    4. a file's name, `0003_run1`, with its folder or without;
    5. a baseline's name (see `baselines`): the file that was promoted, unchanged;
    6. a save name: `run1`;
    7. a git tag, a branch, a commit (7 hexadecimal digits or more): the newest run of it whose status is ok. Branches
       and commits are those that were stored with the runs; a tag is looked up in the repository around the store,
       else around the current folder;
    8. a glob over file names and save names: `run*`.

    A failed, partial or regressed run is never a baseline by accident: by senses 2 and 7 it is found only with
    `any_status` (not `latest`), which is meant for the candidate of a comparison, whose newest run must not be passed
    over because it regressed. Of several matches this machine's come first, then the newest: by number within a
    folder, by date between folders. The notes say which sense was taken where that is not plain, and what else
    matched. Raises StoreError where nothing matches, naming what there is.
    """
    if ref in ("", "latest@"):
        raise StoreError(f"{ref!r} names no run; give a path, a number, a name, or `latest`.")
    as_path = Path(ref)
    if as_path.suffix == ".json" or len(as_path.parts) > 1:
        for candidate in (as_path, storage / ref, storage / f"{ref}.json"):
            if candidate.is_file():
                return Found(candidate)
    return _Search(ref, storage).found(any_status)


class _Search:
    """One reference, the names of all files of the store, and the commits of those that were looked into."""

    def __init__(self, ref: str, storage: Path) -> None:
        self.ref = ref
        self.storage = storage
        self.stored = entries(storage)
        self.repository = find_repository(storage, Path.cwd())
        self._commits: dict[Path, Commit] = {}

    def found(self, any_status: bool) -> Found:
        """The first sense that finds a run; StoreError where none does."""
        if self.ref == "latest":
            return self._latest("", lambda entry: True)
        branch = self.ref.removeprefix("latest@")
        if branch != self.ref:
            return self._latest(branch, lambda entry: self.commit(entry).branch == branch)
        found = self._by_name()
        if found is None and any(sign in self.ref for sign in "*?["):
            pattern = self.ref.removesuffix(".json")
            found = newest(
                self.ref, [e for e in self.stored if any(fnmatchcase(name, pattern) for name in (e.save, *_names(e)))]
            )
        elif found is None:  # git's names have none of these signs
            choice = self._by_commit(any_status)
            found = None if choice is None else self._of_commit(*choice, any_status)
        if found is None:
            self._not_found()
        return Found(*found)

    def commit(self, entry: RunEntry) -> Commit:
        """The commit of a file, which is opened once."""
        if entry.path not in self._commits:
            self._commits[entry.path] = commit_of(entry.path)
        return self._commits[entry.path]

    def _latest(self, branch: str, matches: Callable[[RunEntry], bool]) -> Found:
        choice = best(self.stored, matches)
        if choice.entry is None:
            self._no_latest(branch, choice)
        return Found(
            choice.entry.path,
            (f"{self.ref}: {choice.entry.name}{choice.abroad}.", *choice.passed_note, *self._dirty(choice)),
        )

    def _by_name(self) -> tuple[Path, tuple[str, ...]] | None:
        """Number, file's name, baseline, save name."""
        if self.ref.isascii() and self.ref.isdigit() and len(self.ref) < 20:
            numbered = newest(self.ref, [entry for entry in self.stored if entry.number == int(self.ref)])
            if numbered is not None:
                return numbered
        named = newest(self.ref, [entry for entry in self.stored if self.ref in _names(entry)])
        if named is not None:
            return named
        saved = [entry for entry in self.stored if entry.save == self.ref]
        promoted = find_baseline(self.ref, self.storage)
        if promoted is not None:
            path, notes = promoted
            last = max(saved, key=lambda entry: entry.age, default=None)
            if last is not None and last.path.resolve() != path.resolve():
                said = f"What was saved under that name is not meant: {last.name}, the newest of {len(saved)}."
                notes = (*notes, said)
            return path, notes
        found = newest(self.ref, saved)
        if found is None or self.repository is None or not is_branch(self.ref, self.repository):
            return found
        path, notes = found
        branch = f"{self.ref!r} is taken as a save name; the newest run of the branch is `latest@{self.ref}`."
        return path, (*notes, branch)

    def _by_commit(self, any_status: bool) -> tuple[str, Choice] | None:
        """What the reference is in git's terms, and the choice among its runs; None where it is nothing of the kind."""
        id, is_sure = ("", True) if self.repository is None else tagged(self.ref, self.repository)
        if id and self.repository is not None:
            choice = best(self.stored, lambda entry: self.commit(entry).id == id, any_status)
            if not choice.matched and not is_sure and (id := peeled(id, self.repository)):
                choice = best(self.stored, lambda entry: self.commit(entry).id == id, any_status)
            if choice.matched:
                return f"the tag of commit {id[:12]}", choice
        choice = best(self.stored, lambda entry: self.commit(entry).branch == self.ref, any_status)
        if choice.matched:
            return "a branch", choice
        if not _COMMIT.fullmatch(self.ref):
            return None
        start = self.ref.lower()
        ids = sorted({id for entry in self.stored if (id := self.commit(entry).id).startswith(start)})
        if len(ids) > 1:
            raise StoreError(
                f"{self.ref!r} begins the ids of {len(ids)} measured commits: {', '.join(id[:16] for id in ids[:8])}. "
                f"Give more digits."
            )
        choice = best(self.stored, lambda entry: self.commit(entry).id.startswith(start), any_status)
        return ("a commit", choice) if choice.matched else None

    def _of_commit(self, what: str, choice: Choice, any_status: bool) -> tuple[Path, tuple[str, ...]]:
        if choice.entry is None:
            raise StoreError(
                f"{self.ref!r} is {what}, of which no run ended ok. There are: {choice.passed}. Name one of them, "
                f"by its number, to use it all the same."
            )
        entry = choice.entry
        how = "" if any_status else " that ended ok"
        status = f" It ended {entry.status}." if any_status and entry.unfit else ""
        note = f"{self.ref!r} is {what}; its newest run{how}, {entry.name}{choice.abroad}, is taken.{status}"
        return entry.path, (note, *choice.passed_note, *self._dirty(choice))

    def _dirty(self, choice: Choice) -> list[str]:
        if choice.entry is None or self.ref == "latest" or not self.commit(choice.entry).dirty:
            return []
        return [f"{choice.entry.name} was measured with uncommitted changes."]

    def _no_latest(self, branch: str, choice: Choice) -> NoReturn:
        if branch and not choice.matched:
            known = sorted({name for entry in self.stored if (name := self.commit(entry).branch)})
            there = (
                f"There are runs of: {', '.join(known)}." if known else "No run says which branch it was measured on."
            )
            raise StoreError(f"No run in {self.storage} was measured on the branch {branch!r}. {there}")
        of = f" of the branch {branch!r}" if branch else ""
        seen = f" There are: {choice.passed}." if choice.matched else ""
        raise StoreError(
            f"No run in {self.storage}{of} ended ok, so there is no `{self.ref}`.{seen} Measure one, or name a run."
        )

    def _not_found(self) -> NoReturn:
        if Path(self.ref).is_dir():
            raise StoreError(f"{self.ref} is a folder, not a run; name one of the files in it.")
        if not self.stored:
            raise StoreError(
                f"There is no run {self.ref!r}: {self.storage} holds none. Measure one with pytest, or give the folder "
                f"of the runs with --storage."
            )
        from difflib import get_close_matches

        newest_first = sorted(self.stored, key=lambda entry: entry.age, reverse=True)
        names = {name: entry.name for entry in newest_first[:_COMPARED] for name in (entry.save, entry.name)}
        near = [names[name] for name in get_close_matches(self.ref, names, n=5, cutoff=0.5)]
        shown = list(dict.fromkeys(near or [entry.name for entry in newest_first[:8]]))
        more = "" if near or len(newest_first) <= 8 else f" and {len(newest_first) - 8} older"
        tag = "" if self.repository is None else tagged(self.ref, self.repository)[0]
        measured = f" (it is a tag, of whose commit {tag[:12]} no run is stored)" if tag else ""
        raise StoreError(
            f"There is no run {self.ref!r} in {self.storage}{measured}. {'Nearest' if near else 'There are'}: "
            f"{', '.join(shown)}{more}."
        )


_COMPARED = 500
"""names, the newest, that are searched for the nearest: comparing letters of thousands takes seconds"""


def _names(entry: RunEntry) -> tuple[str, str]:
    """The file's name, and the same with its folder."""
    return entry.name, f"{entry.machine}/{entry.name}"

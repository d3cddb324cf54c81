"""What was measured before: the earlier runs that a verdict rests on, and one case through all runs.

Within a machine's folder "earlier" means a smaller number: numbers only count up, while the clock of a machine may be
set back between two sessions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from energybench.errors import StoreError
from energybench.model import Case, Run
from energybench.store.commits import Commit, commit
from energybench.store.files import NUMBERED, machine_id
from energybench.store.runs import RunEntry, entries, moment, read_entries, read_entry

INCONCLUSIVE = "inconclusive"
"""status of a session whose gate could not tell it from its baseline"""
READ_PER_RUN = 3
"""files that are opened at most for each run that is wanted"""


@dataclass(frozen=True, slots=True)
class PastCase:
    """One case as one run measured it."""

    run: str
    """`0042_main`"""
    created: str
    """ISO 8601 with offset"""
    commit: Commit
    status: str
    """how the session ended; the case's own status is `case.status`"""
    case: Case


def earlier_runs(storage: Path, run: Run, *, limit: int = 30, known: Iterable[Run] = ()) -> tuple[Run, ...]:
    """The newest runs before `run` in its machine folder that ended ok or inconclusive, the newest first; at most
    `limit`. Inconclusive ones count, since the noisy sessions are among them.

    Left out are `run` itself, other files of its session, a second file of one session, further ranks of distributed
    runs, and what cannot be read; at most 3 `limit` files are opened. For a run that is not in the store (not saved
    yet, or lying elsewhere) those count that were not stored later than it, of the folder with the name of its own,
    else of this machine's. `known` are runs that the caller has read already: their files are not read again. Raises
    StoreError where the folder cannot be listed.
    """
    at_hand = {Path(one.source).resolve(): one for one in known if one.source}
    source = Path(run.source) if run.source else None
    stored = entries(storage)
    itself = next((entry for entry in stored if source is not None and _is_same(entry.path, source)), None)
    folder = _folder(source, stored) if itself is None else itself.machine
    before = [e for e in stored if e.machine == folder and (itself is None or e.age < itself.age)]
    before.sort(key=lambda entry: entry.age, reverse=True)
    seen = {run.session.get("session")} - {None, ""}
    found: list[Run] = []
    for entry in before[: READ_PER_RUN * limit]:
        held = at_hand.get(entry.path.resolve()) if at_hand else None
        read = read_entry(entry) if held is None else replace(entry, run=held)
        if read.run is None or read.unfit not in ("", INCONCLUSIVE):
            continue
        if itself is None and moment(read.run.created) > _end(run):
            continue
        session = read.run.session.get("session")
        if session and session in seen:
            continue
        seen.add(session)
        found.append(read.run)
        if len(found) == limit:
            break
    return tuple(found)


def case_history(storage: Path, pattern: str, machine: str | None = None) -> Mapping[str, tuple[PastCase, ...]]:
    """Per case id what each run of a machine folder (default: this machine's) says of it, the oldest run first.

    `pattern` is a full id, the part in brackets (`resnet18-stego`), or a glob of either; brackets stand for themselves
    in it, since ids are full of them. Runs of every status are there. Raises StoreError where no case matches.
    """
    return history_of(read_entries(storage, machine or machine_id()), pattern)


def history_of(read: Iterable[RunEntry], pattern: str) -> Mapping[str, tuple[PastCase, ...]]:
    """The same of entries that were read by the caller; those that are unreadable are passed over."""
    found: dict[str, list[PastCase]] = {}
    others: dict[str, None] = {}
    glob = pattern.replace("[", "[[]")
    runs = 0
    for entry in read:
        if entry.run is None:
            continue
        runs += 1
        for case in entry.run.cases:
            if not any(fnmatchcase(name, glob) for name in (case.id, case.short_id)):
                others[case.short_id] = None
                continue
            past = PastCase(entry.name, entry.run.created, commit(entry.run.commit), entry.status, case)
            found.setdefault(case.id, []).append(past)
    if not found:
        raise StoreError(_no_case(pattern, tuple(others), runs))
    return {id: tuple(past) for id, past in found.items()}


def _is_same(path: Path, other: Path) -> bool:
    return path.name == other.name and path.resolve() == other.resolve()


def _folder(source: Path | None, stored: Sequence[RunEntry]) -> str:
    name = "" if source is None else source.absolute().parent.name
    is_numbered = source is not None and NUMBERED.fullmatch(source.name.removesuffix(".json"))
    return name if is_numbered and any(entry.machine == name for entry in stored) else machine_id()


def _end(run: Run) -> float:
    """When the run was stored; a run that does not say was stored after all others."""
    stored = moment(run.created)
    return stored if stored > float("-inf") else float("inf")


def _no_case(pattern: str, others: Sequence[str], runs: int) -> str:
    if not others:
        return f"There is no case {pattern!r}: none of {runs} readable runs of this machine folder holds any."
    from difflib import get_close_matches

    near = get_close_matches(pattern, others, n=5, cutoff=0.5)
    shown = near or others[:8]
    more = f" and {len(others) - 8} more" if not near and len(others) > 8 else ""
    return f"No run holds a case {pattern!r}. {'Nearest' if near else 'There are'}: {', '.join(shown)}{more}."

"""The sessions of one side as one stored run."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from energybench.ab.merge import Merged, merge_runs
from energybench.ab.session import Session
from energybench.ab.turns import Side
from energybench.model import Run
from energybench.store import document, machine_id, write
from energybench.store.trace import SUFFIX


def as_run(side: Side, other: Side, rounds: int) -> Merged:
    """The rounds of `side` as one run that says what it was measured in turn with. StoreError where it has none.

    Of the commit it says what the user named; in a worktree git itself knows a detached one only.
    """
    merged = merge_runs(side.runs, sessions=rounds)
    revision = side.revision
    branch = {"branch": revision.branch} if revision.branch else {}
    in_turn = {
        "side": side.name,
        "ref": revision.ref,
        "with": other.revision.commit,
        "with_sessions": [each.session.get("session") for each in other.runs],
        "rounds": rounds,
    }
    run = replace(
        merged.run,
        source=f"{revision.commit[:12]}_ab_{side.name}",
        commit={**merged.run.commit, "id": revision.commit, "dirty": revision.dirty, **branch},
        session={**merged.run.session, "ab": in_turn},
    )
    return replace(merged, run=run)


def save(side: Side, run: Run, storage: Path, *, status: str = "") -> Run:
    """Store `run` under its own name, with its sessions' traces beside it; `status` stands for its own where given.

    Returns the run with the file as its source. Raises StoreError where it cannot be written.
    """
    session = {**run.session, **({"status": status} if status else {})}
    stored = document(run.cases, machine=run.machine, commit=run.commit, session=session)
    path = write(stored, storage, run.source)
    for store in side.stores:
        for trace in store.glob(f"{machine_id()}/*{SUFFIX}"):
            shutil.copy2(trace, path.parent)
    return replace(run, source=str(path), session=session)


def rescued(session: Session) -> Path | None:
    """A copy of the journal of a session that was killed before it stored a run; None where there is none."""
    journals = [path for path in session.store.glob(".journal/*.jsonl") if path.stat().st_size]
    if session.measured or not journals:
        return None
    folder = Path(tempfile.mkdtemp(prefix="energybench-journal-"))
    for journal in journals:
        shutil.copy2(journal, folder)
    return folder

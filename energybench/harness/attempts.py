"""How often this commit was held against this baseline before: measuring again until it is green is counted.

Each comparison of unchanged code may raise a false alarm or let a worse one pass, and whoever repeats it chooses among
the answers. So every stored run says against what it was gated, and each further look at the same commit gets its part
of the level only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energybench.model import Run


@dataclass(frozen=True, slots=True)
class Attempt:
    """What earlier runs make of this one."""

    earlier_looks: int = 0
    note: str = ""
    """what the reader of the verdicts must know; empty for the first look"""


def attempt(storage: Path, commit_info: Mapping[str, Any], baseline: Run) -> Attempt:
    """Count the looks that earlier runs of the commit in the store took at `baseline`.

    Runs with uncommitted changes count together, since what they changed is not known; runs outside a repository count
    not at all. Raises StoreError where the store cannot be listed.
    """
    from energybench.store.commits import commit, commit_of
    from energybench.store.runs import entries, read_entry

    now = commit(commit_info)
    if not now.id:
        return Attempt()
    looks: dict[str, int] = {}
    for entry in entries(storage):
        there = commit_of(entry.path)
        if (there.id, there.dirty) != (now.id, now.dirty):
            continue
        run = read_entry(entry).run
        gate = run.session.get("gate") if run is not None else None
        if run is None or not isinstance(gate, dict):
            continue
        if (gate.get("baseline"), gate.get("baseline_session")) == (baseline.name, baseline.session.get("session")):
            own = gate.get("own_looks")
            looks[str(run.session.get("session", run.source))] = own if isinstance(own, int) and own > 0 else 1
    earlier = sum(looks.values())
    if not earlier:
        return Attempt()
    state = " with uncommitted changes" if now.dirty else ""
    which = f"look {earlier + 1} at commit {now.id[:7]}{state} against {baseline.name}"
    return Attempt(earlier, f"{which}: each look at unchanged code has only its part of the level")

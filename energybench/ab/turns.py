"""Base and head in turn: sessions of one round each, in the order A B B A, with the same seed on both sides.

A machine that drifts in a straight line over the whole time adds the same to both sides in each A B B A, so that the
difference of their means keeps nothing of it; of A B A B it would keep the drift of one session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from energybench.ab.checkout import Revision
from energybench.ab.session import Place, Session, measure
from energybench.model import Run

BASE, HEAD = "base", "head"


@dataclass
class Side:
    """One of the two checkouts, and the runs of its finished sessions: what was measured is in it whatever happens."""

    name: str
    revision: Revision
    place: Place
    runs: list[Run] = field(default_factory=list)
    stores: list[Path] = field(default_factory=list)
    """the folder of each of its sessions"""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The session at which measuring ended early."""

    side: Side
    round: int
    """1, 2, ..."""
    session: Session


def turns(rounds: int) -> Iterator[tuple[str, int]]:
    """(side, index of the round) in the order of measuring: A B, B A, A B, ..., so that two rounds are one A B B A."""
    for index in range(rounds):
        for side in (BASE, HEAD) if index % 2 == 0 else (HEAD, BASE):
            yield side, index


def take_turns(
    base: Side, head: Side, args: Sequence[str], rounds: int, folder: Path, say: Callable[[str], None]
) -> Trouble | None:
    """Run all sessions, with their stores below `folder`; `say` is told of each. The first that fails ends it.

    Tests that failed are a failure too: the assertions of a case guard its measurement. Raises StoreError where a run
    cannot be read back.
    """
    sides = {BASE: base, HEAD: head}
    for number, (name, index) in enumerate(turns(rounds), 1):
        side = sides[name]
        say(f"session {number} of {2 * rounds}: {name} {side.revision.name}, round {index + 1} of {rounds} ...")
        store = folder / f"{number:03d}-{name}"
        side.stores.append(store)
        session = measure(side.place, args, [index], store)
        if session.run is not None and session.measured:
            side.runs.append(session.run)
            cases = len(session.run.cases)
            say(f"session {number} of {2 * rounds}: {cases} case{'' if cases == 1 else 's'} in {session.seconds:.1f} s")
        if session.code != 0 or not session.measured or session.interrupted:
            return Trouble(side, index + 1, session)
    return None

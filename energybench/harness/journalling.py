"""What the journal is told of a case: its rounds, warm-ups and windows apart, and the laps of a round ended early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energybench.model import Case, Round

if TYPE_CHECKING:
    from energybench.harness.projecting import Projected

LAPS = "laps"
"""kind of a record that holds no round: the laps of one that its projection ended"""


def part_record(kind: str, case: Case, session: str, parts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A line of the journal with `parts` of the case in place of all its rounds and windows."""
    from energybench.store import case_record

    record = case_record(replace(case, **parts))
    return {"kind": kind, "case": case.id, "session": session, "record": record, **more}


def laps_record(projected: Projected, case: Case, session: str) -> dict[str, Any]:
    """The laps that had ended, with what was projected. Nothing in it can be taken for a round."""
    unfinished = Round(projected.so_far, seed=projected.seed, session=session)
    parts = {"rounds": (unfinished,), "warmups": (), "search": (), "pretraining": ()}
    record = part_record(LAPS, case, session, parts).pop("record")
    return {
        "kind": LAPS,
        "case": case.id,
        "session": session,
        "index": projected.index,
        "seed": projected.seed,
        "domains": record["domains"],
        "laps": record["rounds"][0].get("laps", []),
        "projection": projected.record(),
    }

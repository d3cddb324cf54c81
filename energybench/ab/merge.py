"""Rounds of several sessions as one run, as far as the sessions measured the same thing."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from energybench.errors import StoreError
from energybench.model import Case, Run, Status, mean

# Gravest first: what is true of one session is true of the whole.
_CASE_STATUS = (Status.FAILED, Status.FAILED_ACCURACY, Status.PARTIAL, Status.OK)
_RUN_STATUS = ("failed", "partial", "ok")


@dataclass(frozen=True, slots=True)
class Merged:
    """A run made of several, and what could not be taken into it."""

    run: Run
    left_out: tuple[str, ...] = ()
    """one sentence for each case of which rounds were left out, or are missing"""


def merge_runs(runs: Sequence[Run], *, sessions: int | None = None) -> Merged:
    """One run of all cases of `runs`, with their rounds in that order; each round keeps its session.

    Rounds whose workload, comparability keys or domains differ from those of the case's first session are left out,
    with a sentence. A case that has rounds from fewer than `sessions` sessions (default: all) is partial. Facts and
    margins are the last session's, as in a session of several rounds. Raises StoreError for no run.
    """
    if not runs:
        raise StoreError("there is no session whose rounds could be merged: nothing was measured.")
    wanted = len(runs) if sessions is None else sessions
    ids = dict.fromkeys(case.id for run in runs for case in run.cases)
    cases, left_out = [], []
    for id in ids:
        parts = [case for case in (run.case(id) for run in runs) if case is not None]
        fitting = [case for case in parts if not _differing(parts[0], case)]
        case = _joined(fitting)
        if len(fitting) < len(parts):
            odd = next(case for case in parts if _differing(parts[0], case))
            left_out.append(
                f"{id}: the rounds of {len(parts) - len(fitting)} of {len(parts)} sessions are left out, since "
                f"{_differing(parts[0], odd)} changed between two sessions of one side."
            )
        elif len(fitting) < wanted:
            left_out.append(f"{id}: only {len(fitting)} of {wanted} sessions measured it.")
        if len(fitting) < wanted and case.status is Status.OK:
            case = replace(case, status=Status.PARTIAL)
        cases.append(case)
    return Merged(replace(runs[0], cases=tuple(cases), session=_session(runs, cases, ids)), tuple(left_out))


def _differing(first: Case, other: Case) -> str:
    """What keeps the rounds of two cases of one id apart, in words; empty where nothing does."""
    if first.workload != other.workload:
        return "the declared workload"
    keys = sorted(
        key
        for key in first.comparability.keys() | other.comparability.keys()
        if first.comparability.get(key) != other.comparability.get(key)
    )
    if keys:
        return ", ".join(keys)
    domains = [{(d.name, d.meter, d.provenance, d.in_total) for d in case.domains} for case in (first, other)]
    return "the set of metered domains" if domains[0] != domains[1] else ""


def _joined(parts: Sequence[Case]) -> Case:
    last = parts[-1]
    names = dict.fromkeys(name for case in parts for name in case.idle_w)
    return replace(
        last,
        rounds=tuple(round for case in parts for round in case.rounds),
        warmups=tuple(round for case in parts for round in case.warmups),
        # Each session searches anew, and a search is paid once.
        search=next((case.search for case in parts if case.search), ()),
        pretraining=next((case.pretraining for case in parts if case.pretraining), ()),
        status=_gravest((case.status for case in parts), _CASE_STATUS),
        warnings=tuple(dict.fromkeys(warning for case in parts for warning in case.warnings)),
        idle_w={name: mean(case.idle_w.get(name) for case in parts) for name in names},
    )


def _session(runs: Sequence[Run], cases: Sequence[Case], measured: Iterable[str]) -> dict[str, Any]:
    """The top-level object: what the first session said of itself, with what all of them have to say."""
    sessions = [run.session for run in runs]
    partial = any(case.status is Status.PARTIAL for case in cases)
    unmeasured = {str(item.get("fullname")): item for session in sessions for item in _list(session, "unmeasured")}
    canary = [reading for session in sessions for reading in _list(session, "canary")]
    traces = [session["trace"] for session in sessions if session.get("trace")]
    return {
        **sessions[0],
        "session": secrets.token_hex(6),
        "sessions": [session.get("session") for session in sessions],
        "status": _gravest(
            [*(str(session.get("status", "ok")) for session in sessions), *(["partial"] if partial else [])],
            _RUN_STATUS,
        ),
        "rounds": max((len(case.rounds) for case in cases), default=0),
        "interleaved": True,
        "notes": list(dict.fromkeys(str(note) for session in sessions for note in _list(session, "notes"))),
        "unmeasured": [item for id, item in unmeasured.items() if id not in set(measured)],
        **({"canary": canary} if canary else {}),
        "trace": {**traces[0], "files": [trace.get("file") for trace in traces]} if traces else None,
    }


def _gravest(found: Iterable[Any], order: Sequence[Any]) -> Any:
    """The first of `order` that was found; what `order` does not know is graver than all of it."""
    seen = list(found)
    unknown = [value for value in seen if value not in order]
    return unknown[0] if unknown else min(seen, key=order.index)


def _list(session: Mapping[str, Any], key: str) -> list[Any]:
    value = session.get(key)
    return value if isinstance(value, list) else []

"""What is stored of a session as a whole: the top-level `energybench` object of its file, and how it ended."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from energybench.model import Status

if TYPE_CHECKING:
    from energybench.harness.engine import Sweep


def session_status(sweep: Sweep) -> str:
    """regressed, failed, partial, inconclusive or ok: only an ok run may become `latest`."""
    statuses = {case.status for case in sweep.cases.values()}
    if sweep.gate_failed:
        return "regressed"
    if Status.FAILED in statuses:
        return "failed"
    if sweep.interrupted or Status.PARTIAL in statuses or any(not case.ended for case in sweep.cases.values()):
        return "partial"
    return "inconclusive" if sweep.gate_inconclusive else "ok"


def session_record(sweep: Sweep) -> dict[str, Any]:
    """The stored file's top-level `energybench` object.

    `gate` (only after a comparison) says against which baseline, with which margins, and at which look. `looks` (only
    with --energy-looks) has the planned numbers of rounds, and per case how many looks it took. `canary` (only where
    it was metered) has one entry for each end of the session: {"when": "first", "joules": {domain: J | null},
    "seconds", "calls", "gpu"?: {"joules", "seconds", "calls"}}.
    """
    from energybench import __version__

    options, meters = sweep.options, sweep.meters
    record = {
        "schema": 1,
        "version": __version__,
        "session": sweep.id,
        "started": sweep.started.isoformat(),
        "status": sweep.status,
        "pue": options.pue,
        "rounds": options.rounds,
        "interleaved": options.interleave,
        "meters": list(options.meters),
        "rank": None if sweep.rank is None else asdict(sweep.rank),
        "scope": options.scope,
        "idle_s": options.idle_s,
        "idle_w": dict(sweep.idle_w),
        "trace": None if sweep.trace is None else {"file": sweep.trace.name, "hz": sweep.trace_hz},
        "diagnoses": [
            {"meter": d.meter, "device": d.device, "state": d.state, "reason": d.reason, "remedy": d.remedy}
            for d in (meters.diagnoses if meters else ())
        ],
        "notes": list(sweep.notes),
        "unmeasured": [
            {"fullname": case.id, "status": str(case.status), "warnings": list(case.warnings)}
            for case in sweep.cases.values()
            if not case.rounds
        ],
    }
    if sweep.canary:
        record["canary"] = [look.record() for look in sweep.canary]
    if sweep.gate:
        record["gate"] = dict(sweep.gate)
    if options.looks is not None:
        used = {case.id: case.look + 1 for case in sweep.cases.values() if case.options.looks and case.rounds}
        record["looks"] = {"planned": list(options.looks), "cases": used}
    return record

"""What is stored of a session as a whole: the top-level `energybench` object of its file, and how it ended."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from energybench.harness.factors import factor_notes, session_factors
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


def closing_notes(sweep: Sweep) -> list[str]:
    """What only the end of the session knows: meters and trace that fell short, rounds that could not be projected."""
    notes = []
    if sweep.meters is not None and sweep.meters.sharing_trouble:
        notes.append(f"another energybench on this machine would go unnoticed: {sweep.meters.sharing_trouble}")
    if sweep.trace is not None and sweep.trace.trouble:
        notes.append(f"the trace ends early: {sweep.trace.trouble}")
    notes += factor_notes(sweep.options, sweep.results())
    for reason, cases in sweep.unprojected.items():
        some, more = ", ".join(list(cases)[:3]), f" and {len(cases) - 3} more" if len(cases) > 3 else ""
        notes.append(f"not projected: {some}{more}: {reason}")
    return notes


def session_record(sweep: Sweep) -> dict[str, Any]:
    """The stored file's top-level `energybench` object.

    `gate` (only after a comparison) says against which baseline, with which margins, and at which look. `looks` (only
    with --energy-looks) has the planned numbers of rounds, and per case how many looks it took. `canary` (only where
    it was metered) has one entry for each end of the session: {"when": "first", "joules": {domain: J | null},
    "seconds", "calls", "gpu"?: {"joules", "seconds", "calls"}}. `projections` (only where rounds were ended early) are
    estimates: {"case", "round", "seed", "ended": "stable" | "over budget", "pue", "provenance", "estimate": {"joules",
    "low", "high", "method", "basis", "warnings"}}. Factors on output, where they were given: `carbon_g_per_kwh` and
    `carbon_source`, `price_per_kwh` and `currency`.
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
    record |= session_factors(options, sweep.results())
    projected = [case.projected for case in sweep.cases.values() if case.projected is not None]
    if projected:
        record["projections"] = [each.record() for each in projected]
    if sweep.gate:
        record["gate"] = dict(sweep.gate)
    if options.looks is not None:
        used = {case.id: case.look + 1 for case in sweep.cases.values() if case.options.looks and case.rounds}
        record["looks"] = {"planned": list(options.looks), "cases": used}
    return record

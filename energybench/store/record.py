"""One case -> the object that lies in `extra_info["energybench"]`.

Strict JSON: NaN and infinity become null, for one bare `NaN` makes the whole file unreadable for Node and Rust readers.
Empty optional parts are left out. Schema 1:

    {"schema": 1, "unit": "J", "status": "ok", "provenance": "measured", "workload": "<hash>",
     "domains": [{"name", "meter", "provenance", "in_total", "gain_rel"?, "device"?, "note"?, "host"?, "tick_s"?}],
     "rounds": [{"seconds", "joules": {domain: J | null}, "error_j"?, "seed", "started", "session", "conditions"?,
                 "conditions_end"?, "metrics", "laps"?: [{"label", "seconds", "joules", "error_j"?, "notes"?: {}}],
                 "warnings"?, "marks"?: ["too-short"], "iterations"?: 4, "trace"?: {"file", "start_s", "end_s"},
                 "net_j"?}],
     "warmups": [round], "search": [window], "pretraining": [window], "facts": {}, "comparability": {},
     "pue": 1.58, "warnings": [], "idle_w"?: {domain: W | null}, "margins"?: {metric: float}}

`net_j` is the round's total above `idle_w`, for readers that are not energybench; it is derived and never read back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from energybench.errors import StoreError
from energybench.model import Case, Domain, Round, Span, Window

SCHEMA = 1
"""Raised when a reader of the old schema would misunderstand a new file; keys may be added without raising it."""


def case_record(case: Case) -> dict[str, Any]:
    """The record of `case` as strict JSON values (joules before PUE, seconds, domain -> joules).

    Raises StoreError where a window's seconds are not a finite number >= 0, a trace's times are not finite, or a round
    is the mean of no call.
    """
    record = {
        "schema": SCHEMA,
        "unit": "J",
        "status": case.status.value,
        "provenance": None if case.provenance is None else case.provenance.value,
        "workload": case.workload,
        "domains": [_domain_record(domain) for domain in case.domains],
        "rounds": [_round_record(case, round) for round in case.rounds],
        "warmups": [_round_record(case, round) for round in case.warmups],
        "search": [_window_record(case.id, window) for window in case.search],
        "pretraining": [_window_record(case.id, window) for window in case.pretraining],
        "facts": strict(case.facts),
        "comparability": strict(case.comparability),
        "pue": case.pue,
        "warnings": list(case.warnings),
    }
    if case.idle_w:
        record["idle_w"] = strict(case.idle_w)
    if case.margins:
        record["margins"] = dict(case.margins)
    return record


def strict(value: Any) -> Any:
    """`value` as strict JSON: non-finite floats become None, keys strings, sequences lists, numpy scalars numbers.

    An object of another kind becomes its text; where that text would hold a memory address, which differs in every
    run, its class name stands in.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {strict(str(key)): strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((strict(item) for item in value), key=str)
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return strict(item())
    kind = type(value)
    has_text = any(name in vars(base) for base in kind.__mro__[:-1] for name in ("__str__", "__repr__"))
    return strict(str(value)) if has_text else f"{kind.__module__}.{kind.__qualname__}"


def _domain_record(domain: Domain) -> dict[str, Any]:
    record: dict[str, Any] = {
        "name": domain.name,
        "meter": domain.meter,
        "provenance": domain.provenance.value,
        "in_total": domain.in_total,
    }
    optional = {
        "gain_rel": strict(domain.gain_rel),
        "device": domain.device,
        "note": domain.note,
        "host": domain.host,
        "tick_s": strict(domain.tick_s),
    }
    return record | {key: value for key, value in optional.items() if value not in (None, "")}


def _window_record(case: str, window: Window) -> dict[str, Any]:
    if not (math.isfinite(window.seconds) and window.seconds >= 0):
        raise StoreError(f"{case}: a window of {window.seconds} seconds cannot be stored; its clock is broken.")
    record: dict[str, Any] = {"label": window.label} if window.label else {}
    record |= {"seconds": window.seconds, "joules": strict(window.joules)}
    if window.error_j:
        record["error_j"] = strict(window.error_j)
    if window.laps:
        record["laps"] = [_window_record(case, lap) for lap in window.laps]
    if window.warnings:
        record["warnings"] = list(window.warnings)
    if window.marks:
        record["marks"] = [mark.value for mark in window.marks]
    if window.notes:
        record["notes"] = strict(window.notes)
    return record


def _round_record(case: Case, round: Round) -> dict[str, Any]:
    record = _window_record(case.id, round.window)
    record |= {"seed": round.seed, "started": round.started, "session": round.session, "metrics": strict(round.metrics)}
    if round.conditions:
        record["conditions"] = strict(round.conditions)
    if round.conditions_end:
        record["conditions_end"] = strict(round.conditions_end)
    if round.iterations < 1:
        raise StoreError(f"{case.id}: a round of {round.iterations} calls cannot be stored; nothing was metered.")
    if round.iterations != 1:
        record["iterations"] = round.iterations
    if round.trace is not None:
        record["trace"] = _span_record(case.id, round.trace)
    net_j = strict(case.net_j(round.window))
    return record if net_j is None else record | {"net_j": net_j}


def _span_record(case: str, span: Span) -> dict[str, Any]:
    if not (math.isfinite(span.start_s) and math.isfinite(span.end_s)):
        raise StoreError(
            f"{case}: a trace from {span.start_s} to {span.end_s} seconds cannot be stored; its clock is broken."
        )
    return {"file": span.file, "start_s": span.start_s, "end_s": span.end_s}

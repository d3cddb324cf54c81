"""One case <-> the object that lies in `extra_info["energybench"]`.

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
from typing import Any, cast

from energybench.errors import StoreError
from energybench.model import Case, Domain, Mark, Provenance, Round, Span, Status, Window

_NOTHING: Mapping[str, Any] = {}
"""one for all rounds of a large file, which have four such places each"""
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


def case_from_record(fullname: str, record: Mapping[str, Any], params: Mapping[str, Any] | None) -> Case:
    """The case that `record` describes.

    Raises StoreError where the record is not energybench's, was written by a newer schema, or is damaged.
    """
    schema = record.get("schema") if isinstance(record, Mapping) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise StoreError(f"{fullname}: its 'energybench' object has no schema number, so energybench did not write it.")
    if schema > SCHEMA:
        raise StoreError(
            f"{fullname}: written by a newer energybench (schema {schema}, this one reads up to {SCHEMA}). "
            f"Upgrade energybench to read it."
        )
    try:
        if record.get("unit", "J") != "J":
            raise ValueError(f"unit {record['unit']!r} instead of 'J'")
        pue = _number(record.get("pue", 1.0))
        if pue is None or pue < 1:
            raise ValueError(f"pue {record.get('pue')!r} instead of a number >= 1")
        _refuse_what_reads_as_something_else(record)
        return Case(
            id=fullname,
            rounds=tuple(_round(item) for item in record["rounds"]),
            warmups=tuple(_round(item) for item in record.get("warmups", ())),
            search=tuple(_window(item) for item in record.get("search", ())),
            pretraining=tuple(_window(item) for item in record.get("pretraining", ())),
            domains=tuple(_domain(item) for item in record["domains"]),
            params=dict(params or {}),
            facts=dict(record.get("facts", {})),
            workload=str(record.get("workload", "")),
            comparability=dict(record.get("comparability", {})),
            status=Status(record.get("status", Status.OK)),
            warnings=tuple(map(str, record.get("warnings", ()))),
            pue=pue,
            idle_w=_numbers(record.get("idle_w", {})),
            margins={name: value for name, value in _numbers(record.get("margins", {})).items() if value is not None},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise StoreError(
            f"{fullname}: its 'energybench' object is damaged ({what}). Restore the file or measure the case again."
        ) from error


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


def _refuse_what_reads_as_something_else(record: Mapping[str, Any]) -> None:
    """Values of a wrong kind that the conversions below would take without complaint: `"false"` is true, say."""
    names = [str(domain["name"]) for domain in record["domains"]]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"the domain {min(twice)} twice, whose joules would be counted twice")
    for domain in record["domains"]:
        if not isinstance(domain["in_total"], bool):
            raise TypeError(f"in_total {domain['in_total']!r} instead of true or false")
    if not isinstance(record.get("warnings", []), list):
        raise TypeError(f"warnings {record['warnings']!r} instead of a list")


def _domain(record: Mapping[str, Any]) -> Domain:
    return Domain(
        name=str(record["name"]),
        meter=str(record["meter"]),
        provenance=Provenance(record["provenance"]),
        in_total=bool(record["in_total"]),
        gain_rel=_number(record.get("gain_rel")),
        device=str(record.get("device", "")),
        note=str(record.get("note", "")),
        host=str(record.get("host", "")),
        tick_s=_number(record.get("tick_s")),
    )


def _window(record: Mapping[str, Any]) -> Window:
    seconds = _number(record["seconds"])
    if seconds is None or seconds < 0:
        raise ValueError(f"seconds {record['seconds']!r}")
    marks, unknown = _marks(record["marks"]) if "marks" in record else ((), ())
    return Window(
        seconds=seconds,
        joules=_numbers(record["joules"]),
        error_j=_numbers(record["error_j"]) if "error_j" in record else _NOTHING,
        laps=tuple([_window(lap) for lap in record["laps"]]) if "laps" in record else (),
        label=str(record.get("label", "")),
        warnings=(*map(str, record["warnings"]), *unknown) if "warnings" in record else unknown,
        marks=marks,
        notes=_notes(record["notes"]) if "notes" in record else _NOTHING,
    )


def _notes(record: Any) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise TypeError(f"notes {record!r} instead of an object")
    return record


def _marks(record: Any) -> tuple[tuple[Mark, ...], tuple[str, ...]]:
    """The known marks, and a warning for each that only a newer energybench knows: its file stays readable."""
    if not isinstance(record, list) or not all(isinstance(name, str) for name in record):
        raise TypeError(f"marks {record!r} instead of a list of names")
    known = set(map(str, Mark))
    unknown = (
        f"it is marked {name!r}, which this energybench does not know; upgrade to learn what it means"
        for name in record
        if name not in known
    )
    return tuple(Mark(name) for name in record if name in known), tuple(unknown)


def _round(record: Mapping[str, Any]) -> Round:
    get = record.get
    iterations = get("iterations", 1)
    if not isinstance(iterations, int) or isinstance(iterations, bool) or iterations < 1:
        raise ValueError(f"iterations {iterations!r} instead of a whole number >= 1")
    trace = get("trace")
    return Round(
        _window(record),
        _numbers(get("metrics", {})),
        int(get("seed", 0)),
        str(get("started", "")),
        _known_numbers(record["conditions"]) if "conditions" in record else _NOTHING,
        _known_numbers(record["conditions_end"]) if "conditions_end" in record else _NOTHING,
        iterations,
        None if trace is None else _span(trace),
        str(get("session", "")),
    )


def _span(record: Mapping[str, Any]) -> Span:
    start_s, end_s = _number(record["start_s"]), _number(record["end_s"])
    if start_s is None or end_s is None:
        raise ValueError("a trace without its times")
    return Span(file=str(record["file"]), start_s=start_s, end_s=end_s)


def _known_numbers(record: Mapping[str, Any]) -> Mapping[str, float]:
    numbers = _numbers(record)
    if None in numbers.values():
        return {key: value for key, value in numbers.items() if value is not None}
    return cast(Mapping[str, float], numbers)


def _numbers(record: Mapping[str, Any]) -> Mapping[str, float | None]:
    # Nearly all of a file are objects of finite floats: such a one is taken as it was parsed, without a second copy.
    # A loop, since most hold two or three values: `map` and `isfinite` take twice the time to be set up.
    if type(record) is dict:
        for value in record.values():
            if type(value) is not float or value - value != 0.0:
                break
        else:
            return record
    return {str(key): _number(value) for key, value in record.items()}


def _number(value: Any) -> float | None:
    if type(value) is float and math.isfinite(value):
        return value
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{value!r} instead of a number")
    return value

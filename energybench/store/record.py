"""One case <-> the object that lies in `extra_info["energybench"]`.

Strict JSON: NaN and infinity become null, for one bare `NaN` makes the whole file unreadable for Node and Rust readers.
Empty optional parts are left out. Schema 1:

    {"schema": 1, "unit": "J", "status": "ok", "provenance": "measured", "workload": "<hash>",
     "domains": [{"name", "meter", "provenance", "in_total", "gain_rel"?, "device"?, "note"?}],
     "rounds": [{"seconds", "joules": {domain: J | null}, "error_j"?, "seed", "started", "session", "conditions"?,
                 "metrics", "laps"?: [{"label", "seconds", "joules", "error_j"?}], "warnings"?}],
     "warmups": [round], "search": [window], "pretraining": [window], "facts": {}, "comparability": {},
     "pue": 1.58, "warnings": []}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from energybench.errors import StoreError
from energybench.model import Case, Domain, Provenance, Round, Status, Window

SCHEMA = 1
"""Raised when a reader of the old schema would misunderstand a new file; keys may be added without raising it."""


def case_record(case: Case) -> dict[str, Any]:
    """The record of `case` as strict JSON values (joules before PUE, seconds, domain -> joules).

    Raises StoreError where a window's seconds are not a finite number >= 0.
    """
    return {
        "schema": SCHEMA,
        "unit": "J",
        "status": case.status.value,
        "provenance": None if case.provenance is None else case.provenance.value,
        "workload": case.workload,
        "domains": [_domain_record(domain) for domain in case.domains],
        "rounds": [_round_record(case.id, round) for round in case.rounds],
        "warmups": [_round_record(case.id, round) for round in case.warmups],
        "search": [_window_record(case.id, window) for window in case.search],
        "pretraining": [_window_record(case.id, window) for window in case.pretraining],
        "facts": strict(case.facts),
        "comparability": strict(case.comparability),
        "pue": case.pue,
        "warnings": list(case.warnings),
    }


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
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
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
    optional = {"gain_rel": strict(domain.gain_rel), "device": domain.device, "note": domain.note}
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
    return record


def _round_record(case: str, round: Round) -> dict[str, Any]:
    record = _window_record(case, round.window)
    record |= {"seed": round.seed, "started": round.started, "session": round.session, "metrics": strict(round.metrics)}
    if round.conditions:
        record["conditions"] = strict(round.conditions)
    return record


def _domain(record: Mapping[str, Any]) -> Domain:
    return Domain(
        name=str(record["name"]),
        meter=str(record["meter"]),
        provenance=Provenance(record["provenance"]),
        in_total=bool(record["in_total"]),
        gain_rel=_number(record.get("gain_rel")),
        device=str(record.get("device", "")),
        note=str(record.get("note", "")),
    )


def _window(record: Mapping[str, Any]) -> Window:
    seconds = _number(record["seconds"])
    if seconds is None or seconds < 0:
        raise ValueError(f"seconds {record['seconds']!r}")
    return Window(
        seconds=seconds,
        joules=_numbers(record["joules"]),
        error_j=_numbers(record.get("error_j", {})),
        laps=tuple(_window(lap) for lap in record.get("laps", ())),
        label=str(record.get("label", "")),
        warnings=tuple(map(str, record.get("warnings", ()))),
    )


def _round(record: Mapping[str, Any]) -> Round:
    return Round(
        window=_window(record),
        metrics=_numbers(record.get("metrics", {})),
        seed=int(record.get("seed", 0)),
        started=str(record.get("started", "")),
        conditions={key: value for key, value in _numbers(record.get("conditions", {})).items() if value is not None},
        session=str(record.get("session", "")),
    )


def _numbers(record: Mapping[str, Any]) -> dict[str, float | None]:
    return {str(key): _number(value) for key, value in record.items()}


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{value!r} instead of a number")
    return value

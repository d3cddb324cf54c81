"""The object that lies in `extra_info["energybench"]` -> one case: nothing of a damaged record passes for a value.

Rounds that hold numbers alone are checked by the column and made into objects when they are first asked for (`plain`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from energybench.errors import StoreError
from energybench.model import Case, Domain, Mark, Provenance, Round, Span, Status, Window
from energybench.store.plain import plain_rounds
from energybench.store.record import SCHEMA

_NOTHING: Mapping[str, Any] = {}
"""one for all rounds of a large file, which have four such places each"""


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
            rounds=_rounds(record["rounds"]),
            warmups=_one_by_one(record.get("warmups", ())),
            search=tuple([_window(item) for item in record.get("search", ())]),
            pretraining=tuple([_window(item) for item in record.get("pretraining", ())]),
            domains=tuple([_domain(item) for item in record["domains"]]),
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


def _refuse_what_reads_as_something_else(record: Mapping[str, Any]) -> None:
    """Values of a wrong kind that the conversions below would take without complaint: `"false"` is true, say."""
    names = [str(domain["name"]) for domain in record["domains"]]
    if len(set(names)) < len(names):
        twice = min(name for name in names if names.count(name) > 1)
        raise ValueError(f"the domain {twice} twice, whose joules would be counted twice")
    for domain in record["domains"]:
        if not isinstance(domain["in_total"], bool):
            raise TypeError(f"in_total {domain['in_total']!r} instead of true or false")
    if not isinstance(record.get("warnings", []), list):
        raise TypeError(f"warnings {record['warnings']!r} instead of a list")


def _domain(record: Mapping[str, Any]) -> Domain:
    get = record.get
    known = record["name"], record["meter"], record["provenance"], record["in_total"]
    return _domain_of(*known, get("gain_rel"), get("device", ""), get("note", ""), get("host", ""), get("tick_s"))


@lru_cache(maxsize=1024, typed=True)
def _domain_of(
    name: Any,
    meter: Any,
    provenance: Any,
    in_total: bool,
    gain_rel: Any,
    device: Any,
    note: Any,
    host: Any,
    tick_s: Any,
) -> Domain:
    """One object for all cases of a run, which were read from the same few counters."""
    return Domain(
        name=str(name),
        meter=str(meter),
        provenance=Provenance(provenance),
        in_total=in_total,
        gain_rel=_number(gain_rel),
        device=str(device),
        note=str(note),
        host=str(host),
        tick_s=_number(tick_s),
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


def _rounds(records: Any) -> Sequence[Round]:
    plain = plain_rounds(records)
    return _one_by_one(records) if plain is None else plain


def _one_by_one(records: Iterable[Mapping[str, Any]]) -> tuple[Round, ...]:
    return tuple([_round(record) for record in records])


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

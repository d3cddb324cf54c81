"""Bencher Metric Format, version 0: case -> measure -> value with its least and greatest round.

Measures: `energy-joules` (IT joules before PUE, so that another PUE is no alert), `accuracy` (a share in [0, 1]) and
Bencher's own `latency`, which is in nanoseconds by its definition. Bencher makes a measure that it does not know, and
keeps no label beside a value, so the unit stands in the measure's name, and joules that were not counted are a measure
of their own: `energy-joules-estimated`, `energy-joules-replayed`. Measures have the form of Bencher's slugs.
"""

from __future__ import annotations

import json

from energybench.errors import UsageError
from energybench.model import Case, Run
from energybench.reports.exports.readings import Export, Reading, label, reading, unmeasured

_LONGEST_NAME = 1024
"""bytes of a benchmark's name (BenchmarkName)"""
_SCALES = {"joules": 1.0, "accuracy": 0.01, "seconds": 1e9}
"""metric -> Bencher's unit per unit of a reading"""


def write(run: Run, metric: str | None = None, pue: float | None = None) -> Export:
    """`{case: {measure: {"value", "lower_value", "upper_value"}}}` as strict JSON; one round has a value only.

    Cases without any measure are left out, and measures without a value. Raises UsageError for an id that Bencher
    would refuse, since it would refuse the whole file.
    """
    document, left_out = {}, []
    for case in run.cases:
        found = {metric: reading(case, metric) for metric in _SCALES}
        measures = {_measure(case, m): _value(r, m) for m, r in found.items() if isinstance(r, Reading)}
        joules = found["joules"]
        if measures:
            document[_checked(case.id)] = measures
        if isinstance(joules, str):
            left_out.append(f"{case.short_id}{': its energy' if measures else ''}: {joules}")
    return Export(json.dumps(document, indent=1, allow_nan=False) + "\n", len(document), (*left_out, *unmeasured(run)))


def _measure(case: Case, metric: str) -> str:
    if metric == "joules":
        return f"energy-joules-{label(case)}" if label(case) else "energy-joules"
    return "latency" if metric == "seconds" else metric


def _value(reading: Reading, metric: str) -> dict[str, float]:
    scale = _SCALES[metric]
    value = {"value": reading.mean * scale}
    if len(reading.values) == 1:
        return value
    # The mean of equal values may differ from them in its last digit, and a bound must not lie on its wrong side.
    return value | {
        "lower_value": min(min(reading.values) * scale, value["value"]),
        "upper_value": max(max(reading.values) * scale, value["value"]),
    }


def _checked(id: str) -> str:
    if not id or len(id.encode()) > _LONGEST_NAME:
        raise UsageError(
            f"Bencher takes names of 1 to {_LONGEST_NAME} bytes, and one case's has {len(id.encode())}: {id[:60]}... "
            f"Give its parameters shorter ids."
        )
    return id

"""github-action-benchmark: an array for its tools `customSmallerIsBetter` and `customBiggerIsBetter`.

The action reads name, unit and value of each element, and shows range and extra (src/extract.ts); it refuses an empty
array. It compares values of one name across commits, so joules that were not counted carry their label in the name:
an estimate is then no successor of a measurement.
"""

from __future__ import annotations

import json

from energybench.model import Run
from energybench.reports.exports.readings import UNITS, Export, Reading, labelled, readings
from energybench.units import energy, significant

TOOLS = {"accuracy": "customBiggerIsBetter"}
"""metric -> the action's `tool`, where it is not `customSmallerIsBetter`"""


def write(run: Run, metric: str | None = "kwh", pue: float | None = None) -> Export:
    """One element per case: the mean of its rounds in kWh (with PUE), J, % or s; strict JSON.

    `range` is the standard deviation of one round: relative, in points for accuracy; absent for one round.
    """
    metric = metric or "kwh"
    taken, left_out = readings(run, metric, pue)
    elements = [_element(reading, metric, pue) for reading in taken]
    return Export(json.dumps(elements, indent=1, allow_nan=False) + "\n", len(elements), left_out)


def _element(reading: Reading, metric: str, pue: float | None) -> dict[str, str | float]:
    name = labelled(reading.case.id, reading.case) if metric in ("kwh", "joules") else reading.case.id
    element: dict[str, str | float] = {"name": name, "unit": UNITS[metric], "value": reading.mean}
    spread = _range(reading, metric)
    if spread:
        element["range"] = spread
    return element | {"extra": _extra(reading, metric, pue)}


def _range(reading: Reading, metric: str) -> str:
    if reading.sd is None:
        return ""
    if metric == "accuracy":
        return f"± {significant(reading.sd, 2)} points"
    return f"± {significant(100 * reading.sd / reading.mean, 2)} %" if reading.mean else ""


def _extra(reading: Reading, metric: str, pue: float | None) -> str:
    """What the number does not say, a line each."""
    case = reading.case
    read, rounds = len(reading.values), len(case.rounds)
    lines = [f"rounds: {read}" if read == rounds else f"rounds: {read} with a value of {rounds}"]
    if metric in ("kwh", "joules"):
        if metric == "kwh":
            lines += [f"IT energy: {energy(case.mean_j, 4)}", f"PUE: {case.pue if pue is None else pue:g}"]
        sources = dict.fromkeys(f"{d.name} {d.provenance}" for d in case.domains if d.in_total)
        lines.append(f"energy: {case.provenance} ({', '.join(sources)})")
        share = case.measured_share
        if share is not None and 0 < share < 1:
            lines.append(f"share of counters and sensors: {100 * share:.0f} %")
    accuracy = case.mean_metric("accuracy")
    if accuracy is not None and metric != "accuracy":
        lines.append(f"accuracy: {100 * accuracy:.2f} %")
    lines.append(f"status: {case.status}")
    if case.marks:
        lines.append(f"marks: {', '.join(case.marks)}")
    return "\n".join(lines)

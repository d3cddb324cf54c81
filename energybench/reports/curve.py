"""Accuracy against the bits that were overwritten: the capacity of each model by each rule, as text and as a plot.

Curves come from the cases of the protocol `capacity`; where a run has none, from what the searches of its
steganographic fine-tunes tried.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energybench.analysis.row import mapping, workload
from energybench.analysis.stats import wilson
from energybench.analysis.study import Study
from energybench.errors import UsageError
from energybench.model import Case
from energybench.reports.table import Column


@dataclass(frozen=True, slots=True)
class Point:
    """The accuracy with `bits` low bits of every covered weight overwritten."""

    bits: float
    accuracy: float
    evaluated: bool = True
    """False where it was inferred from its neighbours"""


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy against bits of one model by one rule."""

    run: str
    model: str
    rule: str
    points: tuple[Point, ...]
    capacity: int | None
    scope: str = "whole"
    """`whole`: all covered weights at once; `layers`: one layer at a time"""
    source: str = "capacity"
    """`capacity`, or `search` for the candidates of a fine-tune's search"""
    evaluation_size: int | None = None
    reference: float | None = None
    """accuracy without a bit overwritten"""
    tolerance: float | None = None
    evaluations: int | None = None
    layers: Mapping[str, int | None] = field(default_factory=dict)
    """layer -> its own capacity, all other layers untouched"""

    @property
    def accuracy(self) -> float | None:
        """At the capacity; None where that was not evaluated."""
        return next((p.accuracy for p in self.points if p.bits == self.capacity and p.evaluated), None)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % binomial interval (Wilson) of the accuracy at the capacity."""
        if self.accuracy is None or not self.evaluation_size:
            return None
        return wilson(self.accuracy * self.evaluation_size, self.evaluation_size)


def curves(study: Study) -> tuple[Curve, ...]:
    """Every curve of the runs: of the capacity cases, else of the searches for a steganographic capacity."""
    found = [curve for run, case in study.capacity if (curve := _of_capacity(run, case)) is not None]
    if not found:
        made = [_of_search(row.run, row.case) for row in study.rows]
        # One search serves several cases, and a sweep over tolerances walks the same curve: the first case counts.
        first = {(c.run, c.model, c.rule): c for c in reversed(made) if c is not None}
        found = list(reversed(first.values()))
    return tuple(found)


def capacity_columns(found: Sequence[Curve]) -> list[Column]:
    """One row per curve: capacity, accuracy there with its binomial interval, size of the evaluation set."""
    several = len({c.run for c in found}) > 1
    return [
        Column("model", tuple(c.model for c in found), left=True),
        *([Column("run", tuple(c.run for c in found), left=True)] if several else []),
        Column("rule", tuple(c.rule for c in found), left=True),
        Column("scope", tuple(c.scope for c in found), drop=4, left=True),
        Column("bits", tuple("-" if c.capacity is None else f"{c.capacity:g}" for c in found)),
        Column("acc %", tuple(_percent(c.accuracy) for c in found)),
        Column("95 % interval", tuple(_interval(c) for c in found)),
        Column("reference %", tuple(_percent(c.reference) for c in found), drop=1),
        Column("of images", tuple("-" if c.evaluation_size is None else str(c.evaluation_size) for c in found)),
        Column("tolerance", tuple("-" if c.tolerance is None else f"{100 * c.tolerance:g}" for c in found), drop=3),
        Column("evaluations", tuple("-" if c.evaluations is None else str(c.evaluations) for c in found), drop=2),
    ]


def layer_lines(curve: Curve, width: int) -> str:
    """`resnet18 truncate, 21 layers: 17 (conv1) to 24 (fc)`, then every layer's capacity in the model's order."""
    known = {name: bits for name, bits in curve.layers.items() if bits is not None}
    head = f"{curve.model} {curve.rule}, {len(curve.layers)} layers one at a time"
    if known:
        least, most = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        head += f": {known[least]} ({least}) to {known[most]} ({most})"
    cells = " ".join("-" if bits is None else str(bits) for bits in curve.layers.values())
    return f"{head}\n" + textwrap.fill(cells, width, initial_indent="  ", subsequent_indent="  ")


def plot(found: Sequence[Curve], path: Path) -> None:
    """Draw the chart `bits`, a panel per model with a line per rule, into `path`, as .png, .svg or .pdf.

    Raises UsageError where there is no curve, for another ending, without matplotlib, and where the file cannot be
    written.
    """
    from energybench.reports.charts.bits import chart_of
    from energybench.reports.charts.figure import check, write

    check(path)
    chart = chart_of(found)
    if chart is None:
        raise UsageError("There is no accuracy-against-bits curve to plot: the run has no capacity or stego case.")
    write(chart, path)


def _of_capacity(run: str, case: Case) -> Curve | None:
    found = mapping(case.facts.get("capacity"))
    points = _points(found.get("points"))
    layers = {str(name): _whole(mapping(layer).get("capacity")) for name, layer in mapping(found.get("layers")).items()}
    if not points and not layers:
        return None
    return Curve(
        run=run,
        model=str(workload(case).get("model")),
        rule=str(found.get("rule", "not stated")),
        points=points,
        capacity=_whole(found.get("capacity")),
        scope=str(found.get("scope", "whole")),
        evaluation_size=_whole(found.get("evaluation_size")),
        reference=_share(found.get("reference")),
        tolerance=_share(found.get("tolerance")),
        evaluations=_whole(found.get("evaluations")),
        layers=layers,
    )


def _of_search(run: str, case: Case) -> Curve | None:
    report = mapping(case.facts.get("compression"))
    points = _points(report.get("curve"))
    if report.get("kind") != "stego" or not points:
        return None
    given = mapping(report.get("given"))
    return Curve(
        run=run,
        model=str(workload(case).get("model")),
        rule=str(report.get("rule") or given.get("rule") or "not stated"),
        points=points,
        capacity=_whole(report.get("bits")),
        source="search",
        evaluation_size=_whole(report.get("evaluation_size")),
        reference=_share(report.get("accuracy_reference")),
        tolerance=_share(given.get("tolerance")),
        evaluations=_whole(report.get("evaluations")),
    )


def _points(values: Any) -> tuple[Point, ...]:
    """From [[bits, accuracy, evaluated], ...]; a pair was evaluated, and an absent accuracy is no point."""
    rows: Iterable[Any] = values if isinstance(values, (list, tuple)) else ()
    return tuple(
        Point(float(row[0]), float(row[1]), bool(row[2]) if len(row) > 2 else True)
        for row in rows
        if len(row) >= 2 and all(isinstance(value, (int, float)) for value in row[:2])
    )


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) else None


def _share(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _interval(curve: Curve) -> str:
    interval = curve.interval
    return "-" if interval is None else f"{100 * interval[0]:.1f} .. {100 * interval[1]:.1f}"

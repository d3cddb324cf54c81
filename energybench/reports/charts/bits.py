"""Accuracy against the low bits of every weight that were overwritten: a panel per model, a line per rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import left_to_table
from energybench.reports.charts.multiples import Multiples
from energybench.reports.charts.names import brief, counted
from energybench.reports.charts.palette import MUTED, SERIES
from energybench.reports.charts.subject import Subject
from energybench.reports.curve import Curve, curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = 12
_RULES = {"truncate": (SERIES[0], "o"), "nearest": (SERIES[2], "s"), "random": (SERIES[1], "^")}
_OTHER = (SERIES[3], "D")


def chart(subject: Subject) -> Chart | None:
    """Of the capacity cases, else of the searches; None where a run has neither."""
    return chart_of(curves(subject.study))


def chart_of(found: Sequence[Curve]) -> Chart | None:
    """The chart of these curves; None where none has a point."""
    with_points = [curve for curve in found if curve.points]
    if not with_points:
        return None
    several = len({curve.run for curve in with_points}) > 1
    groups: dict[str, list[Curve]] = {}
    for curve in with_points:
        groups.setdefault(f"{curve.model}, {curve.run}" if several else curve.model, []).append(curve)
    drawn = list(groups.items())[:PANELS]
    left = len(groups) - len(drawn)
    legend = [frame.Key(rule, *_RULES.get(rule, _OTHER), line="-") for rule in dict.fromkeys(c.rule for c in found)]
    legend.append(frame.Key("capacity", MUTED, line=":"))
    if any(not point.evaluated for curve in with_points for point in curve.points):
        legend.append(frame.Key("inferred", MUTED, "o", filled=False))
    if any(curve.reference is not None and curve.tolerance is not None for curve in with_points):
        legend.append(frame.Key("reference less the tolerance", MUTED, line="--"))
    layout = Multiples([name for name, _ in drawn], legend, heights=(1.35, 2.3), gap=(0.3, 0.6))

    def panel(axis: Axes, index: int) -> None:
        _panel(axis, drawn[index][1])
        axis.tick_params(labelleft=layout.is_leftmost(index))

    return Chart(
        name="bits",
        title="Accuracy against bits overwritten",
        explanation=(
            "Filled marks were evaluated, hollow ones inferred from their neighbours. The dotted line is the capacity: "
            "the most bits that keep the accuracy within the tolerance of the reference (dashed)."
        ),
        alt=_alt(with_points),
        numbers=_numbers(with_points, several=several),
        draw=lambda figure: layout.draw(figure, panel, x="low bits overwritten", y="accuracy, %"),
        inches=layout.inches,
        notes=(
            *(
                ("From what the searches of the fine-tunes tried, not from capacity cases.",)
                if _searched(found)
                else ()
            ),
            *(left_to_table(left, "model")),
        ),
    )


def _searched(found: Sequence[Curve]) -> bool:
    return any(curve.source == "search" for curve in found)


def _panel(axis: Axes, lines: Sequence[Curve]) -> None:
    for curve in lines:
        colour, marker = _RULES.get(curve.rule, _OTHER)
        points = sorted(curve.points, key=lambda point: point.bits)
        frame.lines(axis, [[(point.bits, 100 * point.accuracy) for point in points]], colour)
        for evaluated in (True, False):
            marks = [(p.bits, 100 * p.accuracy) for p in points if p.evaluated is evaluated]
            frame.dots(axis, marks, colour, marker=marker, filled=evaluated, size=3.5)
        if curve.capacity is not None:
            axis.axvline(curve.capacity, color=colour, linewidth=0.8, linestyle=":")
            axis.annotate(
                f"{curve.capacity}",
                (curve.capacity, 103),
                xytext=(2, -7),
                textcoords="offset points",
                fontsize=7,
                color=colour,
            )
        if curve.reference is not None and curve.tolerance is not None:
            axis.axhline(100 * (curve.reference - curve.tolerance), color=MUTED, linewidth=0.7, linestyle="--")
    axis.set_xlim(-0.5, 32.5)
    axis.set_xticks((0, 8, 16, 24, 32))
    axis.set_ylim(0, 103)


def _numbers(found: Sequence[Curve], *, several: bool) -> Numbers:
    rows: list[tuple[Cell, ...]] = [
        (
            *((curve.run,) if several else ()),
            curve.model,
            curve.rule,
            curve.scope,
            point.bits,
            point.accuracy,
            "yes" if point.evaluated else "no",
            curve.capacity,
            curve.reference,
            curve.tolerance,
        )
        for curve in found
        for point in sorted(curve.points, key=lambda point: point.bits)
    ]
    fields = (
        *((Field("run", "run"),) if several else ()),
        Field("model", "model"),
        Field("rule", "rule"),
        Field("scope", "scope"),
        Field("bits", "bits overwritten"),
        Field("accuracy", "accuracy, %", 100),
        Field("evaluated", "evaluated"),
        Field("capacity_bits", "capacity, bits"),
        Field("reference", "reference, %", 100),
        Field("tolerance", "tolerance, points", 100),
    )
    return Numbers(fields, tuple(rows))


def _alt(found: Sequence[Curve]) -> str:
    said = [
        f"{brief(curve.model)} {curve.rule} {'not reached' if curve.capacity is None else f'{curve.capacity} bits'}"
        for curve in found
    ]
    more = f" and {len(said) - 8} more" if len(said) > 8 else ""
    return (
        f"Accuracy against bits overwritten of {counted(len(found), 'curve')}. Capacity: {', '.join(said[:8])}{more}."
    )

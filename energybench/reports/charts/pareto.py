"""Energy against accuracy, and the cases that no other beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from energybench.analysis.effects import evaluation_size
from energybench.analysis.pareto import front
from energybench.analysis.row import NOISE, mapping
from energybench.analysis.stats import wilson
from energybench.model import Case, Status
from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import (
    Look,
    Placed,
    cut_note,
    keys,
    known,
    kwh_field,
    left_to_table,
    looks,
    mean_interval,
    muted,
    panels,
    provenance_note,
    run_field,
    trained,
    with_run,
)
from energybench.reports.charts.multiples import Multiples
from energybench.reports.charts.names import brief, counted
from energybench.reports.charts.palette import MUTED
from energybench.reports.charts.subject import Subject
from energybench.units import JOULES_PER_KWH, Scale, significant, watt_hour_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Point:
    """A case with both numbers."""

    of: Placed
    joules: float
    """mean of the rounds, with PUE"""
    joules_interval: Interval
    accuracy: float
    accuracy_interval: Interval | None
    rounds: int
    on_front: bool = False

    @property
    def counts(self) -> bool:
        """Whether the case ended ok: only then it can be on the front."""
        return self.of.case.status is Status.OK


def chart(subject: Subject) -> Chart | None:
    """One panel per model; None where no case has both an energy reading and an accuracy."""
    cases = [one for one in trained(subject) if known(one.case.joules()) and known(one.case.metric("accuracy"))]
    if not cases:
        return None
    drawn, left = panels(cases, several=subject.several)
    # A front is one of alternatives: the compressors of one model on one machine.
    groups: dict[tuple[str, str], list[Point]] = {}
    for one in cases:
        groups.setdefault((one.run, one.model), []).append(_point(one, subject.factor))
    points = [point for group in groups.values() for point in _with_front(group)]
    scale = watt_hour_scale(point.joules for point in points)
    look = looks(subject)
    by_case = {id(point.of.case): point for point in points}
    shown = [[by_case[id(one.case)] for one in panel.cases] for panel in drawn]
    legend = keys(look, (one.compressor for panel in drawn for one in panel.cases))
    failed = [point for point in points if not point.counts]
    legend += [frame.Key("filled: on the front", MUTED, line="-")]
    legend += [frame.Key("failed its accuracy", muted(False, ""), "x")] if failed else []
    layout = Multiples([panel.title for panel in drawn], legend, heights=(1.5, 2.7))

    def panel(axis: Axes, index: int) -> None:
        _panel(axis, shown[index], scale, look)

    return Chart(
        name="pareto",
        title="Energy against accuracy",
        explanation=(
            "Left is cheaper, up is better. Filled marks, joined by the stepped line, are the cases that no other of "
            "the same model beats: each hollow one costs more without being better, or is worse without costing less."
        ),
        alt=_alt(points, scale),
        numbers=_numbers(subject, points, scale),
        draw=lambda figure: layout.draw(figure, panel, x=f"energy, {scale.unit}", y="accuracy, %"),
        inches=layout.inches,
        notes=(
            *_notes(points),
            *_outside(shown),
            *dict.fromkeys(note for inside in shown for note in _cut(inside)),
            *left_to_table(left),
            *subject.pue_note,
            *provenance_note(p.of.case for p in points),
        ),
    )


def _panel(axis: Axes, points: Sequence[Point], scale: Scale, look: Mapping[str, Look]) -> None:
    """Bars first, then the front, then the marks."""
    for point in points:
        x, y, colour = point.joules / scale.factor, 100 * point.accuracy, _colour(point, look)
        low, high = (end / scale.factor for end in point.joules_interval)
        frame.lines(axis, [[(low, y), (high, y)]], colour, width=0.8, opacity=0.7)
        if point.accuracy_interval is not None:
            bottom, top = (100 * end for end in point.accuracy_interval)
            frame.lines(axis, [[(x, bottom), (x, top)]], colour, width=0.8, opacity=0.7)
    best = sorted((p.joules / scale.factor, 100 * p.accuracy) for p in points if p.on_front)
    least, most = _widths(points)
    xs = [min(max(end, least), most) / scale.factor for point in points for end in point.joules_interval]
    left, right = frame.span(xs)
    axis.set_xlim(left, right)
    axis.set_ylim(*_heights(points))
    axis.locator_params(nbins=5)
    if best:
        axis.step([*(x for x, _ in best), right], [*(y for _, y in best), best[-1][1]], where="post", color=MUTED)
    for point in points:
        shape = look[point.of.compressor].marker if point.counts else "x"
        at = [(point.joules / scale.factor, 100 * point.accuracy)]
        frame.dots(axis, at, _colour(point, look), marker=shape, filled=point.on_front, size=5)


def _widths(points: Sequence[Point]) -> tuple[float, float]:
    """Joules between which bars are drawn: that of two wild rounds must not press the marks together."""
    return 0.5 * min(point.joules for point in points), 1.5 * max(point.joules for point in points)


def _heights(points: Sequence[Point]) -> tuple[float, float]:
    """Limits in percent: those of the cases that count where there are two, so that a wrecked model does not press
    them into one line.
    """
    counting = [point for point in points if point.counts]
    shown = counting if len(counting) > 1 else points
    return frame.span([100 * end for p in shown for end in (p.accuracy_interval or (p.accuracy,))], least=0.5)


def _cut(points: Sequence[Point]) -> tuple[str, ...]:
    return cut_note((end for point in points for end in point.joules_interval), *_widths(points))


def _below(points: Sequence[Point]) -> int:
    """How many of a panel lie outside its limits."""
    low, high = _heights(points)
    return sum(not low <= 100 * point.accuracy <= high for point in points)


def _colour(point: Point, look: Mapping[str, Look]) -> str:
    return muted(point.counts, look[point.of.compressor].colour)


def _point(one: Placed, factor: float) -> Point:
    case = one.case
    joules, shares = [factor * value for value in known(case.joules())], known(case.metric("accuracy"))
    middle, low, high = mean_interval(joules) if len(joules) > 1 else _assumed(joules[0])
    return Point(
        of=one,
        joules=middle,
        joules_interval=(max(0.0, low), high),
        accuracy=sum(shares) / len(shares),
        accuracy_interval=_accuracy_interval(case, shares),
        rounds=len(joules),
    )


def _assumed(joules: float) -> tuple[float, float, float]:
    return joules, joules * (1 - NOISE), joules * (1 + NOISE)


def _accuracy_interval(case: Case, shares: Sequence[float]) -> Interval | None:
    if len(shares) > 1:
        _, low, high = mean_interval(shares)
        return max(0.0, low), min(1.0, high)
    size = evaluation_size(case) or mapping(case.facts.get("data")).get("evaluation")
    if not isinstance(size, (int, float)) or size <= 0 or not 0 <= shares[0] <= 1:
        return None
    return wilson(shares[0] * size, size)


def _with_front(points: Sequence[Point]) -> list[Point]:
    on = front([(point.joules, point.accuracy) if point.counts else (None, None) for point in points])
    return [replace(point, on_front=flag) for point, flag in zip(points, on, strict=True)]


def _numbers(subject: Subject, points: Sequence[Point], scale: Scale) -> Numbers:
    def row(point: Point) -> tuple[Cell, ...]:
        kwh = [value / JOULES_PER_KWH for value in (point.joules, *point.joules_interval)]
        shares = (point.accuracy, *(point.accuracy_interval or (None, None)))
        case = point.of.case
        cells = (case.id, point.of.model, point.of.compressor or None, *kwh, *shares, point.rounds, case.status.value)
        return with_run(subject, point.of.run, (*cells, "yes" if point.on_front else "no"))

    fields = (
        *run_field(subject),
        Field("case", "case"),
        Field("model", "model"),
        Field("compressor", "compressor"),
        kwh_field("energy_kwh", "energy", scale),
        kwh_field("energy_low_kwh", "from", scale),
        kwh_field("energy_high_kwh", "to", scale),
        Field("accuracy", "accuracy, %", 100),
        Field("accuracy_low", "from, %", 100),
        Field("accuracy_high", "to, %", 100),
        Field("rounds", "rounds"),
        Field("status", "status"),
        Field("on_front", "on the front"),
    )
    return Numbers(fields, tuple(map(row, points)))


def _notes(points: Sequence[Point]) -> tuple[str, ...]:
    found = []
    if any(point.rounds > 1 for point in points):
        found.append("Bars of several rounds: 95 % interval of the mean.")
    if any(point.rounds == 1 for point in points):
        found.append(
            f"Bars of one round: the assumed noise of {100 * NOISE:g} % in energy, and the 95 % binomial interval of "
            f"the accuracy where the size of the evaluation set is known."
        )
    failed = sum(not point.counts for point in points)
    if failed:
        found.append(f"{counted(failed, 'case')} did not end ok (grey crosses), and cannot be on the front.")
    return tuple(found)


def _outside(panels: Sequence[Sequence[Point]]) -> tuple[str, ...]:
    count = sum(map(_below, panels))
    return (f"{count} of these {'lies' if count == 1 else 'lie'} outside the axes.",) if count else ()


def _alt(points: Sequence[Point], scale: Scale) -> str:
    best = [
        f"{brief(point.of.name)} ({significant(point.joules / scale.factor)} {scale.unit}, "
        f"{100 * point.accuracy:.1f} %)"
        for point in points
        if point.on_front
    ]
    more = f" and {len(best) - 8} more" if len(best) > 8 else ""
    on = f"On the front: {', '.join(best[:8])}{more}." if best else "None is on the front."
    return f"Energy against accuracy of {counted(len(points), 'case')}. {on}"

"""Energy of cases through the stored runs, with the levels and the changes between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from energybench.analysis.trend import Point, Strand, Trend
from energybench.model import Case, Provenance
from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import left_to_table
from energybench.reports.charts.multiples import Multiples
from energybench.reports.charts.names import brief, case_names, counted
from energybench.reports.charts.palette import BAD, GOOD, INK, MUTED, SERIES
from energybench.reports.charts.subject import Subject
from energybench.units import energy_scale, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 9


def chart(subject: Subject) -> Chart | None:
    """A panel per case, those with changes first; None where no case has two values on one strand."""
    trends = [one for one in subject.trends if any(len(strand.points) > 1 for strand in one.strands)]
    if not trends:
        return None
    drawn = sorted(trends, key=lambda one: (-one.steps, -_points(one)))[:MOST]
    runs = list(dict.fromkeys(p.run for p in sorted(_all_points(trends), key=lambda point: point.created)))
    names = _names(trends)
    place = {run: number for number, run in enumerate(runs)}
    legend = [frame.Key("run", SERIES[0], "o"), frame.Key("level", INK, line="-")]
    changes = [s.change for one in drawn for strand in one.strands for s in strand.segments if s.change is not None]
    legend += [frame.Key("level rose", BAD, line="--")] if any(change > 0 for change in changes) else []
    legend += [frame.Key("level fell", GOOD, line="--")] if any(change <= 0 for change in changes) else []
    if any(len(one.strands) > 1 for one in drawn):
        legend.append(frame.Key("not comparable from here", MUTED, line=":"))
    layout = Multiples([names[one.case] for one in drawn], legend, heights=(1.15, 2.2), bottom=0.55)

    def panel(axis: Axes, index: int) -> None:
        _panel(axis, drawn[index], place)
        axis.set_xlim(-0.5, len(runs) - 0.5)
        axis.grid(visible=False, axis="x")
        if layout.is_lowest(index):
            _name_runs(axis, runs)
        else:
            axis.set_xticks([])

    return Chart(
        name="trend",
        title="History",
        explanation=(
            "IT energy of each case in the stored runs, the oldest left. A horizontal line is a level; a dashed one "
            "marks a change of level, with its size. The axes do not begin at 0."
        ),
        alt=_alt(trends),
        numbers=_numbers(trends),
        draw=lambda figure: layout.draw(figure, panel),
        inches=layout.inches,
        notes=(*_left_out(trends), *left_to_table(len(trends) - len(drawn)), *_provenance(trends)),
    )


def _names(trends: Sequence[Trend]) -> dict[str, str]:
    cases = [("", Case(one.case)) for one in trends]
    return {case.id: name for (_, case), name in zip(cases, case_names(cases), strict=True)}


def _panel(axis: Axes, one: Trend, place: dict[str, int]) -> None:
    scale = energy_scale(point.value for strand in one.strands for point in strand.points)
    values = [point.value / scale.factor for strand in one.strands for point in strand.points]
    low, high = frame.span(values, margin=0.25, least=0.02 * max(values))
    axis.set_ylim(low, high)
    for number, strand in enumerate(one.strands):
        dots = [(place[point.run], point.value / scale.factor) for point in strand.points]
        frame.dots(axis, dots, SERIES[0], size=3.5)
        if number:
            axis.axvline(dots[0][0] - 0.5, color=MUTED, linewidth=0.8, linestyle=":")
        for segment in strand.segments:
            level = segment.level / scale.factor
            begin, end = place[segment.points[0].run], place[segment.points[-1].run]
            frame.lines(axis, [[(begin - 0.35, level), (end + 0.35, level)]], INK, width=1.1)
            if segment.change is not None:
                colour = BAD if segment.change > 0 else GOOD
                axis.axvline(begin - 0.5, color=colour, linewidth=0.9, linestyle="--")
                right = begin < len(place) * 0.6
                axis.annotate(
                    percent(segment.change),
                    (begin - 0.5, high),
                    xytext=(2 if right else -2, -1),
                    textcoords="offset points",
                    ha="left" if right else "right",
                    va="top",
                    fontsize=7,
                    color=colour,
                )
    axis.locator_params(axis="y", nbins=4)
    axis.set_ylabel(scale.unit, labelpad=2)


def _name_runs(axis: Axes, runs: Sequence[str]) -> None:
    """The first and the last by name: numbers and names of runs are long."""
    ends = [0] if len(runs) == 1 else [0, len(runs) - 1]
    axis.set_xticks(ends, labels=[brief(runs[end].partition("_")[0] or runs[end], 12) for end in ends])
    axis.set_xlabel("run")


def _all_points(trends: Sequence[Trend]) -> list[Point]:
    return [point for one in trends for strand in one.strands for point in strand.points]


def _points(one: Trend) -> int:
    return sum(len(strand.points) for strand in one.strands)


def _numbers(trends: Sequence[Trend]) -> Numbers:
    rows: list[tuple[Cell, ...]] = []
    for one in trends:
        for number, strand in enumerate(one.strands, 1):
            rows += _rows(one, number, strand)
    fields = (
        Field("case", "case"),
        Field("run", "run"),
        Field("created", "stored"),
        Field("commit", "commit"),
        Field("energy_j", "IT energy, J", digits=4),
        Field("rounds", "rounds"),
        Field("strand", "series"),
        Field("level_j", "level, J", digits=4),
        Field("level_change", "change of level, %", 100),
        Field("level_change_low", "from, %", 100),
        Field("level_change_high", "to, %", 100),
        Field("p", "p"),
    )
    return Numbers(fields, tuple(rows))


def _rows(one: Trend, number: int, strand: Strand) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for segment in strand.segments:
        for point in segment.points:
            first = point is segment.points[0]
            ends = segment.interval if first and segment.interval is not None else (None, None)
            change, p = (segment.change, segment.p) if first else (None, None)
            rows.append(
                (
                    *(one.case, point.run, point.created[:19] or None, point.commit[:10] or None),
                    *(point.value, point.rounds, number, segment.level, change, *ends, p),
                )
            )
    return rows


def _left_out(trends: Sequence[Trend]) -> tuple[str, ...]:
    left = [name for one in trends for name in one.left_out]
    return (
        (f"{counted(len(left), 'value')} left out, of cases that did not end ok or have no reading.",) if left else ()
    )


def _provenance(trends: Sequence[Trend]) -> tuple[str, ...]:
    if any(strand.provenance is Provenance.ESTIMATED for one in trends for strand in one.strands):
        return ("Energy is estimated from utilisation, not measured.",)
    return ()


def _alt(trends: Sequence[Trend]) -> str:
    names = _names(trends)
    steps = [
        f"{brief(names[one.case])} {percent(segment.change)} since {brief(segment.points[0].run)}"
        for one in trends
        for strand in one.strands
        for segment in strand.segments
        if segment.change is not None
    ]
    longest = max(map(_points, trends))
    more = f" and {len(steps) - 6} more" if len(steps) > 6 else ""
    said = f"Changes of level: {', '.join(steps[:6])}{more}." if steps else "No level changed."
    return f"Energy of {counted(len(trends), 'case')} through up to {counted(longest, 'run')}. {said}"

"""Power over time: from the trace where there is one, else the mean of each lap, as steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from energybench.model import Case, Round
from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import (
    Placed,
    keys,
    left_to_table,
    looks,
    panels,
    placed,
    provenance_note,
    run_field,
    with_run,
)
from energybench.reports.charts.multiples import Multiples
from energybench.reports.charts.names import brief, counted
from energybench.reports.charts.subject import Subject, Traced
from energybench.units import power, power_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = 8
POINTS = 400
"""of a trace that are drawn and listed: of longer ones each is the mean of a stretch"""


@dataclass(frozen=True, slots=True)
class Step:
    """Mean power from one second of the round to another."""

    begin_s: float
    end_s: float
    watts: float
    what: str
    """label of the lap; `trace`"""


@dataclass(frozen=True, slots=True)
class Course:
    """Power over one round."""

    of: Placed
    number: int
    steps: tuple[Step, ...]


def chart(subject: Subject) -> Chart | None:
    """A panel per model, with the last round of each case; None where no round has a trace or laps with readings."""
    traced = {(one.run, one.case): one for one in sorted(subject.traced, key=lambda one: one.number)}
    courses = [c for one in placed(subject) if (c := _course(one, traced.get((one.run, one.case.id)))).steps]
    if not courses:
        return None
    of_case = {id(course.of.case): course for course in courses}
    found, left = panels([course.of for course in courses], several=subject.several)
    left += sum(len(panel.cases[LINES:]) for panel in found)
    look = looks(subject)
    scale = power_scale(step.watts for course in courses for step in course.steps)
    legend = keys(look, (one.compressor for panel in found for one in panel.cases[:LINES]), line="-")
    legend = [frame.Key(key.label, key.colour, line="-") for key in legend]
    layout = Multiples([panel.title for panel in found], legend)

    def panel(axis: Axes, index: int) -> None:
        end_s = 0.0
        watts: list[float] = []
        for one in found[index].cases[:LINES]:
            steps = of_case[id(one.case)].steps
            frame.lines(axis, _segments(steps, scale.factor), look[one.compressor].colour, width=1.0)
            end_s = max(end_s, steps[-1].end_s)
            watts += [step.watts / scale.factor for step in steps]
        axis.set_xlim(0, end_s or 1)
        axis.set_ylim(*frame.span(watts, margin=0.15, least=0.2 * max(watts)))
        axis.locator_params(axis="both", nbins=4)

    by_lap = sum(course.steps[0].what != "trace" for course in courses)
    return Chart(
        name="power",
        title="Power over time",
        explanation=(
            "Watts of all in-total domains through one round. A trace shows them as they were sampled; without one "
            "each step is the mean of a lap, such as an epoch or an evaluation. The axes of power do not begin at 0."
        ),
        alt=_alt(courses),
        numbers=_numbers(subject, courses),
        draw=lambda figure: layout.draw(figure, panel, x="s since the round began", y=scale.unit),
        inches=layout.inches,
        notes=(
            *((f"{counted(by_lap, 'case')} without a trace: mean of each lap.",) if by_lap else ()),
            *(("Of several rounds the last is shown.",) if any(c.number > 1 for c in courses) else ()),
            *left_to_table(left),
            *provenance_note(course.of.case for course in courses),
        ),
    )


def _course(one: Placed, traced: Traced | None) -> Course:
    if traced is not None and len(traced.points) > 1:
        return Course(one, traced.number, _of_trace(traced.points))
    if not one.case.rounds:
        return Course(one, 0, ())
    return Course(one, len(one.case.rounds), _of_laps(one.case, one.case.rounds[-1]))


def _of_trace(points: Sequence[tuple[float, float]]) -> tuple[Step, ...]:
    """Steps around the points; of more than POINTS the mean of stretches, weighted with their time."""
    middles = [second for second, _ in points]
    ends = [*((a + b) / 2 for a, b in pairwise(middles)), middles[-1]]
    begins = [middles[0], *ends[:-1]]
    size = -(-len(points) // POINTS)
    steps = []
    for first in range(0, len(points), size):
        last = min(first + size, len(points))
        seconds = ends[last - 1] - begins[first]
        joules = math.fsum(points[i][1] * (ends[i] - begins[i]) for i in range(first, last))
        if seconds > 0:
            steps.append(Step(begins[first], ends[last - 1], joules / seconds, "trace"))
    return tuple(steps)


def _of_laps(case: Case, round: Round) -> tuple[Step, ...]:
    """Laps in their order, behind what none of them covers; none where they overlap, so that their places are not
    known.
    """
    laps = round.window.laps
    idle_s = round.window.seconds - math.fsum(lap.seconds for lap in laps)
    if not laps or round.iterations > 1 or idle_s < -0.01 * round.window.seconds:
        return ()
    begin, steps = max(0.0, idle_s), []
    for lap in laps:
        joules = lap.total_j(case.total_domains)
        if joules is not None and lap.seconds > 0:
            steps.append(Step(begin, begin + lap.seconds, joules / lap.seconds, lap.label))
        begin += lap.seconds
    return tuple(steps)


def _segments(steps: Sequence[Step], factor: float) -> list[list[tuple[float, float]]]:
    """One line; a new one behind a gap."""
    made: list[list[tuple[float, float]]] = []
    end_s: float | None = None
    for step in steps:
        points = [(step.begin_s, step.watts / factor), (step.end_s, step.watts / factor)]
        if end_s is not None and abs(step.begin_s - end_s) < 1e-6:
            made[-1] += points
        else:
            made.append(points)
        end_s = step.end_s
    return made


def _numbers(subject: Subject, courses: Sequence[Course]) -> Numbers:
    rows: list[tuple[Cell, ...]] = [
        with_run(
            subject,
            course.of.run,
            (course.of.case.id, course.number, step.what, step.begin_s, step.end_s - step.begin_s, step.watts),
        )
        for course in courses
        for step in course.steps
    ]
    fields = (
        *run_field(subject),
        Field("case", "case"),
        Field("round", "round"),
        Field("part", "part"),
        Field("begin_s", "begin, s"),
        Field("seconds", "seconds"),
        Field("power_w", "power, W"),
    )
    return Numbers(fields, tuple(rows))


def _alt(courses: Sequence[Course]) -> str:
    steps = [(step, course) for course in courses for step in course.steps]
    low, _ = min(steps, key=lambda pair: pair[0].watts)
    high, of = max(steps, key=lambda pair: pair[0].watts)
    return (
        f"Power over time of {counted(len(courses), 'case')}: between {power(low.watts)} and {power(high.watts)}, the "
        f"highest in {brief(of.of.name)}."
    )

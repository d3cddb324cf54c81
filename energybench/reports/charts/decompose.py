"""What each difference in energy is made of: epochs, seconds per epoch, power, as a waterfall in logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energybench.analysis.decompose import TERMS, Decomposition, decompose
from energybench.analysis.row import Row
from energybench.analysis.study import INFERENCE
from energybench.model import Case, Status
from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import cut_note, left_to_table, placed, provenance_note, run_field, with_run
from energybench.reports.charts.names import brief, counted
from energybench.reports.charts.palette import INK, SERIES
from energybench.reports.charts.subject import Subject
from energybench.units import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 30
TITLES = dict(zip(TERMS, ("epochs", "seconds per epoch", "power"), strict=True))
_COLOURS = dict(zip(TERMS, (SERIES[0], SERIES[1], SERIES[2]), strict=True))
_LANE = 0.21


@dataclass(frozen=True, slots=True)
class Fall:
    """One case beside its baseline."""

    run: str
    case: Case
    name: str
    baseline: str
    """full id"""
    parts: Decomposition
    cause: str = ""


def chart(subject: Subject) -> Chart | None:
    """A row per case that has a `none` case; None where there is none of these."""
    falls = _falls(subject)
    if not falls:
        return None
    largest = {id(fall) for fall in sorted(falls, key=lambda fall: -abs(fall.parts.total))[:MOST]}
    drawn = [fall for fall in falls if id(fall) in largest]
    labels = [brief(fall.name) for fall in drawn]
    legend = [frame.Key(TITLES[term], _COLOURS[term]) for term in TERMS]
    legend.append(frame.Key("energy in all, 95 % interval", INK, "D"))
    top = frame.legend_inches(legend)

    reach = _reach(drawn)

    def draw(figure: Figure) -> None:
        frame.legend(figure, legend)
        (axis,) = frame.grid(figure, 1, left=frame.letters(labels) + 0.15, top=top + 0.05)
        ends = [0.0]
        for lane, term in enumerate(TERMS):
            boxes = []
            for row, fall in enumerate(drawn):
                begin = math.fsum(fall.parts.terms[name] for name in TERMS[:lane])
                end = begin + fall.parts.terms[term]
                y = row + (lane - 1.5) * _LANE
                boxes.append((begin, end, y - _LANE / 2, y + _LANE / 2))
                ends += [begin, end]
            frame.bars(axis, boxes, _COLOURS[term])
        below = 1.5 * _LANE
        frame.lines(axis, [[(low, row + below), (high, row + below)] for row, (low, high) in _intervals(drawn)], INK)
        frame.dots(axis, [(fall.parts.total, row + below) for row, fall in enumerate(drawn)], INK, marker="D", size=3)
        ends += [max(-reach, min(reach, end)) for _, interval in _intervals(drawn) for end in interval]
        axis.set_xlim(*frame.span(ends, least=0.02))
        frame.rows(axis, labels)
        frame.zero(axis)
        frame.log_percents(axis)
        axis.set_xlabel("change of energy against none (logarithmic)")

    return Chart(
        name="decompose",
        title="What each saving is made of",
        explanation=(
            "ln(E / E_none) = ln(epochs ratio) + ln(seconds per epoch ratio) + ln(power ratio). The three bars of a "
            "case stand end to end; where the last one ends lies its energy (diamond). Left of the line is less."
        ),
        alt=_alt(falls),
        numbers=_numbers(subject, falls),
        draw=draw,
        inches=(frame.WIDTH, frame.rows_inches(len(drawn), row=0.3, around=top + 0.55)),
        notes=(
            "Percent of the factors: three changes multiply to the change of energy, and only their logarithms add up.",
            *_failed_note(falls),
            *_one_round_note(falls),
            *cut_note((end for _, interval in _intervals(drawn) for end in interval), -reach, reach),
            *left_to_table(len(falls) - len(drawn)),
            *provenance_note(fall.case for fall in falls),
        ),
    )


def _falls(subject: Subject) -> list[Fall]:
    """Of the study's rows; else of cases that name a model and a compressor."""
    names = {id(one.case): one.name for one in placed(subject)}
    rows = [row for row in subject.study.rows if row.protocol != INFERENCE]
    if rows:
        return [made for row in rows if (made := _of_row(row, names)) is not None]
    found = []
    every = placed(subject)
    for one in every:
        if one.compressor in ("", "none"):
            continue
        baseline = next((o.case for o in every if (o.run, o.model, o.compressor) == (one.run, one.model, "none")), None)
        parts = None if baseline is None else decompose(baseline, one.case)
        if baseline is not None and parts is not None:
            found.append(Fall(one.run, one.case, one.name, baseline.id, parts, parts.label))
    return found


def _of_row(row: Row, names: dict[int, str]) -> Fall | None:
    if row.baseline is None or row.decomposition is None:
        return None
    name = names.get(id(row.case), row.case.short_id)
    return Fall(row.run, row.case, name, row.baseline.id, row.decomposition, row.cause)


def _intervals(drawn: Sequence[Fall]) -> list[tuple[int, tuple[float, float]]]:
    return [(row, fall.parts.interval) for row, fall in enumerate(drawn) if fall.parts.interval is not None]


def _reach(drawn: Sequence[Fall]) -> float:
    """Where the axis ends at most: a wide interval of few rounds must not press the bars together."""
    begins = [0.0]
    for fall in drawn:
        begins += [math.fsum(fall.parts.terms[name] for name in TERMS[:lane]) for lane in (1, 2, 3)]
    return 2 * max(map(abs, begins)) or 0.05


def _relative(x: float) -> float:
    return math.expm1(min(x, 700.0))


def _numbers(subject: Subject, falls: Sequence[Fall]) -> Numbers:
    def row(fall: Fall) -> tuple[Cell, ...]:
        logs = [fall.parts.terms[term] for term in TERMS]
        ends = (None, None) if fall.parts.interval is None else tuple(map(_relative, fall.parts.interval))
        rounds = min(fall.parts.rounds)
        cells = (
            fall.case.id,
            fall.baseline,
            *map(_relative, (*logs, fall.parts.total)),
            *ends,
            *logs,
            fall.parts.total,
        )
        return with_run(subject, fall.run, (*cells, rounds, fall.cause or None, fall.case.status.value))

    fields = (
        *run_field(subject),
        Field("case", "case"),
        Field("baseline", "beside"),
        *(Field(f"{term}_change", f"{TITLES[term]}, %", 100) for term in TERMS),
        Field("energy_change", "energy, %", 100),
        Field("energy_change_low", "from, %", 100),
        Field("energy_change_high", "to, %", 100),
        *(Field(f"{term}_ln", f"ln {TITLES[term]} ratio") for term in TERMS),
        Field("energy_ln", "ln energy ratio"),
        Field("rounds", "rounds a side"),
        Field("cause", "mostly"),
        Field("status", "status"),
    )
    return Numbers(fields, tuple(map(row, falls)))


def _failed_note(falls: Sequence[Fall]) -> tuple[str, ...]:
    failed = sum(fall.case.status is not Status.OK for fall in falls)
    return (f"{counted(failed, 'case')} did not end ok: their energy is no saving.",) if failed else ()


def _one_round_note(falls: Sequence[Fall]) -> tuple[str, ...]:
    single = sum(fall.parts.interval is None for fall in falls)
    return (f"{counted(single, 'case')} with one round on a side have no interval.",) if single else ()


def _alt(falls: Sequence[Fall]) -> str:
    least = min(falls, key=lambda fall: fall.parts.total)
    most = max(falls, key=lambda fall: fall.parts.total)
    said = " to ".join(
        f"{brief(fall.name)} {percent(_relative(fall.parts.total))} ("
        + ", ".join(f"{TITLES[term]} {percent(_relative(fall.parts.terms[term]))}" for term in TERMS)
        + ")"
        for fall in ((least,) if least is most else (least, most))
    )
    return f"Energy of {counted(len(falls), 'case')} against none, from the lowest to the highest: {said}."

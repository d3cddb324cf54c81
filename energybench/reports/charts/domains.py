"""Where the joules went: GPU, CPU, DRAM and others, one stacked bar per case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energybench.model import Case, Provenance
from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import (
    Placed,
    known,
    kwh_field,
    left_to_table,
    placed,
    provenance_note,
    run_field,
    with_run,
)
from energybench.reports.charts.names import brief, counted, listed
from energybench.reports.charts.palette import CPU, DRAM, ESTIMATED, GPU, OTHER
from energybench.reports.charts.subject import Subject
from energybench.units import JOULES_PER_KWH, significant, watt_hour_scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HATCH = "////"
PLACES = {"GPU": GPU, "CPU": CPU, "DRAM": DRAM, "other": OTHER}
"""what a domain's joules are counted under"""
_OF_NAME = {"gpu": "GPU", "package": "CPU", "cpu": "CPU", "dram": "DRAM", "ram": "DRAM"}


@dataclass(frozen=True, slots=True)
class Part:
    """Joules of one place and one kind of source, mean of the rounds."""

    place: str
    estimated: bool
    joules: float


@dataclass(frozen=True, slots=True)
class Stack:
    """One case's bar."""

    of: Placed
    parts: tuple[Part, ...]
    """measured before estimated, in the order of PLACES; absent domains are no part"""
    absent: tuple[str, ...]
    """in-total domains without any reading"""

    @property
    def joules(self) -> float:
        """Of all its parts."""
        return math.fsum(part.joules for part in self.parts)


def chart(subject: Subject) -> Chart | None:
    """Mean energy of a round by place; None where no case has a reading."""
    stacks = [stack for one in placed(subject) if (stack := _stack(one, subject.factor)).parts]
    if not stacks:
        return None
    largest = {id(stack) for stack in sorted(stacks, key=lambda stack: -stack.joules)[: frame.MOST_ROWS]}
    drawn = [stack for stack in stacks if id(stack) in largest]
    scale = watt_hour_scale(stack.joules for stack in drawn)
    kinds = [kind for kind in _kinds() if any(_joules(stack, *kind) is not None for stack in stacks)]
    labels = [brief(stack.of.name) for stack in drawn]
    places = dict.fromkeys(place for place, _ in kinds)
    legend = [frame.Key(place, PLACES[place]) for place in places]
    if any(estimated for _, estimated in kinds):
        legend.append(frame.Key("hatched: estimated", ESTIMATED, hatch=HATCH))
    top = frame.legend_inches(legend)

    def draw(figure: Figure) -> None:
        frame.legend(figure, legend)
        (axis,) = frame.grid(figure, 1, left=frame.letters(labels) + 0.15, top=top + 0.05)
        begins = [0.0] * len(drawn)
        for place, estimated in kinds:
            boxes = []
            for row, stack in enumerate(drawn):
                joules = _joules(stack, place, estimated)
                if joules is not None:
                    end = begins[row] + joules / scale.factor
                    boxes.append((begins[row], end, row - 0.36, row + 0.36))
                    begins[row] = end
            frame.bars(axis, boxes, PLACES[place], hatch=HATCH if estimated else "")
        frame.rows(axis, labels)
        axis.set_xlim(0, 1.03 * max(begins) or 1)
        axis.set_xlabel(f"energy, {scale.unit}")

    everything = [stack.of.case for stack in stacks]
    return Chart(
        name="domains",
        title="Energy by domain",
        explanation=(
            "Mean energy of a round, by where it was counted. Hatched parts are estimated from utilisation and rated "
            "power; the others were read from a counter or a sensor."
        ),
        alt=_alt(stacks, kinds),
        numbers=Numbers(
            (
                *run_field(subject),
                Field("case", "case"),
                *(kwh_field(_column(*kind), _title(*kind), scale) for kind in kinds),
                kwh_field("energy_kwh", "sum", scale),
            ),
            tuple(with_run(subject, stack.of.run, _cells(stack, kinds)) for stack in stacks),
        ),
        draw=draw,
        inches=(frame.WIDTH, frame.rows_inches(len(drawn), around=top + 0.55)),
        notes=(
            *_absent_notes(stacks),
            *left_to_table(len(stacks) - len(drawn)),
            *subject.pue_note,
            *provenance_note(everything),
        ),
    )


def place_of(domain: str) -> str:
    """The place that a domain is counted under: `package:0` is CPU."""
    return _OF_NAME.get(domain.partition(":")[0], "other")


def _stack(one: Placed, factor: float) -> Stack:
    parts: dict[tuple[str, bool], list[float]] = {}
    absent = []
    for domain in one.case.domains:
        if not domain.in_total:
            continue
        read = known(round.window.joules.get(domain.name) for round in one.case.rounds)
        if read:
            kind = place_of(domain.name), domain.provenance is Provenance.ESTIMATED
            parts.setdefault(kind, []).append(factor * math.fsum(read) / len(read))
        else:
            absent.append(domain.name)
    ordered = tuple(Part(*kind, math.fsum(parts[kind])) for kind in _kinds() if kind in parts)
    return Stack(one, ordered, tuple(absent))


def _kinds() -> list[tuple[str, bool]]:
    return [(place, estimated) for estimated in (False, True) for place in PLACES]


def _joules(stack: Stack, place: str, estimated: bool) -> float | None:
    return next((part.joules for part in stack.parts if (part.place, part.estimated) == (place, estimated)), None)


def _column(place: str, estimated: bool) -> str:
    return f"{place.lower()}{'_estimated' if estimated else ''}_kwh"


def _title(place: str, estimated: bool) -> str:
    return f"{place}{' estimated' if estimated else ''}"


def _cells(stack: Stack, kinds: Sequence[tuple[str, bool]]) -> tuple[Cell, ...]:
    values = [_joules(stack, *kind) for kind in kinds]
    each = [None if value is None else value / JOULES_PER_KWH for value in values]
    return (stack.of.case.id, *each, stack.joules / JOULES_PER_KWH)


def _absent_notes(stacks: Sequence[Stack]) -> tuple[str, ...]:
    lacking: dict[str, list[Case]] = {}
    for stack in stacks:
        for name in stack.absent:
            lacking.setdefault(name, []).append(stack.of.case)
    return tuple(
        f"{name} could not be read in {counted(len(cases), 'case')} ({listed([case.short_id for case in cases])}): "
        f"their bars are too short."
        for name, cases in lacking.items()
    )


def _alt(stacks: Sequence[Stack], kinds: Sequence[tuple[str, bool]]) -> str:
    whole = math.fsum(stack.joules for stack in stacks) or 1.0
    shares = [
        f"{_title(*kind)} {100 * math.fsum(_joules(stack, *kind) or 0.0 for stack in stacks) / whole:.0f} %"
        for kind in kinds
    ]
    most = max(stacks, key=lambda stack: stack.joules)
    scale = watt_hour_scale([most.joules])
    return (
        f"Energy by domain of {counted(len(stacks), 'case')}: {', '.join(shares)}. The largest is "
        f"{brief(most.of.name)} with {significant(most.joules / scale.factor)} {scale.unit}."
    )

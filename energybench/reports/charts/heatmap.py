"""Model x compressor: energy, its change against none, and accuracy, as three tables with a tint."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energybench.analysis.comparability import differences
from energybench.analysis.evidence import Evidence
from energybench.analysis.row import Ratio, ratio_of
from energybench.model import Case, Status
from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import (
    Placed,
    kwh_field,
    left_to_table,
    provenance_note,
    run_field,
    trained,
    with_run,
)
from energybench.reports.charts.names import brief, counted
from energybench.reports.charts.palette import BAD, GOOD, INK, SERIES, TINT
from energybench.reports.charts.subject import Subject
from energybench.units import JOULES_PER_KWH, Scale, percent, significant, watt_hour_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_MODELS = 16
MOST_COMPRESSORS = 12
_ROW = 0.21
_FULL = 0.5
"""|ln| of a change from which the tint is full: by a third less, by two thirds more"""


@dataclass(frozen=True, slots=True)
class Square:
    """One model under one compressor."""

    of: Placed
    row: str
    joules: float
    """mean of the rounds, with PUE"""
    change: Ratio | None
    """of energy, against none of the same model; None for none itself and where the two are not comparable"""
    accuracy: float | None

    @property
    def case(self) -> Case:
        """The case behind it."""
        return self.of.case


def chart(subject: Subject) -> Chart | None:
    """Three tables below one another; None where no case with a reading names both a model and a compressor."""
    squares = _squares(subject)
    if not squares:
        return None
    scale = watt_hour_scale(square.joules for square in squares)
    models = _largest(squares)
    compressors = list(dict.fromkeys(square.of.compressor for square in squares))[:MOST_COMPRESSORS]
    drawn = {
        (square.row, square.of.compressor): square
        for square in squares
        if square.row in models and square.of.compressor in compressors
    }
    labels = [brief(model, 26) for model in models]
    tables: list[tuple[str, Callable[[Square], str], Callable[[Square], tuple[str, float]]]] = [
        (f"energy, {scale.unit}", lambda one: significant(one.joules / scale.factor), _tint_of_energy(drawn)),
        ("change of energy against none", _change, _tint_of_change),
        ("accuracy, %", _accuracy, _tint_of_accuracy(drawn)),
    ]
    height = _ROW * len(models)

    def draw(figure: Figure) -> None:
        left = frame.letters(labels) + 0.15
        axes = frame.grid(figure, 3, left=left, right=0.08, top=0.42, bottom=0.08, gap=(0, 0.48))
        for axis, (name, text, tint) in zip(axes, tables, strict=True):
            _table(axis, models, compressors, drawn, text, tint)
            frame.rows(axis, labels)
            figure.text(
                0.05 / frame.WIDTH,
                axis.get_position().y1 + 0.3 / figure.get_figheight(),
                name,
                va="top",
                color=INK,
                fontweight="bold",
            )

    return Chart(
        name="heatmap",
        title="Models and compressors",
        explanation=(
            "Each row is a model, each column a compressor. Green is less energy than none, red is more; a change in "
            "parentheses is within noise, and x marks a case that failed its accuracy and whose energy is no saving."
        ),
        alt=_alt(squares),
        numbers=_numbers(subject, squares, scale.factor, scale.unit),
        draw=draw,
        inches=(frame.WIDTH, 0.42 + 3 * height + 2 * 0.48 + 0.08),
        notes=(
            *_notes(squares, models, compressors),
            *subject.pue_note,
            *provenance_note(square.case for square in squares),
        ),
    )


def _squares(subject: Subject) -> list[Square]:
    """One per (run, model, compressor): in a study the fine-tune at the paper's tolerance, else the first case."""
    chosen: dict[tuple[str, str, str], Placed] = {}
    first = {id(row.case) for run in subject.study.runs for row in Evidence.of(subject.study.of(run)).rows}
    every = [one for one in trained(subject) if one.compressor and one.case.mean_j is not None]
    for one in sorted(every, key=lambda one: id(one.case) not in first):
        chosen.setdefault((one.run, one.model, one.compressor), one)
    ratios = {id(row.case): row.energy for row in subject.study.rows}
    made = []
    for one in every:
        if chosen[one.run, one.model, one.compressor] is not one:
            continue
        none = chosen.get((one.run, one.model, "none"))
        ratio = ratios[id(one.case)] if id(one.case) in ratios else _ratio(one, none)
        row = f"{one.model}, {one.run}" if subject.several else one.model
        joules = subject.factor * (one.case.mean_j or 0.0)
        made.append(Square(one, row, joules, ratio, one.case.mean_metric("accuracy")))
    return made


def _ratio(one: Placed, none: Placed | None) -> Ratio | None:
    if none is None or none is one or differences(none.case, one.case, vary=("workload",)):
        return None
    return ratio_of(*(side.case.joules(side.case.verdict_domains) for side in (none, one)))


def _largest(squares: Sequence[Square]) -> list[str]:
    """The rows that are drawn: those of most energy, in stored order."""
    most: dict[str, float] = {}
    for square in squares:
        most[square.row] = max(most.get(square.row, 0.0), square.joules)
    kept = set(sorted(most, key=lambda row: -most[row])[:MOST_MODELS])
    return [row for row in most if row in kept]


def _table(
    axis: Axes,
    models: Sequence[str],
    compressors: Sequence[str],
    drawn: dict[tuple[str, str], Square],
    text: Callable[[Square], str],
    tint: Callable[[Square], tuple[str, float]],
) -> None:
    small = 6.5 if len(compressors) > 8 else 7.5
    for row, model in enumerate(models):
        for column, compressor in enumerate(compressors):
            square = drawn.get((model, compressor))
            if square is None:
                continue
            colour, opacity = tint(square)
            if opacity > 0.01:
                frame.bars(axis, [(column, column + 1, row - 0.5, row + 0.5)], colour, opacity=round(opacity, 2))
            said = text(square)
            mark = "" if square.case.status is Status.OK or said == "-" else " x"
            axis.text(column + 0.5, row, said + mark, ha="center", va="center", fontsize=small, color=INK)
    axis.set_xlim(0, len(compressors))
    axis.set_xticks(
        [column + 0.5 for column in range(len(compressors))],
        labels=[brief(name, max(6, int(90 / len(compressors)))) for name in compressors],
    )
    axis.tick_params(axis="x", length=0, top=False, labeltop=True, bottom=False, labelbottom=False, pad=1)
    axis.grid(visible=False)
    axis.spines["bottom"].set_visible(False)


def _change(square: Square) -> str:
    if square.change is None:
        return "-"
    text = percent(square.change.value - 1)
    return text if square.change.is_clear else f"({text})"


def _accuracy(square: Square) -> str:
    return "-" if square.accuracy is None else f"{100 * square.accuracy:.1f}"


def _tint_of_change(square: Square) -> tuple[str, float]:
    if square.change is None:
        return GOOD, 0.0
    log = math.log(square.change.value)
    strength = min(1.0, abs(log) / _FULL) * (1.0 if square.change.is_clear else 0.4)
    # A failed case's lower energy is no saving, so it is not green.
    if log < 0 and square.case.status is not Status.OK:
        return GOOD, 0.0
    return (GOOD if log < 0 else BAD), TINT * strength


def _tint_of_energy(drawn: dict[tuple[str, str], Square]) -> Callable[[Square], tuple[str, float]]:
    logs = [math.log(square.joules) for square in drawn.values() if square.joules > 0]
    low, high = (min(logs), max(logs)) if logs else (0.0, 0.0)

    def tint(square: Square) -> tuple[str, float]:
        if square.joules <= 0 or high <= low:
            return SERIES[0], 0.0
        return SERIES[0], TINT * (math.log(square.joules) - low) / (high - low)

    return tint


def _tint_of_accuracy(drawn: dict[tuple[str, str], Square]) -> Callable[[Square], tuple[str, float]]:
    shares = [square.accuracy for square in drawn.values() if square.accuracy is not None]
    low, high = (min(shares), max(shares)) if shares else (0.0, 0.0)

    def tint(square: Square) -> tuple[str, float]:
        if square.accuracy is None or high <= low:
            return SERIES[2], 0.0
        return SERIES[2], TINT * (square.accuracy - low) / (high - low)

    return tint


def _numbers(subject: Subject, squares: Sequence[Square], factor: float, unit: str) -> Numbers:
    def row(square: Square) -> tuple[Cell, ...]:
        ratio = square.change
        ends = (None, None, None) if ratio is None else (ratio.value - 1, ratio.low - 1, ratio.high - 1)
        cells: tuple[Cell, ...] = (square.of.model, square.of.compressor, square.joules / JOULES_PER_KWH, *ends)
        rounds = len(square.case.rounds)
        basis = None if ratio is None else ratio.basis
        return with_run(
            subject, square.of.run, (*cells, square.accuracy, rounds, square.case.status.value, basis, square.case.id)
        )

    fields = (
        *run_field(subject),
        Field("model", "model"),
        Field("compressor", "compressor"),
        kwh_field("energy_kwh", "energy", Scale(unit, factor)),
        Field("energy_change", "change against none, %", 100),
        Field("energy_change_low", "from, %", 100),
        Field("energy_change_high", "to, %", 100),
        Field("accuracy", "accuracy, %", 100),
        Field("rounds", "rounds"),
        Field("status", "status"),
        Field("basis", "interval from"),
        Field("case", "case"),
    )
    return Numbers(fields, tuple(map(row, squares)))


def _notes(squares: Sequence[Square], models: Sequence[str], compressors: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    rows, columns = len({square.row for square in squares}), len({square.of.compressor for square in squares})
    found += left_to_table(rows - len(models), "model")
    found += left_to_table(columns - len(compressors), "compressor")
    found += [f"Intervals: {basis}." for basis in dict.fromkeys(s.change.basis for s in squares if s.change)][:3]
    return tuple(found)


def _alt(squares: Sequence[Square]) -> str:
    changed = [square for square in squares if square.change is not None]
    models = len({square.row for square in squares})
    text = f"Energy, change and accuracy of {counted(models, 'model')} under "
    text += f"{counted(len({square.of.compressor for square in squares}), 'compressor')}."
    if changed:
        ordered = sorted(changed, key=lambda square: 0.0 if square.change is None else square.change.value)
        clear = [square for square in ordered if square.change is not None and square.change.is_clear]
        ends = [ordered[0]] if len(ordered) == 1 else [ordered[0], ordered[-1]]
        said = " to ".join(f"{_change(square).strip('()')} ({brief(square.of.name)})" for square in ends)
        text += f" Changes against none: {said}; {len(clear)} of {len(changed)} are more than noise."
    return text

"""Energy and accuracy against the tolerance that a compressor was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from energybench.analysis.row import Row
from energybench.analysis.study import CONTROLS, INFERENCE
from energybench.model import Status
from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import (
    MARKERS,
    Look,
    left_to_table,
    looks,
    provenance_note,
    run_field,
    with_run,
)
from energybench.reports.charts.names import brief, counted
from energybench.reports.charts.palette import MUTED, SERIES
from energybench.reports.charts.subject import Subject
from energybench.units import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 24
Path = tuple[tuple[str, str, str], tuple[Row, ...]]
"""(run, model, compressor) and its cases by rising tolerance"""


def chart(subject: Subject) -> Chart | None:
    """Two panels: energy over none's, and points of accuracy lost; None where no compressor has two tolerances."""
    paths = _paths(subject.study.rows)
    if not paths:
        return None
    drawn = paths[:MOST]
    look = looks(subject)
    several = len({(run, model) for (run, model, _), _ in drawn}) > 1
    # Of one model a compressor has its usual look; of several each line has a look of its own.
    own = {
        key: Look(SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]) if several else look[key[2]]
        for number, (key, _) in enumerate(drawn)
    }
    legend = [
        frame.Key(f"{model} {compressor}" if several else compressor, own[key].colour, own[key].marker)
        for key, _ in drawn
        for _, model, compressor in (key,)
    ]
    legend.append(frame.Key("loss = tolerance", MUTED, line=":"))
    top = frame.legend_inches(legend)

    def draw(figure: Figure) -> None:
        frame.legend(figure, legend)
        ratio, loss = frame.grid(figure, 2, across=2, left=0.72, top=top + 0.15, gap=(0.8, 0.5))
        limits: dict[str, list[float]] = {"x": [], "ratio": [0.0], "loss": [0.0]}
        for key, rows in drawn:
            colour, marker = own[key].colour, own[key].marker
            energy = [(100 * row.tolerance, row.energy.value - 1) for row in rows if row.energy is not None]
            bars = [
                [(100 * row.tolerance, row.energy.low - 1), (100 * row.tolerance, row.energy.high - 1)]
                for row in rows
                if row.energy is not None
            ]
            lost = [(100 * row.tolerance, 100 * row.loss) for row in rows if row.loss is not None]
            for axis, points in ((ratio, energy), (loss, lost)):
                frame.lines(axis, [points] if len(points) > 1 else [], colour)
                frame.dots(axis, points, colour, marker=marker)
            frame.lines(ratio, bars, colour, width=0.8, opacity=0.7)
            limits["x"] += [100 * row.tolerance for row in rows]
            limits["ratio"] += [y for bar in bars for _, y in bar]
            limits["loss"] += [y for _, y in lost]
        low, high = frame.span(limits["x"])
        for axis in (ratio, loss):
            axis.set_xlim(low, high)
            axis.set_xlabel("tolerance, points")
        loss.plot([0, high], [0, high], color=MUTED, linewidth=0.9, linestyle=":")
        ratio.set_ylim(*frame.span(limits["ratio"], least=0.05))
        loss.set_ylim(*frame.span([*limits["loss"], max(limits["x"])], least=0.5))
        frame.zero(ratio, vertical=False)
        frame.zero(loss, vertical=False)
        frame.percents(ratio, vertical=True)
        ratio.set_ylabel("energy beside none")
        loss.set_ylabel("accuracy lost, points")

    rows = [row for _, group in paths for row in group]
    return Chart(
        name="tolerance",
        title="Energy and accuracy against tolerance",
        explanation=(
            "What a compressor that may lose more accuracy gains in energy. Right: points lost beside none; above the "
            "dotted line a case lost more than it was allowed to."
        ),
        alt=_alt(paths),
        numbers=_numbers(subject, rows),
        draw=draw,
        inches=(frame.WIDTH, top + 3.1),
        notes=(
            *(f"Energy bars: {basis}." for basis in dict.fromkeys(r.energy.basis for r in rows if r.energy)),
            *left_to_table(len(paths) - len(drawn), "line"),
            *provenance_note(row.case for row in rows),
        ),
    )


def _paths(rows: Sequence[Row]) -> list[Path]:
    groups: dict[tuple[str, str, str], dict[float, Row]] = {}
    for row in rows:
        if row.protocol in (*CONTROLS, INFERENCE) or row.compressor == "none" or row.case.status is Status.FAILED:
            continue
        if row.energy is not None or row.loss is not None:
            groups.setdefault((row.run, row.model, _without_tolerance(row.compressor)), {})[row.tolerance] = row
    return [
        (key, tuple(group[tolerance] for tolerance in sorted(group))) for key, group in groups.items() if len(group) > 1
    ]


def _without_tolerance(compressor: str) -> str:
    """`stego@0.05` -> `stego`: a case may be named by its tolerance."""
    return compressor.partition("@")[0]


def _numbers(subject: Subject, rows: Sequence[Row]) -> Numbers:
    def row_of(row: Row) -> tuple[Cell, ...]:
        ratio = row.energy
        ends = (None, None, None) if ratio is None else (ratio.value - 1, ratio.low - 1, ratio.high - 1)
        cells = (row.case.id, row.model, row.compressor, row.tolerance, *ends, row.loss, row.accuracy, row.rate)
        return with_run(subject, row.run, (*cells, "yes" if row.is_accurate else "no"))

    fields = (
        *run_field(subject),
        Field("case", "case"),
        Field("model", "model"),
        Field("compressor", "compressor"),
        Field("tolerance", "tolerance, points", 100),
        Field("energy_change", "energy beside none, %", 100),
        Field("energy_change_low", "from, %", 100),
        Field("energy_change_high", "to, %", 100),
        Field("accuracy_lost", "accuracy lost, points", 100),
        Field("accuracy", "accuracy, %", 100),
        Field("rate", "compression rate"),
        Field("within_tolerance", "within the tolerance"),
    )
    return Numbers(fields, tuple(map(row_of, rows)))


def _alt(paths: Sequence[Path]) -> str:
    said = []
    for (_, model, compressor), rows in paths[:6]:
        first, last = rows[0], rows[-1]
        energies = [percent(None if row.energy is None else row.energy.value - 1) for row in (first, last)]
        said.append(
            f"{brief(model)} {brief(compressor)} from {energies[0]} energy at {100 * first.tolerance:g} points to "
            f"{energies[1]} at {100 * last.tolerance:g}"
        )
    more = f"; and {len(paths) - 6} more" if len(paths) > 6 else ""
    return f"Energy and accuracy against tolerance of {counted(len(paths), 'compressor')}: {'; '.join(said)}{more}."

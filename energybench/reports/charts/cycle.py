"""What a model costs from its compression to its n-th inference, and from which n a compressed one has paid off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from energybench.analysis.cycle import CycleRow, FullCycle, full_cycles
from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import (
    PANELS,
    keys,
    left_to_table,
    looks,
    provenance_note,
    run_field,
    with_run,
)
from energybench.reports.charts.multiples import Multiples
from energybench.reports.charts.names import brief, counted
from energybench.reports.charts.palette import MUTED
from energybench.reports.charts.subject import Subject
from energybench.units import energy_scale, significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LINES = 8
_POINTS = 49
_DECADES = (2.0, 7.0)
"""log10 of the images that are drawn at least"""
_FURTHEST = 12.0
Drawn = tuple[CycleRow, FullCycle]


def chart(subject: Subject) -> Chart | None:
    """A panel per model, both axes logarithmic; None where no inference case has all its parts."""
    rows = [row for run in subject.study.runs for row in full_cycles(subject.study.of(run))]
    whole: list[Drawn] = [(row, row.cycle) for row in rows if row.cycle and row.cycle.at(1) > 0]
    if not whole:
        return None
    groups: dict[str, list[Drawn]] = {}
    for row, cycle in whole:
        groups.setdefault(f"{row.model}, {row.run}" if subject.several else row.model, []).append((row, cycle))
    drawn = {name: group[:LINES] for name, group in list(groups.items())[:PANELS]}
    left = len(whole) - sum(map(len, drawn.values()))
    look = looks(subject)
    low, high = _reach(whole)
    images = [10 ** (low + (high - low) * k / (_POINTS - 1)) for k in range(_POINTS)]
    scale = energy_scale(cycle.at(images[_POINTS // 2]) for _, cycle in whole)
    legend = keys(look, (row.compressor for group in drawn.values() for row, _ in group), line="-")
    legend = [frame.Key(key.label, key.colour, line="-") for key in legend]
    if any(row.against_none is not None and row.against_none.images is not None for row, _ in whole):
        legend.append(frame.Key("break-even with none", MUTED, "o", filled=False))
    layout = Multiples(tuple(drawn), legend, heights=(1.5, 2.5), left=0.68)
    inside = tuple(drawn.values())

    def panel(axis: Axes, index: int) -> None:
        values = []
        for row, cycle in inside[index]:
            line = [(n, cycle.at(n) / scale.factor) for n in images]
            values += [y for _, y in line]
            frame.lines(axis, [line], look[row.compressor].colour)
        frame.log_axis(axis, (10**low, 10**high))
        frame.log_axis(axis, (min(values) / 1.3, max(values) * 1.3), vertical=True)
        for row, cycle in inside[index]:
            met = row.against_none
            if met is not None and met.images is not None and low <= math.log10(met.images) <= high:
                at = [(met.images, cycle.at(met.images) / scale.factor)]
                frame.dots(axis, at, look[row.compressor].colour, filled=False, size=5.5)

    return Chart(
        name="cycle",
        title="Full cycle: from compression to the n-th inference",
        explanation=(
            "E(n) = search + compression + training + n x inference, IT joules. A line begins where all is spent "
            "before the first image; where it crosses that of none (circle) the two have cost the same."
        ),
        alt=_alt(whole),
        numbers=_numbers(subject, rows),
        draw=lambda figure: layout.draw(figure, panel, x="images inferred", y=f"energy so far, {scale.unit}"),
        inches=layout.inches,
        notes=(
            *(f"{brief(row.case.short_id)}: {row.reason}." for row in rows if row.cycle is None),
            *left_to_table(left),
            *provenance_note(row.case for row, _ in whole),
        ),
    )


def _reach(whole: Sequence[Drawn]) -> tuple[float, float]:
    """log10 of the images from where the fixed part rules to behind the last break-even."""
    met = [row.against_none.images for row, _ in whole if row.against_none is not None and row.against_none.images]
    logs = [math.log10(images) for images in met if images >= 1]
    low, high = _DECADES
    return low, min(_FURTHEST, max(high, *(log + 0.7 for log in logs), high))


def _numbers(subject: Subject, rows: Sequence[CycleRow]) -> Numbers:
    def row_of(row: CycleRow) -> tuple[Cell, ...]:
        cycle, met = row.cycle, row.against_none
        parts: tuple[Cell, ...] = (None,) * 4
        if cycle is not None:
            parts = (cycle.search_j, cycle.fixed_j, cycle.inference_j, cycle.at(1e6))
        reason = met.reason if met is not None else row.reason
        cells = (row.case.id, row.model, row.compressor, row.batch, *parts, None if met is None else met.images)
        return with_run(subject, row.run, (*cells, reason or None))

    fields = (
        *run_field(subject),
        Field("case", "case"),
        Field("model", "model"),
        Field("compressor", "compressor"),
        Field("batch", "batch"),
        Field("search_j", "search, J"),
        Field("fixed_j", "before the first image, J"),
        Field("image_j", "J per image"),
        Field("million_j", "E(10^6), J"),
        Field("break_even_images", "break-even, images"),
        Field("reason", "beside none"),
    )
    return Numbers(fields, tuple(map(row_of, rows)))


def _alt(whole: Sequence[Drawn]) -> str:
    said = [
        f"{brief(row.case.short_id)} {row.against_none.reason}"
        + ("" if row.against_none.images is None else f" ({significant(row.against_none.images)} images)")
        for row, _ in whole
        if row.against_none is not None
    ]
    more = f"; and {len(said) - 6} more" if len(said) > 6 else ""
    beside = f" Beside none: {'; '.join(said[:6])}{more}." if said else ""
    return f"Energy from compression to the n-th image of {counted(len(whole), 'case')}.{beside}"

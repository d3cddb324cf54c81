"""Energy of each epoch, with the epochs that STEP takes as stable and what it would have projected from the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from energybench.model import Estimate
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
from energybench.reports.charts.names import counted
from energybench.reports.charts.palette import MUTED
from energybench.reports.charts.subject import Subject, Training
from energybench.units import Scale, energy, energy_scale, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from energybench.reports.charts.grouping import Look

SHARE = 0.4
"""of the epochs that have ended, after which the projection that is drawn was made"""
LINES = 8
"""in one panel"""


def chart(subject: Subject) -> Chart | None:
    """A panel per model, with the last round of each case; None where no round has two epochs with readings."""
    trainings = _last_rounds(subject.trainings)
    every = [one for one in placed(subject) if (one.run, one.case.id) in trainings]
    cases = [one for one in every if len(trainings[one.run, one.case.id].joules) > 1]
    if not cases:
        return None
    found, left = panels(cases, several=subject.several)
    left += sum(len(panel.cases[LINES:]) for panel in found)
    look = looks(subject)
    scale = energy_scale(j for one in cases for j in trainings[one.run, one.case.id].joules)
    legend = keys(look, (one.compressor for panel in found for one in panel.cases[:LINES]), line="-")
    legend += [
        frame.Key("stable epochs", MUTED, "o"),
        frame.Key("before them", MUTED, "o", filled=False),
        frame.Key(f"projected after {100 * SHARE:g} %", MUTED, line="--"),
    ]
    layout = Multiples([panel.title for panel in found], legend)

    def panel(axis: Axes, index: int) -> None:
        shown = [(one, trainings[one.run, one.case.id]) for one in found[index].cases[:LINES]]
        _panel(axis, shown, scale, look)

    drawn = [trainings[one.run, one.case.id] for one in cases]
    return Chart(
        name="epochs",
        title="Energy per epoch",
        explanation=(
            "Filled marks are the epochs that STEP takes as stable and projects from; hollow ones pay for warming up "
            f"or lie before a change. The dashed line is the mean that STEP would have gone on with when "
            f"{100 * SHARE:g} % of the epochs had ended."
        ),
        alt=_alt(drawn),
        numbers=_numbers(subject, cases, trainings, scale),
        draw=lambda figure: layout.draw(figure, panel, x="epoch", y=f"{scale.unit} per epoch"),
        inches=layout.inches,
        notes=(
            *(("Of several rounds the last is shown.",) if any(len(one.case.rounds) > 1 for one in cases) else ()),
            "Epochs only: evaluation, search and what lies between epochs is not in these joules.",
            *left_to_table(left),
            *provenance_note(one.case for one in cases),
        ),
    )


def projection(training: Training) -> tuple[float, Estimate] | None:
    """The earliest projection at SHARE of the epochs or later."""
    later = sorted(share for share in training.projections if share >= SHARE)
    return (later[0], training.projections[later[0]]) if later else None


def _last_rounds(trainings: Sequence[Training]) -> dict[tuple[str, str], Training]:
    return {(one.run, one.case): one for one in sorted(trainings, key=lambda one: one.number)}


def _panel(axis: Axes, shown: Sequence[tuple[Placed, Training]], scale: Scale, look: dict[str, Look]) -> None:
    longest, highest = 2, 0.0
    for one, training in shown:
        style = look[one.compressor]
        points = [(number, joules / scale.factor) for number, joules in enumerate(training.joules, 1)]
        longest, highest = max(longest, len(points)), max(highest, *(y for _, y in points))
        frame.lines(axis, [points], style.colour, width=0.9)
        begin, end = training.window or (0, 0)
        size = 3.5 if len(points) <= 40 else 1.8
        frame.dots(axis, points[begin:end], style.colour, marker=style.marker, size=size)
        frame.dots(axis, [*points[:begin], *points[end:]], style.colour, marker=style.marker, filled=False, size=size)
        made = projection(training)
        if made is not None and "window_mean_j" in made[1].basis:
            mean = float(made[1].basis["window_mean_j"]) / scale.factor
            seen = int(made[1].basis["epochs_seen"])
            frame.lines(axis, [[(seen, mean), (len(points), mean)]], style.colour, width=0.9, style="dashed")
            highest = max(highest, mean)
    axis.set_xlim(0.7, longest + 0.3)
    axis.set_ylim(0, 1.12 * highest or 1)
    axis.locator_params(axis="x", integer=True, nbins=6)
    axis.locator_params(axis="y", nbins=4)


def _numbers(
    subject: Subject, cases: Sequence[Placed], trainings: dict[tuple[str, str], Training], scale: Scale
) -> Numbers:
    rows: list[tuple[Cell, ...]] = []
    for one in cases:
        training = trainings[one.run, one.case.id]
        begin, end = training.window or (0, 0)
        made = projection(training)
        joules_projected = None if made is None else made[1].joules
        for number, (joules, seconds) in enumerate(zip(training.joules, training.seconds, strict=True), 1):
            stable = "yes" if begin < number <= end else "no"
            cells: tuple[Cell, ...] = (one.case.id, training.number, number, joules, seconds, stable, joules_projected)
            rows.append(with_run(subject, one.run, cells))
    fields = (
        *run_field(subject),
        Field("case", "case"),
        Field("round", "round"),
        Field("epoch", "epoch"),
        Field("energy_j", f"energy, {scale.unit}", 1 / scale.factor),
        Field("seconds", "seconds"),
        Field("stable", "stable"),
        Field("projected_j", f"all epochs, projected, {scale.unit}", 1 / scale.factor),
    )
    return Numbers(fields, tuple(rows))


def _alt(trainings: Sequence[Training]) -> str:
    errors = sorted(
        abs(made[1].joules / training.total_j - 1)
        for training in trainings
        if (made := projection(training)) is not None and training.total_j > 0
    )
    whole = [joules for training in trainings for joules in training.joules]
    text = (
        f"Energy per epoch of {counted(len(trainings), 'training')}: {energy(min(whole))} to {energy(max(whole))} an "
        f"epoch."
    )
    if errors:
        middle = percent(errors[len(errors) // 2]).lstrip("+")
        text += f" Projected after {100 * SHARE:g} % of the epochs, the median error of the sum is {middle}."
    return text

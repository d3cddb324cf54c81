"""What STEP would have projected of the run's own trainings, beside what they took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from energybench.model import Estimate
from energybench.reports.charts import frame
from energybench.reports.charts.chart import Cell, Chart, Field, Numbers
from energybench.reports.charts.grouping import cut_note, placed, provenance_note, run_field, with_run
from energybench.reports.charts.names import counted
from energybench.reports.charts.palette import SERIES
from energybench.reports.charts.subject import SHARES, Subject, Training
from energybench.units import energy_scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 3
"""epochs: one to leave out, one to look at, one to project"""


@dataclass(frozen=True, slots=True)
class Guess:
    """One projection, and the truth."""

    of: Training
    share: float
    """of the epochs that had ended"""
    made: Estimate

    @property
    def error(self) -> float:
        """Relative to what was metered; above 0 it was too much."""
        return self.made.joules / self.of.total_j - 1

    @property
    def ends(self) -> tuple[float, float] | None:
        """The interval, relative like `error`."""
        if self.made.interval is None:
            return None
        low, high = (end / self.of.total_j - 1 for end in self.made.interval)
        return low, high

    @property
    def is_held(self) -> bool:
        """Whether the interval holds the truth."""
        return self.ends is not None and self.ends[0] <= 0 <= self.ends[1]


def chart(subject: Subject) -> Chart | None:
    """A panel per share of epochs that had ended; None where no round has enough epochs for a projection."""
    guesses = [
        Guess(training, share, made)
        for training in subject.trainings
        if len(training.joules) >= FEWEST and training.total_j > 0
        for share, made in sorted(training.projections.items())
    ]
    if not guesses:
        return None
    shares = sorted({guess.share for guess in guesses})
    scale = energy_scale(guess.of.total_j for guess in guesses)
    bound = 1.15 * max(0.02, *(abs(guess.error) for guess in guesses))

    def draw(figure: Figure) -> None:
        axes = frame.grid(figure, len(shares), across=len(shares), left=0.72, top=0.35, gap=(0.22, 0.5))
        limits = _limits([guess.of.total_j / scale.factor for guess in guesses])
        for number, (axis, share) in enumerate(zip(axes, shares, strict=True)):
            shown = [guess for guess in guesses if guess.share == share]
            frame.log_axis(axis, limits)
            axis.set_ylim(-bound, bound)
            bars = [
                [
                    (guess.of.total_j / scale.factor, max(-bound, guess.ends[0])),
                    (guess.of.total_j / scale.factor, min(bound, guess.ends[1])),
                ]
                for guess in shown
                if guess.ends is not None
            ]
            frame.lines(axis, bars, SERIES[6], width=0.8, opacity=0.7)
            frame.dots(axis, [(g.of.total_j / scale.factor, g.error) for g in shown], SERIES[0], size=3.5)
            frame.zero(axis, vertical=False)
            frame.percents(axis, vertical=True)
            frame.title(axis, f"after {100 * share:g} % of the epochs")
            axis.set_xlabel(f"measured, {scale.unit}")
            if number:
                axis.tick_params(labelleft=False)
        axes[0].set_ylabel("projected beside measured")

    return Chart(
        name="predicted",
        title="Projected against measured",
        explanation=(
            "Each mark is a training of this run: what STEP would have projected for all its epochs when only a part "
            "had ended, beside what they took. On the line it was right; bars are its 90 % intervals."
        ),
        alt=_alt(guesses, shares),
        numbers=_numbers(subject, guesses),
        draw=draw,
        inches=(frame.WIDTH, 3.0),
        notes=(
            "Replayed from the stored epochs, with the number of epochs taken as known.",
            *_silent(subject.trainings),
            *cut_note((end for guess in guesses for end in guess.ends or ()), -bound, bound),
            *provenance_note(one.case for one in placed(subject)),
        ),
    )


def _limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return low / 1.25, high * 1.25


def _silent(trainings: Sequence[Training]) -> tuple[str, ...]:
    """Where STEP would have said nothing yet."""
    able = [training for training in trainings if len(training.joules) >= FEWEST]
    counts = {share: sum(share not in training.projections for training in able) for share in SHARES}
    return tuple(
        f"After {100 * share:g} % STEP had nothing to say of {counted(count, 'training')} yet."
        for share, count in counts.items()
        if count
    )


def _numbers(subject: Subject, guesses: Sequence[Guess]) -> Numbers:
    def row(guess: Guess) -> tuple[Cell, ...]:
        ends = guess.made.interval or (None, None)
        cells: tuple[Cell, ...] = (
            guess.of.case,
            guess.of.number,
            guess.share,
            guess.made.basis.get("epochs_seen"),
            len(guess.of.joules),
            guess.made.joules,
            *ends,
            guess.of.total_j,
            guess.error,
            "yes" if guess.is_held else "no",
        )
        return with_run(subject, guess.of.run, cells)

    fields = (
        *run_field(subject),
        Field("case", "case"),
        Field("round", "round"),
        Field("share", "of the epochs, %", 100),
        Field("epochs_seen", "epochs seen"),
        Field("epochs", "epochs in all"),
        Field("projected_j", "projected, J"),
        Field("projected_low_j", "from, J"),
        Field("projected_high_j", "to, J"),
        Field("measured_j", "measured, J"),
        Field("error", "error, %", 100),
        Field("held", "within the interval"),
    )
    return Numbers(fields, tuple(map(row, guesses)))


def _alt(guesses: Sequence[Guess], shares: Sequence[float]) -> str:
    parts = []
    for share in shares:
        of = [guess for guess in guesses if guess.share == share]
        held = sum(guess.is_held for guess in of)
        parts.append(
            f"after {100 * share:g} % of the epochs the median error is "
            f"{100 * median(abs(guess.error) for guess in of):.1f} % and the interval held {held} of {len(of)}"
        )
    return f"Projections of STEP beside the measured energy: {'; '.join(parts)}."

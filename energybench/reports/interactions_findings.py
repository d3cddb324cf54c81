"""What the table model x environment tells: analysis of variance, rank correlations, cheapest combinations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from energybench.analysis.anova import SUMS, Anova, Effect
from energybench.analysis.interactions import Interactions
from energybench.analysis.interactions_cells import SCORES, Cell, kind_of
from energybench.analysis.interactions_choice import ALL, Choice
from energybench.analysis.row import Ratio
from energybench.reports.part import Part
from energybench.reports.table import Column
from energybench.units import energy_scale, significant


def findings(found: Interactions) -> list[Part]:
    """One part for each of them; no choice where no combination has a score."""
    return [_variance(found), _ranks(found), *_choices(found)]


def _variance(found: Interactions) -> Part:
    table = found.anova
    effects = {"model": table.rows, "environment": table.columns, "interaction": table.interaction}
    names = (*effects, "within a cell")

    def column(head: str, text: Callable[[Effect], str], last: str = "", drop: int = 0) -> Column:
        return Column(head, (*(text(effect) for effect in effects.values()), last or "-"), drop=drop)

    sd = table.error_sd
    columns = (
        Column("effect", names, left=True),
        column("SS", lambda e: significant(e.ss), significant(table.error_ss) if table.error_df else "-", drop=4),
        column("df", lambda e: str(e.df), str(table.error_df)),
        column("factor", lambda e: _factor(e.rms), "-" if sd is None else _factor(sd), drop=2),
        column("F", lambda e: _number(e.f), drop=3),
        column("p", lambda e: _p(e.p)),
        column("eta_p^2", lambda e: "-" if e.eta is None else share(e.eta.value)),
        column("95 %", lambda e: "-" if e.eta is None else f"{share(e.eta.low)} .. {share(e.eta.high)}"),
        column("omega_p^2", lambda e: "-" if e.eta is None else share(e.eta.omega), drop=1),
    )
    title = f"Two-way analysis of variance of ln J of an epoch ({SUMS} sums of squares)"
    return Part(title, columns, lines=tuple(_variance_lines(found, table)))


def _variance_lines(found: Interactions, table: Anova) -> list[str]:
    lines = [
        "factor: e to the root mean square of an effect, by which it typically multiplies or divides an epoch's energy."
    ]
    if table.untested:
        lines.append(f"No test and no partial eta squared: {table.untested}. Measure with --energy-rounds 3.")
    else:
        lines.append(
            "eta_p^2: partial eta squared of the sample. The interval (noncentral F) and omega_p^2 are of the "
            "population's, which the sample's exceeds where degrees of freedom are many."
        )
    if not table.untested and not table.interaction.df:
        lines.append("Models and environments meet in too few cells to tell an interaction.")
    if not table.untested and not table.columns.df:
        lines.append("Each machine has one setting, so that environments differ by nothing but their runs' baselines.")
    if not table.balanced:
        lines.append(
            "Unbalanced: each factor is adjusted for the other, not for the interaction (type II), and the intervals "
            "are approximate."
        )
    if len(found.runs) > 1:
        lines.append("Runs are blocks: how far one run lies above another is in no effect.")
    return lines


def _ranks(found: Interactions) -> Part:
    several = len(found.runs) > 1
    rows = found.ranks
    columns = [
        Column("quantity", tuple(row.quantity for row in rows), left=True),
        Column("all cells", tuple(_signed(row.over_cells) for row in rows)),
        Column("n", tuple(str(row.cells) for row in rows)),
        Column("lowest", tuple(_signed(min(row.within.values(), default=None)) for row in rows)),
        Column("median", tuple(_signed(_median(row.within)) for row in rows)),
        Column("highest", tuple(_signed(max(row.within.values(), default=None)) for row in rows)),
        Column("environments", tuple(str(len(row.within)) for row in rows)),
    ]
    if several:
        columns.insert(0, Column("run", tuple(row.run for row in rows), left=True))
    lines = ["lowest, median, highest: over the models of one environment, of all environments with 3 models or more."]
    lines += [f"{f'{row.run}, ' if several else ''}{row.quantity}: {row.reason}." for row in rows if row.reason]
    if kind_of(found.cells[0].case) == "estimated":
        lines.append(
            "The joules are estimated from CPU time, so that TDP x t says nearly the same: no test of it on its own."
        )
    groups = tuple(row.run for row in rows) if several else ()
    return Part("Rank correlation (Spearman) with the energy of an epoch", tuple(columns), groups, tuple(lines))


def _choices(found: Interactions) -> list[Part]:
    rows = found.choices
    if not rows:
        return []
    several = len(found.runs) > 1
    scale = energy_scale(row.cheapest.joules_per_sample for row in rows)
    savings = [(row.beside_dearest, row.beside_default) for row in rows]
    columns = [
        Column("choice", tuple(row.scope for row in rows), left=True),
        Column("by", tuple(", ".join(SCORES[score] for score in row.scores) for row in rows), left=True),
        Column("cheapest", tuple(named(row, row.cheapest) for row in rows), left=True),
        Column(f"{scale.unit}/sample", tuple(scale.text(row.cheapest.joules_per_sample) for row in rows), drop=3),
        Column("points", tuple(_lost(row) for row in rows), drop=1),
        Column("saving", tuple(_saving(dear) for dear, _ in savings)),
        Column("95 %", tuple(_interval(dear) for dear, _ in savings), drop=5),
        Column("dearest", tuple(named(row, row.dearest) for row in rows), drop=7, left=True),
        Column("of default", tuple(_saving(default) for _, default in savings)),
        Column("its 95 %", tuple(_interval(default) for _, default in savings), drop=6),
        Column("default", tuple(named(row, row.default) for row in rows), drop=8, left=True),
        Column("within", tuple(f"{row.within} of {row.of}" for row in rows), drop=4),
    ]
    if several:
        columns.insert(0, Column("run", tuple(row.run for row in rows), left=True))
    lines = [
        "saving: percent of the energy per sample of the dearest combination within the loss; of default: of the "
        "recipe's own environment (all models: the model with the best score there). points: what the cheapest loses "
        "of the best score; negative ones cannot be. Chosen after looking, so that a second run will show less."
    ]
    lines += _resolution(found)
    title = f"Cheapest combination that loses at most {100 * found.loss:g} points"
    groups = tuple(row.run for row in rows) if several else ()
    return [Part(title, tuple(columns), groups, tuple(lines))]


def _resolution(found: Interactions) -> list[str]:
    """How many images the scores rest on, where the cases recorded it."""
    totals = [total for cell in found.cells if (total := cell.case.mean_metric("total"))]
    if not totals:
        return []
    few = min(totals)
    return [f"Scores on {few:g} images: one of them is {100 / few:.2g} points of accuracy."]


def named(choice: Choice, cell: Cell | None) -> str:
    """Model and environment of a combination; of one model's choices the environment alone."""
    if cell is None:
        return "-"
    return f"{cell.model} {cell.environment}" if choice.scope == ALL else cell.environment


def _lost(choice: Choice) -> str:
    lost = [value for score in choice.scores if (value := choice.lost(score)) is not None]
    return ", ".join(f"{100 * value + 0.0:.2f}" for value in lost)


def _saving(ratio: Ratio | None) -> str:
    return "-" if ratio is None else f"{100 * ratio.saving + 0.0:.1f}"


def _interval(ratio: Ratio | None) -> str:
    if ratio is None or ratio.low == ratio.high:  # of a combination beside itself
        return "-"
    low, high = ratio.saving_interval
    return f"{100 * low:.1f} .. {100 * high:.1f}"


def _median(within: Mapping[str, float]) -> float | None:
    values: Sequence[float] = sorted(within.values())
    if not values:
        return None
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def _factor(logarithm: float) -> str:
    return f"{math.exp(logarithm):.3f}"


def share(value: float) -> str:
    """A share of variance, to three places."""
    return f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else significant(value)


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2g}" if value >= 1e-16 else "<1e-16"

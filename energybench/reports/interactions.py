"""Model x environment for people, as text and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from energybench.analysis.interactions import PAPER_ETA, PAPER_LOSS, PAPER_SAVING, Interactions
from energybench.analysis.interactions_cells import SCORES, kind_of
from energybench.analysis.interactions_choice import ALL
from energybench.reports.interactions_findings import findings, named, share
from energybench.reports.part import Part, as_markdown, as_text, filled
from energybench.reports.table import GAP, Column
from energybench.units import energy_scale, significant

WIDTH = 80
_NAMED = 6
"""missing cells that are named before the rest is counted"""


def interactions_text(found: Interactions, *, width: int = WIDTH) -> str:
    """Tables, analysis of variance, rank correlations and choices, a table of many models in several pieces."""
    heading = [*found.runs, *(f"  {filled(line, width - 2, '  ')}" for line in _heading(found))]
    tables = [piece for part in _two_way(found) for piece in _pieces(part, width)]
    parts = [as_text(part, width) for part in (*tables, *findings(found))]
    paper = "\n".join(filled(line, width, "  ") for line in _paper(found))
    return "\n\n".join(["\n".join(heading), *parts, paper])


def interactions_markdown(found: Interactions) -> str:
    """The same as Markdown, all columns shown."""
    heading = f"# {', '.join(found.runs)}\n\n" + "\n".join(f"- {line}" for line in _heading(found))
    paper = "## The paper\n\n" + "\n".join(f"- {line}" for line in _paper(found))
    return "\n\n".join([heading, *map(as_markdown, (*_two_way(found), *findings(found))), paper])


_PER_EPOCH = "IT energy of an epoch, geometric mean of the rounds"
_PER_SAMPLE = "IT energy per training sample, geometric mean of the rounds"
_EFFECTS = "Energy of an epoch over the run's own baseline, geometric mean of the rounds"


def _heading(found: Interactions) -> list[str]:
    """What all figures rest on."""
    counts = sorted({len(cell.epochs) for cell in found.cells})
    rounds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    lines = [
        f"{len(found.cells)} cells of the protocol {found.protocol}: {len(found.models)} models, "
        f"{len(found.environments)} environments, {rounds} round{'' if counts == [1] else 's'} a cell; "
        f"energy {kind_of(found.cells[0].case)}."
    ]
    letters = len(found.machines) > 1
    lines += [f"{f'@{letter}: ' if letters else ''}{words}." for letter, words in found.machines.items()]
    if len(found.runs) > 1:
        lines.append(
            "Raw joules of several runs are not compared: every figure across them is ln J less the run's own mean "
            f"over the {found.shared} cell{'' if found.shared == 1 else 's'} (model and setting) that all of them have."
        )
    if found.missing:
        named = ", ".join(f"{model} in {environment}" for model, environment in found.missing[:_NAMED])
        more = f" and {len(found.missing) - _NAMED} more" if len(found.missing) > _NAMED else ""
        lines.append(f"Missing: {named}{more}.")
    return [*lines, *(f"{note[0].upper()}{note[1:]}." for note in found.notes)]


def _two_way(found: Interactions) -> list[Part]:
    """Joules of one run; of several runs what each cell is of its run's own baseline."""
    if len(found.runs) > 1:
        line = "A cell of 1.5 takes half as much again as its run's mean over the shared cells."
        return [_table(_EFFECTS, found, lambda m, e: _number(found.effect(m, e)), (line,))]
    cells = {(cell.model, cell.environment): cell for cell in found.cells}
    parts = [_joules(_PER_EPOCH, found, {key: cell.joules for key, cell in cells.items()})]
    each = {key: cell.joules_per_sample for key, cell in cells.items()}
    return [*parts, _joules(_PER_SAMPLE, found, each)] if any(each.values()) else parts


def _joules(title: str, found: Interactions, joules: Mapping[tuple[str, str], float | None]) -> Part:
    scale = energy_scale(joules.values())
    return _table(f"{title}, {scale.unit}", found, lambda *place: scale.text(joules.get(place)))


def _table(title: str, found: Interactions, cell: Callable[[str, str], str], lines: tuple[str, ...] = ()) -> Part:
    columns = [Column("environment", found.environments, left=True)]
    columns += [Column(model, tuple(cell(model, place) for place in found.environments)) for model in found.models]
    return Part(title, tuple(columns), lines=lines)


def _pieces(part: Part, width: int) -> list[Part]:
    """A wide table as several, each with the first column: leaving models out would be another table."""
    first, *rest = part.columns
    groups: list[list[Column]] = [[]]
    for column in rest:
        taken = sum(GAP + one.width for one in groups[-1])
        if groups[-1] and first.width + taken + GAP + column.width > width:
            groups.append([])
        groups[-1].append(column)
    count = len(groups)
    return [
        Part(
            part.title if count == 1 else f"{part.title} ({number} of {count})",
            (first, *group),
            lines=part.lines if number == count else (),
        )
        for number, group in enumerate(groups, 1)
    ]


def _paper(found: Interactions) -> list[str]:
    """What the paper states beside what was found."""
    lines = ["What the paper states (del Rey et al., arXiv 2307.05520), on other devices and data:"]
    eta = found.anova.interaction.eta
    here = (
        "not tested here" if eta is None else f"here {share(eta.value)}, interval {share(eta.low)} .. {share(eta.high)}"
    )
    lines.append(f"- partial eta squared of model x environment {PAPER_ETA}; {here}.")
    best = max(
        (choice for choice in found.choices if choice.scope == ALL),
        key=lambda choice: ("macro_f1" in choice.scores, choice.beside_dearest.saving),
        default=None,
    )
    said = "not to be told here, where the combinations have no score on the same data"
    if best is not None:
        score = SCORES["macro_f1" if "macro_f1" in best.scores else "accuracy"]
        said = (
            f"here {100 * best.beside_dearest.saving:.1f} % at up to {100 * found.loss:g} points of {score}, by "
            f"{named(best, best.cheapest)} instead of {named(best, best.dearest)}"
        )
    lines.append(f"- up to {100 * PAPER_SAVING:.2f} % saved at less than {100 * PAPER_LOSS:g} % of F1; {said}.")
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else significant(value)

"""The cheapest combination of model and environment that loses little, and what the choice saves.

Only within one run. The cheapest is picked after looking, out of noisy values: its saving is an upper bound of what
another run will show, the closer the more rounds there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from energybench.analysis.interactions_cells import SCORES, Cell, data_of
from energybench.analysis.row import Ratio, ratio_of

ALL = "all models"


@dataclass(frozen=True, slots=True)
class Choice:
    """The cheapest combination within the loss, of one run and of all models or one."""

    run: str
    scope: str
    """`all models`, or a model: then only the environment is chosen"""
    scores: tuple[str, ...]
    """the metrics by which it was chosen; several where they lead to the same"""
    reference: Cell
    """the combination with the best score, from which the loss is counted"""
    cheapest: Cell
    dearest: Cell
    """of those within the loss"""
    default: Cell | None
    """the recipe's own environment; of all models the one with the best score there. None where it was not measured"""
    within: int
    """combinations within the loss"""
    of: int
    """combinations with a score"""

    @property
    def beside_dearest(self) -> Ratio:
        """Energy per sample of the cheapest over the dearest's, with its interval."""
        return _ratio(self.dearest, self.cheapest)

    @property
    def beside_default(self) -> Ratio | None:
        """The same over the default's."""
        return None if self.default is None else _ratio(self.default, self.cheapest)

    def lost(self, score: str) -> float | None:
        """Score of the best combination less the cheapest's, as a share."""
        best, found = self.reference.score(score), self.cheapest.score(score)
        return None if best is None or found is None else best - found


def choices(cells: Sequence[Cell], loss: float) -> tuple[Choice, ...]:
    """For all models of a run and for each: the cheapest within `loss` (a share) of the best accuracy and macro F1.

    Where there is one combination alone there is nothing to choose, and no choice; nor is there one of all models where
    they trained on different data.
    """
    found: list[Choice] = []
    for run in dict.fromkeys(cell.run for cell in cells):
        here = [cell for cell in cells if cell.run == run]
        scopes = [ALL] if len(data_of(here)) == 1 else []
        for scope in (*scopes, *dict.fromkeys(cell.model for cell in here)):
            scoped = [cell for cell in here if scope in (ALL, cell.model)]
            made = [c for score in SCORES if (c := _choice(run, scope, score, scoped, loss)) is not None]
            found += _merged(made)
    return tuple(found)


def _choice(run: str, scope: str, score: str, cells: Sequence[Cell], loss: float) -> Choice | None:
    """None where fewer than two combinations have both a score and joules per sample."""

    def value(cell: Cell) -> float:
        return cell.score(score) or 0.0

    def price(cell: Cell) -> float:
        return cell.joules_per_sample or 0.0

    def best(cell: Cell) -> tuple[float, float]:
        return value(cell), -price(cell)

    known = [cell for cell in cells if cell.score(score) is not None and cell.joules_per_sample is not None]
    if len(known) < 2:
        return None
    reference = max(known, key=best)
    within = [cell for cell in known if value(cell) >= value(reference) - loss - 1e-9]
    return Choice(
        run=run,
        scope=scope,
        scores=(score,),
        reference=reference,
        cheapest=min(within, key=price),
        dearest=max(within, key=price),
        default=max((cell for cell in known if cell.is_default), key=best, default=None),
        within=len(within),
        of=len(known),
    )


def _merged(made: Sequence[Choice]) -> list[Choice]:
    """One choice where two scores lead to the same combinations."""
    if len(made) == 2 and replace(made[0], scores=()) == replace(made[1], scores=()):
        return [replace(made[0], scores=(*made[0].scores, *made[1].scores))]
    return list(made)


def _ratio(dear: Cell, cheap: Cell) -> Ratio:
    """Per sample, by geometric means of the rounds."""
    if dear is cheap:
        return Ratio(1.0, 1.0, 1.0, "the same combination")
    old, new = ([e.joules / e.images for e in cell.epochs if e.images] for cell in (dear, cheap))
    ratio = ratio_of(old, new)
    assert ratio is not None  # a cell has at least one epoch, with positive joules and images
    return ratio

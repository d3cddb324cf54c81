"""Whether FLOPs, parameters or TDP x time rank the energy of an epoch: Spearman's correlation, within one run.

FLOPs and parameters belong to the model alone, so they say nothing where only the environment changes; hence beside the
correlation over all cells the one within each environment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from energybench.analysis.interactions_cells import Cell

FEWEST = 3
"""cells: two are always ranked rightly or wrongly"""


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """One quantity against the energy of an epoch in one run."""

    run: str
    quantity: str
    over_cells: float | None
    """over all cells; None where there are too few, or the quantity is the same in all of them"""
    cells: int
    """that state the quantity"""
    within: Mapping[str, float] = field(default_factory=dict)
    """environment -> the correlation over its models, where it has one"""
    reason: str = ""
    """why something is absent"""


def rank_correlations(cells: Sequence[Cell]) -> tuple[RankCorrelation, ...]:
    """FLOPs, parameters and TDP x t of every run."""
    found = []
    for run in dict.fromkeys(cell.run for cell in cells):
        here = [cell for cell in cells if cell.run == run]
        rated, reason = _rated(here)
        found += [
            _correlation(run, "FLOPs", here, lambda cell: cell.flops),
            _correlation(run, "parameters", here, lambda cell: cell.parameters),
            _correlation(run, "TDP x t", here, rated, reason),
        ]
    return tuple(found)


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Rank correlation, ties at their mean rank; None for fewer than three pairs or a side without differences."""
    if len(a) < FEWEST:
        return None
    x, y = _ranks(a), _ranks(b)
    middle = (len(a) + 1) / 2
    xx, yy, xy = (
        math.fsum((p - middle) * (q - middle) for p, q in zip(left, right, strict=True))
        for left, right in ((x, x), (y, y), (x, y))
    )
    return None if xx == 0 or yy == 0 else max(-1.0, min(1.0, xy / math.sqrt(xx * yy)))


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or values[order[end]] != values[order[start]]:
            for index in order[start:end]:
                ranks[index] = (start + 1 + end) / 2
            start = end
    return ranks


def _rated(cells: Sequence[Cell]) -> tuple[Callable[[Cell], float | None], str]:
    """TDP x t of a cell. Where one device trains them all, its power cancels in the ranks and need not be known."""
    devices = {cell.device for cell in cells}
    watts = {cell.rated_w for cell in cells}
    if None in watts and len(devices) > 1:
        return (lambda cell: None), "the rated power of one of the devices is not known"
    if None in watts:
        return (lambda cell: cell.seconds), ""
    return (lambda cell: (cell.rated_w or 0.0) * cell.seconds), ""


def _correlation(
    run: str, quantity: str, cells: Sequence[Cell], value: Callable[[Cell], float | None], reason: str = ""
) -> RankCorrelation:
    known = [(cell, found) for cell in cells if (found := value(cell)) is not None]

    def rho(pairs: Sequence[tuple[Cell, float]]) -> float | None:
        return spearman([found for _, found in pairs], [cell.joules for cell, _ in pairs])

    over = rho(known)
    within = {}
    for environment in dict.fromkeys(cell.environment for cell, _ in known):
        one = rho([pair for pair in known if pair[0].environment == environment])
        if one is not None:
            within[environment] = one
    if not reason and over is None:
        few = f"fewer than {FEWEST} cells state it"
        reason = few if len(known) < FEWEST else "it is the same in all cells, or their energy is"
    return RankCorrelation(run, quantity, over, len(known), within, reason)

"""Two-way analysis of variance with interaction, for tables that may be unbalanced and measured in several blocks.

Every sum of squares is the difference of two least-squares fits. Those of the two factors are of type II: each factor
beside the other and the blocks, whatever the interaction. In a balanced table types I, II and III are the same. The
error is what the values of one cell and block differ by, and nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from energybench.analysis.eta import PartialEta, f_tail, partial_eta

SUMS = "type II"
"""the sums of squares of the two factors"""
_DEPENDENT = 1e-9
"""a column of which less than this share is left beside the others is a sum of them"""
_NO_SPREAD = 1e-12
"""values of a cell that differ by less than this, relatively, are equal but for rounding"""

Level = Hashable


@dataclass(frozen=True, slots=True)
class Observation:
    """One value of one cell."""

    row: Level
    column: Level
    value: float
    block: Level = None
    """values are compared within a block only, such as a session on one machine"""


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the table."""

    ss: float
    df: int
    n: int
    """values in the whole table"""
    f: float | None = None
    """None where nothing was tested; Anova.untested says why"""
    p: float | None = None
    eta: PartialEta | None = None

    @property
    def rms(self) -> float:
        """Root mean square of the effect over the values: how far it moves one, in the values' own unit."""
        return math.sqrt(self.ss / self.n)


@dataclass(frozen=True, slots=True)
class Anova:
    """The table: two factors, their interaction, the error."""

    rows: Effect
    columns: Effect
    interaction: Effect
    error_ss: float
    error_df: int
    n: int
    balanced: bool
    """whether every row meets every column, equally often in every block that has the column"""
    untested: str = ""
    """why nothing was tested; empty where it was"""

    @property
    def error_sd(self) -> float | None:
        """Standard deviation within a cell; None where no cell has two values."""
        return math.sqrt(self.error_ss / self.error_df) if self.error_df else None


def two_way(values: Sequence[Observation], confidence: float = 0.95) -> Anova:
    """The analysis of values over rows and columns.

    Without two values in any cell there is no error to hold an effect against: sums of squares are given, and no test.
    An effect without degrees of freedom (one row; rows and columns that meet in too few cells) is not tested either.
    """
    blocks, rows, columns = ([getattr(v, name) for v in values] for name in ("block", "row", "column"))
    cells = [(v.row, v.column) for v in values]
    y = [v.value for v in values]
    full, additive = _fit(y, cells, blocks), _fit(y, columns, rows, blocks)
    without_rows, without_columns = _fit(y, columns, blocks), _fit(y, rows, blocks)
    n, error_df = len(y), len(y) - full.rank
    untested, spread = "", _NO_SPREAD * max(1.0, *map(abs, y))
    if not error_df:
        untested = "one round per cell: the interaction cannot be told from the noise of a round"
    elif full.rss <= n * spread * spread:
        untested = "the rounds of every cell are equal, so there is no noise to hold an effect against"

    def effect(smaller: _Fit, larger: _Fit) -> Effect:
        ss, df = max(0.0, smaller.rss - larger.rss), larger.rank - smaller.rank
        if untested or not df:
            return Effect(ss, df, n)
        f = ss / df / (full.rss / error_df)
        return Effect(ss, df, n, f, f_tail(f, df, error_df), partial_eta(f, df, error_df, n, confidence))

    return Anova(
        rows=effect(without_rows, additive),
        columns=effect(without_columns, additive),
        interaction=effect(additive, full),
        error_ss=full.rss,
        error_df=error_df,
        n=n,
        balanced=_balanced(values),
        untested=untested,
    )


def _balanced(values: Sequence[Observation]) -> bool:
    counts = Counter((v.block, v.row, v.column) for v in values)
    there = {(v.block, v.column) for v in values}
    rows = {v.row for v in values}
    return len(set(counts.values())) == 1 and len(counts) == len(there) * len(rows)


@dataclass(frozen=True, slots=True)
class _Fit:
    rss: float
    """what is left of the values' squares"""
    rank: int


def _fit(y: Sequence[float], *factors: Sequence[Level]) -> _Fit:
    """Least squares on the levels of all factors together.

    The factor with the most levels is taken out by the means of its groups, in which the others' columns become nearly
    as few as they have levels; those are made orthogonal one after the other (Gram and Schmidt, twice for accuracy).
    """
    widest = max(factors, key=lambda factor: len(set(factor)))
    groups: dict[Level, list[int]] = {}
    for index, level in enumerate(widest):
        groups.setdefault(level, []).append(index)

    def centred(column: Sequence[float]) -> list[float]:
        out = list(column)
        for indices in groups.values():
            mean = math.fsum(column[i] for i in indices) / len(indices)
            for i in indices:
                out[i] -= mean
        return out

    basis: list[list[float]] = []
    for factor in factors:
        if factor is widest:
            continue
        for level in dict.fromkeys(factor):
            column = [float(other == level) for other in factor]
            size = math.fsum(column)
            left = _apart(_apart(centred(column), basis), basis)
            length = _product(left, left)
            if length > _DEPENDENT * size:
                basis.append([x / math.sqrt(length) for x in left])
    rest = _apart(_apart(centred(y), basis), basis)
    return _Fit(_product(rest, rest), len(groups) + len(basis))


def _apart(column: list[float], basis: Sequence[Sequence[float]]) -> list[float]:
    """What is left of the column beside the basis."""
    for unit in basis:
        share = _product(column, unit)
        column = [x - share * u for x, u in zip(column, unit, strict=True)]
    return column


def _product(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))

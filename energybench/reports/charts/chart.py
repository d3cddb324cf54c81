"""A chart: what it shows in words, its numbers, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | float | int | None
"""None: absent"""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a chart's numbers."""

    name: str
    """as in a CSV file; a quantity ends in its unit: `energy_kwh`, `accuracy`, `low_j`"""
    title: str
    """as a reader sees it: `energy, mWh`"""
    scale: float = 1.0
    """what a number is multiplied by where it is shown under `title`; a CSV file holds it as it is"""
    digits: int = 3
    """significant digits where it is shown"""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers that a chart draws; a table, and a CSV file."""

    fields: tuple[Field, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture with its numbers. Whatever is drawn stands in `numbers`, and nothing is drawn that is absent."""

    name: str
    """`pareto`, `decompose`, ...: the word of `energybench plot`, and the anchor in a report"""
    title: str
    explanation: str
    """how to read it, in one to three sentences"""
    alt: str
    """what it shows, in words with its most important figures: the text for whoever cannot see it"""
    numbers: Numbers
    draw: Callable[[Figure], None]
    """draws onto an empty figure, in colours of energybench.reports.charts.palette only"""
    inches: tuple[float, float] = (7.0, 4.0)
    """width and height of the figure"""
    notes: tuple[str, ...] = ()
    """what a reader must know of it: assumed noise, absent readings, cases that were left out"""

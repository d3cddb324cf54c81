"""A table that fits its terminal: whole columns are left out, never characters of a case's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GAP = 2
"""Characters between two columns of tabulate's `simple` format."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column, with all its cells as text."""

    header: str
    cells: tuple[str, ...]
    drop: int = 0
    """0: always shown; else columns with larger numbers are left out first where the table is too wide"""
    left: bool = False
    """text is flush left, numbers flush right"""

    @property
    def width(self) -> int:
        """Characters of the widest line of the column."""
        # tabulate pads a header by its gap.
        return max(len(self.header) + GAP, *map(len, "\n".join(self.cells).split("\n")))

    @property
    def is_empty(self) -> bool:
        """Whether no row has a value."""
        return all(cell in ("", "-") for cell in self.cells)


def render(columns: Sequence[Column], width: int, groups: Sequence[str] = ()) -> str:
    """The table as text, at most `width` characters wide where its undroppable columns allow it.

    `groups` names the group of each row; a rule is drawn where it changes. Columns that were left out are named below
    the table.
    """
    shown = [column for column in columns if not (column.drop and column.is_empty)]
    left_out: list[Column] = []
    while _total(shown) > width and any(column.drop for column in shown):
        widest = max((column for column in shown if column.drop), key=lambda column: column.drop)
        shown.remove(widest)
        left_out.insert(0, widest)
    text = "".join(["".join((column.header, *column.cells)) for column in shown])
    plain = text.isascii() and text.isprintable()
    lines = _plain_lines(shown, groups) if plain else _tabulated(shown, groups)
    if left_out:
        names = ", ".join(" ".join(column.header.split()) for column in left_out)
        lines.append(f"Not shown at this width: {names}.")
    return "\n".join(lines)


def _plain_lines(columns: Sequence[Column], groups: Sequence[str]) -> list[str]:
    """The lines that `_tabulated` gives where every cell is one line of ASCII, in a tenth of the time."""
    cells = [[column.header, *map(str.strip, column.cells)] for column in columns]
    widths = [max(len(header) + GAP, *map(len, texts)) for header, *texts in cells]
    filled = [
        [text.ljust(width) if column.left else text.rjust(width) for text in texts]
        for column, texts, width in zip(columns, cells, widths, strict=True)
    ]
    gap = " " * GAP
    rule = gap.join("-" * width for width in widths)
    head, *rows = [gap.join(row).rstrip() for row in zip(*filled, strict=True)]
    lines = [head, rule]
    for index, row in enumerate(rows):
        if groups and index and groups[index] != groups[index - 1]:
            lines.append(rule)
        lines.append(row)
    return lines


def _tabulated(columns: Sequence[Column], groups: Sequence[str]) -> list[str]:
    from tabulate import SEPARATING_LINE, tabulate

    rows: list[list[str] | str] = []
    previous = None
    for index, row in enumerate(zip(*(column.cells for column in columns), strict=True)):
        if groups and previous is not None and groups[index] != previous:
            rows.append(SEPARATING_LINE)
        rows.append(list(row))
        previous = groups[index] if groups else None
    text = tabulate(
        rows,
        headers=[column.header for column in columns],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["left" if column.left else "right" for column in columns],
    )
    return [line.rstrip() for line in text.splitlines()]


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)

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
        return max(len(self.header) + GAP, *(len(line) for cell in self.cells for line in cell.split("\n")))

    @property
    def is_empty(self) -> bool:
        """Whether no row has a value."""
        return all(cell in ("", "-") for cell in self.cells)


def render(columns: Sequence[Column], width: int, groups: Sequence[str] = ()) -> str:
    """The table as text, at most `width` characters wide where its undroppable columns allow it.

    `groups` names the group of each row; a rule is drawn where it changes. Columns that were left out are named below
    the table.
    """
    from tabulate import SEPARATING_LINE, tabulate

    shown = [column for column in columns if not (column.drop and column.is_empty)]
    left_out: list[Column] = []
    while _total(shown) > width and any(column.drop for column in shown):
        widest = max((column for column in shown if column.drop), key=lambda column: column.drop)
        shown.remove(widest)
        left_out.insert(0, widest)
    rows: list[list[str] | str] = []
    previous = None
    for index, row in enumerate(zip(*(column.cells for column in shown), strict=True)):
        if groups and previous is not None and groups[index] != previous:
            rows.append(SEPARATING_LINE)
        rows.append(list(row))
        previous = groups[index] if groups else None
    text = tabulate(
        rows,
        headers=[column.header for column in shown],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["left" if column.left else "right" for column in shown],
    )
    lines = [line.rstrip() for line in text.splitlines()]
    if left_out:
        names = ", ".join(" ".join(column.header.split()) for column in left_out)
        lines.append(f"Not shown at this width: {names}.")
    return "\n".join(lines)


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)

"""A part of a report: a titled table with lines below it, for a terminal and as Markdown alike."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from energybench.reports.table import Column, render


@dataclass(frozen=True, slots=True)
class Part:
    """One table of the report."""

    title: str
    columns: tuple[Column, ...]
    groups: tuple[str, ...] = ()
    """the group of each row; a rule is drawn where it changes"""
    lines: tuple[str, ...] = ()
    """below the table"""


def as_text(part: Part, width: int) -> str:
    """The part for a terminal: columns that do not fit are named below the table."""
    below = [filled(line, width, "  ") for line in part.lines]
    return "\n".join([part.title, render(part.columns, width, part.groups), *below])


def filled(text: str, width: int, indent: str = "") -> str:
    """`text` in lines of at most `width` characters, all but the first indented."""
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def as_markdown(part: Part) -> str:
    """The part as a section with all its columns."""
    from tabulate import tabulate

    shown = [column for column in part.columns if not (column.drop and column.is_empty)]
    table = tabulate(
        list(zip(*(column.cells for column in shown), strict=True)),
        headers=[column.header for column in shown],
        tablefmt="github",
        disable_numparse=True,
        colalign=["left" if column.left else "right" for column in shown],
    )
    lines = "\n".join(f"- {line.strip()}" for line in part.lines)
    return "\n\n".join(text for text in (f"## {part.title}", table, lines) if text)

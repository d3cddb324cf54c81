"""Bodies of tables as HTML. By hand: a template takes several times as long for a hundred thousand cells."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from energybench.reports.page.contents import Shown, Table

if TYPE_CHECKING:
    from markupsafe import Markup

LONG = 1500
"""rows from which a table is given as CSV text: a browser lays out ten thousand rows slowly, and nobody reads them"""
_WIDE = 32
"""characters from which a cell may be broken into lines"""
_TALL = 240
"""characters from which a cell has a height of its own, and scrolls"""


def body(table: Table) -> Markup:
    """The rows of the table, the first cell of each as its heading; every text is escaped."""
    from markupsafe import Markup, escape

    def content(cell: Shown) -> str:
        text = str(escape(cell.text))
        return f"<span class=long>{text}</span>" if len(cell.text) > _TALL else text

    def opened(tag: str, cell: Shown) -> str:
        classes = " class=absent" if cell.kind == "absent" else " class=w" if len(cell.text) > _WIDE else ""
        # A number in full, where the cell does not show it so.
        value = "" if cell.kind == "text" or cell.value == cell.text else f' data-v="{cell.value}"'
        return f"<{tag}{classes}{value}>"

    lines = []
    for first, *others in table.rows:
        cells = [f"{opened('td', cell)}{content(cell)}</td>" for cell in others]
        lines.append(f"<tr>{opened('th scope=row', first)}{content(first)}</th>{''.join(cells)}</tr>")
    return Markup("\n".join(lines))


def as_csv(table: Table) -> str:
    """The numbers in full, under the names of their fields; what is absent is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in table.numbers.fields])
    writer.writerows([cell.text if cell.kind == "text" else cell.value for cell in row] for row in table.rows)
    return text.getvalue()


def numeric_columns(widest: int) -> str:
    """Style rules: the class n3 of a table sets its third column flush right."""
    places = [f".n{place}>tbody>tr>:nth-child({place})" for place in range(1, widest + 1)]
    return f"{','.join(places)}{{text-align:right}}" if places else ""

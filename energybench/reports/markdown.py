"""A comparison as GitHub's Markdown, for a comment on a pull request or the summary of a job."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from energybench.analysis.report import Report
from energybench.reports.comparison_tables import by_group, side_by_side, verdicts
from energybench.reports.comparison_view import EVERYTHING, Row, View, groups, left_out, rows
from energybench.reports.comparison_words import common_lines, front_lines, heading, reasons, summary
from energybench.reports.part import Part, as_markdown
from energybench.reports.table import Column

FOLDED = 30
"""rows from which on a table is folded away behind its number of rows: what needs reading stands above it"""
_MARKUP = re.compile(r"[\\`*_{}\[\]<>&|~#!:@]")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<|~#])")


def comparison_markdown(reports: Sequence[Report], *, view: View = EVERYTHING) -> str:
    """Per candidate: heading, summary, what all cases share, the reasons, the table of verdicts with both means, notes;
    of several candidates their changes side by side.
    """
    chosen = [rows(report, view) for report in reports]
    blocks = [block for report, one in zip(reports, chosen, strict=True) for block in _blocks(report, view, one)]
    if len(reports) > 1:
        metric = view.metrics[0] if view.metrics else "energy"
        blocks.append(_table(side_by_side(reports, chosen, metric)))
    return "\n\n".join(blocks)


def brief_markdown(reports: Sequence[Report]) -> str:
    """The headings and summaries alone, for a place that the whole does not fit into."""
    return "\n\n".join(block for report in reports for block in (_title(report), escaped(summary(report))) if block)


def escaped(text: str) -> str:
    """`text` on one line, shown as it is: nothing in it is markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """`text` as code in a table's cell, whatever backticks and bars it holds."""
    text = " ".join(text.split())
    if text and not any(sign in text for sign in "`|\\"):
        return f"`{text}`"
    # A bar ends a cell even between backticks, and what escapes it there depends on the backslashes before it.
    return f"<code>{_MARKUP.sub(lambda match: f'&#{ord(match[0])};', text)}</code>"


def _blocks(report: Report, view: View, chosen: Sequence[Row]) -> list[str]:
    lines = [*common_lines(report), *reasons(chosen), *front_lines(report)]
    notes = [f"note: {note}" for note in (*report.notes, *left_out(report, view, chosen))]
    found = groups(report, view, chosen) if view.group_by and chosen else ()
    parts = by_group(found, view, whole=True) if found else [verdicts(chosen, view, whole=True)] if chosen else []
    blocks = [
        _title(report),
        escaped(summary(report)),
        _list(lines),
        *(_table(part) for part in parts),
        _list(notes),
    ]
    return [block for block in blocks if block]


def _title(report: Report) -> str:
    return f"## {escaped(heading(report))}" if report.baseline else ""


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)


def _table(part: Part) -> str:
    """The part as a section of a lower level; a long table is folded."""
    columns = tuple(
        Column(escaped(c.header), tuple(map(code if c.header == "case" else escaped, c.cells)), c.drop, c.left)
        for c in part.columns
    )
    whole = as_markdown(replace(part, title="", columns=columns, lines=tuple(map(escaped, part.lines))))
    table = whole.removeprefix("## \n\n")  # the heading of a part without a title
    count = len(part.columns[0].cells)
    if count >= FOLDED:
        table = f"<details><summary>{count} cases</summary>\n\n{table}\n\n</details>"
    return f"### {escaped(part.title)}\n\n{table}" if part.title else table

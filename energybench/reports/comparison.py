"""A comparison for people: verdicts first, then the figures, then what each change is made of, then the reasons."""

from __future__ import annotations

from collections.abc import Sequence

from energybench.analysis.report import Report
from energybench.reports.comparison_tables import by_group, outcomes, resources, side_by_side, splits, verdicts
from energybench.reports.comparison_view import EVERYTHING, Row, View, groups, left_out, rows
from energybench.reports.comparison_words import common_lines, front_lines, heading, reasons, summary
from energybench.reports.part import Part, as_text
from energybench.reports.table import render

__all__ = ["comparison_table", "comparison_tables", "summary", "verdict_table"]


def comparison_tables(reports: Sequence[Report], *, width: int = 80, view: View = EVERYTHING) -> str:
    """Several candidates against one baseline: each report whole, then their changes side by side."""
    blocks = [comparison_table(report, width=width, view=view) for report in reports]
    if len(reports) > 1:
        chosen = [rows(report, view) for report in reports]
        metric = view.metrics[0] if view.metrics else "energy"
        blocks.append(as_text(side_by_side(reports, chosen, metric), width))
    return "\n\n".join(blocks)


def comparison_table(report: Report, *, width: int = 80, view: View = EVERYTHING) -> str:
    """The whole report: tables, what all cases share, the reason of every verdict that is not plainly good, notes,
    a summary.
    """
    chosen = rows(report, view)
    parts = [heading(report)]
    if chosen:
        parts += [_text(part, width) for part in _tables(report, view, chosen)]
    notes = (*report.notes, *left_out(report, view, chosen))
    parts += [
        "\n".join(common_lines(report)),
        "\n".join(reasons(chosen)),
        "\n".join(front_lines(report)),
        "\n".join(f"note: {note}" for note in notes),
        summary(report),
    ]
    return "\n\n".join(part for part in parts if part)


def verdict_table(report: Report, *, width: int = 80, with_exit: bool = True) -> str:
    """The first table alone, with what all cases share and the summary: for the end of a session.

    Without `with_exit` the summary says no exit code: pytest has its own.
    """
    chosen = rows(report)
    table = _text(verdicts(chosen, EVERYTHING), width) if chosen else ""
    parts = (table, "\n".join(common_lines(report)), summary(report, with_exit=with_exit))
    return "\n\n".join(part for part in parts if part)


def _tables(report: Report, view: View, chosen: Sequence[Row]) -> list[Part]:
    rules: tuple[str, ...] = ()
    ordered = list(chosen)
    if not view.group_by:
        first = [verdicts(chosen, view)]
    else:
        found = groups(report, view, chosen)
        first = by_group(found, view)
        if view.group_by == "metric":  # its tables hold both means already
            rest = splits(chosen, view)
            return first if rest is None else [*first, rest]
        ordered = [row for group in found for row in group.rows]
        rules = tuple(group.name for group in found for _ in group.rows)
    further = [table(ordered, view, rules) for table in (outcomes, resources, splits)]
    return [*first, *(part for part in further if part is not None)]


def _text(part: Part, width: int) -> str:
    return as_text(part, width) if part.title else render(part.columns, width, part.groups)

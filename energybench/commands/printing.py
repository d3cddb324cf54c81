"""Comparisons as `compare` and `ab` print them: the text of each format, and what goes to stderr beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from energybench.commands.arguments import terminal_width
from energybench.commands.colour import for_terminal

if TYPE_CHECKING:
    from energybench.analysis.report import Report
    from energybench.reports.comparison_view import View

FORMATS = ("text", "markdown", "json", "csv", "junit", "github")
GRAVEST_FIRST = (1, 4, 3, 0)
"""exit codes: of several candidates the first that applies counts"""


def print_reports(reports: Sequence[Report], format: str, view: View, out: TextIO, err: TextIO) -> None:
    """Print them in `format`; where nothing was compared, that stands on stderr too."""
    text = _text(reports, format, view, terminal_width(out))
    _print(for_terminal(text, out) if format == "text" else text, out)
    if format == "github":
        _append_summary(reports, view, err)
    for report in reports:
        if report.nothing_compared:
            out.flush()
            of = f"{report.candidate}: " if len(reports) > 1 else ""
            print(f"energybench: {of}{_nothing(report)}", file=err)


def exit_code(reports: Sequence[Report]) -> int:
    """The first of 1, 4, 3 and 0 that is any candidate's."""
    codes = {report.exit_code for report in reports}
    return next(code for code in GRAVEST_FIRST if code in codes)


def _text(reports: Sequence[Report], format: str, view: View, width: int) -> str:
    if format == "markdown":
        from energybench.reports.markdown import comparison_markdown

        return comparison_markdown(reports, view=view)
    if format == "json":
        from energybench.reports.json import comparisons_json

        return comparisons_json(reports, exit_code(reports), view=view)
    if format == "csv":
        from energybench.reports.comparison_csv import comparison_csv

        return comparison_csv(reports, view=view)
    if format == "junit":
        from energybench.reports.junit import comparison_junit

        return comparison_junit(reports, view=view)
    if format == "github":
        from energybench.reports.github import workflow_commands

        return workflow_commands(reports, view=view)
    from energybench.reports.comparison import comparison_tables

    return comparison_tables(reports, width=width, view=view)


def _append_summary(reports: Sequence[Report], view: View, err: TextIO) -> None:
    """A summary that cannot be written is said, and changes no verdict."""
    from energybench.reports.github import append_summary

    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        append_summary(reports, Path(path), view=view)
    except OSError as error:
        print(f"energybench: the summary cannot be appended to {path}: {error.strerror or error}.", file=err)


def _nothing(report: Report) -> str:
    """The note that says why nothing was compared: it stands on stderr too, for logs that keep nothing else."""
    return next(note for note in report.notes if note.startswith("No case was compared"))


def _print(text: str, out: TextIO) -> None:
    """Print it; what the stream's encoding does not have is written as an escape."""
    encoding = getattr(out, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=out)

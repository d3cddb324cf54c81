"""A comparison as annotations of a GitHub Actions job, and as the summary of its step.

The runner reads workflow commands from stdout, one a line: `::error title=...::message`. It shows ten of each level
for a step, so that the tenth here says how many more there are; and it refuses a summary beyond 1 MiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from energybench.analysis.report import GATING, Report
from energybench.model import Comparison, Verdict
from energybench.reports.comparison_view import EVERYTHING, GRAVEST_FIRST, Row, View, gravest_first, left_out, rows
from energybench.reports.comparison_words import (
    FAILING,
    common_lines,
    describe_all,
    describe_shift,
    heading,
    summary,
    verdict_text,
)
from energybench.reports.markdown import brief_markdown, comparison_markdown

SHOWN_PER_LEVEL = 10
SUMMARY_BYTES = 1024 * 1024
LEVELS = ("error", "warning", "notice")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One workflow command."""

    level: str
    title: str
    message: str

    @property
    def command(self) -> str:
        """The line that the runner reads."""
        return f"::{self.level} title={_property(self.title)}::{_data(self.message)}"


def workflow_commands(reports: Sequence[Report], *, view: View = EVERYTHING) -> str:
    """The commands, one a line: what failed as errors, inconclusive as warnings (errors if strict), the rest notices.

    The gravest stand first; each candidate's summary is an error or a notice of its own.
    """
    found = [note for report in reports for note in _of_run(report, view)]
    found += [note for report in reports for note in _of_cases(report, view)]
    lines = [note.command for level in LEVELS for note in _at_most([n for n in found if n.level == level])]
    return "\n".join(lines)


def append_summary(reports: Sequence[Report], path: Path, *, view: View = EVERYTHING) -> None:
    """Append the Markdown to the step's summary; only the summaries where the whole would not fit into its limit.

    Raises OSError where the file cannot be written.
    """
    text = comparison_markdown(reports, view=view) + "\n\n"
    held = path.stat().st_size if path.exists() else 0
    if held + len(text.encode(errors="replace")) > SUMMARY_BYTES:
        text = f"{brief_markdown(reports)}\n\nThe tables do not fit into the 1 MiB of a step's summary.\n\n"
    with path.open("a", encoding="utf-8", errors="replace") as file:
        file.write(text)


def _of_run(report: Report, view: View) -> list[Annotation]:
    title = f"energybench {heading(report)}".strip()
    more = [*common_lines(report), *left_out(report, view, rows(report, view)), *report.notes]
    level = "error" if report.exit_code else "notice"
    return [Annotation(level, title, "\n".join([summary(report), *more]))]


def _of_cases(report: Report, view: View) -> Iterable[Annotation]:
    if report.shift is not None and report.shift.verdict in (Verdict.REGRESSED, Verdict.INCONCLUSIVE):
        level = "error" if report.shift.verdict is Verdict.REGRESSED else "warning"
        text = describe_shift(report.shift, report.canary)
        yield Annotation(level, f"all cases: {report.shift.metric} {report.shift.verdict.value}", text)
    for row in sorted(rows(report, view), key=lambda row: GRAVEST_FIRST.index(row.gravest)):
        found = _of_case(row, report)
        if found is not None:
            yield found


def _of_case(row: Row, report: Report) -> Annotation | None:
    """None where energy and accuracy are plainly ok."""
    decisive = gravest_first(c for c in row.shown if c.metric in GATING)
    verdicts = {c.verdict for c in decisive}
    if verdicts <= {Verdict.OK}:
        return None
    strict = (Verdict.INCONCLUSIVE,) if report.options.strict else ()
    if verdicts.intersection((*FAILING, *strict)):
        level = "error"
    else:
        level = "warning" if Verdict.INCONCLUSIVE in verdicts else "notice"
    said = [c for c in decisive if c.verdict is not Verdict.OK]
    against = f" (against {report.baseline})" if report.baseline else ""
    return Annotation(level, f"{row.name}: {_title(said)}", describe_all(decisive) + against)


def _title(comparisons: Sequence[Comparison]) -> str:
    return ", ".join(map(verdict_text, comparisons))


def _at_most(found: Sequence[Annotation]) -> list[Annotation]:
    """All where they are shown; else one less than are, and one that names the others."""
    if len(found) <= SHOWN_PER_LEVEL:
        return list(found)
    shown, others = found[: SHOWN_PER_LEVEL - 1], found[SHOWN_PER_LEVEL - 1 :]
    names = "\n".join(note.title for note in others)
    return [*shown, Annotation(found[0].level, f"energybench: {len(others)} more", names)]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

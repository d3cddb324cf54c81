"""A comparison for spreadsheets: one row per case and metric."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from energybench.analysis.decompose import TERMS
from energybench.analysis.metrics import METRICS
from energybench.analysis.report import Report
from energybench.model import Comparison
from energybench.reports.comparison_view import EVERYTHING, View, rows

HEADER = (
    *("baseline_run", "candidate_run", "case", "metric", "unit", "verdict", "change", "interval_low", "interval_high"),
    *("p", "baseline", "candidate", *(f"ln_{term}" for term in TERMS), "rounds", "labels", "reason"),
)
"""Columns may be added at the end; none is renamed or moved."""
_UNITS = {metric.name: metric.unit for metric in METRICS}


def comparison_csv(reports: Sequence[Report], *, view: View = EVERYTHING) -> str:
    """RFC 4180 but for its line ends, which are those of the system; numbers in full precision, absent ones empty.

    `change` and its interval are relative (0.05 = +5 %), of accuracy differences of shares (0.01 = 1 point); `baseline`
    and `candidate` are means over the rounds in `unit` (IT joules, before PUE; accuracy is a share); `ln_*` are the
    terms of ln(candidate / baseline) of energy; `rounds` a side would settle what is inconclusive; labels are joined by
    `; `.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for report in reports:
        names = [_line(report.baseline), _line(report.candidate)]
        writer.writerows([*names, *_row(c)] for row in rows(report, view) for c in row.shown)
    return text.getvalue().removesuffix("\n")


def _row(comparison: Comparison) -> list[str]:
    low, high = comparison.interval or (None, None)
    return [
        _line(comparison.case),
        comparison.metric,
        _UNITS.get(comparison.metric, ""),
        comparison.verdict.value,
        *map(_number, (comparison.change, low, high, comparison.p, comparison.baseline, comparison.candidate)),
        *(_number(comparison.terms.get(term)) for term in TERMS),
        "" if comparison.rounds is None else str(comparison.rounds),
        _line("; ".join(comparison.labels)),
        _line(comparison.reason),
    ]


def _line(text: str) -> str:
    """A line end inside a cell is written as an escape, so that a row is a line for every reader."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _number(value: float | None) -> str:
    """The shortest text that reads back as the same number; nothing where there is none."""
    return "" if value is None or not math.isfinite(value) else repr(float(value))

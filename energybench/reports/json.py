"""A comparison for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from energybench.analysis.fronts import front_changes
from energybench.analysis.metrics import METRICS
from energybench.analysis.report import Report
from energybench.model import Comparison
from energybench.reports.comparison_view import EVERYTHING, View, geometric_mean, groups, rows

SCHEMA = 1
"""Raised when a reader of the old schema would misunderstand a new document; keys may be added without raising it."""


def comparison_json(report: Report, *, view: View = EVERYTHING) -> str:
    """`{"schema": 1, "exit": 1, "comparisons": [...], ...}` as strict JSON, one comparison per case and metric."""
    return json.dumps(_document(report, view), indent=1, allow_nan=False)


def comparisons_json(reports: Sequence[Report], exit_code: int, *, view: View = EVERYTHING) -> str:
    """Of one candidate its document; of several `{"schema": 1, "exit": 1, "baseline": ..., "reports": [...]}`.

    `exit_code` is that of the whole; every report has its own.
    """
    if len(reports) == 1:
        return comparison_json(reports[0], view=view)
    document = {
        "schema": SCHEMA,
        "exit": exit_code,
        "baseline": reports[0].baseline,
        "reports": [_document(report, view) for report in reports],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def _document(report: Report, view: View) -> dict[str, Any]:
    chosen = rows(report, view)
    document = {
        "schema": SCHEMA,
        "exit": report.exit_code,
        "baseline": report.baseline,
        "candidate": report.candidate,
        "comparisons": [_comparison(comparison) for row in chosen for comparison in row.shown],
        "counts": {verdict.value: count for verdict, count in report.counts.items()},
        "geometric_means": _means(report.comparisons),
        "shift": None if report.shift is None else _plain(asdict(report.shift)),
        "canary": report.canary,
        "noise": None if report.noise is None else _plain(asdict(report.noise)),
        "fronts": [
            {"group": change.group, "baseline": list(change.baseline), "candidate": list(change.candidate)}
            for change in front_changes(report)
        ],
        "notes": list(report.notes),
    }
    if view.group_by in ("model", "compressor"):
        document["groups"] = [
            {
                view.group_by: group.name,
                "cases": [row.pair.case for row in group.rows],
                "geometric_means": _means(group.comparisons),
            }
            for group in groups(report, view, chosen)
        ]
    return document


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """`change` is relative for energy, seconds, epochs and power, and a difference of shares for accuracy; `rounds` a
    side would settle what is inconclusive, null where rounds would not.
    """
    return {
        "case": comparison.case,
        "metric": comparison.metric,
        "verdict": comparison.verdict.value,
        "change": comparison.change,
        "interval": None if comparison.interval is None else list(comparison.interval),
        "p": comparison.p,
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "reason": comparison.reason,
        "labels": list(comparison.labels),
        "terms": dict(comparison.terms),
        "rounds": comparison.rounds,
    }


def _means(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Metric -> ratio candidate / baseline over the comparable cases of both runs; accuracy has none."""
    found = {metric.name: geometric_mean(comparisons, metric.name) for metric in METRICS}
    return {name: asdict(mean) for name, mean in found.items() if mean is not None}


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

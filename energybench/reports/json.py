"""A comparison for programs."""

from __future__ import annotations

import json
from typing import Any

from energybench.analysis.report import Report
from energybench.model import Comparison

SCHEMA = 1


def comparison_json(report: Report) -> str:
    """`{"schema": 1, "exit": 1, "comparisons": [...], ...}` as strict JSON, one comparison per case and metric."""
    document = {
        "schema": SCHEMA,
        "exit": report.exit_code,
        "baseline": report.baseline,
        "candidate": report.candidate,
        "comparisons": [_comparison(comparison) for comparison in report.comparisons],
        "notes": list(report.notes),
    }
    return json.dumps(document, indent=1, allow_nan=False)


def _comparison(comparison: Comparison) -> dict[str, Any]:
    """`change` is relative for energy, seconds, epochs and power, and a difference of shares for accuracy."""
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
    }

"""Candidates against the baseline: counts of verdicts, what concerns all cases, and what fails, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from energybench.analysis.report import GATING, Report
from energybench.model import Comparison, Verdict
from energybench.reports.charts.chart import Cell, Field
from energybench.reports.comparison_view import Row, View, rows
from energybench.reports.comparison_words import (
    OUTCOMES,
    common_lines,
    describe_all,
    heading,
    mean_text,
    reasons,
    summary,
)
from energybench.reports.page.contents import Caution, Judgement, Table, Tile, numbers

TONES = {0: "good", 1: "bad", 3: "warn", 4: "bad"}


def judgement(report: Report) -> Judgement:
    """One report, the gravest verdict first."""
    chosen = rows(report, View(sort="verdict"))
    regressed = [row for row in chosen if any(c.verdict is Verdict.REGRESSED for c in _decisive(row))]
    margins = {"energy": report.options.margin, "accuracy": report.options.accuracy_margin}
    return Judgement(
        heading=heading(report) or "baseline -> candidate",
        outcome="nothing compared" if report.nothing_compared else OUTCOMES[report.exit_code],
        tone=TONES[report.exit_code],
        counts=tuple((metric, _counts(report, metric)) for metric in GATING if _counts(report, metric)),
        sentences=(_capital(summary(report)), *common_lines(report), *report.notes),
        regressed=tuple(f"{row.name}: {describe_all(_decisive(row), margins)}." for row in regressed),
        unsettled=_unsettled([row for row in chosen if row not in regressed]),
        table=_table(report, chosen),
    )


def verdict_tile(report: Report) -> Tile:
    """The verdict and the mean change, for the headline row."""
    outcome = "nothing compared" if report.nothing_compared else OUTCOMES[report.exit_code]
    change = mean_text(report.comparisons, "energy")
    return Tile(
        "Verdict", outcome, f"{change or 'no change known'}; baseline {report.baseline}", TONES[report.exit_code]
    )


def _unsettled(chosen: Sequence[Row]) -> tuple[Caution, ...]:
    """Every reason once, with its cases, in the order in which it first comes."""
    found: dict[str, list[str]] = {}
    for row in chosen:
        for line in reasons([row]):
            found.setdefault(line.removeprefix(f"{row.name}: "), []).append(row.name)
    return tuple(Caution(text, tuple(names)) for text, names in found.items())


def _decisive(row: Row) -> list[Comparison]:
    return [comparison for comparison in row.shown if comparison.metric in GATING]


def _counts(report: Report, metric: str) -> tuple[tuple[str, int], ...]:
    counted = Counter(comparison.verdict for comparison in report.comparisons if comparison.metric == metric)
    return tuple((verdict.value, counted[verdict]) for verdict in Verdict if counted[verdict])


def _table(report: Report, chosen: tuple[Row, ...]) -> Table:
    fields = [Field("case", "case")]
    for metric, unit in (("energy", "%"), ("accuracy", "points")):
        fields += [
            Field(f"{metric}_verdict", metric),
            Field(f"{metric}_change", f"change, {unit}", 100.0),
            Field(f"{metric}_low", "95 % from", 100.0),
            Field(f"{metric}_high", "to", 100.0),
        ]
    fields += [Field("energy_reason", "why"), Field("labels", "marks")]
    table: list[tuple[Cell, ...]] = []
    for row in chosen:
        cells: list[Cell] = [row.name]
        for metric in GATING:
            cells += _cells(row.of(metric))
        energy = row.of("energy")
        labels = dict.fromkeys(label for comparison in _decisive(row) for label in comparison.labels)
        table.append((*cells, (energy.reason or None) if energy else None, ", ".join(labels) or None))
    of = f" of {report.candidate}" if report.candidate else ""
    return Table(f"verdicts-{report.candidate}", f"Verdicts on all cases{of}", numbers(fields, table))


def _cells(comparison: Comparison | None) -> list[Cell]:
    if comparison is None:
        return [None, None, None, None]
    low, high = comparison.interval or (None, None)
    return [comparison.verdict.value, comparison.change, low, high]


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"

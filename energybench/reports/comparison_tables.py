"""The tables of a comparison, for a terminal and as Markdown alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from energybench.analysis.decompose import TERMS
from energybench.analysis.report import GATING, Report
from energybench.model import Case, Comparison, Provenance, Verdict, mean
from energybench.reports.comparison_view import Group, Row, View
from energybench.reports.comparison_words import change_text, interval_text, mean_text
from energybench.reports.part import Part
from energybench.reports.table import Column
from energybench.units import Scale, energy_scale, percent, power_scale, time_scale, watt_hour_scale

_ONE = Scale("", 1.0)
_PERCENT = Scale("%", 0.01)
_SCALES: dict[str, Callable[[list[float | None]], Scale]] = {
    "energy": energy_scale,
    "accuracy": lambda _: _PERCENT,
    "seconds": time_scale,
    "epochs": lambda _: _ONE,
    "power": power_scale,
}


def verdicts(rows: Sequence[Row], view: View, title: str = "", *, whole: bool = False) -> Part:
    """A row per case: for each metric the verdict and the change with its interval, `whole` with both means too."""
    metrics = view.metrics or GATING
    columns = [_names(rows)]
    for position, metric in enumerate(metrics):
        found = [row.of(metric) if position == 0 else row.comparisons.get(metric) for row in rows]
        drop = 0 if position == 0 else 1
        columns += [
            Column(metric, tuple("-" if c is None else c.verdict.value for c in found), left=True),
            _changes(metric, found, drop),
        ]
        if whole or view.metrics or metric == "energy":
            columns.append(Column("95 % interval", tuple(map(interval_text, found)), drop=2 + position))
        if whole or len(view.metrics) == 1:
            columns += _means(metric, found, drop=4 + position)
    labels = [[c for metric in metrics if (c := row.comparisons.get(metric)) is not None] for row in rows]
    return Part(title, (*columns, Column("labels", tuple(map(_labels, labels)), drop=6, left=True)))


def by_group(groups: Sequence[Group], view: View, *, whole: bool = False) -> list[Part]:
    """One table of verdicts per group, its mean change in the title."""
    parts = []
    for group in groups:
        metric = group.name if view.group_by == "metric" else (view.metrics or GATING)[0]
        own = View(metrics=(metric,)) if view.group_by == "metric" else view
        said = mean_text(group.comparisons, metric)
        head = f"{view.group_by} {group.name}" if group.name else ""
        subject = "" if view.group_by == "metric" else f"{metric} "
        parts.append(verdicts(group.rows, own, f"{head}: {subject}{said}" if said else head, whole=whole))
    return parts


def outcomes(rows: Sequence[Row], view: View, rules: tuple[str, ...] = ()) -> Part | None:
    """Baseline -> candidate of what a user gets: energy with PUE, accuracy, epochs; means over the rounds."""
    both = [(p.baseline, p.candidate) for row in rows for p in (row.pair,)]
    same_pue = all(old is None or new is None or old.pue == new.pue for old, new in both)

    def with_pue(case: Case) -> float | None:
        joules = case.mean_j
        return None if joules is None else joules * (case.pue if same_pue else 1.0)

    pues = sorted({case.pue for sides in both for case in sides if case}) if same_pue else [1.0]
    factor = f"PUE {pues[0]:g}" + (f" to {pues[-1]:g}" if len(pues) > 1 else "")
    columns = []
    if _wants(view, "energy"):
        columns.append(_sides(rows, with_pue, watt_hour_scale))
    if _wants(view, "accuracy"):
        columns.append(_sides(rows, _accuracy_points, lambda _: _ONE, "acc %", drop=1))
    if _wants(view, "epochs"):
        columns.append(_sides(rows, _epoch_count, lambda _: _ONE, "epochs", drop=2))
    said = f", energy with {factor}" if _wants(view, "energy") else ""
    title = f"Baseline -> candidate, mean of the rounds{said}"
    return Part(title, (_names(rows), *columns), rules) if columns else None


def resources(rows: Sequence[Row], view: View, rules: tuple[str, ...] = ()) -> Part | None:
    """Baseline -> candidate of what it took: IT joules by provenance, seconds, mean power; means over the rounds."""
    cases = [case for row in rows for case in (row.pair.baseline, row.pair.candidate) if case]
    classes = {domain.provenance for case in cases for domain in case.domains if domain.in_total}
    columns = []
    if _wants(view, "energy"):
        columns += [
            _sides(rows, _of_class(provenance), energy_scale, provenance.value, drop=2 + provenance.rank)
            for provenance in sorted(classes, key=lambda provenance: provenance.rank)
        ]
    if _wants(view, "seconds"):
        columns.append(_sides(rows, lambda case: case.mean_seconds, time_scale, drop=1))
    if _wants(view, "power"):
        columns.append(_sides(rows, _mean_power, power_scale, drop=2))
    title = "IT energy by provenance, time and mean power"
    return Part(title, (_names(rows), *columns), rules) if columns else None


def splits(rows: Sequence[Row], view: View, rules: tuple[str, ...] = ()) -> Part | None:
    """What each change in energy is made of, as factors."""
    known = [(index, row, c) for index, row in enumerate(rows) if (c := row.comparisons.get("energy")) and c.terms]
    if not known or not _wants(view, "energy"):
        return None
    columns = (
        _names([row for _, row, _ in known]),
        Column("energy", tuple(_ratio(math.fsum(c.terms.values())) for _, _, c in known)),
        *(
            Column(head, tuple(_ratio(c.terms[term]) for _, _, c in known))
            for head, term in zip(("= epochs", "x s per epoch", "x mean power"), TERMS, strict=True)
        ),
    )
    title = "What the change is made of (candidate / baseline)"
    return Part(title, columns, tuple(rules[index] for index, _, _ in known) if rules else ())


def side_by_side(reports: Sequence[Report], chosen: Sequence[Sequence[Row]], metric: str) -> Part:
    """The change of one metric in every candidate, with its verdict where that is not ok."""
    tables = [{row.pair.case: row for row in rows} for rows in chosen]
    names = {case: row.name for table in tables for case, row in table.items()}
    columns = [Column("case", tuple(names.values()), left=True)]
    for report, table in zip(reports, tables, strict=True):
        cells = (_change_and_verdict(table[case].of(metric)) if case in table else "-" for case in names)
        columns.append(Column(report.candidate, tuple(cells), left=True))
    means = [(report.candidate, mean_text(report.comparisons, metric)) for report in reports]
    lines = tuple(f"{name}: {mean}" for name, mean in means if mean)
    return Part(f"Change in {metric} against {reports[0].baseline}", tuple(columns), lines=lines)


def _change_and_verdict(comparison: Comparison | None) -> str:
    if comparison is None:
        return "-"
    verdict = "" if comparison.verdict is Verdict.OK else comparison.verdict.value
    change = "" if comparison.change is None else change_text(comparison)
    return f"{change} {verdict}".strip()


def _wants(view: View, metric: str) -> bool:
    return not view.metrics or metric in view.metrics


def _names(rows: Sequence[Row]) -> Column:
    return Column("case", tuple(row.name for row in rows), left=True)


def _changes(metric: str, found: Sequence[Comparison | None], drop: int) -> Column:
    if metric != "accuracy":
        return Column("change", tuple("-" if c is None else percent(c.change) for c in found), drop=drop)
    cells = ("-" if c is None or c.change is None else f"{100 * c.change:+.2f}" for c in found)
    return Column("points", tuple(cells), drop=drop)


def _means(metric: str, found: Sequence[Comparison | None], drop: int) -> list[Column]:
    """Both means in the metric's unit, on one scale; of energy IT joules, before PUE."""
    sides = [[None if c is None else getattr(c, side) for c in found] for side in ("baseline", "candidate")]
    scale = _SCALES[metric]([value for side in sides for value in side])
    return [
        Column(f"{head} {scale.unit}".strip(), tuple(scale.text(value) for value in side), drop=drop)
        for head, side in zip(("baseline", "candidate"), sides, strict=True)
    ]


def _sides(
    rows: Sequence[Row],
    value: Callable[[Case], float | None],
    scale_of: Callable[[list[float | None]], Scale],
    title: str = "",
    drop: int = 0,
) -> Column:
    """`12.3 -> 11.9` for every case, on one scale."""
    pairs = [row.pair for row in rows]
    old = [None if pair.baseline is None else value(pair.baseline) for pair in pairs]
    new = [None if pair.candidate is None else value(pair.candidate) for pair in pairs]
    scale = scale_of(old + new)
    cells = [
        "-" if a is None and b is None else f"{scale.text(a)} -> {scale.text(b)}" for a, b in zip(old, new, strict=True)
    ]
    return Column(f"{scale.unit} {title}".strip(), tuple(cells), drop=drop)


def _of_class(provenance: Provenance) -> Callable[[Case], float | None]:
    def joules(case: Case) -> float | None:
        names = tuple([d.name for d in case.domains if d.in_total and d.provenance is provenance])
        if names == case.total_domains:
            return case.mean_j
        return mean(case.joules(names)) if names else None

    return joules


def _accuracy_points(case: Case) -> float | None:
    value = case.mean_metric("accuracy")
    return None if value is None else 100 * value


def _epoch_count(case: Case) -> float | None:
    return mean(case.epochs)


def _mean_power(case: Case) -> float | None:
    joules, seconds = case.mean_j, case.mean_seconds
    return joules / seconds if joules is not None and seconds else None


def _labels(comparisons: Sequence[Comparison]) -> str:
    return ", ".join(dict.fromkeys(label for c in comparisons for label in c.labels))


def _ratio(term: float) -> str:
    return f"{math.exp(min(term, 700.0)):.3f}"

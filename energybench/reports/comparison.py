"""A comparison for people: verdicts first, then the figures, then what each change is made of, then the reasons."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from energybench.analysis.decompose import TERMS, epochs, has_epochs
from energybench.analysis.report import Pair, Report
from energybench.model import Case, Comparison, Provenance, Verdict, mean
from energybench.reports.table import Column, render
from energybench.units import Scale, energy_scale, percent, power_scale, time_scale, watt_hour_scale

_SAID_ALWAYS = (Verdict.REGRESSED, Verdict.NOT_COMPARABLE, Verdict.MISSING, Verdict.INCONCLUSIVE, Verdict.NEW)
_ONE = Scale("", 1.0)


def comparison_table(report: Report, *, width: int = 80) -> str:
    """The whole report: three tables, the reason of every verdict that is not plainly good, notes, a summary."""
    head = f"{report.baseline} -> {report.candidate}" if report.baseline else ""
    parts = [head]
    if report.pairs:
        parts += [table(report, width) for table in (_verdicts, _outcomes, _resources, _splits)]
    parts += ["\n".join(_reasons(report)), "\n".join(f"note: {note}" for note in report.notes), summary(report)]
    return "\n\n".join(part for part in parts if part)


def summary(report: Report) -> str:
    """One sentence: how many cases were compared and what came of them."""
    both = sum(pair.baseline is not None and pair.candidate is not None for pair in report.pairs)
    lines = [f"{both} case{'' if both == 1 else 's'} in both runs:"]
    for metric in ("energy", "accuracy"):
        counted = [c.verdict for c in report.comparisons if c.metric == metric]
        counts = [f"{counted.count(verdict)} {verdict.value}" for verdict in Verdict if verdict in counted]
        if counts:
            lines.append(f"{metric} {', '.join(counts)};")
    outcome = {0: "passed", 1: "regressed", 3: "inconclusive", 4: "incomplete or not comparable"}[report.exit_code]
    if report.nothing_compared:
        outcome = "nothing was compared, so nothing passes"
    return f"{' '.join(lines)} {outcome} (exit {report.exit_code})."


def _verdicts(report: Report, width: int) -> str:
    energy = [report.of(pair.case, "energy") for pair in report.pairs]
    accuracy = [report.of(pair.case, "accuracy") for pair in report.pairs]
    columns = [
        _ids(report.pairs),
        Column("energy", tuple("-" if c is None else c.verdict.value for c in energy), left=True),
        Column("change", tuple("-" if c is None else percent(c.change) for c in energy)),
        Column("95 % interval", tuple(_interval(c) for c in energy), drop=2),
        Column("accuracy", tuple("-" if c is None else c.verdict.value for c in accuracy), left=True),
        Column("points", tuple(_points(c) for c in accuracy), drop=1),
        Column("", tuple(_labels(*pair) for pair in zip(energy, accuracy, strict=True)), drop=3, left=True),
    ]
    return render(columns, width)


def _outcomes(report: Report, width: int) -> str:
    """Baseline -> candidate of what a user gets: energy with PUE, accuracy, epochs; means over the rounds."""
    pairs = report.pairs
    same_pue = all(p.baseline is None or p.candidate is None or p.baseline.pue == p.candidate.pue for p in pairs)

    def with_pue(case: Case) -> float | None:
        return None if case.mean_j is None else case.mean_j * (case.pue if same_pue else 1.0)

    pues = (
        sorted({case.pue for pair in pairs for case in (pair.baseline, pair.candidate) if case}) if same_pue else [1.0]
    )
    factor = f"PUE {pues[0]:g}" + (f" to {pues[-1]:g}" if len(pues) > 1 else "")
    columns = [
        _ids(pairs),
        _change(pairs, with_pue, watt_hour_scale),
        _change(pairs, _accuracy_points, lambda _: _ONE, "acc %", drop=1),
        _change(pairs, _epoch_count, lambda _: _ONE, "epochs", drop=2),
    ]
    return f"Baseline -> candidate, mean of the rounds, energy with {factor}\n" + render(columns, width)


def _resources(report: Report, width: int) -> str:
    """Baseline -> candidate of what it took: IT joules by provenance, seconds, mean power; means over the rounds."""
    pairs = report.pairs
    classes = {d.provenance for p in pairs for c in (p.baseline, p.candidate) if c for d in c.domains if d.in_total}
    columns = [
        _ids(pairs),
        *(
            _change(pairs, _of_class(provenance), energy_scale, provenance.value, drop=2 + provenance.rank)
            for provenance in sorted(classes, key=lambda provenance: provenance.rank)
        ),
        _change(pairs, lambda case: mean(case.seconds), time_scale, drop=1),
        _change(pairs, _mean_power, power_scale, drop=2),
    ]
    return "IT energy by provenance, time and mean power\n" + render(columns, width)


def _splits(report: Report, width: int) -> str:
    rows = [c for c in report.comparisons if c.metric == "energy" and c.terms]
    if not rows:
        return ""
    names = {pair.case: _short(pair) for pair in report.pairs}
    factors = [[_ratio(row.terms[term]) for term in TERMS] for row in rows]
    columns = [
        Column("case", tuple(names[row.case] for row in rows), left=True),
        Column("energy", tuple(_ratio(sum(row.terms.values())) for row in rows)),
        Column("= epochs", tuple(row[0] for row in factors)),
        Column("x s per epoch", tuple(row[1] for row in factors)),
        Column("x mean power", tuple(row[2] for row in factors)),
    ]
    return "What the change is made of (candidate / baseline)\n" + render(columns, width)


def _reasons(report: Report) -> list[str]:
    """One line per verdict that is not plainly good, the gravest first."""
    names = {pair.case: _short(pair) for pair in report.pairs}
    lines = []
    gravest_first = [*_SAID_ALWAYS, *(verdict for verdict in Verdict if verdict not in _SAID_ALWAYS)]
    for comparison in sorted(report.gating, key=lambda comparison: gravest_first.index(comparison.verdict)):
        weak = comparison.verdict is Verdict.IMPROVED and "interval" not in comparison.reason
        if comparison.verdict in _SAID_ALWAYS or weak:
            metric = "" if comparison.verdict in (Verdict.MISSING, Verdict.NEW) else f"{comparison.metric} "
            lines.append(f"{names[comparison.case]}: {metric}{comparison.verdict.value}: {comparison.reason}.")
    return lines


def _ids(pairs: Sequence[Pair]) -> Column:
    return Column("case", tuple(map(_short, pairs)), left=True)


def _short(pair: Pair) -> str:
    case = pair.candidate or pair.baseline
    return pair.case if case is None else case.short_id


def _change(
    pairs: Sequence[Pair],
    value: Callable[[Case], float | None],
    scale_of: Callable[[list[float | None]], Scale],
    title: str = "",
    drop: int = 0,
) -> Column:
    """`12.3 -> 11.9` for every pair, on one scale."""
    sides = [tuple(None if case is None else value(case) for case in (p.baseline, p.candidate)) for p in pairs]
    scale = scale_of([side for row in sides for side in row])
    cells = tuple("-" if row == (None, None) else f"{scale.text(row[0])} -> {scale.text(row[1])}" for row in sides)
    return Column(f"{scale.unit} {title}".strip(), cells, drop=drop)


def _of_class(provenance: Provenance) -> Callable[[Case], float | None]:
    def joules(case: Case) -> float | None:
        names = [d.name for d in case.domains if d.in_total and d.provenance is provenance]
        return mean(case.joules(names)) if names else None

    return joules


def _accuracy_points(case: Case) -> float | None:
    value = mean(case.metric("accuracy"))
    return None if value is None else 100 * value


def _epoch_count(case: Case) -> float | None:
    return mean(map(epochs, case.rounds)) if has_epochs(case) else None


def _mean_power(case: Case) -> float | None:
    joules, seconds = case.mean_j, mean(case.seconds)
    return joules / seconds if joules is not None and seconds else None


def _interval(comparison: Comparison | None) -> str:
    if comparison is None or comparison.interval is None:
        return "-"
    low, high = comparison.interval
    return f"{100 * low:+.1f} .. {100 * high:+.1f}"


def _points(comparison: Comparison | None) -> str:
    return "-" if comparison is None or comparison.change is None else f"{100 * comparison.change:+.2f}"


def _labels(*comparisons: Comparison | None) -> str:
    return ", ".join(dict.fromkeys(label for c in comparisons if c is not None for label in c.labels))


def _ratio(term: float) -> str:
    return f"{math.exp(min(term, 700.0)):.3f}"

"""One stored run in full: where it comes from, its cases, accuracies, domains, laps, searches and warnings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from energybench.analysis.effects import evaluation_size
from energybench.analysis.stats import wilson
from energybench.model import Case, Domain, Run, Window, mean
from energybench.reports.factors import stated
from energybench.reports.layout import AS_MEASURED, Layout
from energybench.reports.part import as_text
from energybench.reports.projections import projection_part
from energybench.reports.table import Column, render
from energybench.reports.text import WIDTH, branch, grouped, run_table
from energybench.units import energy_scale, time_scale


def show(run: Run, *, width: int = WIDTH, pue: float | None = None, layout: Layout = AS_MEASURED) -> str:
    """Everything about one run, as a table per subject. kWh include PUE (`pue`, else each case's own).

    `layout` is that of the first table. Raises UsageError where it names a parameter that no case has.
    """
    layout.check(case.params for case in run.cases)
    parts = [_heading(run, pue), run_table(run.cases, width=width, pue=pue, session=run.session, layout=layout)]
    projected = projection_part(run.session, pue)
    if projected is not None:
        parts.append(as_text(projected, width))
    if run.cases:
        tables = (_accuracy_table, _domain_table, _net_table, _lap_table, _apart_table)
        parts += [table(run.cases, width) for table in tables]
    parts.append("\n".join(_warnings(run)))
    return "\n\n".join(part for part in parts if part)


def _heading(run: Run, pue: float | None) -> str:
    commit = str(run.commit.get("id", ""))[:12]
    dirty = " with uncommitted changes" if run.commit.get("dirty") else ""
    rows = [
        ("status", str(run.session.get("status", "not stated"))),
        ("stored", run.created),
        ("machine", f"{run.machine.get('node', '')} {run.machine.get('system', '')} {run.machine.get('machine', '')}"),
        ("commit", "" if commit in ("", "unknown", "unversioned") else f"{commit} ({branch(run)}){dirty}"),
        ("PUE", f"{run.pue:g}" + ("" if pue in (None, run.pue) else f", shown with {pue:g}")),
        *stated(run.session),
        ("file", run.source),
    ]
    plain = f"\n{run.foreign} plain pytest-benchmark cases in the same file carry no energy." if run.foreign else ""
    return "\n".join([run.name, *(f"  {key}: {value.strip()}" for key, value in rows if value.strip())]) + plain


def _domain_table(cases: Sequence[Case], width: int) -> str:
    """Joules of each domain in each case, with their error and where they come from."""
    rows = [
        (case, domain, mean(round.window.joules.get(domain.name) for round in case.rounds))
        for case in grouped(cases)
        for domain in case.domains
    ]
    if not rows:
        return ""
    scale = energy_scale(value for _, _, value in rows)
    columns = [
        Column("case", tuple(case.short_id for case, _, _ in rows), left=True),
        Column("domain", tuple(domain.name for _, domain, _ in rows), left=True),
        Column(scale.unit, tuple(scale.text(value) for _, _, value in rows)),
        Column(f"± {scale.unit}", tuple(scale.text(_random_j(case, domain), 2) for case, domain, _ in rows), drop=4),
        Column("gain", tuple("-" if d.gain_rel is None else f"{100 * d.gain_rel:g} %" for _, d, _ in rows), drop=5),
        Column("provenance", tuple(domain.provenance.value for _, domain, _ in rows), left=True),
        Column("in total", tuple("yes" if domain.in_total else "no" for _, domain, _ in rows), drop=3, left=True),
        Column("meter", tuple(domain.meter for _, domain, _ in rows), drop=1, left=True),
        Column("device", tuple(domain.device or "-" for _, domain, _ in rows), drop=2, left=True),
    ]
    return "Domains, mean of the rounds\n" + render(columns, width, [case.id for case, _, _ in rows])


def _random_j(case: Case, domain: Domain) -> float | None:
    """Random error of the mean over the rounds, one standard deviation."""
    known = [u for round in case.rounds if (u := round.window.error_j.get(domain.name)) is not None]
    return math.hypot(*known) / len(known) if known else None


def _net_table(cases: Sequence[Case], width: int) -> str:
    """Gross and net of the idle machine, where its power was watched before the first case."""
    rows = [(case, mean(case.net_j(round.window) for round in case.rounds)) for case in grouped(cases)]
    rows = [(case, net) for case, net in rows if net is not None]
    if not rows:
        return ""
    scale = energy_scale(case.mean_j for case, _ in rows)
    idle = [sum(case.idle_w[name] or 0.0 for name in case.total_domains) for case, _ in rows]
    columns = [
        Column("case", tuple(case.short_id for case, _ in rows), left=True),
        Column(f"gross {scale.unit}", tuple(scale.text(case.mean_j) for case, _ in rows)),
        Column(f"net {scale.unit}", tuple(scale.text(net) for _, net in rows)),
        Column("idle W", tuple(f"{watts:.3g}" for watts in idle)),
    ]
    return "Above the idle machine, mean of the rounds\n" + render(columns, width)


def _accuracy_table(cases: Sequence[Case], width: int) -> str:
    """Mean accuracy with Wilson's interval for the evaluation set's size: what n images can tell at all."""
    rows = [
        (case, value, size)
        for case in grouped(cases)
        if (value := case.mean_metric("accuracy")) is not None and (size := evaluation_size(case)) is not None
    ]
    if not rows:
        return ""
    intervals = [wilson(value * size, size) for _, value, size in rows]
    columns = [
        Column("case", tuple(case.short_id for case, _, _ in rows), left=True),
        Column("acc %", tuple(f"{100 * value:.1f}" for _, value, _ in rows)),
        Column("of images", tuple(f"{size:g}" for _, _, size in rows)),
        Column("95 % interval", tuple(f"{100 * low:.1f} .. {100 * high:.1f}" for low, high in intervals)),
    ]
    return "Accuracy\n" + render(columns, width)


def _lap_table(cases: Sequence[Case], width: int) -> str:
    rows: list[tuple[Case, str, list[Window]]] = []
    for case in grouped(cases):
        laps = [lap for round in case.rounds for lap in round.window.laps]
        labels = dict.fromkeys(lap.label for lap in laps)
        rows += [(case, label, [lap for lap in laps if lap.label == label]) for label in labels]
    return _window_table("Laps, mean of each", "lap", rows, width)


def _apart_table(cases: Sequence[Case], width: int) -> str:
    rows = [
        (case, kind, list(windows))
        for case in grouped(cases)
        for kind, windows in (
            ("warm-up", [round.window for round in case.warmups]),
            ("search", case.search),
            ("pretraining", case.pretraining),
        )
        if windows
    ]
    return _window_table("Metered apart, mean of each", "what", rows, width)


def _window_table(title: str, what: str, rows: Sequence[tuple[Case, str, list[Window]]], width: int) -> str:
    if not rows:
        return ""
    joules = [mean(window.total_j(case.total_domains) for window in windows) for case, _, windows in rows]
    seconds = [mean(window.seconds for window in windows) for _, _, windows in rows]
    scale, clock = energy_scale(joules), time_scale(seconds)
    columns = [
        Column("case", tuple(case.short_id for case, _, _ in rows), left=True),
        Column(what, tuple(kind or "-" for _, kind, _ in rows), left=True),
        Column("n", tuple(str(len(windows)) for _, _, windows in rows)),
        Column(scale.unit, tuple(scale.text(value) for value in joules)),
        Column(clock.unit, tuple(clock.text(value) for value in seconds)),
    ]
    return f"{title}\n" + render(columns, width, [case.id for case, _, _ in rows])


def _warnings(run: Run) -> list[str]:
    """Notes of the session, absent meters, and warnings of cases and rounds, each text once."""
    lines = [str(text) for key in ("warnings", "notes") for text in run.session.get(key) or ()]
    for diagnosis in run.session.get("diagnoses") or ():
        if isinstance(diagnosis, Mapping) and diagnosis.get("state") != "ok":
            device = diagnosis.get("device") or diagnosis.get("meter")
            lines.append(f"{device}: {diagnosis.get('state')}: {diagnosis.get('reason')}")
    for case in run.cases:
        own = [*case.warnings, *(text for round in case.rounds for text in round.window.warnings)]
        lines += [f"{case.short_id}: {text}" for text in own]
    return [f"note: {text}" for text in dict.fromkeys(lines)]

"""Stored runs and cases as tables for a terminal. Every row of a case starts with its bracketed id, uncut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from energybench.model import Case, Mark, Run, Status
from energybench.reports.case_columns import (
    Context,
    Value,
    compression_text,
    figure,
    model,
    provenance_text,
    study,
    total_j,
)
from energybench.reports.factors import footprint
from energybench.reports.layout import AS_MEASURED, PARAM, Layout
from energybench.reports.table import Column, render
from energybench.units import energy, significant, watt_hour_scale, watt_hours

if TYPE_CHECKING:
    from energybench.store import RunEntry

__all__ = ["NO_FACTORS", "WIDTH", "branch", "compression_text", "grouped", "run_table", "runs_table", "total_j"]

WIDTH = 80
NO_FACTORS: Mapping[str, Any] = MappingProxyType({})
_FITTED = (
    ("case", 0),
    ("study", 0),
    ("kwh", 0),
    ("joules", 0),
    ("error", 10),
    ("spread", 7),
    ("accuracy", 1),
    ("epochs", 2),
    ("compression", 3),
    ("search", 6),
    ("seconds", 8),
    ("rounds", 9),
    ("status", 0),
    ("provenance", 5),
)
"""the columns where none were asked for, each with how soon it is left out (see Column.drop)"""


def run_table(
    cases: Sequence[Case],
    *,
    width: int = WIDTH,
    pue: float | None = None,
    session: Mapping[str, Any] = NO_FACTORS,
    layout: Layout = AS_MEASURED,
) -> str:
    """One row per case, grouped by model, and a line with the total. kWh include PUE (`pue`, else each case's own).

    `session` has the carbon intensity and the price where they are known: the total line then says CO2e and cost.
    `layout` names other columns, another order and other groups; columns that it names are never left out.
    """
    if not cases:
        return "No case was measured."
    context = Context(pue, session)
    rows, groups = _arranged(cases, layout, context)
    columns = [figure(name).column(rows, context, drop) for name, drop in _chosen(rows, layout)]
    rules = groups if len(set(groups)) < len(groups) else ()
    return "\n".join([render(columns, width, rules), *_footer(rows, list(map(context.factor, rows)), session)])


def _chosen(cases: Sequence[Case], layout: Layout) -> list[tuple[str, int]]:
    """The columns with how soon each may be left out. The first names the case; the study, where there are several."""
    several = len({study(case) for case in cases}) > 1  # their bracketed ids may be equal
    if layout.columns:
        first = ["case", "study"] if several and "study" not in layout.columns else ["case"]
        return [(name, 0) for name in (*first, *(name for name in layout.columns if name != "case"))]
    # Said in the footer where all cases agree.
    hidden = {
        *(() if several else ("study",)),
        *(("status",) if all(case.status is Status.OK for case in cases) else ()),
        *(("provenance",) if len({provenance_text(case) for case in cases}) == 1 else ()),
    }
    found = [(name, drop) for name, drop in _FITTED if name not in hidden]
    if layout.group_by.startswith(PARAM):
        found.insert(1, (layout.group_by, 0))
    return found


def _arranged(cases: Sequence[Case], layout: Layout, context: Context) -> tuple[list[Case], list[str]]:
    """The cases in their order, and the group of each, empty where there are no groups."""
    rows = list(cases)
    for name, descending in reversed(layout.sort):
        rows = _sorted(rows, [figure(name).value(case, context) for case in rows], descending=descending)
    if layout.group_by == "none" or (layout.sort and not layout.group_by):
        return rows, []
    if not layout.group_by:
        rows = grouped(rows)
        return rows, [f"{study(case)} {model(case)}" for case in rows]
    of = figure(layout.group_by)
    groups: dict[str, list[Case]] = {}
    for case in rows:
        groups.setdefault(str(of.value(case, context)), []).append(case)
    return [case for group in groups.values() for case in group], [name for name in groups for _ in groups[name]]


def _sorted(rows: Sequence[Case], values: Sequence[Value], *, descending: bool) -> list[Case]:
    """Rows by their values, numbers before texts, equal ones as they stood; without a value always last."""
    known = [(value, row) for value, row in zip(values, rows, strict=True) if value is not None]
    absent = [row for value, row in zip(values, rows, strict=True) if value is None]
    known.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]), reverse=descending)
    return [row for _, row in known] + absent


def runs_table(entries: Sequence[RunEntry], *, width: int = WIDTH) -> str:
    """One row per stored file, oldest first; an unreadable file is named with its error below."""
    if not entries:
        return "No runs are stored."
    energies = [_run_energy(entry.run) for entry in entries]
    scale = watt_hour_scale(energies)
    columns = [
        Column("run", tuple(entry.name for entry in entries), left=True),
        Column("status", tuple(entry.status or "-" for entry in entries), left=True),
        Column("cases", tuple("-" if entry.run is None else str(len(entry.run.cases)) for entry in entries)),
        Column(scale.unit, tuple(scale.text(value) for value in energies)),
        Column("PUE", tuple("-" if entry.run is None else f"{entry.run.pue:g}" for entry in entries), drop=4),
        Column("provenance", tuple(_run_provenance(entry.run) for entry in entries), drop=2, left=True),
        Column("stored", tuple(_minute(entry.run) for entry in entries), drop=1, left=True),
        Column("branch", tuple(branch(entry.run) for entry in entries), drop=3, left=True),
    ]
    groups = [entry.machine for entry in entries]
    several = len(set(groups)) > 1
    if several:
        columns.append(Column("machine", tuple(groups), drop=5, left=True))
    unreadable = [f"{entry.name}: {entry.error}" for entry in entries if entry.error]
    return "\n".join([render(columns, width, groups if several else ()), *unreadable])


def grouped(cases: Iterable[Case]) -> list[Case]:
    """Cases of one test function and model together, in the order in which functions, models and cases first came."""
    groups: dict[str, dict[str, list[Case]]] = {}
    for case in cases:
        groups.setdefault(study(case), {}).setdefault(model(case), []).append(case)
    return [case for models in groups.values() for group in models.values() for case in group]


def _footer(cases: Sequence[Case], factors: Sequence[float], session: Mapping[str, Any]) -> list[str]:
    rounds = [total_j(case, (round.window for round in case.rounds)) for case in cases]
    known = [(j, factor) for j, factor in zip(rounds, factors, strict=True) if j is not None]
    lines = []
    if known:
        total, with_pue = sum(j for j, _ in known), sum(j * factor for j, factor in known)
        pues = sorted(set(factors))
        pue = f"PUE {pues[0]:g}" if len(pues) == 1 else f"PUE {pues[0]:g} to {pues[-1]:g}"
        beside = footprint(with_pue, session)
        lines.append(
            f"Total of all rounds: {significant(with_pue / 3.6e6)} kWh with {pue} ({watt_hours(with_pue)})"
            f"{f', {beside}' if beside else ''}; IT energy {energy(total)}."
        )
    absent = len(cases) - len(known)
    said = {provenance_text(case) for case in cases}
    sentences = []
    if len(said) == 1:
        only = said.pop()
        sentences.append("No energy was read." if only == "no energy" else f"Energy: {only}.")
    elif absent:
        sentences.append(f"{absent} without a full energy reading.")
    if all(case.status is Status.OK for case in cases):
        sentences.append(f"{'All ' if len(cases) > 1 else ''}{len(cases)} case{'s' if len(cases) > 1 else ''} ok.")
    counts = sorted({len(case.rounds) for case in cases})
    spans = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    sentences.append(f"{spans} round{'' if counts == [1] else 's'} a case.")
    return [*lines, " ".join(sentences), *_error_bars(cases), *_marked(cases), *_resolution(cases)]


def _error_bars(cases: Sequence[Case]) -> list[str]:
    """The largest random and gain error of any case's mean, in words."""
    quantities = [quantity for case in cases if (quantity := case.mean_quantity) is not None and quantity.joules]
    randoms = [q.random_j / q.joules for q in quantities if q.random_j is not None]
    gains = [q.gain_j / q.joules for q in quantities if q.gain_j is not None]
    parts = []
    if randoms:
        parts.append(f"random up to {100 * max(randoms):.2g} % (one standard deviation)")
    if gains:
        parts.append(f"gain up to {100 * max(gains):.2g} % (cancels between runs on one device)")
    return [f"Error of the joules: {', '.join(parts)}."] if parts else []


def _marked(cases: Sequence[Case]) -> list[str]:
    """Which cases have windows that a reader must not trust blindly."""
    lines = []
    for mark in Mark:
        marked = [case.short_id for case in cases if mark in case.marks]
        if marked:
            more = f" and {len(marked) - 4} more" if len(marked) > 4 else ""
            lines.append(f"Marked {mark}: {', '.join(marked[:4])}{more}.")
    return lines


def _resolution(cases: Sequence[Case]) -> list[str]:
    """The smallest difference that the accuracies can show, where the cases recorded how many images were evaluated."""
    totals = {total for case in cases for total in case.metric("total") if total}
    if not totals:
        return []
    least, most = min(totals), max(totals)
    images = f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}"
    return [f"Accuracy on {images} images: one image is {100 / least:.2g} points (1/{least:.0f})."]


def _run_energy(run: Run | None) -> float | None:
    """Joules with PUE over all rounds of the run."""
    if run is None:
        return None
    values = [total_j(case, (round.window for round in case.rounds)) for case in run.cases]
    known = [value * run.pue for value in values if value is not None]
    return sum(known) if known else None


def _run_provenance(run: Run | None) -> str:
    if run is None:
        return "-"
    classes = {case.provenance for case in run.cases}
    weak = max((c for c in classes if c is not None), key=lambda c: c.rank, default=None)
    return "-" if weak is None else weak.value


def _minute(run: Run | None) -> str:
    return "-" if run is None else run.created[:16].replace("T", " ") or "-"


def branch(run: Run | None) -> str:
    """The branch that was measured; a dash where it is unknown."""
    name = "" if run is None else str(run.commit.get("branch") or "")
    return "-" if name in ("", "(unknown)") else name

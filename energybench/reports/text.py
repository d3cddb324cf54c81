"""Stored runs and cases as tables for a terminal. Every row of a case starts with its bracketed id, uncut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from energybench.analysis.decompose import epochs, has_epochs
from energybench.analysis.stats import sample_variance
from energybench.model import Case, Mark, Provenance, Run, Status, Window, mean
from energybench.reports.factors import footprint
from energybench.reports.table import Column, render
from energybench.units import energy, energy_scale, significant, time_scale, watt_hour_scale, watt_hours

if TYPE_CHECKING:
    from energybench.store import RunEntry

WIDTH = 80
NO_FACTORS: Mapping[str, Any] = MappingProxyType({})


def run_table(
    cases: Sequence[Case],
    *,
    width: int = WIDTH,
    pue: float | None = None,
    session: Mapping[str, Any] = NO_FACTORS,
) -> str:
    """One row per case, grouped by model, and a line with the total. kWh include PUE (`pue`, else each case's own).

    `session` has the carbon intensity and the price where they are known: the total line then says CO2e and cost.
    """
    if not cases:
        return "No case was measured."
    cases = grouped(cases)
    factors = [case.pue if pue is None else pue for case in cases]
    joules = [case.mean_j for case in cases]
    final = [None if j is None else j * factor for j, factor in zip(joules, factors, strict=True)]
    search = [total_j(case, case.search) for case in cases]
    wh, j, s = watt_hour_scale(final), energy_scale(joules), time_scale(mean(case.seconds) for case in cases)
    search_scale = energy_scale(search)
    columns = [
        Column("case", tuple(case.short_id for case in cases), left=True),
        *_study_column(cases),
        Column(wh.unit, tuple(wh.text(value) for value in final)),
        Column(j.unit, tuple(j.text(value) for value in joules)),
        Column("±", tuple(_error(case) for case in cases), drop=10),
        Column("spread", tuple(_spread(case) for case in cases), drop=7),
        Column("acc %", tuple(_accuracy(case) for case in cases), drop=1),
        Column("epochs", tuple(_epochs(case) for case in cases), drop=2),
        Column("compression", tuple(compression_text(case.facts) for case in cases), drop=3, left=True),
        Column(f"search {search_scale.unit}", tuple(search_scale.text(value) for value in search), drop=6),
        Column(s.unit, tuple(s.text(mean(case.seconds)) for case in cases), drop=8),
        Column("n", tuple(str(len(case.rounds)) for case in cases), drop=9),
        *_status_column(cases),
        *_provenance_column(cases),
    ]
    groups = [f"{_study(case)} {_model(case)}" for case in cases]
    rules = groups if len(set(groups)) < len(groups) else ()
    return "\n".join([render(columns, width, rules), *_footer(cases, factors, session)])


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


def compression_text(facts: Mapping[str, Any]) -> str:
    """What the compressor did, from `facts["compression"]`: `19 bits`, `60.0 %`; a dash where nothing was done."""
    report = facts.get("compression")
    if not isinstance(report, Mapping) or report.get("kind") in (None, "none"):
        return "-"
    if report.get("kind") == "perturbation":
        return "noise"
    if report.get("parts"):
        return " + ".join(compression_text({"compression": part}) for part in report["parts"])
    bits, amount, rate = (report.get(key) for key in ("bits", "amount", "rate"))
    if bits is not None:
        return f"{bits}{'+' if report.get('bits_by_layer') else ''} bits"
    share = amount if amount is not None else rate
    return str(report["kind"]) if not isinstance(share, (int, float)) else f"{100 * share:.1f} %"


def grouped(cases: Iterable[Case]) -> list[Case]:
    """Cases of one test function and model together, in the order in which functions, models and cases first came."""
    groups: dict[str, dict[str, list[Case]]] = {}
    for case in cases:
        groups.setdefault(_study(case), {}).setdefault(_model(case), []).append(case)
    return [case for models in groups.values() for group in models.values() for case in group]


def _study(case: Case) -> str:
    """The test function's name without `test_`: `finetune`, `matched`."""
    return case.id.rpartition("::")[2].partition("[")[0].removeprefix("test_")


def _study_column(cases: Sequence[Case]) -> list[Column]:
    """Shown only where cases of several test functions stand in one table: their bracketed ids may be equal."""
    studies = tuple(_study(case) for case in cases)
    return [Column("study", studies, left=True)] if len(set(studies)) > 1 else []


def _model(case: Case) -> str:
    named = case.params.get("model") or case.params.get("model_name")
    return str(named) if named else case.short_id.rpartition("-")[0] or case.short_id


def total_j(case: Case, windows: Iterable[Window]) -> float | None:
    """Sum over windows; None where there is none, or where one has no total."""
    values = [window.total_j(case.total_domains) for window in windows]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _spread(case: Case) -> str:
    """Standard deviation of the rounds relative to their mean; one round has none."""
    known = [value for value in case.joules() if value is not None]
    centre = mean(known)
    if len(known) < 2 or not centre:
        return "-"
    return f"{100 * sample_variance(known) ** 0.5 / centre:.1f} %"


def _error(case: Case) -> str:
    """Error bar of the absolute joules: twice the random part and the whole gain error."""
    quantity = case.mean_quantity
    if quantity is None or quantity.bound_j is None or not quantity.joules:
        return "-"
    return f"{100 * quantity.bound_j / quantity.joules:.2g} %"


def _accuracy(case: Case) -> str:
    value = mean(case.metric("accuracy"))
    return "-" if value is None else f"{100 * value:.1f}"


def _epochs(case: Case) -> str:
    recorded = [count for count in case.metric("epochs") if count is not None]
    if recorded:  # 0 too: a control that trains nothing
        return f"{sum(recorded) / len(recorded):.3g}"
    if not has_epochs(case):
        return "-"
    return f"{sum(map(epochs, case.rounds)) / len(case.rounds):.3g}"


def _status_column(cases: Sequence[Case]) -> list[Column]:
    """Shown only where a case is not ok: the footer says it otherwise."""
    if all(case.status is Status.OK for case in cases):
        return []
    return [Column("status", tuple(case.status.value for case in cases), left=True)]


def _provenance_column(cases: Sequence[Case]) -> list[Column]:
    """Shown only where it differs between cases: the footer says it otherwise."""
    if len({_provenance(case) for case in cases}) == 1:
        return []
    return [Column("provenance", tuple(_provenance(case) for case in cases), drop=5, left=True)]


def _provenance(case: Case) -> str:
    """The weakest class in the headline energy, with the share that counters delivered where it is mixed."""
    if case.provenance is None:
        return "no energy"
    share = case.measured_share
    if case.provenance is Provenance.ESTIMATED and share:
        return f"{100 * share:.0f} % metered"
    return case.provenance.value


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
    said = {_provenance(case) for case in cases}
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

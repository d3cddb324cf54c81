"""All cases of the runs in full: the columns of `energybench show` as numbers, and its tables of domains and laps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from energybench.analysis.effects import evaluation_size
from energybench.analysis.stats import wilson
from energybench.model import Case, Domain, Run, Window, mean
from energybench.reports.case_columns import Context, figure, study
from energybench.reports.charts.chart import Cell, Field
from energybench.reports.page.contents import Table, numbers, of_part
from energybench.reports.projections import projection_part
from energybench.reports.text import grouped
from energybench.units import JOULES_PER_KWH, Scale, energy_scale, time_scale

Of = tuple[Run, Case]
_COLUMNS: tuple[tuple[str, str, str, float, int], ...] = (
    ("case", "case", "case", 1.0, 3),
    ("study", "study", "study", 1.0, 3),
    ("energy_kwh", "kwh", "energy with PUE, {}", 1.0, 3),
    ("energy_it_j", "joules", "IT energy, {}", 1.0, 3),
    ("error_rel", "error", "±, %", 100.0, 2),
    ("spread_rel", "spread", "spread, %", 100.0, 2),
    ("accuracy", "accuracy", "accuracy, %", 100.0, 3),
    ("epochs", "epochs", "epochs", 1.0, 3),
    ("compression", "compression", "compression", 1.0, 3),
    ("search_j", "search", "search, {}", 1.0, 3),
    ("time_s", "seconds", "time, {}", 1.0, 3),
    ("power_w", "power", "power, {}", 1.0, 3),
    ("per_epoch_j", "per-epoch", "per epoch, {}", 1.0, 3),
    ("per_sample_j", "per-sample", "per sample, {}", 1.0, 3),
    ("carbon_g", "co2e", "CO2e, {}", 1.0, 3),
    ("cost", "cost", "cost", 1.0, 3),
    ("rounds", "rounds", "rounds", 1.0, 1),
    ("status", "status", "status", 1.0, 3),
    ("provenance", "provenance", "provenance", 1.0, 3),
    ("measured_share", "measured", "measured, %", 100.0, 3),
)
"""field of the CSV file, column of `case_columns`, title, factor and digits where that column has no scale"""


def case_tables(runs: Sequence[Run], pue: float | None) -> tuple[Table, ...]:
    """All cases first; then, where there are any, domains, laps, what was metered apart, and what was projected."""
    every = [(run, case) for run in runs for case in grouped(run.cases)]
    tables = [_cases(every, pue)]
    if every:
        tables += [table for table in (_domains(every), _laps(every), _apart(every)) if table.numbers.rows]
    for run in runs:
        part = projection_part(run.session, pue)
        tables += [] if part is None else [of_part(f"projected-{run.name}" if len(runs) > 1 else "projected", part)]
    return tuple(tables)


def _cases(every: Sequence[Of], pue: float | None) -> Table:
    contexts = {run.source: Context(pue, run.session) for run, _ in every}
    currencies = {str(run.session["currency"]) for run, _ in every if run.session.get("currency")}
    columns: list[tuple[Field, list[Cell]]] = []
    for name, of, title, factor, digits in _COLUMNS:
        column = figure(of)
        values = [column.value(case, contexts[run.source]) for run, case in every]
        if column.scale is None:
            columns.append((Field(name, title, factor, digits), list(values)))
            continue
        scale = column.scale(value if isinstance(value, (int, float)) else None for value in values)
        # A PUE is in what is counted in kWh; all other energies are IT energy, in joules.
        per_unit = JOULES_PER_KWH if of == "kwh" else 1.0
        stored: list[Cell] = [value / per_unit if isinstance(value, float) else value for value in values]
        columns.append((Field(name, title.replace("{}", scale.unit), per_unit / scale.factor, digits), stored))
    if len({study(case) for _, case in every}) < 2:
        columns = [(field, cells) for field, cells in columns if field.name != "study"]
    if len(currencies) == 1:
        columns = [
            (Field("cost", f"cost, {next(iter(currencies))}") if field.name == "cost" else field, cells)
            for field, cells in columns
        ]
    lows, highs, sizes = zip(*(_accuracy_interval(case) for _, case in every), strict=True) if every else ((), (), ())
    more: tuple[tuple[Field, list[Cell]], ...] = (
        (Field("accuracy_low", "95 % from", 100.0), list(lows)),
        (Field("accuracy_high", "to", 100.0), list(highs)),
        (Field("images", "of images", digits=1), list(sizes)),
    )
    place = next(n for n, (field, _) in enumerate(columns) if field.name == "accuracy") + 1
    columns[place:place] = more
    joules = energy_scale(case.mean_j for _, case in every)
    net = [mean(case.net_j(round.window) for round in case.rounds) for _, case in every]
    columns[-3:-3] = [
        (_scaled("net_j", "net of idle", joules), list(net)),
        (Field("idle_w", "idle, W"), [_idle_w(case) for _, case in every]),
    ]
    if _run_field(every):
        columns.insert(1, (Field("run", "run"), [run.name for run, _ in every]))
    fields = [field for field, _ in columns]
    rows = list(zip(*(cells for _, cells in columns), strict=True))
    notes = (
        "Mean of the rounds. ±: twice the random part of the error and the whole gain error of the meters, which "
        "cancels between runs on one device. Spread: standard deviation of the rounds over their mean.",
    )
    return Table("cases", "All cases", numbers(fields, rows), notes)


def _domains(every: Sequence[Of]) -> Table:
    found = [(run, case, domain, _mean_j(case, domain)) for run, case in every for domain in case.domains]
    scale = energy_scale(joules for *_, joules in found)
    fields = (
        Field("case", "case"),
        *_run_field(every),
        Field("domain", "domain"),
        _scaled("energy_it_j", "IT energy", scale),
        _scaled("random_error_j", "±", scale, 2),
        Field("gain_error_rel", "gain, %", 100.0, 2),
        Field("provenance", "provenance"),
        Field("in_total", "in total"),
        Field("meter", "meter"),
        Field("device", "device"),
    )
    rows = [
        (
            case.short_id,
            *_run_cell(every, run),
            domain.name,
            joules,
            _random_j(case, domain),
            domain.gain_rel,
            domain.provenance.value,
            "yes" if domain.in_total else "no",
            domain.meter,
            domain.device or None,
        )
        for run, case, domain, joules in found
    ]
    return Table("domains-of-cases", "Domains, mean of the rounds", numbers(fields, rows))


def _laps(every: Sequence[Of]) -> Table:
    found: list[tuple[Run, Case, str, list[Window]]] = []
    for run, case in every:
        laps: dict[str, list[Window]] = {}
        for round in case.rounds:
            for lap in round.window.laps:
                laps.setdefault(lap.label, []).append(lap)
        found += [(run, case, label, windows) for label, windows in laps.items()]
    return _windows("laps", "Laps, mean of each", Field("lap", "lap"), every, found)


def _apart(every: Sequence[Of]) -> Table:
    found = [(run, case, kind, windows) for run, case in every for kind, windows in _kinds(case) if windows]
    return _windows("apart", "Metered apart, mean of each", Field("what", "what"), every, found)


def _kinds(case: Case) -> Iterator[tuple[str, list[Window]]]:
    yield "warm-up", [round.window for round in case.warmups]
    yield "search", list(case.search)
    yield "pretraining", list(case.pretraining)


def _windows(
    name: str, caption: str, what: Field, every: Sequence[Of], found: Sequence[tuple[Run, Case, str, list[Window]]]
) -> Table:
    joules = [mean(window.total_j(case.total_domains) for window in windows) for _, case, _, windows in found]
    seconds = [mean(window.seconds for window in windows) for *_, windows in found]
    fields = (
        Field("case", "case"),
        *_run_field(every),
        what,
        Field("windows", "n"),
        _scaled("energy_it_j", "IT energy", energy_scale(joules)),
        _scaled("time_s", "time", time_scale(seconds)),
    )
    rows = [
        (case.short_id, *_run_cell(every, run), kind or None, len(windows), energy, time)
        for (run, case, kind, windows), energy, time in zip(found, joules, seconds, strict=True)
    ]
    return Table(name, caption, numbers(fields, rows))


def _scaled(name: str, title: str, scale: Scale, digits: int = 3) -> Field:
    return Field(name, f"{title}, {scale.unit}", 1.0 / scale.factor, digits)


def _run_field(every: Sequence[Of]) -> tuple[Field, ...]:
    """Only where cases of several runs stand in one table."""
    return (Field("run", "run"),) if len({run.source for run, _ in every}) > 1 else ()


def _run_cell(every: Sequence[Of], run: Run) -> tuple[str, ...]:
    return (run.name,) if _run_field(every) else ()


def _accuracy_interval(case: Case) -> tuple[float | None, float | None, float | None]:
    """Wilson's interval of the mean accuracy, and the images that it was counted on."""
    value, size = case.mean_metric("accuracy"), evaluation_size(case)
    if value is None or size is None:
        return None, None, size
    low, high = wilson(value * size, size)
    return low, high, size


def _idle_w(case: Case) -> float | None:
    """Idle watts of the domains in the total; None where one of them was not watched."""
    known = [watts for name in case.total_domains if (watts := case.idle_w.get(name)) is not None]
    return sum(known) if known and len(known) == len(case.total_domains) else None


def _mean_j(case: Case, domain: Domain) -> float | None:
    return mean(round.window.joules.get(domain.name) for round in case.rounds)


def _random_j(case: Case, domain: Domain) -> float | None:
    """Random error of the mean over the rounds, one standard deviation."""
    known = [error for round in case.rounds if (error := round.window.error_j.get(domain.name)) is not None]
    return math.hypot(*known) / len(known) if known else None

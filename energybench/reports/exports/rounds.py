"""CSV with a row per round: what was read, as it was read.

The first columns are always the same, in this order; behind them `joules.<domain>` and `provenance.<domain>` of every
domain of the run, then `metrics.<name>` of everything its cases recorded, each kind in alphabetical order. Joules are
IT joules before PUE, of one call; `total_j` sums the in-total domains and is empty where one of them could not be
read. An empty field is an absent value.
"""

from __future__ import annotations

import csv
import io
import math

from energybench.model import Case, Run
from energybench.reports.exports.readings import Export, unmeasured
from energybench.units import kwh

COLUMNS = (
    *("run", "created", "commit", "case", "status", "workload", "round", "seed", "started", "session", "iterations"),
    *("seconds", "total_j", "random_error_j", "pue", "kwh", "provenance", "marks", "warnings"),
)
"""the columns that every file begins with; `random_error_j` is one standard deviation, `kwh` has the PUE"""


def write(run: Run, metric: str | None = None, pue: float | None = None) -> Export:
    """All rounds of all cases, whatever became of them: `status` says that. `pue` stands in for the cases' own."""
    domains = sorted({domain.name for case in run.cases for domain in case.domains})
    metrics = sorted({name for case in run.cases for round in case.rounds for name in round.metrics})
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(
        [
            *COLUMNS,
            *(f"joules.{name}" for name in domains),
            *(f"provenance.{name}" for name in domains),
            *(f"metrics.{name}" for name in metrics),
        ]
    )
    for case in run.cases:
        for number in range(len(case.rounds)):
            table.writerow(_row(run, case, number, domains, metrics, pue))
    return Export(out.getvalue(), sum(len(case.rounds) for case in run.cases), unmeasured(run))


def _row(
    run: Run, case: Case, number: int, domains: list[str], metrics: list[str], pue: float | None
) -> list[str | int]:
    round = case.rounds[number]
    total = case.quantities()[number]
    factor = case.pue if pue is None else pue
    sources = {domain.name: str(domain.provenance) for domain in case.domains}
    row: list[str | int] = [
        *(run.name, run.created, str(run.commit.get("id") or ""), case.id, str(case.status), case.workload),
        *(number + 1, round.seed, round.started, round.session, round.iterations),
        _number(round.window.seconds),
        _number(None if total is None else total.joules),
        _number(None if total is None else total.random_j),
        _number(factor),
        _number(None if total is None else kwh(total.joules, factor)),
        str(case.provenance or ""),
        " ".join(round.window.marks),
        "; ".join(round.window.warnings),
        *(_number(round.window.joules.get(name)) for name in domains),
        *(sources.get(name, "") for name in domains),
        *(_number(round.metrics.get(name)) for name in metrics),
    ]
    return [cell.replace("\r", "\n") if isinstance(cell, str) else cell for cell in row]  # csv quotes \n, not \r


def _number(value: float | None) -> str:
    """With every digit; empty where there is none."""
    return "" if value is None or not math.isfinite(value) else repr(float(value))

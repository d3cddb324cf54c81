"""The columns of CodeCarbon's emissions.csv (3.3), a row per round, as far as a run can fill them honestly.

Filled: `timestamp` (start of the round, in its own zone), `project_name` (the case, labelled where joules were
estimated), `run_id` (session, case and round: one per row), `experiment_id` (the run), `duration`, the three energies,
their sum and mean powers, `os`, `python_version`, the CPU, the number of GPUs and their names, `tracking_mode` (our
scope has CodeCarbon's words) and `pue`. As there, energies are kWh with PUE and powers W without. `emissions` and their
rate only where the run knows its grid's grams per kWh.

Empty, because a run does not know them and CodeCarbon's defaults would be inventions: country, region, cloud,
position, RAM, utilisation, water and `wue`, `codecarbon_version` (it was not CodeCarbon).

Everything that the metered window took is counted: a round of several calls with all of them. Warm-ups and searches
are metered apart and have no row. `energy_consumed` is the sum over all in-total domains, and empty where one of them
could not be read; it exceeds the three parts where a domain is none of CPU, GPU and RAM.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

from energybench.model import Case, Run
from energybench.reports.exports.readings import Export, labelled, unmeasured
from energybench.units import kwh

COLUMNS = (
    *("timestamp", "project_name", "run_id", "experiment_id", "duration", "emissions", "emissions_rate"),
    *("cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed"),
    *("water_consumed", "country_name", "country_iso_code", "region", "cloud_provider", "cloud_region", "os"),
    *("python_version", "codecarbon_version", "cpu_count", "cpu_model", "gpu_count", "gpu_model", "longitude"),
    *("latitude", "ram_total_size", "tracking_mode", "cpu_utilization_percent", "gpu_utilization_percent"),
    *("ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue"),
)
_PARTS = {"cpu": ("package", "cpu"), "gpu": ("gpu",), "ram": ("dram", "ram")}
"""CodeCarbon's part -> the kinds of our domains that belong to it"""


def write(run: Run, metric: str | None = None, pue: float | None = None) -> Export:
    """All rounds with a reading, whatever became of the case: the energy was used. `pue` replaces the cases' own."""
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    left_out: list[str] = []
    rows = 0
    for number, case in enumerate(run.cases, 1):
        read = [index for index, joules in enumerate(case.joules()) if joules is not None]
        rows += len(read)
        for index in read:
            table.writerow(_row(run, case, number, index, case.pue if pue is None else pue))
        if not case.rounds:
            left_out.append(f"{case.short_id}: no round")
        elif len(read) < len(case.rounds):
            without = f"no energy reading in {len(case.rounds) - len(read)} of {len(case.rounds)} rounds"
            left_out.append(f"{case.short_id}: {without}")
    return Export(out.getvalue(), rows, (*left_out, *unmeasured(run)))


def _row(run: Run, case: Case, number: int, index: int, pue: float) -> dict[str, str]:
    round = case.rounds[index]
    calls, seconds = round.iterations, round.window.seconds
    row: dict[str, Any] = {
        "timestamp": round.started[:19],
        "project_name": labelled(case.id, case),
        "run_id": f"{round.session or run.name}-{number}-{index + 1}",
        "experiment_id": run.name,
        "duration": seconds * calls,
        "os": "-".join(str(run.machine[key]) for key in ("system", "release", "machine") if run.machine.get(key)),
        "python_version": run.machine.get("python_version"),
        "tracking_mode": case.comparability.get("scope") or run.session.get("scope"),
        "pue": pue,
        **_hardware(run, case),
    }
    for part, kinds in _PARTS.items():
        names = [d.name for d in case.domains if d.in_total and d.name.partition(":")[0] in kinds]
        joules = round.window.total_j(names)
        if joules is not None:
            row[f"{part}_energy"] = kwh(joules * calls, pue)
            row[f"{part}_power"] = joules / seconds if seconds else None
    total = round.window.total_j(case.total_domains)
    if total is not None:
        row["energy_consumed"] = kwh(total * calls, pue)
        if run.carbon_g_per_kwh is not None:
            row["emissions"] = row["energy_consumed"] * run.carbon_g_per_kwh / 1000
            row["emissions_rate"] = row["emissions"] / row["duration"] if row["duration"] else None
    return {key: _field(value) for key, value in row.items()}


def _hardware(run: Run, case: Case) -> dict[str, Any]:
    cpu = run.machine.get("cpu")
    cpu = cpu if isinstance(cpu, Mapping) else {}
    gpus = [d.device for d in case.domains if d.in_total and d.name.startswith("gpu:")]
    return {
        "cpu_count": cpu.get("count"),
        "cpu_model": cpu.get("brand_raw"),
        "gpu_count": len(gpus) or None,
        "gpu_model": ", ".join(filter(None, gpus)),
    }


def _field(value: Any) -> str:
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    return "" if value is None else str(value).replace("\r", "\n")  # csv quotes \n, not \r

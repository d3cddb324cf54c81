"""The columns of CodeCarbon's emissions.csv."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from energybench.model import Case, Run
from energybench.reports.exports.codecarbon import COLUMNS, write

UNKNOWN = {
    *("water_consumed", "country_name", "country_iso_code", "region", "cloud_provider", "cloud_region"),
    *("codecarbon_version", "longitude", "latitude", "ram_total_size", "cpu_utilization_percent"),
    *("gpu_utilization_percent", "ram_utilization_percent", "ram_used_gb", "on_cloud", "wue"),
}


def table(run: Run, pue: float | None = None) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(write(run, pue=pue).text, newline=""), strict=True))


def test_a_row_per_round_in_the_units_of_codecarbon(make_run: Any, mixed: Case) -> None:
    run = make_run(mixed, carbon_g_per_kwh=400.0)
    first, second = table(run)
    kwh = {"cpu_energy": 30.0, "gpu_energy": 60.0, "ram_energy": 10.0, "energy_consumed": 100.0}
    for column, joules in kwh.items():
        assert float(first[column]) == pytest.approx(joules / 3.6e6 * 1.5), column
    assert [float(first[f"{part}_power"]) for part in ("cpu", "gpu", "ram")] == [15.0, 30.0, 5.0]  # W, without PUE
    assert float(first["emissions"]) == pytest.approx(100 / 3.6e6 * 1.5 * 0.4)  # kg
    assert float(first["emissions_rate"]) == pytest.approx(float(first["emissions"]) / 2.0)
    plain = {
        "timestamp": "2026-01-02T03:04:00",
        "project_name": "benches/test_f.py::test_f[mixed] (estimated)",
        "run_id": "s1-1-1",
        "experiment_id": "0003_run1",
        "duration": "2.0",
        "os": "Linux-6.1-x86_64",
        "python_version": "3.11.7",
        "cpu_count": "8",
        "cpu_model": "A CPU, fast",
        "gpu_count": "1",
        "gpu_model": "NVIDIA H100",
        "tracking_mode": "machine",
        "pue": "1.5",
    }
    assert {key: first[key] for key in plain} == plain
    assert second["run_id"] == "s1-1-2"


def test_what_a_run_does_not_know_is_empty(make_run: Any, mixed: Case) -> None:
    (row, _) = table(make_run(mixed))
    assert {key for key, value in row.items() if not value} == UNKNOWN | {"emissions", "emissions_rate"}


def test_the_header_is_codecarbons(make_run: Any, mixed: Case) -> None:
    header = write(make_run(mixed)).text.splitlines()[0]
    # As CodeCarbon 3.3.0 writes it; it goes on with a file only where the names are the same.
    assert header == (
        "timestamp,project_name,run_id,experiment_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,"
        "cpu_energy,gpu_energy,ram_energy,energy_consumed,water_consumed,country_name,country_iso_code,region,"
        "cloud_provider,cloud_region,os,python_version,codecarbon_version,cpu_count,cpu_model,gpu_count,gpu_model,"
        "longitude,latitude,ram_total_size,tracking_mode,cpu_utilization_percent,gpu_utilization_percent,"
        "ram_utilization_percent,ram_used_gb,on_cloud,pue,wue"
    )
    assert header.split(",") == list(COLUMNS)


def test_a_round_of_several_calls_counts_them_all(make_run: Any, mixed: Case) -> None:
    four = replace(mixed, rounds=tuple(replace(round, iterations=4) for round in mixed.rounds))
    once, often = table(make_run(mixed))[0], table(make_run(four))[0]
    for column in ("duration", "energy_consumed", "cpu_energy"):
        assert float(often[column]) == pytest.approx(4 * float(once[column]))
    assert often["cpu_power"] == once["cpu_power"]


def test_rounds_without_a_reading_are_left_out_and_said(make_run: Any, difficult: tuple[Case, ...]) -> None:
    run = make_run(*difficult)
    rows = table(run)
    assert not [row for row in rows if "[unread]" in row["project_name"]]
    assert len([row for row in rows if "[partly]" in row["project_name"]]) == 1
    assert [row for row in rows if "[failed]" in row["project_name"]]  # its energy was used
    assert all(row["energy_consumed"] for row in rows)
    assert write(run).left_out == (
        "unread: no energy reading in 2 of 2 rounds",
        "partly: no energy reading in 1 of 2 rounds",
        "empty: no round",
    )


def test_a_part_that_nothing_metered_is_empty_and_not_zero(make_run: Any, make_case: Any) -> None:
    (row,) = table(make_run(make_case(joules=[100.0])))
    assert (row["gpu_energy"], row["gpu_power"], row["gpu_count"], row["ram_energy"]) == ("", "", "", "")
    assert row["cpu_energy"] == row["energy_consumed"]


def test_another_pue_is_said_and_applied(make_run: Any, mixed: Case) -> None:
    row = table(make_run(mixed), pue=2.0)[0]
    assert row["pue"] == "2.0"
    assert float(row["energy_consumed"]) == pytest.approx(100 / 3.6e6 * 2)


def test_a_window_of_no_time_has_no_power(make_run: Any, make_case: Any) -> None:
    (row,) = table(make_run(make_case(joules=[1.0], seconds=0.0), carbon_g_per_kwh=1.0))
    assert (row["cpu_power"], row["emissions_rate"]) == ("", "")

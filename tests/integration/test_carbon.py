"""--energy-carbon and --energy-price: factors on what is shown, stored beside joules that they never touch."""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main

IT = "test_bench.py::test_it"


@pytest.fixture
def measured(project: Any) -> Any:
    """A case of 1.8 MJ, half a kWh, each round."""
    project.cases("def test_it(energy):\n    energy(lambda: None)\n")
    project.replay({"*": [(1.8e6, 60.0)]})
    return project


def shown(project: Any, *args: str) -> str:
    out = io.StringIO()
    assert main(["show", str(project.last().path), *args], out, out) == 0
    return out.getvalue()


def test_a_number_and_a_price_are_shown_in_the_total_and_stored_and_no_joule_changes(measured: Any) -> None:
    measured.run().assert_outcomes(passed=1)
    before = measured.last().joules(IT)
    result = measured.run("--energy-carbon=400", "--energy-price", "0.25 EUR", "--energy-pue=1.5", "--energy-rounds=2")
    result.assert_outcomes(passed=1)
    measured.says(
        result,
        "energybench: carbon: 400 gCO2e/kWh (given)",
        "energybench: price: 0.25 EUR per kWh",
        "Total of all rounds: 1.50 kWh with PUE 1.5 (1.50 kWh), 600 g CO2e, 0.375 EUR; IT energy 3.60 MJ.",
    )
    stored = measured.last()
    assert stored.joules(IT) == 2 * before == [1.8e6, 1.8e6]
    session = stored.document["energybench"]
    assert session["carbon_g_per_kwh"] == 400.0
    assert session["carbon_source"] == "given"
    assert (session["price_per_kwh"], session["currency"]) == (0.25, "EUR")
    text = shown(measured)
    assert "  carbon: 400 gCO2e/kWh (given)\n  price: 0.25 EUR per kWh\n" in text
    assert ", 600 g CO2e, 0.375 EUR; IT energy" in text
    assert ", 400 g CO2e, 0.250 EUR; IT energy" in shown(measured, "--pue=1")


def test_a_country_is_looked_up_and_named_with_its_year(measured: Any) -> None:
    measured.file("pytest.ini", "[pytest]\nenergy_carbon = de\nenergy_price = 0.3\n")
    result = measured.run()
    measured.says(
        result, "*0.500 kWh*, 172 g CO2e, cost 0.150; IT energy*", "*carbon: 344.1 gCO2e/kWh (DE 2024: Ember*"
    )
    session = measured.last().document["energybench"]
    assert (session["carbon_g_per_kwh"], session["currency"]) == (344.14, "")


def test_without_them_nothing_is_said_or_stored(measured: Any) -> None:
    result = measured.run()
    assert "CO2e" not in result.stdout.str()
    assert {"carbon_g_per_kwh", "carbon_source", "price_per_kwh", "currency"}.isdisjoint(
        measured.last().document["energybench"]
    )


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--energy-carbon=QQ", "*--energy-carbon: the table of carbon intensities has no QQ*"),
        (
            "--energy-carbon=Germany",
            "*--energy-carbon: 'Germany' is neither a number of gCO2e per kWh nor the code of*",
        ),
        ("--energy-carbon=grid.csv", "*the carbon intensities grid.csv cannot be read: No such file*"),
        ("--energy-price=free", "*--energy-price: a price per kWh is a number of at least 0, not 'free'"),
        ("--energy-stop-after=soon", "*--energy-stop-after: a case can be ended once its projection is stable*"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_runs(measured: Any, option: str, says: str) -> None:
    result = measured.run_apart(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    measured.says(result, says)
    assert not measured.stored()


def hours(path: Path, *grams: float, first_h: int = -1) -> None:
    """A series of hourly values that begins `first_h` hours from now."""
    now = datetime.datetime.now(datetime.UTC)
    lines = [f"{(now + datetime.timedelta(hours=first_h + n)).isoformat()},{value}" for n, value in enumerate(grams)]
    path.write_text("\n".join(["time,g_per_kwh", *lines]) + "\n")


def test_an_intensity_over_time_is_that_of_the_rounds_own_time(measured: Any) -> None:
    hours(measured.path / "grid.csv", 200.0, 200.0, 900.0)  # two hours of 200 around now
    result = measured.run("--energy-carbon=grid.csv", "--energy-rounds=2")
    result.assert_outcomes(passed=1)
    measured.says(result, "energybench: carbon: grid.csv, by time", "*1.00 kWh*, 200 g CO2e; IT energy*")
    session = measured.last().document["energybench"]
    assert (session["carbon_g_per_kwh"], session["carbon_source"]) == (200.0, "grid.csv, by time")
    assert session["carbon_rounds"] == {IT: [200.0, 200.0]}


def test_rounds_outside_the_series_have_no_footprint_and_that_is_said(measured: Any) -> None:
    hours(measured.path / "grid.csv", 200.0, 200.0, first_h=-9)
    result = measured.run("--energy-carbon=grid.csv")
    result.assert_outcomes(passed=1)
    measured.says(
        result, "note: carbon: 1 of 1 rounds lie outside grid.csv (*), so that what the rounds emitted is not*"
    )
    assert "CO2e;" not in result.stdout.str()
    session = measured.last().document["energybench"]
    assert session["carbon_g_per_kwh"] is None
    assert session["carbon_rounds"] == {IT: [None]}
    assert "carbon: grid.csv, by time" in shown(measured)

"""Carbon and price of a session: what holds between two moments, and over all rounds."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from energybench.estimators.carbon_series import CarbonSeries
from energybench.harness.factors import factor_notes, factors_between, session_factors, stated_factors
from energybench.harness.options import EnergyOptions
from energybench.model import Case, Domain, Provenance, Round, Window

NOON_S = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC).timestamp()
SERIES = CarbonSeries("day.csv", (NOON_S, NOON_S + 3600, NOON_S + 7200), (100.0, 300.0))
BY_TIME = EnergyOptions(carbon_source="day.csv, by time", carbon_series=SERIES)


def case(*rounds: tuple[float, float, float | None], iterations: int = 1) -> Case:
    """Rounds of (seconds after noon, seconds, joules)."""
    made = [
        Round(
            Window(seconds, {"package:0": joules}),
            started=datetime.datetime.fromtimestamp(NOON_S + at, datetime.UTC).isoformat(),
            iterations=iterations,
        )
        for at, seconds, joules in rounds
    ]
    return Case("f.py::test_x", tuple(made), domains=(Domain("package:0", "rapl", Provenance.MEASURED),))


def test_nothing_given_is_nothing_stored() -> None:
    assert session_factors(EnergyOptions(), [case((0, 1, 1.0))]) == {}
    assert stated_factors(EnergyOptions()) == {}
    assert factor_notes(EnergyOptions(), [case((0, 1, 1.0))]) == []


def test_fixed_factors_are_stored_as_given() -> None:
    options = EnergyOptions(carbon_g_per_kwh=0.0, carbon_source="given", price_per_kwh=0.0, currency="EUR")
    stored = {"carbon_g_per_kwh": 0.0, "carbon_source": "given", "price_per_kwh": 0.0, "currency": "EUR"}
    assert session_factors(options, []) == stored
    assert factors_between(options, 0.0, 1.0) == stored


def test_rounds_are_weighted_by_time_within_and_by_energy_between_them() -> None:
    first, second = case((0, 1800, 1000.0)), case((1800, 3600, 3000.0))
    stored = session_factors(BY_TIME, [first])
    assert (stored["carbon_g_per_kwh"], stored["carbon_rounds"]) == (100.0, {"f.py::test_x": [100.0]})
    assert session_factors(BY_TIME, [second])["carbon_g_per_kwh"] == 200.0  # half of it at 100, half at 300
    both = case((0, 1800, 1000.0), (1800, 3600, 3000.0))
    stored = session_factors(BY_TIME, [both])
    assert stored["carbon_g_per_kwh"] == pytest.approx((1000 * 100 + 3000 * 200) / 4000)
    # Four calls of 450 s lie in one window of 1800 s.
    repeated = case((1800, 900, 10.0), iterations=4)
    assert session_factors(BY_TIME, [repeated])["carbon_g_per_kwh"] == 200.0


def test_a_round_outside_the_series_leaves_the_session_without_an_intensity_and_is_said() -> None:
    outside = case((0, 1800, 1000.0), (7000, 3600, 3000.0))
    stored = session_factors(BY_TIME, [outside])
    assert (stored["carbon_g_per_kwh"], stored["carbon_rounds"]) == (None, {"f.py::test_x": [100.0, None]})
    assert factor_notes(BY_TIME, [outside]) == [
        "carbon: 1 of 2 rounds lie outside day.csv (2026-01-02T12:00+00:00 to 2026-01-02T14:00+00:00), so that what "
        "the rounds emitted is not known"
    ]
    assert factor_notes(BY_TIME, [case((0, 1, 1.0))]) == []


@pytest.mark.parametrize("started", ["", "noon"])
def test_a_round_whose_start_is_not_known_has_no_intensity(started: str) -> None:
    unknown = Case("f.py::test_x", (Round(Window(1.0, {}), started=started),))
    stored: Any = session_factors(BY_TIME, [unknown])
    assert stored["carbon_rounds"] == {"f.py::test_x": [None]}
    assert stored["carbon_g_per_kwh"] is None


def test_between_two_moments_the_series_says_what_holds() -> None:
    assert factors_between(BY_TIME, NOON_S + 3600, NOON_S + 7200)["carbon_g_per_kwh"] == 300.0
    assert factors_between(BY_TIME, NOON_S, NOON_S + 8000)["carbon_g_per_kwh"] is None

"""Carbon and cost as text."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.reports.factors import footprint, stated


@pytest.mark.parametrize(
    ("session", "text"),
    [
        ({}, ""),
        ({"carbon_g_per_kwh": 344.14, "carbon_source": "DE 2024"}, "688 g CO2e"),
        ({"carbon_g_per_kwh": 0.0}, "0 g CO2e"),
        ({"carbon_g_per_kwh": None, "carbon_source": "day.csv, by time"}, ""),
        ({"price_per_kwh": 0.3, "currency": "EUR"}, "0.600 EUR"),
        ({"price_per_kwh": 0.3, "currency": ""}, "cost 0.600"),
        ({"price_per_kwh": 0.3, "currency": "EUR", "carbon_g_per_kwh": 1000}, "2.00 kg CO2e, 0.600 EUR"),
    ],
)
def test_two_kilowatt_hours(session: dict[str, Any], text: str) -> None:
    assert footprint(7.2e6, session) == text
    assert footprint(None, session) == ""


def test_factors_are_stated_with_where_they_come_from() -> None:
    assert stated({}) == []
    assert stated({"carbon_g_per_kwh": 344.14, "carbon_source": "DE 2024: Ember"}) == [
        ("carbon", "344.1 gCO2e/kWh (DE 2024: Ember)")
    ]
    assert stated({"carbon_g_per_kwh": 380.0}) == [("carbon", "380 gCO2e/kWh")]
    assert stated({"carbon_source": "day.csv, by time"}) == [("carbon", "day.csv, by time")]
    assert stated({"price_per_kwh": 0.3, "currency": "EUR"}) == [("price", "0.3 EUR per kWh")]
    assert stated({"price_per_kwh": 0.3}) == [("price", "0.3 per kWh")]

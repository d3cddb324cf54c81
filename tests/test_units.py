"""Joules and their relatives as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench import units


def test_a_kilowatt_hour_is_3600000_joules_and_pue_multiplies() -> None:
    assert units.kwh(3_600_000) == 1
    assert units.kwh(3_600_000, 1.58) == pytest.approx(1.58)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00123456, "0.00123"), (12.345, "12.3"), (1234.5, "1234"), (0, "0"), (-0.5, "-0.500"), (1e-9, "0.00000000100")],
)
def test_significant_digits_never_use_exponents(value: float, text: str) -> None:
    assert units.significant(value) == text


@given(st.floats(min_value=1e-9, max_value=1e15))
def test_significant_keeps_three_digits_of_any_number(value: float) -> None:
    text = units.significant(value)
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=0.005)


def test_a_column_is_shown_on_the_scale_of_its_median() -> None:
    scale = units.energy_scale([1500.0, 2500.0, 900_000.0, None])
    assert scale.unit == "kJ"
    assert [scale.text(value) for value in (1500.0, 900_000.0, None)] == ["1.50", "900", "-"]


def test_each_quantity_has_its_own_ladder_of_units() -> None:
    assert units.watt_hour_scale([7200.0]).unit == "Wh"
    assert units.power_scale([0.5]).unit == "mW"
    assert units.time_scale([90.0]).unit == "min"
    assert units.mass_scale([2000.0]).unit == "kg"
    assert units.energy_scale([]).unit == "J"


def test_single_values_carry_their_unit_and_absent_ones_are_a_dash() -> None:
    assert units.energy(12_340.0) == "12.3 kJ"
    assert units.watt_hours(12_312.0) == "3.42 Wh"
    assert units.power(118.2) == "118 W"
    assert units.energy(None) == "-"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (42.4, "42 s"), (187, "3:07"), (3725, "1:02:05"), (None, "-")],
)
def test_durations_read_like_a_clock(seconds: float | None, text: str) -> None:
    assert units.duration(seconds) == text


def test_percent_is_signed_and_absent_is_a_dash() -> None:
    assert units.percent(0.0324) == "+3.2 %"
    assert units.percent(-0.5, 0) == "-50 %"
    assert units.percent(None) == "-"

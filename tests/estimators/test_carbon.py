from __future__ import annotations

import re

import pytest

from energybench.errors import UsageError
from energybench.estimators.carbon import Factors, parse_carbon, parse_price
from energybench.estimators.carbon_table import intensities


@pytest.mark.parametrize(("text", "grams"), [("380", 380.0), (" 41.5 ", 41.5), ("0", 0.0), ("1e3", 1000.0)])
def test_a_number_is_taken_as_it_is(text: str, grams: float) -> None:
    assert parse_carbon(text) == (grams, "given")


@pytest.mark.parametrize("code", ["DE", "de", "DEU", "deu"])
def test_a_country_is_found_by_both_of_its_codes_with_the_year_of_the_value(code: str) -> None:
    grams, source = parse_carbon(code)
    assert grams == 344.14
    assert source.startswith("DE 2024: Ember")


def test_values_are_those_of_the_named_source() -> None:
    """Spot checks against the file that the table names, and against its own year column."""
    known = intensities()
    for code, year, grams in (("FR", 2024, 44.18), ("POL", 2024, 614.98), ("SWE", 2024, 35.82), ("IDN", 2023, 682.43)):
        assert (known[code].year, known[code].g_per_kwh) == (year, grams)
    assert parse_carbon("UK")[0] == known["GB"].g_per_kwh == 210.89
    assert parse_carbon("EU")[0] == 213.31
    assert parse_carbon("WORLD")[0] == 473.05


def test_every_entry_is_plausible_and_has_its_two_codes() -> None:
    known = intensities()
    assert len({entry.code for entry in known.values()}) == 208
    for code, entry in known.items():
        assert re.fullmatch(r"[A-Z]{2,3}|WORLD", code)
        assert 15 < entry.g_per_kwh < 1400
        assert entry.year in (2022, 2023, 2024)
    assert len(known) == 2 * 208 - 2  # EU and WORLD have one code each


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-1", "at least 0"),
        ("nan", "at least 0"),
        ("inf", "at least 0"),
        ("CAF", "has no CAF"),
        ("XX", "has no XX.*the number"),
        ("Germany", "neither a number of gCO2e per kWh nor the code of a country"),
        ("", "neither a number"),
    ],
)
def test_what_has_no_value_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_carbon(text)


def test_an_unknown_code_names_its_neighbours() -> None:
    with pytest.raises(UsageError, match=r"near it: .*DEU"):
        parse_carbon("DEX")


def test_factors_apply_to_energy_with_pue_and_are_absent_where_nobody_said() -> None:
    factors = Factors(400.0, "given", 0.25)
    assert factors.grams(3_600_000.0) == 400.0
    assert factors.grams(3_600_000.0, pue=1.5) == 600.0
    assert factors.cost(7_200_000.0, pue=1.5) == 0.75
    assert Factors().grams(1.0) is None
    assert Factors().cost(1.0) is None


@pytest.mark.parametrize("text", ["-0.1", "cheap", "nan"])
def test_a_price_is_a_number(text: str) -> None:
    assert parse_price("0.31") == 0.31
    with pytest.raises(UsageError, match="a price per kWh"):
        parse_price(text)

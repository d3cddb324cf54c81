"""Carbon and cost of energy: factors on what is shown, never on what is stored.

A carbon intensity is a number, in gCO2 equivalents per kWh, or the code of a country whose mean of a year stands in
`carbon_table`. Energy bought includes what cooling and conversion take: both factors apply to joules times PUE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches

from energybench.errors import UsageError
from energybench.units import kwh


@dataclass(frozen=True, slots=True)
class Factors:
    """What a kilowatt-hour emits and costs; None where nobody said."""

    g_per_kwh: float | None = None
    source: str = ""
    """of the intensity: `given`, or the table's entry with its year"""
    price_per_kwh: float | None = None
    """in whatever currency the caller counts"""

    def grams(self, joules: float, pue: float = 1.0) -> float | None:
        """gCO2e of `joules` of IT energy; None where no intensity is known."""
        return None if self.g_per_kwh is None else kwh(joules, pue) * self.g_per_kwh

    def cost(self, joules: float, pue: float = 1.0) -> float | None:
        """Price of `joules` of IT energy; None where no price is known."""
        return None if self.price_per_kwh is None else kwh(joules, pue) * self.price_per_kwh


def parse_carbon(text: str) -> tuple[float, str]:
    """`380`, `DE` or `DEU` -> gCO2e per kWh, and where the number comes from.

    Codes are those of ISO 3166-1 in two or three letters, in capitals or not; `EU` and `WORLD` too. Raises UsageError
    for a negative number, what is no code, and a country that the table does not have.
    """
    said = text.strip()
    try:
        value = float(said)
    except ValueError:
        return _of_country(said)
    if not 0 <= value < math.inf:
        raise UsageError(f"a carbon intensity is a number of gCO2e per kWh of at least 0, not {text!r}")
    return value, "given"


def parse_price(text: str) -> float:
    """A price per kWh: a number of at least 0. Raises UsageError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UsageError(f"a price per kWh is a number of at least 0, not {text!r}")
    return value


def _of_country(said: str) -> tuple[float, str]:
    from energybench.estimators.carbon_table import SOURCE, intensities

    known = intensities()
    code = "GB" if said.upper() == "UK" else said.upper()  # reserved in ISO 3166-1 for what GB stands for
    entry = known.get(code)
    if entry is not None:
        return entry.g_per_kwh, f"{entry.code} {entry.year}: {SOURCE}"
    if not (code.isascii() and code.isalpha() and len(code) in (2, 3)):
        raise UsageError(
            f"{said!r} is neither a number of gCO2e per kWh nor the code of a country in two or three letters (DE, DEU)"
        )
    near = get_close_matches(
        code, [known_code for known_code in known if len(known_code) == len(code)], n=3, cutoff=0.5
    )
    nearest = f"; near it: {', '.join(near)}" if near else ""
    raise UsageError(
        f"the table of carbon intensities has no {code}{nearest}. Give the number of gCO2e per kWh instead"
    )

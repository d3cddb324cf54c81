"""Joules, watts, seconds and grams as text. Inside the package only base units exist; every other unit is made here.

A column of a table is shown on one scale, so that its numbers can be compared by eye: ask for the scale of the whole
column first, then format each value with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

JOULES_PER_KWH = 3_600_000.0


def kwh(joules: float, pue: float = 1.0) -> float:
    """Kilowatt-hours of `joules` of IT energy, multiplied by the data centre's PUE (>= 1)."""
    return joules / JOULES_PER_KWH * pue


@dataclass(frozen=True, slots=True)
class Scale:
    """One unit for a whole column: a value in the base unit is divided by `factor` and labelled `unit`."""

    unit: str
    factor: float

    def text(self, value: float | None, digits: int = 3) -> str:
        """`value` (base unit) as a number on this scale with `digits` significant digits; an absent value is a dash."""
        return "-" if value is None else significant(value / self.factor, digits)


_ENERGY = (Scale("mJ", 1e-3), Scale("J", 1.0), Scale("kJ", 1e3), Scale("MJ", 1e6), Scale("GJ", 1e9))
_ENERGY_WH = (Scale("mWh", 3.6), Scale("Wh", 3.6e3), Scale("kWh", 3.6e6), Scale("MWh", 3.6e9))
_POWER = (Scale("mW", 1e-3), Scale("W", 1.0), Scale("kW", 1e3))
_TIME = (Scale("us", 1e-6), Scale("ms", 1e-3), Scale("s", 1.0), Scale("min", 60.0), Scale("h", 3600.0))
_MASS = (Scale("mg", 1e-3), Scale("g", 1.0), Scale("kg", 1e3), Scale("t", 1e6))


def _scale(scales: tuple[Scale, ...], values: Iterable[float | None]) -> Scale:
    """The largest scale on which the median magnitude of the column is at least 1 (the smallest scale otherwise)."""
    magnitudes = sorted(map(abs, filter(None, values)))
    middle = magnitudes[len(magnitudes) // 2] if magnitudes else 1.0
    return next((scale for scale in reversed(scales) if middle >= scale.factor), scales[0])


def energy_scale(joules: Iterable[float | None]) -> Scale:
    """mJ to GJ for a column of joules."""
    return _scale(_ENERGY, joules)


def watt_hour_scale(joules: Iterable[float | None]) -> Scale:
    """mWh to MWh for a column of joules."""
    return _scale(_ENERGY_WH, joules)


def power_scale(watts: Iterable[float | None]) -> Scale:
    """mW to kW for a column of watts."""
    return _scale(_POWER, watts)


def time_scale(seconds: Iterable[float | None]) -> Scale:
    """Microseconds to hours for a column of seconds."""
    return _scale(_TIME, seconds)


def mass_scale(grams: Iterable[float | None]) -> Scale:
    """mg to t for a column of grams (CO2 equivalents)."""
    return _scale(_MASS, grams)


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits and never in exponent form: 0.00123, 12.3, 1234."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    text = f"{value:#.{digits}g}"  # whole where the number is neither small nor large, which nearly all are
    if "e" not in text:
        return text.rstrip(".")
    exponent = int(f"{value:e}".partition("e")[2])
    return f"{value:.{max(0, digits - 1 - exponent)}f}"


def energy(joules: float | None, digits: int = 3) -> str:
    """One energy with its own unit: `12.3 kJ`."""
    return _one(energy_scale([joules]), joules, digits)


def watt_hours(joules: float | None, digits: int = 3) -> str:
    """One energy in watt-hours with its own unit: `3.42 Wh`."""
    return _one(watt_hour_scale([joules]), joules, digits)


def power(watts: float | None, digits: int = 3) -> str:
    """One power with its own unit: `118 W`."""
    return _one(power_scale([watts]), watts, digits)


def duration(seconds: float | None) -> str:
    """A duration for people: `0.8 s`, `42 s`, `3:07`, `1:02:05`; a dash where it is absent."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def percent(ratio: float | None, digits: int = 1) -> str:
    """A signed relative change as percent: 0.032 -> `+3.2 %`; a dash where it is absent."""
    return "-" if ratio is None else f"{100 * ratio:+.{digits}f} %"


def _one(scale: Scale, value: float | None, digits: int) -> str:
    return "-" if value is None else f"{scale.text(value, digits)} {scale.unit}"

"""Texts of options made into values; a text that is none raises ValueError, naming what is wanted."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from energybench.errors import UsageError

T = TypeVar("T")
PROFILES = ("quick", "standard", "paper")
SCOPES = ("machine", "process")
INCONCLUSIVE = ("warn", "fail")
STOP_AFTER = ("stable",)


def pue(text: str) -> float:
    """A PUE, at least 1."""
    value = number(text, "a PUE is a number of at least 1")
    if value < 1:
        raise ValueError(f"a PUE is a number of at least 1 (total power of the data centre / IT power), not {text!r}")
    return value


def carbon(text: str) -> tuple[float, str] | Path:
    """A carbon intensity in gCO2e per kWh with where it comes from, or the file of one that changes over time."""
    if text.strip().lower().endswith(".csv"):
        return Path(text.strip())
    from energybench.estimators.carbon import parse_carbon

    try:
        return parse_carbon(text)
    except UsageError as error:
        raise ValueError(str(error)) from None


def price(text: str) -> tuple[float, str]:
    """A price per kWh and its currency, which may be left out: `0.30 EUR`."""
    from energybench.estimators.carbon import parse_price

    said, _, currency = text.strip().partition(" ")
    if len(currency.split()) > 1:
        raise ValueError(f"a price per kWh is a number and one word for its currency, such as 0.30 EUR, not {text!r}")
    try:
        return parse_price(said), currency.strip()
    except UsageError as error:
        raise ValueError(str(error)) from None


def number(text: str, what: str) -> float:
    """A finite number; `what` begins the complaint."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{what}, not {text!r}") from None
    if not math.isfinite(value):
        raise ValueError(f"{what}, not {text!r}")
    return value


def whole(least: int, what: str) -> Callable[[str], int]:
    """A parser of whole numbers of at least `least`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise ValueError(f"{what} is a whole number of at least {least}, not {text!r}")
        return value

    return parse


def fraction(what: str) -> Callable[[str], float]:
    """A parser of numbers between 0 and 1."""

    def parse(text: str) -> float:
        value = number(text, f"{what} is a fraction between 0 and 1")
        if not 0 < value < 1:
            raise ValueError(f"{what} is a fraction between 0 and 1 (0.05 = 5 %), not {text!r}")
        return value

    return parse


def watts(text: str) -> float:
    """A rated power in watts."""
    value = number(text, "a rated power is a number of watts above 0")
    if value <= 0:
        raise ValueError(f"a rated power is a number of watts above 0, not {text!r}")
    return value


def seconds(text: str) -> float:
    """A length of time in seconds."""
    value = number(text, "the idle time is a number of seconds")
    if value < 0:
        raise ValueError(f"the idle time is a number of seconds of at least 0, not {text!r}")
    return value


def hertz(text: str) -> float:
    """Readings per second, 0 for none."""
    value = number(text, "a trace takes a number of readings per second")
    if not 0 <= value <= 100:
        raise ValueError(f"a trace takes 0 (off) to 100 readings per second, not {text!r}")
    return value


def iterations(text: str) -> int | str:
    """A number of calls, or `auto`."""
    return text if text == "auto" else whole(1, "the number of iterations (or auto)")(text)


def scope(text: str) -> str:
    """Whose package joules count."""
    if text not in SCOPES:
        raise ValueError(f"unknown scope {text!r}: choose {' or '.join(SCOPES)}")
    return text


def inconclusive(text: str) -> str:
    """What becomes of a gate that cannot tell."""
    if text not in INCONCLUSIVE:
        raise ValueError(f"an inconclusive gate is to {' or '.join(INCONCLUSIVE)}, not {text!r}")
    return text


def stop_after(text: str) -> str:
    """What ends a case before its rounds are complete."""
    if text not in STOP_AFTER:
        raise ValueError(f"a case can be ended once its projection is {' or '.join(STOP_AFTER)}, not {text!r}")
    return text


def looks(text: str) -> list[int]:
    """Ascending numbers of rounds."""
    try:
        rounds = [int(word) for word in words(text)]
    except ValueError:
        rounds = []
    if not rounds or rounds[0] < 1 or any(later <= sooner for sooner, later in pairwise(rounds)):
        raise ValueError(f"looks are growing numbers of rounds separated by commas, such as 3,5,10, not {text!r}")
    return rounds


def words(text: str) -> list[str]:
    """A comma-separated list of names."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ValueError(f"expected a comma-separated list of names, not {text!r}")
    return words


def seeds(text: str) -> list[int]:
    """A comma-separated list of whole numbers."""
    try:
        return [int(word) for word in words(text)]
    except ValueError:
        raise ValueError(f"seeds are whole numbers separated by commas, such as 0,1,2, not {text!r}") from None


def profile(text: str) -> str:
    """One of the known profiles."""
    if text not in PROFILES:
        raise ValueError(f"unknown profile {text!r}: choose one of {', '.join(PROFILES)}")
    return text


def columns(text: str) -> tuple[str, ...]:
    """Columns of the table at the end."""
    from energybench.reports import layout

    return _laid_out(layout.columns, text)


def sort(text: str) -> tuple[tuple[str, bool], ...]:
    """Columns that its rows are sorted by, each with whether the largest comes first."""
    from energybench.reports import layout

    return _laid_out(layout.sort, text)


def group_by(text: str) -> str:
    """What groups its rows."""
    from energybench.reports import layout

    return _laid_out(layout.group_by, text)


def _laid_out(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except UsageError as error:
        raise ValueError(str(error)) from None


def assignment(text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        raise ValueError(f"expected NAME=VALUE, such as lr=0.02, not {text!r}")
    return key.strip(), value.strip()

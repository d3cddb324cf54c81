"""The quantities that are compared: how each is read from a case, and which of them decide."""

from __future__ import annotations

import math
from collections.abc import Iterable

from energybench.model import Case, Metric


def joules(case: Case) -> tuple[float | None, ...]:
    """IT joules of each round over the domains that a verdict rests on."""
    return case.verdict_joules


def watts(case: Case) -> tuple[float | None, ...]:
    """Mean power of each round in watts; None where it has no joules or took no time."""
    return tuple(
        None if joules is None or seconds <= 0 or not math.isfinite(joules / seconds) else joules / seconds
        for joules, seconds in zip(joules(case), case.seconds, strict=True)
    )


ENERGY = Metric("energy", "J", "lower", joules, gates=True)
ACCURACY = Metric("accuracy", "", "higher", lambda case: case.metric("accuracy"), gates=True)
SHOWN = (
    Metric("seconds", "s", "lower", lambda case: case.seconds),
    Metric("epochs", "", "lower", lambda case: case.epochs),
    Metric("power", "W", "lower", watts),
)
METRICS = (ENERGY, ACCURACY, *SHOWN)
BETWEEN_SESSIONS = ("seconds", "power")
"""shown metrics in which whole sessions differ, as in energy; a number of epochs knows no drift"""


def positive(values: Iterable[float | None]) -> list[float]:
    """The values above zero, which have a logarithm."""
    return [value for value in values if value is not None and value > 0]

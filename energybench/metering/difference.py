"""Two ends of a window made into joules, errors and marks.

The random error of a counter that is updated every T seconds: at each end the value is late by a time uniform in
[0, T), worth P T at power P, and rounded down by up to one step d. With the power just before each end,
u = sqrt((P_b T)^2 + (P_e T)^2 + 2 d^2) / sqrt(12), the standard deviation of independent uniform errors (GUM, JCGM
100:2008, 4.3.7). A window is never patched with power x time: it is marked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from energybench.metering.counter import Reading
from energybench.metering.meter import Resolution
from energybench.metering.scope import Busy, share, share_error
from energybench.model import Mark, Window

SHORTEST_TICKS = 20
"""A window of fewer ticks than this is marked: its ends alone may be wrong by more than 2 %."""
CHECK_SUFFIX = "/integral"
"""ends the name of a domain that repeats a counter by integrating power: `gpu:0/integral`"""
_AGREEMENT = 0.05
"""The gain error of either sensor; a counter and an integral further apart than this are said."""
MAY_REST = ("ane:", "gpu:apple")
"""Beginnings of domains that draw nothing at all while they have nothing to do."""
_STILL_S = 1.0
"""A package or GPU whose counter does not move for this long draws no power at all, or does not count."""


class End(NamedTuple):
    """One end of a window."""

    clock: float
    readings: Mapping[str, Reading]
    busy: Busy | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """What all windows of a session have in common."""

    resolution: Mapping[str, Resolution] = field(default_factory=dict)
    """domain name -> resolution; a domain without one states no random error"""
    attributed: frozenset[str] = frozenset()
    """domains of which only the process tree's share of the busy CPU time counts"""
    checked: bool = False
    """whether a domain repeats another one as a check"""


def difference(start: End, end: End, ground: Ground, label: str, laps: tuple[Window, ...] = ()) -> Window:
    """The window between two ends. A domain that cannot be subtracted is None there, with a warning and a mark."""
    seconds = end.clock - start.clock
    joules: dict[str, float | None] = {}
    error_j: dict[str, float | None] = {}
    warnings: list[str] = []
    marks: list[Mark] = []
    short: dict[float, list[str]] = {}
    for name, first in start.readings.items():
        last = end.readings[name]
        trouble = _trouble(name, first, last)
        if trouble or first.joules is None or last.joules is None:
            joules[name] = error_j[name] = None
            warnings.append(trouble)
            marks.append(Mark.LOST)
            continue
        gross_j = last.joules - first.joules
        value: float | None = gross_j
        fineness = ground.resolution.get(name)
        error = None
        if fineness is not None:
            error = random_error_j(gross_j, seconds, fineness, first.power_w, last.power_w)
        if fineness is not None and fineness.period_s > 0:
            if seconds < SHORTEST_TICKS * fineness.period_s:
                short.setdefault(fineness.period_s, []).append(name)
            elif gross_j == 0 and seconds >= _STILL_S and not name.startswith(MAY_REST):
                warnings.append(f"{name} stood still for {seconds:.3g} s: does its counter count at all?")
        if name in ground.attributed:
            value, error, trouble = _attribute(name, gross_j, error, start.busy, end.busy)
            if trouble:
                warnings.append(trouble)
                marks.append(Mark.LOST)
        joules[name], error_j[name] = value, error
    for period_s, names in short.items():
        marks.append(Mark.TOO_SHORT)
        warnings.append(
            f"{', '.join(names)}: a window of {seconds:.3g} s is too short to be sound "
            f"(under {SHORTEST_TICKS} update periods of {period_s:.3g} s)"
        )
    if ground.checked and not short:
        warnings.extend(_disagreements(joules))
    return Window(seconds, joules, error_j, laps, label, tuple(warnings), tuple(dict.fromkeys(marks)))


def random_error_j(
    joules: float,
    seconds: float,
    resolution: Resolution,
    power_begin_w: float | None = None,
    power_end_w: float | None = None,
) -> float:
    """One standard deviation of a window's joules that comes from when and how finely the counter is updated.

    Where the power just before an end is not known, the window's mean power stands in.
    """
    mean_w = joules / seconds if seconds > 0 else 0.0
    begin_j = (mean_w if power_begin_w is None else power_begin_w) * resolution.period_s
    end_j = (mean_w if power_end_w is None else power_end_w) * resolution.period_s
    return math.sqrt((begin_j**2 + end_j**2 + 2 * resolution.step_j**2) / 12)


def _disagreements(joules: Mapping[str, float | None]) -> Iterator[str]:
    """Where a counter and its integrated power, read beside it as a check, tell two stories."""
    for name, integrated_j in joules.items():
        of = name.removesuffix(CHECK_SUFFIX)
        counted_j = joules.get(of)
        if of == name or integrated_j is None or not counted_j:
            continue
        apart = integrated_j / counted_j - 1
        if abs(apart) > _AGREEMENT:
            yield f"{of}: {counted_j:.4g} J by its counter, {integrated_j:.4g} J by its power: {100 * apart:+.1f} %"


def _trouble(name: str, first: Reading, last: Reading) -> str:
    if first.joules is None:
        return f"{name} could not be read at the start: {first.trouble}"
    if last.joules is None:
        return f"{name} could not be read at the end: {last.trouble}"
    return f"{name} has no value: {last.trouble}" if first.breaks != last.breaks else ""


def _attribute(
    name: str, value: float, error: float | None, start: Busy | None, end: Busy | None
) -> tuple[float | None, float | None, str]:
    part = None if start is None or end is None else share(start, end)
    if part is None or start is None or end is None:
        return None, None, f"{name} cannot be attributed: /proc/stat accounts for no CPU time in this window"
    spread = value * share_error(start, end)
    return value * part, spread if error is None else math.hypot(error * part, spread), ""

"""Hardware energy counters: finite registers that wrap around, made into joules that only grow.

A counter accumulates inside itself, under its own lock, so whoever reads it (a window, the heartbeat) moves it forward
and no reader can see a half-made step. Windows are then plain differences and may nest and overlap.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

PLAUSIBLE_MAX_W = 1000.0
"""More than any CPU package or its memory draws today (the largest are rated at 500 W); sets how often to read."""


class Reading(NamedTuple):
    """One look at a domain."""

    joules: float | None
    """joules since the meter was opened, never falling; None: unreadable now"""
    breaks: int = 0
    """how often continuity was lost so far: two readings can be subtracted only where this is equal"""
    trouble: str = ""
    """why it is unreadable now, or why continuity was lost last"""


class Counter:
    """Unwraps one register. `read_raw` gives its value in units of `unit_j` joules, raising OSError or ValueError."""

    def __init__(
        self,
        read_raw: Callable[[], int],
        unit_j: float,
        modulus: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_power_w: float = PLAUSIBLE_MAX_W,
    ) -> None:
        self._read_raw = read_raw
        self._unit_j = unit_j
        self._modulus = modulus
        self._clock = clock
        self._max_power_w = max_power_w
        self._lock = threading.Lock()
        self._last: int | None = None
        self._when = 0.0
        self._units = 0
        self._breaks = 0
        self._trouble = ""

    @property
    def heartbeat_s(self) -> float | None:
        """Longest pause between two reads in which a wrap cannot hide, halved; None where the range is unknown."""
        return None if self._modulus is None else self._modulus * self._unit_j / (2 * self._max_power_w)

    def read(self) -> Reading:
        """Read the register and move forward. Never raises: an unreadable register is a Reading without joules."""
        with self._lock:
            try:
                raw = self._read_raw()
            except (OSError, ValueError) as error:
                return Reading(None, self._breaks, _reason(error))
            now = self._clock()
            if self._last is not None:
                self._advance(raw - self._last, now - self._when)
            self._last, self._when = raw, now
            return Reading(self._units * self._unit_j, self._breaks, self._trouble)

    def _advance(self, step: int, pause_s: float) -> None:
        if self._modulus is None:
            if step < 0:
                self._break("the counter fell and its range is unknown: it was reset or wrapped around")
                return
        else:
            if pause_s * self._max_power_w > self._modulus * self._unit_j:
                self._break(f"the counter was not read for {pause_s:.3g} s and may have wrapped around unseen")
                return
            if step < 0:
                step += self._modulus
            if not 0 <= step <= self._modulus:
                self._break("the counter moved by more than its stated range")
                return
        self._units += step

    def _break(self, trouble: str) -> None:
        self._breaks += 1
        self._trouble = trouble


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__

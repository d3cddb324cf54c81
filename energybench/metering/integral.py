"""Power samples made into joules, for sensors that have no energy counter: provenance `integrated`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from energybench.metering.counter import Reading


class PowerIntegral:
    """Joules from power samples: the trapezoid between every two of them, whoever took them.

    Every reading takes a sample itself, so the integral reaches both edges of a window.
    """

    def __init__(self, read_w: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        """`read_w` gives watts now, raising OSError or ValueError where it cannot."""
        self._read_w = read_w
        self._clock = clock
        self._lock = threading.Lock()
        self._last: tuple[float, float] | None = None
        self._joules = 0.0
        self._breaks = 0
        self._trouble = ""

    def read(self) -> Reading:
        """Take a sample now and integrate up to it. A failed sample breaks continuity: what was drawn is unknown."""
        with self._lock:
            try:
                power_w = self._read_w()
            except (OSError, ValueError) as error:
                if self._last is not None:
                    self._last, self._trouble = None, f"a power sample failed: {error}"
                    self._breaks += 1
                return Reading(None, self._breaks, str(error))
            now = self._clock()
            if self._last is not None:
                when, last_w = self._last
                self._joules += (last_w + power_w) / 2 * (now - when)
            self._last = now, power_w
            return Reading(self._joules, self._breaks, self._trouble, power_w)

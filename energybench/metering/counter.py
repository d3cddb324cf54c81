"""Hardware energy counters: finite registers that wrap around, made into joules that only grow.

A counter accumulates inside itself, under its own lock, so whoever reads it (a window, the heartbeat) moves it forward
and no reader can see a half-made step. Windows are then plain differences and may nest and overlap.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PLAUSIBLE_MAX_W = 1000.0
"""More than any CPU package or its memory draws today (the largest are rated at 500 W); sets how often to read."""

_RESET_SLACK_S = 1.0
"""A fall that would need the highest plausible power for this much longer than it took is a reset, not a wrap."""
_POWER_SPAN_S = 0.05
"""Power just before a reading is a mean over at least this long, or over ten ticks where they are longer."""


class Reading(NamedTuple):
    """One look at a domain."""

    joules: float | None
    """joules since the meter was opened, never falling; None: unreadable now"""
    breaks: int = 0
    """how often continuity was lost so far: two readings can be subtracted only where this is equal"""
    trouble: str = ""
    """why it is unreadable now, or why continuity was lost last"""
    power_w: float | None = None
    """mean power shortly before this reading; None where it is not known yet"""


class CounterResetError(OSError):
    """The register was found anew (driver reloaded, device plugged again): what was counted before is not continued."""


class Counter:
    """Unwraps one register. `read_raw` gives its value in units of `unit_j` joules, raising OSError or ValueError.

    `alive` is asked where the register stands still for longer than `tick_s` should allow; it raises OSError where
    the register is gone, so that a dead file's last value is not taken for zero joules.
    """

    def __init__(
        self,
        read_raw: Callable[[], int],
        unit_j: float,
        modulus: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_power_w: float = PLAUSIBLE_MAX_W,
        *,
        tick_s: float = 1e-3,
        alive: Callable[[], None] | None = None,
    ) -> None:
        self.read_raw = read_raw
        self._unit_j = unit_j
        self._modulus = modulus
        self._clock = clock
        self._max_power_w = max_power_w
        self._alive = alive
        self._blind_s = math.inf if modulus is None else modulus * unit_j / max_power_w
        """a pause longer than this may hide a wrap"""
        self._top = math.inf if modulus is None else modulus
        self._still_s = 20 * tick_s
        self._span_s = max(_POWER_SPAN_S, 10 * tick_s)
        self._lock = threading.Lock()
        self._last: int | None = None
        self._when = 0.0
        self._moved_at = 0.0
        self._units = 0
        self._breaks = 0
        self._trouble = ""
        self._older = self._newer = (0, 0.0)  # (units, when): where recent power is counted from

    @property
    def heartbeat_s(self) -> float | None:
        """Longest pause between two reads in which a wrap cannot hide, halved; None where the range is unknown."""
        return None if self._modulus is None else self._blind_s / 2

    def read(self) -> Reading:
        """Read the register and move forward. Never raises: an unreadable register is a Reading without joules."""
        with self._lock:
            try:
                raw = self.read_raw()
                now = self._clock()
                if self._last is None:
                    self._begin(now)
                elif self._last < raw <= self._top and now - self._when <= self._blind_s:
                    # All but a few readings go this way, and windows are timed in microseconds.
                    self._units += raw - self._last
                    self._moved_at = now
                else:
                    self._look_closer(raw - self._last, now)
            except CounterResetError as error:
                self._break(_reason(error))
                self._last = None
                return Reading(None, self._breaks, self._trouble)
            except (OSError, ValueError) as error:
                return Reading(None, self._breaks, _reason(error))
            self._last, self._when = raw, now
            if now - self._newer[1] >= self._span_s:
                self._older, self._newer = self._newer, (self._units, now)
            units, when = self._older
            pause_s = now - when
            power_w = (self._units - units) * self._unit_j / pause_s if pause_s >= self._span_s else None
            return Reading(self._units * self._unit_j, self._breaks, self._trouble, power_w)

    def _begin(self, now: float) -> None:
        self._moved_at = now
        self._older = self._newer = (self._units, now)

    def _look_closer(self, step: int, now: float) -> None:
        """A register that stands still, fell, or was not read for so long that it may have wrapped."""
        if step == 0 and self._alive is not None and now - self._moved_at > self._still_s:
            self._alive()
        pause_s = now - self._when
        if pause_s > self._blind_s:
            self._break(f"the counter was not read for {pause_s:.3g} s and may have wrapped around unseen")
        elif step > 0:
            self._break("the counter is beyond its stated range")
        elif step < 0:
            self._wrap(step, now)
        if step != 0:
            self._moved_at = now

    def _wrap(self, step: int, now: float) -> None:
        if self._modulus is None:
            self._break("the counter fell and its range is unknown: it was reset or wrapped around")
            return
        step += self._modulus
        if step < 0:
            self._break("the counter was beyond its stated range")
        elif step * self._unit_j > self._max_power_w * (now - self._when + _RESET_SLACK_S):
            self._break("the counter fell by more than a wrap-around explains: it was reset")
        else:
            self._units += step

    def _break(self, trouble: str) -> None:
        self._breaks += 1
        self._trouble = trouble
        self._older = self._newer = (self._units, self._clock())


class SysfsRegister:
    """One file of the kernel's that holds a whole number: read with one pread on a kept descriptor.

    Where the kernel took the file away and has made it anew, the new one is opened, and that is a CounterResetError.
    """

    def __init__(self, path: Path) -> None:
        """Opens `path`. Raises OSError where that is not allowed, or there is no such file."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __call__(self) -> int:
        """Its value. Raises ValueError for text that is no number or below 0, OSError where it cannot be read."""
        try:
            text = os.pread(self._descriptor, 32, 0)
        except OSError as error:
            self._open_again(error)
        try:
            value = int(text)
        except ValueError:
            shown = text.decode(errors="replace").strip()
            raise ValueError(f"{self.path.name} holds {shown!r}, which is no number") from None
        if value < 0:
            raise ValueError(f"{self.path.name} is negative ({value})")
        return value

    def alive(self) -> None:
        """Raises OSError where the file behind the kept descriptor is no longer there."""
        if os.fstat(self._descriptor).st_nlink == 0:
            self._open_again(OSError(f"{self.path} is gone"))

    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open_again(self, error: OSError) -> None:
        """Always raises: CounterResetError where a new file stands in the old one's place, else `error`."""
        try:
            fresh = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            raise error from None
        self.close()
        self._descriptor = fresh
        raise CounterResetError(f"{self.path} was made anew: its driver was reloaded, or the device was plugged again")


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__

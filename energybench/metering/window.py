"""The opened meters and the windows between their readings.

A window opens with fence, clock, readings and closes with fence, readings, clock: exactly mirrored, with the slowest
meter farthest from the measured code. Its state is its own, so windows nest and overlap without keys.
"""

from __future__ import annotations

import math
import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from energybench.errors import MeterError
from energybench.metering.counter import Reading
from energybench.metering.meter import Diagnosis, Meter, Resolution, fence
from energybench.model import Domain, Window

SHORTEST_PERIODS = 20
"""A window of fewer update periods than this is marked: its ends alone may be wrong by more than 2 %."""

_SHORTEST_BEAT_S = 0.01
"""A counter that could wrap faster than this is not kept whole; its windows say that it may have wrapped unseen."""


class _Mark(NamedTuple):
    """One end of a window."""

    clock: float
    readings: Mapping[str, Reading]


class Meters:
    """The meters of one session. `domains` may be empty: windows then carry seconds only, `diagnoses` say why."""

    def __init__(self, meters: Sequence[Meter] = (), diagnoses: Sequence[Diagnosis] = ()) -> None:
        """`meters` from the cheapest to read to the dearest; no two may read a domain of the same name."""
        self._meters = tuple(meters)
        self.domains: tuple[Domain, ...] = tuple(domain for meter in meters for domain in meter.domains)
        self.diagnoses: tuple[Diagnosis, ...] = tuple(diagnoses)
        self._resolution = {name: value for meter in meters for name, value in meter.resolution.items()}
        self._heartbeat: _Heartbeat | None = None
        self._closed = False

    def open_window(self, label: str = "") -> OpenWindow:
        """Start metering now; `label` is the case's node id for a round's window. MeterError after close()."""
        if self._closed:
            raise MeterError(f"the window {label!r} cannot be opened: its meters are closed.")
        if self._heartbeat is None:
            self._heartbeat = _Heartbeat(self._meters)
        return OpenWindow(self, label)

    def conditions(self) -> dict[str, float]:
        """Temperatures, clocks and power limits where readable (`gpu:0_temperature_c`); empty otherwise."""
        return {key: value for meter in self._meters for key, value in meter.conditions().items()}

    def comparability(self) -> dict[str, Any]:
        """What must be equal for two runs to be compared: CPU model and count, GPUs, what an estimate assumes."""
        keys: dict[str, Any] = {"cpu": cpu_model(), "cpu_count": os.cpu_count() or 1}
        for meter in self._meters:
            keys |= meter.comparability()
        return keys

    def close(self) -> None:
        """Stop the heartbeat and close every meter; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._heartbeat is not None:
            self._heartbeat.stop()
        for meter in self._meters:
            meter.close()

    def _mark_start(self) -> _Mark:
        clock = time.perf_counter()
        return _Mark(clock, {name: r for meter in reversed(self._meters) for name, r in meter.read().items()})

    def _mark_end(self) -> _Mark:
        readings = {name: r for meter in self._meters for name, r in meter.read().items()}
        return _Mark(time.perf_counter(), readings)

    def _between(self, start: _Mark, end: _Mark, label: str, laps: tuple[Window, ...] = ()) -> Window:
        return _difference(start, end, self._resolution, label, laps)


class OpenWindow:
    """A window that is still open. Made by `Meters.open_window`."""

    def __init__(self, meters: Meters, label: str = "") -> None:
        self.label = label
        self._meters = meters
        self._laps: list[Window] = []
        self._open_laps: list[str] = []
        self._closed = False
        fence()
        self._start = meters._mark_start()

    @contextmanager
    def lap(self, label: str) -> Iterator[None]:
        """Meter a labelled part of this window. Laps may nest and overlap; they are kept in order of ending.

        A lap that is left by an exception is kept too, read without a fence: the fence would wait for failed work.
        """
        if self._closed:
            raise MeterError(f"the lap {label!r} cannot be opened: its window {self.label!r} is closed.")
        self._open_laps.append(label)
        fence()
        start = self._meters._mark_start()
        try:
            yield
            fence()
        finally:
            if not self._closed:
                self._laps.append(self._meters._between(start, self._meters._mark_end(), label))
                self._open_laps.remove(label)

    def peek(self) -> Window:
        """The window so far, without a fence and without closing anything: for a progress line."""
        return self._meters._between(self._start, self._meters._mark_end(), self.label, tuple(self._laps))

    def close(self) -> Window:
        """End the window and return it. MeterError where it is closed already."""
        if self._closed:
            raise MeterError(f"the window {self.label!r} is closed already.")
        self._closed = True
        fence()
        window = self._meters._between(self._start, self._meters._mark_end(), self.label, tuple(self._laps))
        return with_open_laps(window, self._open_laps)


def with_open_laps(window: Window, labels: Sequence[str]) -> Window:
    """`window` with a warning for every lap that was still open when it closed."""
    warnings = tuple(f"lap {label!r} was still open when its window closed: it is not stored" for label in labels)
    if not warnings:
        return window
    return Window(
        window.seconds, window.joules, window.error_j, window.laps, window.label, (*window.warnings, *warnings)
    )


def _difference(
    start: _Mark, end: _Mark, resolution: Mapping[str, Resolution], label: str, laps: tuple[Window, ...]
) -> Window:
    seconds = end.clock - start.clock
    joules: dict[str, float | None] = {}
    error_j: dict[str, float | None] = {}
    warnings: list[str] = []
    short: dict[float, list[str]] = {}
    for name, first in start.readings.items():
        last = end.readings[name]
        if first.joules is None:
            value, trouble = None, f"{name} could not be read at the start: {first.trouble}"
        elif last.joules is None:
            value, trouble = None, f"{name} could not be read at the end: {last.trouble}"
        elif first.breaks != last.breaks:
            value, trouble = None, f"{name} has no value: {last.trouble}"
        else:
            value, trouble = last.joules - first.joules, ""
        joules[name] = value
        if trouble:
            warnings.append(trouble)
        fineness = resolution.get(name)
        error_j[name] = None if value is None or fineness is None else random_error_j(value, seconds, fineness)
        if value is not None and fineness is not None and seconds < SHORTEST_PERIODS * fineness.period_s:
            short.setdefault(fineness.period_s, []).append(name)
    for period_s, names in short.items():
        warnings.append(
            f"{', '.join(names)}: a window of {seconds:.3g} s is too short to be sound "
            f"(under {SHORTEST_PERIODS} update periods of {period_s:g} s)"
        )
    return Window(seconds, joules, error_j, laps, label, tuple(warnings))


def random_error_j(joules: float, seconds: float, resolution: Resolution) -> float:
    """One standard deviation of a window's joules that comes from when and how finely the counter is updated.

    At each end the reading is late by a time uniform in [0, T), worth P T at power P, and rounded down by up to one
    step d: u = sqrt((P_b T)^2 + (P_e T)^2 + 2 d^2) / sqrt(12), the standard deviation of uniform errors. The power at
    both ends is taken as the window's mean power.
    """
    late_j = (joules / seconds if seconds > 0 else 0.0) * resolution.period_s
    return math.sqrt((late_j**2 + resolution.step_j**2) / 6)


class _Heartbeat:
    """One sleeping daemon thread that reads counters before they can wrap unseen; none where no meter asks for it."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        beating = [(meter, max(beat, _SHORTEST_BEAT_S)) for meter in meters if (beat := meter.heartbeat_s) is not None]
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if beating:
            self._thread = threading.Thread(
                target=_beat, args=(beating, self._stop), name="energybench-heartbeat", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()


def _beat(beating: Sequence[tuple[Meter, float]], stop: threading.Event) -> None:
    now = time.monotonic()
    due = [now + beat for _, beat in beating]
    while not stop.wait(max(0.0, min(due) - time.monotonic())):
        now = time.monotonic()
        for index, (meter, beat) in enumerate(beating):
            if due[index] <= now:
                meter.read()
                due[index] = now + beat


@cache
def cpu_model() -> str:
    """The CPU's model name as the system gives it; the machine's architecture where it gives none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "unknown CPU"

"""The opened meters and the windows between their readings.

A window opens with fence, clock, readings and closes with fence, readings, clock: exactly mirrored, with the slowest
meter farthest from the measured code. Its state is its own, so windows nest and overlap without keys.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from energybench.errors import MeterError
from energybench.metering.counter import Reading
from energybench.metering.difference import CHECK_SUFFIX, SHORTEST_TICKS, End, Ground, difference
from energybench.metering.heartbeat import Beat, Heartbeat
from energybench.metering.meter import Diagnosis, Meter, Resolution, fence
from energybench.metering.scope import Busy, ProcessShare
from energybench.metering.sharing import Neighbours, others_between
from energybench.model import Domain, Mark, Provenance, Window

Sink = Callable[[float, float, Mapping[str, float | None]], None]
"""takes (seconds since the epoch, seconds since the meters were opened, cumulative joules per domain)"""


class Meters:
    """The meters of one session. `domains` may be empty: windows then carry seconds only, `diagnoses` say why."""

    def __init__(
        self,
        meters: Sequence[Meter] = (),
        diagnoses: Sequence[Diagnosis] = (),
        *,
        process_share: ProcessShare | None = None,
    ) -> None:
        """`meters` from the cheapest to read to the dearest; no two may read a domain of the same name.

        With `process_share`, package joules are the process tree's share of them.
        """
        self._meters = tuple(meters)
        self._backwards = self._meters[::-1]
        self._process_share = process_share
        self._origin = time.perf_counter()
        self._trace: tuple[float, Sink] | None = None
        self._traced_breaks: dict[str, int] = {}
        self._heartbeat: Heartbeat | None = None
        self._closed = False
        self.diagnoses: tuple[Diagnosis, ...] = tuple(diagnoses)
        self._describe()
        self._neighbours = Neighbours(_devices(self.domains))

    def _describe(self) -> None:
        attributed = frozenset(
            domain.name
            for meter in self._meters
            for domain in meter.domains
            if self._process_share is not None and _is_package(domain)
        )
        resolution = {name: value for meter in self._meters for name, value in meter.resolution.items()}
        checked = any(domain.name.endswith(CHECK_SUFFIX) for meter in self._meters for domain in meter.domains)
        self._ground = Ground(resolution, attributed, checked)
        self.domains: tuple[Domain, ...] = tuple(
            replace(
                domain,
                host=platform.node(),
                tick_s=_tick_s(resolution.get(domain.name)),
                note=_with_share(domain.note) if domain.name in attributed else domain.note,
            )
            for meter in self._meters
            for domain in meter.domains
        )

    def calibrate(self) -> None:
        """Measure how often each counter is updated, where that is cheap (RAPL 20 ms, a GPU's counter about 1 s).

        Call it once, before the first window; without it the documented update periods stand in the error bars.
        """
        for meter in self._meters:
            meter.calibrate()
        self._describe()

    @property
    def shortest_sound_s(self) -> float:
        """20 ticks of the slowest counter: the shortest window whose ends do not matter; 0 without any counter."""
        return SHORTEST_TICKS * max((value.period_s for value in self._ground.resolution.values()), default=0.0)

    @property
    def sharing_trouble(self) -> str:
        """Why another process that meters the same devices would not be noticed; empty where it would."""
        return self._neighbours.trouble

    def trace(self, hertz: float, sink: Sink) -> None:
        """Hand the cumulative joules of every domain to `sink`, `hertz` times a second, from the first window on.

        The heartbeat's thread calls it; it must not raise. Joules are the machine's, whatever the scope.
        """
        self._trace = 1 / hertz, sink

    def open_window(self, label: str = "") -> OpenWindow:
        """Start metering now; `label` is the case's node id for a round's window. MeterError after close()."""
        if self._closed:
            raise MeterError(f"the window {label!r} cannot be opened: its meters are closed.")
        if self._heartbeat is None:
            self._neighbours.register()
            self._heartbeat = Heartbeat(self._beats())
        return OpenWindow(self, label)

    def conditions(self) -> dict[str, float]:
        """Temperatures, clocks and power limits where readable (`gpu:0_temperature_c`); empty otherwise."""
        return {key: value for meter in self._meters for key, value in meter.conditions().items()}

    def comparability(self) -> dict[str, Any]:
        """What must be equal for two runs to be compared: CPU model and count, GPUs, what an estimate assumes."""
        keys: dict[str, Any] = {
            "cpu": cpu_model(),
            "cpu_count": os.cpu_count() or 1,
            "scope": "machine" if self._process_share is None else "process",
        }
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
        self._neighbours.close()

    def _beats(self) -> list[Beat]:
        beats: list[Beat] = [(meter.heartbeat_s, meter.read) for meter in self._meters if meter.heartbeat_s is not None]
        if self._trace is not None:
            beats.append((self._trace[0], self._write_trace))
        return beats

    def _write_trace(self) -> None:
        assert self._trace is not None
        readings = self._readings(self._meters)
        joules = {
            name: reading.joules if reading.breaks == self._traced_breaks.get(name, reading.breaks) else None
            for name, reading in readings.items()
        }
        self._traced_breaks = {name: reading.breaks for name, reading in readings.items()}
        self._trace[1](time.time(), time.perf_counter() - self._origin, joules)

    def _readings(self, meters: Sequence[Meter]) -> dict[str, Reading]:
        readings: dict[str, Reading] = {}
        for meter in meters:
            readings.update(meter.read())
        return readings

    def _start(self) -> End:
        clock = time.perf_counter()
        busy = self._busy() if self._process_share is not None else None
        return End(clock, self._readings(self._backwards), busy)

    def _end(self) -> End:
        readings = self._readings(self._meters)
        busy = self._busy() if self._process_share is not None else None
        return End(time.perf_counter(), readings, busy)

    def _busy(self) -> Busy | None:
        assert self._process_share is not None
        try:
            return self._process_share.read()
        except (OSError, ValueError):
            return None  # the window says that it cannot be attributed


class OpenWindow:
    """A window that is still open. Made by `Meters.open_window`."""

    def __init__(self, meters: Meters, label: str = "") -> None:
        self.label = label
        self._meters = meters
        self._laps: list[Window] = []
        self._open_laps: list[str] = []
        self._closed = False
        self._seen = meters._neighbours.look()
        fence()
        self._start = meters._start()
        self.start_s = self._start.clock - meters._origin
        """seconds since the meters were opened, on the trace's clock"""
        self.end_s = self.start_s

    @property
    def laps_ended(self) -> int:
        """How many laps have ended so far."""
        return len(self._laps)

    @property
    def is_long_enough(self) -> bool:
        """Whether it holds 20 ticks of its slowest counter by now."""
        return time.perf_counter() - self._start.clock >= self._meters.shortest_sound_s

    @contextmanager
    def lap(self, label: str) -> Iterator[None]:
        """Meter a labelled part of this window. Laps may nest and overlap; they are kept in order of ending.

        A lap that is left by an exception is kept too, read without a fence: the fence would wait for failed work.
        """
        if self._closed:
            raise MeterError(f"the lap {label!r} cannot be opened: its window {self.label!r} is closed.")
        self._open_laps.append(label)
        fence()
        start = self._meters._start()
        try:
            yield
            fence()
        finally:
            if not self._closed:
                self._laps.append(difference(start, self._meters._end(), self._meters._ground, label))
                self._open_laps.remove(label)

    def peek(self) -> Window:
        """The window so far, without a fence and without closing anything: for a progress line."""
        return difference(self._start, self._meters._end(), self._meters._ground, self.label, tuple(self._laps))

    def close(self) -> Window:
        """End the window and return it. MeterError where it is closed already."""
        if self._closed:
            raise MeterError(f"the window {self.label!r} is closed already.")
        self._closed = True
        fence()
        end = self._meters._end()
        self.end_s = end.clock - self._meters._origin
        window = difference(self._start, end, self._meters._ground, self.label, tuple(self._laps))
        others = others_between(self._seen, self._meters._neighbours.look())
        if others:
            said = f"shared: another energybench process metered {', '.join(others)} at the same time"
            window = replace(window, warnings=(*window.warnings, said), marks=(*window.marks, Mark.SHARED))
        return with_open_laps(window, self._open_laps)


def with_open_laps(window: Window, labels: Sequence[str]) -> Window:
    """`window` with a warning for every lap that was still open when it closed."""
    warnings = tuple(f"lap {label!r} was still open when its window closed: it is not stored" for label in labels)
    return replace(window, warnings=(*window.warnings, *warnings)) if warnings else window


def _is_package(domain: Domain) -> bool:
    """Whether CPU time shares it out: a package, or the part of one that its chip counts apart and adds."""
    of_cpu = domain.name.startswith("package:") or (domain.name.startswith("sysio:") and domain.in_total)
    return of_cpu and domain.provenance is not Provenance.ESTIMATED


def _with_share(note: str) -> str:
    said = "the process tree's share of the CPU time that was busy"
    return f"{note}; {said}" if note else said


def _tick_s(resolution: Resolution | None) -> float | None:
    return resolution.period_s if resolution is not None and resolution.period_s > 0 else None


def _devices(domains: Sequence[Domain]) -> tuple[str, ...]:
    """What two processes would count twice: each GPU, and the CPU with its memory as one. Estimates are one's own."""
    counted = [domain for domain in domains if domain.provenance is not Provenance.ESTIMATED]
    return tuple(dict.fromkeys(d.identity[1] if d.name.startswith("gpu:") else "cpu" for d in counted))


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

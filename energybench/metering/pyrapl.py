"""pyRAPL as a second reader of the same counters (`--energy-meters pyrapl`), imported when it is opened.

pyRAPL 0.2.3.1 gives raw microjoules and knows no wrap-around, so its values go through the same unwrapping as ours,
with the ranges from the powercap tree. It reads /sys/class/powercap only: no other root reaches it.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from energybench.metering.counter import Counter, Reading
from energybench.metering.meter import Diagnosis, MeterOptions, Opened, Resolution
from energybench.metering.powercap import SYSTEM_ROOT, absence, find_zones, permission_remedy
from energybench.metering.rapl import UPDATE_S, rapl_domain, rapl_step_j
from energybench.metering.tick import measure_tick_s
from energybench.model import Domain

_UNIT_J = 1e-6
_WATCH_S = 0.03
_KINDS = ("package", "dram")  # pyRAPL's list: package of socket 0, memory of socket 0, package of socket 1, ...


class PyRapl:
    """The meter `pyrapl`: packages and memory of every socket, as pyRAPL's sensor lists them."""

    name = "pyrapl"

    def __init__(self, sensor: Any, ranges_uj: dict[str, int | None]) -> None:
        """`ranges_uj`: domain name -> the value at which its counter wraps around."""
        self._sensor: Any = sensor
        self._lock = threading.Lock()
        self._latest: list[float] | OSError | ValueError = []
        self._counters: dict[str, Counter] = {}
        self.resolution = {}
        domains: list[Domain] = []
        for index, value in enumerate(sensor.energy()):
            if value < 0:  # pyRAPL's mark of a counter that is not there
                continue
            name = f"{_KINDS[index % 2]}:{index // 2}"
            self._counters[name] = Counter(partial(self._raw, index), _UNIT_J, ranges_uj.get(name))
            self.resolution[name] = Resolution(rapl_step_j(ranges_uj.get(name)), UPDATE_S)
            domains.append(rapl_domain(name, self.name, "pyRAPL"))
        self.domains = tuple(domains)
        beats = [beat for counter in self._counters.values() if (beat := counter.heartbeat_s) is not None]
        self.heartbeat_s = min(beats, default=None)

    def read(self) -> dict[str, Reading]:
        """Ask pyRAPL once for all. One thread at a time: its files are text streams that two would tear."""
        with self._lock:
            try:
                self._latest = self._sensor.energy()
            except (OSError, ValueError) as error:
                self._latest = error
            return {name: counter.read() for name, counter in self._counters.items()}

    def _raw(self, index: int) -> int:
        if isinstance(self._latest, Exception):
            raise self._latest
        return int(self._latest[index])

    def calibrate(self) -> None:
        """Watch its first counter: they are all updated alike."""
        tick_s = measure_tick_s(lambda: int(self._sensor.energy()[0]), _WATCH_S)
        if tick_s is not None:
            self.resolution = {name: Resolution(value.step_j, tick_s) for name, value in self.resolution.items()}

    def conditions(self) -> dict[str, float]:
        return {}

    def comparability(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        with _quiet():  # pyRAPL offers no way to close its files; the last reference to its sensor lies here
            self._counters.clear()
            self._sensor = None


def open_meter(options: MeterOptions, covered: frozenset[str] = frozenset()) -> Opened:
    """Open what pyRAPL finds, or say why it finds nothing."""
    with _quiet():  # inside: pyRAPL leaves files to the garbage collector, which warns of each
        return _open()


def _open() -> Opened:
    try:
        import pyRAPL
    except ImportError:
        return _refused("absent", "the package pyRAPL is not installed", "pip install pyRAPL")
    where = f"pyRAPL reads {SYSTEM_ROOT} only"
    zones = find_zones(SYSTEM_ROOT)
    try:
        meter = PyRapl(pyRAPL.Sensor(), {name: doors[0].range_uj for name, doors in zones.items()})
    except PermissionError as error:
        path = Path(str(error.filename))
        return _refused("no-permission", f"{where}, and {path} is readable by root only", permission_remedy(path))
    except (pyRAPL.PyRAPLException, OSError, ValueError, IndexError) as error:
        if zones:
            reason = f"{where} and fails there: {error or type(error).__name__}"
            return _refused("driver-error", reason, "take the meter rapl instead")
        missing = absence(SYSTEM_ROOT)
        return _refused("absent", f"{where}: {missing.reason}", missing.remedy)
    if not meter.domains:
        return _refused("absent", f"{where} and finds no counter there")
    return Opened(
        meter, tuple(Diagnosis("pyrapl", d.name, "ok", "energy counter through pyRAPL") for d in meter.domains)
    )


def _refused(state: str, reason: str, remedy: str = "") -> Opened:
    return Opened(None, (Diagnosis("pyrapl", "package, dram", state, reason, remedy),))


@contextmanager
def _quiet() -> Iterator[None]:
    """Contain pyRAPL: its import configures root logging and warns of an escape, and it never closes a file."""
    root = logging.getLogger()
    silence = logging.NullHandler()
    root.addHandler(silence)
    disabled = root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.removeHandler(silence)

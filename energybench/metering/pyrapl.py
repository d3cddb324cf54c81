"""pyRAPL as a second reader of the same counters (`--energy-meters pyrapl`), imported when it is opened.

pyRAPL 0.2.3.1 gives raw microjoules and knows no wrap-around, so its values go through the same unwrapping as ours,
with the ranges from the powercap tree. It reads /sys/class/powercap only: no other root reaches it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from energybench.metering.counter import Counter, Reading
from energybench.metering.meter import Diagnosis, MeterOptions, Opened
from energybench.metering.rapl import SYSTEM_ROOT, absence, find_zones, permission_remedy, rapl_domain, rapl_resolution
from energybench.model import Domain

_UNIT_J = 1e-6
_KINDS = ("package", "dram")  # pyRAPL's list: package of socket 0, memory of socket 0, package of socket 1, ...


class PyRapl:
    """The meter `pyrapl`: packages and memory of every socket, as pyRAPL's sensor lists them."""

    name = "pyrapl"

    def __init__(self, sensor: Any, ranges_uj: dict[str, int | None]) -> None:
        """`ranges_uj`: domain name -> the value at which its counter wraps around."""
        self._counters: dict[str, Counter] = {}
        self.resolution = {}
        domains: list[Domain] = []
        for index, value in enumerate(sensor.energy()):
            if value < 0:  # pyRAPL's mark of a counter that is not there
                continue
            name = f"{_KINDS[index % 2]}:{index // 2}"
            self._counters[name] = Counter(_reader(sensor, index), _UNIT_J, ranges_uj.get(name))
            self.resolution[name] = rapl_resolution(ranges_uj.get(name))
            domains.append(rapl_domain(name, self.name, "pyRAPL"))
        self.domains = tuple(domains)
        beats = [beat for counter in self._counters.values() if (beat := counter.heartbeat_s) is not None]
        self.heartbeat_s = min(beats, default=None)

    def read(self) -> dict[str, Reading]:
        """Ask pyRAPL once per domain."""
        return {name: counter.read() for name, counter in self._counters.items()}

    def conditions(self) -> dict[str, float]:
        return {}

    def comparability(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self._counters.clear()  # pyRAPL offers no way to close its files; dropping the sensor does


def _reader(sensor: Any, index: int) -> Callable[[], int]:
    def read() -> int:
        return int(sensor.energy()[index])

    return read


def open_meter(options: MeterOptions, covered: frozenset[str] = frozenset()) -> Opened:
    """Open what pyRAPL finds, or say why it finds nothing."""
    try:
        with _quiet():
            import pyRAPL
    except ImportError:
        return _refused("absent", "the package pyRAPL is not installed", "pip install pyRAPL")
    where = f"pyRAPL reads {SYSTEM_ROOT} only"
    try:
        sensor = pyRAPL.Sensor()
        energies = sensor.energy()
    except PermissionError as error:
        path = Path(str(error.filename or SYSTEM_ROOT / "intel-rapl:0" / "energy_uj"))
        return _refused("no-permission", f"{where}, and {path} is readable by root only", permission_remedy(path))
    except (pyRAPL.PyRAPLException, OSError, ValueError, IndexError) as error:
        missing = absence(SYSTEM_ROOT)
        if any(find_zones(SYSTEM_ROOT).values()):
            return _refused("driver-error", f"{where} and fails there: {error or type(error).__name__}", "use rapl")
        return _refused("absent", f"{where}: {missing.reason}", missing.remedy)
    if not any(value >= 0 for value in energies):
        return _refused("absent", f"{where} and finds no counter there")
    ranges = {name: zones[0].range_uj for name, zones in find_zones(SYSTEM_ROOT).items()}
    meter = PyRapl(sensor, ranges)
    return Opened(
        meter, tuple(Diagnosis("pyrapl", d.name, "ok", "energy counter through pyRAPL") for d in meter.domains)
    )


def _refused(state: str, reason: str, remedy: str = "") -> Opened:
    return Opened(None, (Diagnosis("pyrapl", "package, dram", state, reason, remedy),))


@contextmanager
def _quiet() -> Iterator[None]:
    """Import without side effects: pyRAPL logs through the root logger, which configures it, and warns of an escape."""
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

"""Apple silicon: energy of CPU, GPU, memory and neural engine through `zeus_apple_silicon`, imported on opening.

The package reads the channels "Energy Model" of macOS's IOReport, which need no privileges. They are counters, but what
they count is believed to be a model of utilisation, frequency and voltage, not a sensor's reading (the package's own
documentation, "Accuracy"); Apple's `powermetrics` calls the same figures estimated. Display, media engines, fabric and
ports are in none of them. On Ultra chips the package adds up the dies, which it calls experimental.

Tested on a small stand-in for the package; not run on hardware.
"""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from energybench.metering.counter import Counter, Reading
from energybench.metering.meter import Diagnosis, MeterOptions, Opened, Resolution
from energybench.metering.tick import measure_tick_s
from energybench.metering.window import cpu_model
from energybench.model import Domain, Provenance

_UNIT_J = 1e-3
_GAIN_REL = 0.1  # Apple states none: our assumption
_NOTE = "by Apple's own model of its power"
_BATCH_S = 2.3
"""CPU, memory and neural engine are published in batches: 2.03 to 2.23 s apart on an M5 Max, twice in 2.1 s, at uneven
distances, on an M1 Ultra (https://github.com/lablup/all-smi/pull/412 and /issues/415)."""
_GPU_TICK_S = 0.1
"""The GPU's was published at the moment of asking on both; no other chip was watched there."""
_WATCH_S, _WATCH_PAUSE_S = 0.5, 0.005  # one look at all channels takes milliseconds
_INSTALL_REMEDY = "pip install zeus-apple-silicon"

# Domain -> the package's field. Cores, clusters and their managers lie inside cpu_total_mj; whether gpu_mj holds
# gpu_sram_mj is not documented: it is not read, as whatever might be counted twice.
_FIELDS: Mapping[str, tuple[str, float]] = {
    "package:0": ("cpu_total_mj", _BATCH_S),
    "dram:0": ("dram_mj", _BATCH_S),
    "gpu:apple0": ("gpu_mj", _GPU_TICK_S),
    "ane:0": ("ane_mj", _BATCH_S),
}


class Apple:
    """The meter `apple`: one domain for each of `_FIELDS` that the chip tells."""

    name = "apple"
    heartbeat_s = None

    def __init__(self, ask: Callable[[], Any], fields: Mapping[str, tuple[str, float]], chip: str) -> None:
        """`ask` gives the package's AppleEnergyMetrics: cumulative millijoules, or None in a field that is not told."""
        self._ask = ask
        self._fields = fields
        self._lock = threading.Lock()
        self._told: Any = None
        self._trouble = ""
        self._counters = {
            name: Counter(self._reader(field), _UNIT_J, tick_s=tick_s) for name, (field, tick_s) in fields.items()
        }
        self.domains = tuple(
            Domain(name, self.name, Provenance.MEASURED, gain_rel=_GAIN_REL, device=chip, note=_NOTE, tick_s=tick_s)
            for name, (_, tick_s) in fields.items()
        )
        self.resolution: Mapping[str, Resolution] = _resolution(self.domains)

    def read(self) -> dict[str, Reading]:
        """Every counter, of one answer."""
        with self._lock:
            self._look()
            return {name: counter.read() for name, counter in self._counters.items()}

    def calibrate(self) -> None:
        """Watch each counter for 0.5 s; one that moves fewer than four times, as batches do, keeps what was assumed."""
        ticks = {
            name: measure_tick_s(self._fresh_reader(field), _WATCH_S, _WATCH_PAUSE_S)
            for name, (field, _) in self._fields.items()
        }
        self.domains = tuple(replace(domain, tick_s=ticks[domain.name] or domain.tick_s) for domain in self.domains)
        self.resolution = _resolution(self.domains)

    def conditions(self) -> dict[str, float]:
        """None are read."""
        return {}

    def comparability(self) -> dict[str, Any]:
        """The chip's name: macOS calls every one of them `arm` where others name their CPU."""
        return {"apple_chip": self.domains[0].device}

    def close(self) -> None:
        """Nothing is kept open."""

    def _look(self) -> None:
        try:
            self._told, self._trouble = self._ask(), ""
        except RuntimeError as error:
            self._told, self._trouble = None, f"IOReport cannot be read: {error}"

    def _reader(self, field: str) -> Callable[[], int]:
        def read() -> int:
            millijoules: int | None = getattr(self._told, field, None)
            if millijoules is None:
                raise OSError(self._trouble or "IOReport does not tell it now")
            return millijoules

        return read

    def _fresh_reader(self, field: str) -> Callable[[], int]:
        read = self._reader(field)

        def read_anew() -> int:
            with self._lock:
                self._look()
                return read()

        return read_anew


def open_meter(options: MeterOptions, covered: frozenset[str] = frozenset()) -> Opened:
    """Open every counter that the chip tells.

    Where this is no macOS on Apple silicon nothing is said, unless the meter was asked for by name.
    """
    if sys.platform != "darwin" or platform.machine() != "arm64":
        if "apple" not in options.names:
            return Opened(None, ())
        reason = f"Apple silicon is read on macOS alone, by a Python built for it; this is {sys.platform} on "
        return _refused("absent", reason + platform.machine())
    try:
        package: Any = import_module("zeus_apple_silicon")
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "zeus_apple_silicon":
            return _refused("absent", "the package zeus-apple-silicon is not installed", _INSTALL_REMEDY)
        return _refused("driver-error", f"the package zeus-apple-silicon cannot be loaded: {error}", _INSTALL_REMEDY)
    try:
        ask = package.AppleEnergyMonitor().get_cumulative_energy
        told = ask()
    except RuntimeError as error:
        return _refused("driver-error", f"IOReport cannot be read: {error}")
    fields = {name: row for name, row in _FIELDS.items() if getattr(told, row[0], None) is not None}
    diagnoses = [
        Diagnosis("apple", name, "ok", f"{field} of IOReport's energy model")
        if name in fields
        else Diagnosis("apple", name, "unsupported", f"this chip does not tell {field}")
        for name, (field, _) in _FIELDS.items()
    ]
    return Opened(Apple(ask, fields, _chip()) if fields else None, tuple(diagnoses))


def _resolution(domains: tuple[Domain, ...]) -> dict[str, Resolution]:
    return {domain.name: Resolution(_UNIT_J, domain.tick_s or _BATCH_S) for domain in domains}


def _chip() -> str:
    """`Apple M3 Pro`, as the kernel calls it; what Python knows of the CPU where it does not."""
    import ctypes

    name, size = ctypes.create_string_buffer(256), ctypes.c_size_t(256)
    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except (OSError, AttributeError):
        return cpu_model()
    refused = ask(b"machdep.cpu.brand_string", name, ctypes.byref(size), None, ctypes.c_size_t(0))
    return cpu_model() if refused else name.value.decode(errors="replace")


def _refused(state: str, reason: str, remedy: str = "") -> Opened:
    return Opened(None, (Diagnosis("apple", "Apple silicon", state, reason, remedy),))

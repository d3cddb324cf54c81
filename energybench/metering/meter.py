"""What a meter is, what it is asked for, and the fence before every reading."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from energybench.metering.counter import Reading
from energybench.model import Domain

Scope = Literal["machine", "process"]


@dataclass(frozen=True, slots=True)
class MeterOptions:
    """Which meters to open, and what they need to know."""

    names: tuple[str, ...] = ("auto",)
    """`auto`, `nvml`, `amdsmi`, `apple`, `rapl`, `pyrapl`, `hwmon`, `estimate`, `replay:FILE`; several may be given
    (replay stands alone)"""
    powercap_root: Path | None = None
    """stands for /sys/class/powercap; None: the variable ENERGYBENCH_POWERCAP_ROOT, else /sys/class/powercap"""
    estimate: bool = True
    """False: `auto` never estimates what no counter covers"""
    cpu_tdp_w: float | None = None
    """rated power of all CPU sockets of the machine together, for the estimate"""
    scope: Scope = "machine"
    """`process`: package joules times the process tree's share of the CPU time that was busy in the window"""
    check_integral: bool = False
    """also integrate the power of GPUs that have an energy counter, as a domain of its own"""
    hwmon_root: Path | None = None
    """stands for /sys/class/hwmon; None: the variable ENERGYBENCH_HWMON_ROOT, else /sys/class/hwmon"""
    events_root: Path | None = None
    """stands for /sys/bus/event_source/devices; None: the variable ENERGYBENCH_EVENTS_ROOT, else that folder, which is
    left alone where `powercap_root` names another tree than the system's"""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What became of one device: a line of the header and of `energybench doctor`."""

    meter: str
    device: str
    state: str
    """ok, no-permission, absent, unsupported, driver-error, shadowed (read through another door), off, shared"""
    reason: str
    remedy: str = ""
    """one thing to do about it; empty where there is nothing to do"""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """what the doctor tells of the device beside that, JSON types only: `range_j`, `persistence_mode`, ..."""


class Resolution(NamedTuple):
    """How finely a domain is read."""

    step_j: float
    """smallest step of the reading in joules"""
    period_s: float
    """time between two updates of the reading in seconds; 0 where it is made at the moment of asking"""


class Meter(Protocol):
    """Reads the energy of one or more domains. No method raises for a device that is lost after opening."""

    @property
    def name(self) -> str:
        """As in `--energy-meters`."""

    @property
    def domains(self) -> tuple[Domain, ...]:
        """What it reads."""

    @property
    def resolution(self) -> Mapping[str, Resolution]:
        """Domain name -> resolution; a domain without one states no random error."""

    @property
    def heartbeat_s(self) -> float | None:
        """It must be read at least this often while a window is open; None: no need."""

    def read(self) -> dict[str, Reading]:
        """Every domain's joules since opening, safe to call from two threads at once."""

    def calibrate(self) -> None:
        """Measure how often the counters are updated, where that is cheap; `resolution` then holds what was seen."""

    def conditions(self) -> dict[str, float]:
        """Temperatures, clocks and power limits that are readable now; the unit ends each key."""

    def comparability(self) -> dict[str, Any]:
        """What must be equal for two runs of this meter to be compared; JSON types only."""

    def close(self) -> None:
        """Give back descriptors and libraries."""


class Opened(NamedTuple):
    """What opening a meter gave: the meter, or None with diagnoses that say why."""

    meter: Meter | None
    diagnoses: tuple[Diagnosis, ...]
    covers: frozenset[str] = frozenset()
    """kinds of energy that its domains hold beside their own, such as `package` and `dram` in a whole module's
    counter: nothing else may add them again"""


def fence() -> None:
    """Wait until every CUDA device that this process uses is idle, so that queued work lies inside its window.

    Does nothing where torch is not imported or CUDA not initialised: a reading never loads or starts either.
    """
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not getattr(cuda, "is_initialized", bool)():
        return
    # Waiting for a device that was never used would start it: hundreds of megabytes on each GPU that torch can see.
    in_use = getattr(getattr(torch, "_C", None), "_cuda_hasPrimaryContext", lambda index: True)
    for index in range(cuda.device_count()):
        if in_use(index):
            cuda.synchronize(index)

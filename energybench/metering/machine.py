"""What of this machine decides how well runs repeat: governor, turbo, load, whether it is a guest. Read, never set."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from energybench.metering.powercap import in_container, in_virtual_machine
from energybench.metering.sysfs import text_of
from energybench.metering.window import cpu_model

SYSTEM_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine at this moment."""

    cpu: str
    logical_cpus: int
    governors: tuple[str, ...] = ()
    """distinct frequency governors of its CPUs; empty: the kernel shows none"""
    turbo: bool | None = None
    """whether CPUs may run above their rated frequency; None: the kernel does not tell"""
    load_per_cpu: float | None = None
    """mean number of runnable tasks of the last minute for each logical CPU; None: not told"""
    virtual_machine: bool = False
    container: bool = False
    system: str = ""
    """name and release of the kernel"""


def examine_machine(cpus: Path = SYSTEM_CPUS) -> Machine:
    """Look at this machine; `cpus` stands for /sys/devices/system/cpu."""
    count = os.cpu_count() or 1
    return Machine(
        cpu=cpu_model(),
        logical_cpus=count,
        governors=governors(cpus),
        turbo=turbo(cpus),
        load_per_cpu=_load(count),
        virtual_machine=in_virtual_machine(),
        container=in_container(),
        system=f"{platform.system()} {platform.release()}",
    )


def governors(cpus: Path = SYSTEM_CPUS) -> tuple[str, ...]:
    """The distinct frequency governors in alphabetical order; a CPU that is switched off has none."""
    found = {text_of(path) for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return tuple(sorted(found - {""}))


def turbo(cpus: Path = SYSTEM_CPUS) -> bool | None:
    """Whether CPUs may exceed their rated frequency, by intel_pstate's `no_turbo`, else by `cpufreq/boost`."""
    for path, on in (("intel_pstate/no_turbo", "0"), ("cpufreq/boost", "1")):
        value = text_of(cpus / path)
        if value in ("0", "1"):
            return value == on
    return None


def _load(cpus: int) -> float | None:
    try:
        return os.getloadavg()[0] / cpus
    except (OSError, AttributeError):  # AttributeError: Windows
        return None

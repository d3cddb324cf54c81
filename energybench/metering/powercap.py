"""Linux's powercap tree: which zones show which domain, and why there may be none.

Zones are known by what their file `name` says, never by their number: numbers are hexadecimal, and a zone's number is
not its socket.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from energybench.metering.meter import Diagnosis, MeterOptions
from energybench.metering.sysfs import entries_of

POWERCAP_VARIABLE = "ENERGYBENCH_POWERCAP_ROOT"
SYSTEM_ROOT = Path("/sys/class/powercap")
_CONTROL_TYPES = ("intel-rapl", "intel-rapl-mmio")  # the register first: it is preferred
_ZONE = re.compile(r"(intel-rapl|intel-rapl-mmio)(:[0-9a-f]+)+")


@dataclass(frozen=True, slots=True)
class Zone:
    """A directory of the powercap tree."""

    id: str
    """`intel-rapl:a:0`, unique in the tree"""
    path: Path
    name: str
    """what its file `name` says: `package-0`, `dram`, `psys`"""

    @property
    def range_uj(self) -> int | None:
        """The value at which the counter wraps around; None where that is not stated."""
        try:
            value = int((self.path / "max_energy_range_uj").read_text())
        except (OSError, ValueError):
            return None
        return value if value > 0 else None


def powercap_root(options: MeterOptions) -> Path:
    """The folder that stands for /sys/class/powercap."""
    return options.powercap_root or Path(os.environ.get(POWERCAP_VARIABLE) or SYSTEM_ROOT)


def find_zones(root: Path) -> dict[str, list[Zone]]:
    """Domain name -> the zones that show it, best door first. Core and uncore zones are left out."""
    zones = _walk(root)
    doors: dict[str, list[Zone]] = {}
    for zone in zones.values():
        parent = zones.get(zone.id.rpartition(":")[0])
        domain = _domain_name(zone, parent)
        if domain is not None:
            doors.setdefault(domain, []).append(zone)
    return dict(sorted(doors.items(), key=lambda door: domain_order(door[0])))


def _walk(root: Path) -> dict[str, Zone]:
    """Zones by id, sorted by door and number; the class folder shows a zone several times, all of them links to one."""
    found: dict[str, Zone] = {}
    folders = [root, *(root / control for control in _CONTROL_TYPES)]
    while folders:
        for path in entries_of(folders.pop(0)):
            if _ZONE.fullmatch(path.name) and path.name not in found:
                try:
                    name = (path / "name").read_text().strip()
                except OSError:
                    continue
                found[path.name] = Zone(path.name, path, name)
                folders.append(path)
    return dict(sorted(found.items(), key=lambda item: _order(item[0])))


def _order(id: str) -> tuple[int, list[int]]:
    control, *numbers = id.split(":")
    return _CONTROL_TYPES.index(control), [int(number, 16) for number in numbers]


def _domain_name(zone: Zone, parent: Zone | None) -> str | None:
    if match := re.fullmatch(r"package-(\d+.*)", zone.name):
        return f"package:{match[1]}"
    if zone.name == "psys":
        return "psys:0"
    if zone.name == "dram" and parent is not None and parent.name.startswith("package-"):
        return f"dram:{parent.name.removeprefix('package-')}"
    return None


def domain_order(domain: str) -> tuple[int, str]:
    """Sorting key: packages, memory, platform."""
    return ("package", "dram", "psys").index(domain.partition(":")[0]), domain


def permission_remedy(path: Path) -> str:
    """How to make `energy_uj` readable: at once, and for good. One command serves all zones of the system's tree."""
    files = f"{SYSTEM_ROOT}/intel-rapl*:*/energy_uj" if SYSTEM_ROOT in path.parents else str(path)
    return (
        f"sudo chmod a+r {files} (until the next start); for good, a file in /etc/udev/rules.d with the line "
        'SUBSYSTEM=="powercap", KERNEL=="intel-rapl*:*", RUN+="/bin/chmod a+r /sys%p/energy_uj"'
    )


def absence(root: Path) -> Diagnosis:
    """Why there is no zone under `root`, and what may be done."""
    reason, remedy = f"no RAPL zone under {root}", ""
    if root != SYSTEM_ROOT:
        if not root.is_dir():
            reason = f"{root} is not a folder"
        remedy = f"--energy-powercap-root and {POWERCAP_VARIABLE} name a folder that holds intel-rapl:0"
    elif platform.system() != "Linux":
        reason += f": {platform.system()} has no powercap tree"
    elif in_virtual_machine():
        reason += ": this is a virtual machine, whose host keeps the counters"
        remedy = "measure on the host, or accept the estimate"
    elif in_container():
        reason += ": this is a container"
        remedy = (
            "start it with -v /sys/class/powercap:/sys/class/powercap:ro "
            "-v /sys/devices/virtual/powercap:/sys/devices/virtual/powercap:ro"
        )
    else:
        reason += ": the driver is not loaded, or this CPU has no RAPL"
        remedy = "sudo modprobe intel_rapl_msr"
    return Diagnosis("rapl", "package, dram", "absent", reason, remedy)


def in_container() -> bool:
    """Whether this process runs in a container, as far as its files tell."""
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv", "/run/systemd/container"))


def in_virtual_machine() -> bool:
    """Whether the CPU says that a hypervisor runs it."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(r"^flags\s*:.*\bhypervisor\b", flags, re.MULTILINE) is not None

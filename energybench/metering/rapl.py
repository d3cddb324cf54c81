"""RAPL: energy of CPU packages and memory from Linux's powercap tree.

Zones are known by what their file `name` says, never by their number: numbers are hexadecimal, and a zone's number is
not its socket. Packages and their `dram` children are added up (memory is a child directory, but no part of package
energy); `core` and `uncore` lie inside the package and are left out; `psys`, the whole platform, is reported and never
added. One package shown by both intel-rapl (model-specific register) and intel-rapl-mmio is one counter.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from energybench.metering.counter import PLAUSIBLE_MAX_W, Counter, Reading
from energybench.metering.meter import Diagnosis, MeterOptions, Opened, Resolution
from energybench.metering.window import cpu_model
from energybench.model import Domain, Provenance

POWERCAP_VARIABLE = "ENERGYBENCH_POWERCAP_ROOT"
SYSTEM_ROOT = Path("/sys/class/powercap")
_CONTROL_TYPES = ("intel-rapl", "intel-rapl-mmio")  # the register first: it is preferred
_ZONE = re.compile(r"(intel-rapl|intel-rapl-mmio)(:[0-9a-f]+)+")
_UNIT_J = 1e-6
_UPDATE_S = 1e-3  # Intel SDM volume 3B, "RAPL interfaces": energy status is updated about every millisecond
_STEP_J = 6.1e-5  # 2^-14 J, the unit of most parts; taken where the range does not tell
_GAIN_REL = 0.05
_PLATFORM_MAX_W = 10_000.0  # psys covers every socket and more


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


class Rapl:
    """The meter `rapl`: one kept descriptor and one unwrapping counter per zone."""

    name = "rapl"

    def __init__(self, zones: Mapping[str, Zone], descriptors: Mapping[str, int]) -> None:
        """`zones` and open `energy_uj` descriptors by domain name."""
        self._descriptors = dict(descriptors)
        self._counters: dict[str, Counter] = {}
        self.resolution: dict[str, Resolution] = {}
        for domain, zone in zones.items():
            range_uj = zone.range_uj
            self._counters[domain] = Counter(
                _reader(descriptors[domain]),
                _UNIT_J,
                range_uj,
                max_power_w=_PLATFORM_MAX_W if domain.startswith("psys") else PLAUSIBLE_MAX_W,
            )
            self.resolution[domain] = rapl_resolution(range_uj)
        self.domains = tuple(rapl_domain(domain, self.name, zones[domain].id) for domain in zones)
        beats = [beat for counter in self._counters.values() if (beat := counter.heartbeat_s) is not None]
        self.heartbeat_s = min(beats, default=None)

    def read(self) -> dict[str, Reading]:
        """One pread per zone."""
        return {name: counter.read() for name, counter in self._counters.items()}

    def conditions(self) -> dict[str, float]:
        return {}

    def comparability(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()


def rapl_domain(name: str, meter: str, door: str) -> Domain:
    """The domain `package:0`, `dram:0` or `psys:0`, read by `meter` through `door`."""
    psys = name.startswith("psys")
    note = "the whole platform; contains the packages" if psys else f"through {door}"
    return Domain(name, meter, Provenance.MEASURED, not psys, _GAIN_REL, cpu_model(), note)


def rapl_resolution(range_uj: int | None) -> Resolution:
    """Step and update period of a counter; its 32-bit register makes the step the range / 2^32."""
    return Resolution(_STEP_J if range_uj is None else range_uj * _UNIT_J / 2**32, _UPDATE_S)


def _reader(descriptor: int) -> Callable[[], int]:
    def read() -> int:
        value = int(os.pread(descriptor, 32, 0))
        if value < 0:
            raise ValueError(f"energy_uj is negative ({value})")
        return value

    return read


def open_meter(options: MeterOptions, covered: frozenset[str] = frozenset()) -> Opened:
    """Open every package, memory and platform counter that is readable; the rest becomes diagnoses."""
    root = powercap_root(options)
    doors = find_zones(root)
    if not doors:
        return Opened(None, (absence(root),))
    zones: dict[str, Zone] = {}
    descriptors: dict[str, int] = {}
    diagnoses: list[Diagnosis] = []
    for domain, candidates in doors.items():
        failures: list[Diagnosis] = []
        for zone in candidates:
            if domain in zones:
                reason = f"{zone.id} shows the counter that is read through {zones[domain].id}"
                diagnoses.append(Diagnosis("rapl", domain, "shadowed", reason))
                continue
            try:
                descriptors[domain] = _open(zone)
            except (OSError, ValueError) as error:
                failures.append(_failure(domain, zone, error))
            else:
                zones[domain] = zone
                diagnoses.append(Diagnosis("rapl", domain, "ok", f"energy counter {zone.id}"))
        diagnoses.extend(failures if domain not in zones else [])
    return Opened(Rapl(zones, descriptors) if zones else None, tuple(diagnoses))


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
    order = ("package", "dram", "psys")
    return dict(sorted(doors.items(), key=lambda door: (order.index(door[0].partition(":")[0]), door[0])))


def _walk(root: Path) -> dict[str, Zone]:
    """Zones by id, sorted by door and number; the class folder shows a zone several times, all of them links to one."""
    found: dict[str, Zone] = {}
    folders = [root, *(root / control for control in _CONTROL_TYPES)]
    while folders:
        for path in _entries(folders.pop(0)):
            if _ZONE.fullmatch(path.name) and path.name not in found:
                try:
                    name = (path / "name").read_text().strip()
                except OSError:
                    continue
                found[path.name] = Zone(path.name, path, name)
                folders.append(path)
    return dict(sorted(found.items(), key=lambda item: _order(item[0])))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


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


def _open(zone: Zone) -> int:
    descriptor = os.open(zone.path / "energy_uj", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _reader(descriptor)()
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _failure(domain: str, zone: Zone, error: Exception) -> Diagnosis:
    path = zone.path / "energy_uj"
    if isinstance(error, PermissionError):
        reason = f"{path} is readable by root only, as in every Linux since 5.10 (CVE-2020-8694)"
        return Diagnosis("rapl", domain, "no-permission", reason, permission_remedy(path))
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Diagnosis("rapl", domain, "driver-error", f"{path} cannot be read: {reason}")


def permission_remedy(path: Path) -> str:
    """How to make `energy_uj` readable: at once, and for good."""
    return (
        f"sudo chmod a+r {path} (until the next start); for good, a file in /etc/udev/rules.d with the line "
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
    elif _in_virtual_machine():
        reason += ": this is a virtual machine, whose host keeps the counters"
        remedy = "measure on the host, or accept the estimate"
    elif _in_container():
        reason += ": this is a container"
        remedy = (
            "start it with -v /sys/class/powercap:/sys/class/powercap:ro "
            "-v /sys/devices/virtual/powercap:/sys/devices/virtual/powercap:ro"
        )
    else:
        reason += ": the driver is not loaded, or this CPU has no RAPL"
        remedy = "sudo modprobe intel_rapl_msr"
    return Diagnosis("rapl", "package, dram", "absent", reason, remedy)


def _in_container() -> bool:
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv", "/run/systemd/container"))


def _in_virtual_machine() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(r"^flags\s*:.*\bhypervisor\b", flags, re.MULTILINE) is not None

"""RAPL's second door: perf events of the PMU `power`, for machines on which only root may read the powercap files.

The kernel adds up the same registers into 64 bits, in steps of 2^-32 J, from the moment an event is opened. Reading
them is a right of its own (CAP_PERFMON, or kernel.perf_event_paranoid at 0 or below), which is given in one command.
Events that lie inside a package (`energy-cores`, `energy-gpu`) are left out, and so is AMD's PMU of single cores.
"""

from __future__ import annotations

import errno
import math
import os
import platform
import re
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

EVENTS_VARIABLE = "ENERGYBENCH_EVENTS_ROOT"
SYSTEM_EVENTS = Path("/sys/bus/event_source/devices")
REGISTER_RANGE_J = 65_536.0
"""The smallest range of the 32-bit registers behind the events (units of 2^-16 J: AMD, memory of Intel's servers).

The kernel itself looks at them only as often as 200 W in the package's own unit ask for (Linux,
arch/x86/events/rapl.c, `rapl_check_hw_unit`): from about 400 W, and from 100 W of server memory, a wrap-around that
nobody read in between is lost in the 64 bits too. So events need a heartbeat like the files.
"""

_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
_EVENTS = {"package": "energy-pkg", "dram": "energy-ram", "psys": "energy-psys"}
_CONFIG = re.compile(r"event=(0x[0-9a-fA-F]{1,16})")
_CPU_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")

_SYSCALL_NUMBERS = {"x86_64": 298, "aarch64": 241}
# struct perf_event_attr as far as its first published size (PERF_ATTR_SIZE_VER0, 64 bytes), which every kernel takes:
# type, size, config, sample_period, sample_type, read_format, flags, wakeup_events, bp_type, config1
_ATTRIBUTES = struct.Struct("=IIQQQQQIIQ")
_TYPE_MAX = 2**32 - 1
_FORMAT_TOTAL_TIME_RUNNING = 1 << 1
_FLAG_FD_CLOEXEC = 1 << 3
_ANSWER = struct.Struct("=QQ")  # counts, nanoseconds in which they were counted
_COARSE_CLOCK_S = 0.02


@dataclass(frozen=True, slots=True)
class Event:
    """One energy event of one package or die."""

    domain: str
    """`package:0`, `dram:0`, `psys:0`; `package:0-die-1` where a package has several dies with counters of their own"""
    type: int
    """number of the PMU"""
    config: int
    """number of the event within it"""
    cpu: int
    """the CPU on which it is opened: the one that the PMU names for this package or die"""
    unit_j: float
    """joules per count"""
    door: str
    """in words: `perf_event power/energy-pkg/ on CPU 0`"""


def find_events(root: Path, cpus: Path = Path("/sys/devices/system/cpu")) -> dict[str, Event]:
    """Domain name -> event, packages first. `root` stands for /sys/bus/event_source/devices.

    Empty where there is no PMU `power`. An event with a file that is missing, malformed or not in joules is left out,
    and so is a CPU of which `cpus` does not tell the package.
    """
    pmu = root / "power"
    try:
        type = _number(pmu / "type")
        places = _places(_cpu_list((pmu / "cpumask").read_text()), cpus)
    except (OSError, ValueError):
        return {}
    if type > _TYPE_MAX:
        return {}
    found: dict[str, Event] = {}
    for kind, name in _EVENTS.items():
        try:
            config, unit_j = _event(pmu / "events", name)
        except (OSError, ValueError):
            continue
        # The platform is one, however many packages show it: the first one's counter, as the powercap tree's `psys`.
        shown = {"0": next(iter(places.values()))} if kind == "psys" and places else places
        for place, cpu in shown.items():
            domain = f"{kind}:{place}"
            found[domain] = Event(domain, type, config, cpu, unit_j, f"perf_event power/{name}/ on CPU {cpu}")
    return found


class EventRegister:
    """A perf event, read as a register of `event.unit_j` joules per count that starts at 0 and does not wrap around."""

    def __init__(self, event: Event) -> None:
        """Opens `event` on its CPU, for all processes.

        Raises OSError with the kernel's errno: PermissionError where this process may not, ENODEV where the CPU is
        offline, ENOSYS where the kernel has no perf events or this kind of machine is not known.
        """
        self.event = event
        self._descriptor = _open(event)

    def __call__(self) -> int:
        """Counts since it was opened. Raises OSError where they cannot be read."""
        return self._answer()[0]

    def alive(self) -> None:
        """Raises OSError where the kernel stopped counting, as it does when the package's last CPU goes offline.

        Its last count can still be read then, so the time in which it was counted tells.
        """
        before_ns = self._answer()[1]
        for pause_s in (0.0, _COARSE_CLOCK_S):
            time.sleep(pause_s)
            if self._answer()[1] > before_ns:
                return
        raise OSError(errno.ENODEV, "the kernel no longer counts this event: its CPU went offline", self.event.door)

    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _answer(self) -> tuple[int, int]:
        answer = os.read(self._descriptor, _ANSWER.size)
        if len(answer) != _ANSWER.size:
            reason = f"the kernel gave {len(answer)} bytes of {_ANSWER.size} for this event"
            raise OSError(errno.EIO, reason, self.event.door)
        counts, running_ns = _ANSWER.unpack(answer)
        return counts, running_ns


def permission_remedy() -> str:
    """How to be allowed to open the events: at once, for good, or for one interpreter (CAP_PERFMON, Linux >= 5.8)."""
    return (
        "sudo sysctl kernel.perf_event_paranoid=0 (until the next start); for good, a file in /etc/sysctl.d with the "
        "line kernel.perf_event_paranoid=0; or for Python alone, "
        "sudo setcap cap_perfmon+ep $(readlink -f $(which python3))"
    )


def paranoid() -> int | None:
    """The kernel's setting: above 0, system-wide events need CAP_PERFMON. None where it has no perf events."""
    try:
        return int(_PARANOID.read_text())
    except (OSError, ValueError):
        return None


def _open(event: Event) -> int:
    machine = platform.machine()
    # A 32-bit Python on a 64-bit kernel has other numbers.
    number = _SYSCALL_NUMBERS.get(machine) if sys.platform == "linux" and sys.maxsize > 2**32 else None
    if number is None:
        raise OSError(errno.ENOSYS, f"perf events of {platform.system()} on {machine} are not supported", event.door)
    import ctypes  # here: only who needs this door pays for it

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_void_p, *[ctypes.c_long] * 4]
    # No sampling and nothing excluded, since the PMU refuses both; counting from now on.
    fields = (event.type, _ATTRIBUTES.size, event.config, 0, 0, _FORMAT_TOTAL_TIME_RUNNING, 0, 0, 0, 0)
    attributes = ctypes.create_string_buffer(_ATTRIBUTES.pack(*fields), _ATTRIBUTES.size)
    every_process, no_group = -1, -1
    descriptor = libc.syscall(number, attributes, every_process, event.cpu, no_group, _FLAG_FD_CLOEXEC)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), event.door)
    return int(descriptor)


def _event(folder: Path, name: str) -> tuple[int, float]:
    """Number and joules per count of an event. Raises OSError, ValueError."""
    config = _CONFIG.fullmatch((folder / name).read_text().strip())
    if config is None or (folder / f"{name}.unit").read_text().strip() != "Joules":
        raise ValueError(f"{name} is no event in joules")
    unit_j = float((folder / f"{name}.scale").read_text())
    if not 0 < unit_j < math.inf:
        raise ValueError(f"{name}.scale is {unit_j}")
    return int(config[1], 16), unit_j


def _places(mask: list[int], cpus: Path) -> dict[str, int]:
    """`0` or `0-die-1` -> its CPU, in order of package and die.

    The mask names one CPU per counter. A package with two of them counts per die, and then the kernel names every
    package of the machine by its dies (Linux, drivers/powercap/intel_rapl_common.c); where it has several dies and one
    counter, as AMD's do, the die is not named.
    """
    counters: dict[tuple[int, int], int] = {}
    for cpu in mask:
        topology = cpus / f"cpu{cpu}" / "topology"
        try:
            package = _number(topology / "physical_package_id")
            # Old kernels know no dies.
            die = _number(topology / "die_id") if (topology / "die_id").exists() else 0
        except (OSError, ValueError):
            continue
        counters.setdefault((package, die), cpu)
    by_die = len({package for package, _ in counters}) < len(counters)
    return {f"{package}-die-{die}" if by_die else f"{package}": cpu for (package, die), cpu in sorted(counters.items())}


def _cpu_list(text: str) -> list[int]:
    """The CPUs of a list such as `0,28` or `0-1`, ascending. Raises ValueError."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        bounds = _CPU_RANGE.fullmatch(part)
        if bounds is None:
            raise ValueError(f"{text.strip()!r} is no list of CPUs")
        cpus.update(range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1))
    return sorted(cpus)


def _number(path: Path) -> int:
    """A whole number that is not negative. Raises OSError, ValueError."""
    value = int(path.read_text())
    if value < 0:
        raise ValueError(f"{path} is negative ({value})")
    return value

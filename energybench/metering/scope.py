"""The scope `process`: a machine's joules times the share of its busy CPU time that this process tree had.

The share is by time, so it knows nothing of a core that draws more than another one: two programs that keep the same
number of CPUs busy get the same joules. What the idle machine draws is shared out with the rest.
"""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import NamedTuple

# user, nice, system, idle, iowait, irq, softirq, ... (proc_stat(5)). A guest's time is in user and nice already. Idle
# and waiting for input are not busy, nor is steal: then another guest of the hypervisor has the CPU, and no process of
# this machine, ours among them, is charged for it.
_BUSY = (0, 1, 2, 5, 6)


class Busy(NamedTuple):
    """CPU seconds so far."""

    tree_s: float
    """of this process and everything below it"""
    machine_s: float
    """busy time of all CPUs of the machine together"""


class ProcessShare:
    """Reads the CPU time of the process tree and of the machine; in a container too, where /proc/stat is the host's."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        """Raises OSError where `stat` cannot be read, ValueError where it does not count the whole machine."""
        # psutil is loaded with it, which whoever only compares readings is spared.
        from energybench.metering.processes import ProcessTree

        if stat.stat().st_dev != stat.parent.stat().st_dev:
            raise ValueError(f"another file is mounted in the place of {stat}: it may count this container only")
        self._stat = stat
        self._tree = ProcessTree()
        self._lock = threading.Lock()
        self.read()

    def read(self) -> Busy:
        """Both now, safe to call from two threads at once. Raises as the constructor does."""
        with self._lock:
            return Busy(self._tree.read()[0], self._machine_s())

    def _machine_s(self) -> float:
        descriptor = os.open(self._stat, os.O_RDONLY | os.O_CLOEXEC)
        try:
            line = os.pread(descriptor, 512, 0).partition(b"\n")[0].decode(errors="replace")
        finally:
            os.close(descriptor)
        label, *fields = line.split() or [""]
        if label != "cpu" or len(fields) <= max(_BUSY) or not all(field.isdigit() for field in fields):
            raise ValueError(f"{self._stat} does not begin with the times of all CPUs, but with {line!r}")
        return sum(int(fields[index]) for index in _BUSY) * _tick_s()


def share(start: Busy, end: Busy) -> float | None:
    """Share of the machine's busy CPU time that the process tree had, in [0, 1]; None where no CPU was busy.

    The two come from two clocks of the kernel (see share_error): a share above 1 by their difference is 1.
    """
    machine_s = end.machine_s - start.machine_s
    if machine_s <= 0:
        return None
    return min(1.0, max(0.0, (end.tree_s - start.tree_s) / machine_s))


def share_error(start: Busy, end: Busy) -> float:
    """One standard deviation of `share`, absolute, that comes from times being told in ticks of d = 1 / SC_CLK_TCK.

    Every time is cut to whole ticks: off by a uniform share of d at each end, so d / sqrt(6) for a difference. The
    machine's m seconds are a sum of five such times, the tree's t seconds count as one; with s = t / m,
    u = sqrt((d^2 + 5 (s d)^2) / 6) / m, and never more than 1/2, the most that anything in [0, 1] can scatter, which
    is also what stands where no CPU was busy. Where the kernel finds the machine's busy time by sampling at its timer
    interrupts, and not by reading a clock at every switch, more scatter comes on top that nothing tells from outside.
    """
    machine_s = end.machine_s - start.machine_s
    if machine_s <= 0:
        return 0.5
    part = min(1.0, max(0.0, (end.tree_s - start.tree_s) / machine_s))
    return min(0.5, _tick_s() * math.sqrt((1 + len(_BUSY) * part**2) / 6) / machine_s)


def _tick_s() -> float:
    return 1 / os.sysconf("SC_CLK_TCK")

"""The process tree: what this process and everything below it used.

Children are psutil's to find. It is imported when there are any, for its import (10 ms) costs as much as opening every
meter does; this process's own memory is one line of /proc.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_OWN_MEMORY = Path("/proc/self/statm")


class ProcessTree:
    """CPU seconds and resident memory of this process and everything below it."""

    def __init__(self) -> None:
        self._ended_s = 0.0
        self._last_s = 0.0

    def read(self) -> tuple[float, float]:
        """(CPU seconds, never falling; resident GB).

        A child that ends and is waited for moves its seconds into its parent's. One that nobody waits for, or that
        leaves the tree, takes them along, and the sum falls: what it had is then kept apart. A second look tells this
        from a child that ended between two lines of the first.
        """
        cpu_s, resident = self._look()
        if cpu_s + self._ended_s < self._last_s:
            cpu_s, resident = self._look()
            self._ended_s += max(0.0, self._last_s - cpu_s - self._ended_s)
        self._last_s = cpu_s + self._ended_s
        return self._last_s, resident / 1e9

    def _look(self) -> tuple[float, float]:
        below = os.times()
        # Parents before children: a child that ends meanwhile is then missed until the next look, never counted twice.
        cpu_s = time.process_time() + below.children_user + below.children_system
        resident = _own_resident()
        # To find children means to look at every process of the machine: milliseconds, spared where there is none.
        if _has_children():
            below_s, below_resident = _look_below()
            cpu_s, resident = cpu_s + below_s, min(resident + below_resident, _used_memory())
        return cpu_s, resident


def prepare() -> None:
    """Import now what finding children needs, so that no metered window pays for it."""
    import psutil  # noqa: F401


def _own_resident() -> int:
    """Bytes. The second number in the file is pages (proc_pid_statm(5))."""
    try:
        return int(_OWN_MEMORY.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        import psutil

        return int(psutil.Process().memory_info().rss)


def _look_below() -> tuple[float, int]:
    """(CPU seconds, resident bytes) of all descendants that are there now."""
    import psutil

    cpu_s, resident = 0.0, 0
    for child in psutil.Process().children(recursive=True):
        try:
            with child.oneshot():
                times = child.cpu_times()
                resident += child.memory_info().rss
        except psutil.Error:
            continue
        cpu_s += times.user + times.system
        cpu_s += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return cpu_s, resident


def _used_memory() -> int:
    """Bytes that the machine uses in all: pages that processes share are counted once for each, but never beyond it."""
    import psutil

    memory = psutil.virtual_memory()
    return int(memory.total - memory.available)


def _has_children() -> bool:
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # looks, reaps nothing
    except ChildProcessError:
        return False
    return True

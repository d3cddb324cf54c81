"""The process tree: what this process and everything below it used."""

from __future__ import annotations

import os
import time

import psutil


class ProcessTree:
    """CPU seconds and resident memory of this process and everything below it."""

    def __init__(self) -> None:
        self._self = psutil.Process()
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
        resident = self._self.memory_info().rss
        # To find children means to look at every process of the machine: milliseconds, spared where there is none.
        children = self._self.children(recursive=True) if _has_children() else []
        for child in children:
            try:
                with child.oneshot():
                    times = child.cpu_times()
                    resident += child.memory_info().rss
            except psutil.Error:
                continue
            cpu_s += times.user + times.system
            cpu_s += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        if children:
            memory = psutil.virtual_memory()
            resident = min(resident, memory.total - memory.available)
        return cpu_s, resident


def _has_children() -> bool:
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # looks, reaps nothing
    except ChildProcessError:
        return False
    return True

"""The one thread of metering: it sleeps, reads counters before they can wrap unseen, and writes the trace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

_SHORTEST_BEAT_S = 0.01
"""A counter that could wrap faster than this is not kept whole; its windows say that it may have wrapped unseen."""

Beat = tuple[float, Callable[[], object]]
"""(period in seconds, what to do)"""


class Heartbeat:
    """Does each beat once per period until it is stopped; starts no thread where there is no beat."""

    def __init__(self, beats: Sequence[Beat]) -> None:
        """The thread is a daemon: a metered program that ends without closing its meters is not kept alive."""
        self._beats = [(max(period_s, _SHORTEST_BEAT_S), act) for period_s, act in beats]
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if beats:
            self._thread = threading.Thread(target=self._run, name="energybench-heartbeat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        now = time.monotonic()
        due = [now + period_s for period_s, _ in self._beats]
        while not self._stop.wait(max(0.0, min(due) - time.monotonic())):
            now = time.monotonic()
            for index, (period_s, act) in enumerate(self._beats):
                if due[index] <= now:
                    act()
                    # From the time that was due, so that a trace keeps its rhythm; late beats are not caught up with.
                    due[index] = max(due[index] + period_s, now)

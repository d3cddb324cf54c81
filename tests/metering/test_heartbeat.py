"""The one thread: what it does, how often, and that it ends."""

from __future__ import annotations

import threading
import time

from energybench.metering.heartbeat import Heartbeat


def test_without_beats_there_is_no_thread() -> None:
    before = threading.active_count()
    heart = Heartbeat([])
    assert threading.active_count() == before
    heart.stop()


def test_every_beat_has_its_own_period_and_all_share_one_thread() -> None:
    threads: set[int] = set()
    fast: list[float] = []
    slow: list[float] = []

    def note(times: list[float]) -> None:
        threads.add(threading.get_ident())
        times.append(time.monotonic())

    before = threading.active_count()
    heart = Heartbeat([(0.02, lambda: note(fast)), (0.2, lambda: note(slow))])
    assert threading.active_count() == before + 1
    deadline = time.monotonic() + 20  # a busy machine may be slow; it stops as soon as enough has been seen
    while len(slow) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    heart.stop()
    assert len(threads) == 1
    assert len(slow) >= 3
    assert len(fast) > 2 * len(slow)
    assert threading.active_count() == before
    count = len(fast)
    time.sleep(0.06)
    assert len(fast) == count

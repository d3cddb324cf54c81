"""How often a counter is updated: watched, not believed.

The documented period of RAPL is 1 ms; GPUs differ from 10 to 100 ms by kind and driver. What a window's ends may be
off by follows from it, so it is measured once per session, by asking until the value has changed a few times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

_CHANGES = 9


def measure_tick_s(
    read_raw: Callable[[], int], at_most_s: float, pause_s: float = 0.0, clock: Callable[[], float] = time.perf_counter
) -> float | None:
    """Median time between changes of the register, in seconds; None where fewer than 4 were seen in `at_most_s`.

    `pause_s` is slept between two looks: 0 polls busily. A register that cannot be read has no tick.
    """
    try:
        last = read_raw()
        started = clock()
        changed: list[float] = []
        while len(changed) <= _CHANGES and clock() - started < at_most_s:
            value = read_raw()
            if value != last:
                last = value
                changed.append(clock())
            if pause_s:
                time.sleep(pause_s)
    except (OSError, ValueError):
        return None
    gaps = sorted(later - earlier for earlier, later in pairwise(changed))
    return gaps[len(gaps) // 2] if len(gaps) >= 3 else None

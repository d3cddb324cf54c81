"""Charts drawn side by side: drawing takes most of a report's time, and one chart knows nothing of another."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from energybench.reports.charts.chart import Chart
from energybench.reports.charts.figure import svg

FEWEST = 3
"""charts that are worth another process"""
MOST_PROCESSES = 8

_waiting: tuple[Chart, ...] = ()
"""what the processes draw: they are copies of this one, since a chart's functions cannot be sent"""


def pictures(charts: Sequence[Chart], processes: int | None = None) -> list[str]:
    """The inline SVG of each chart, by `processes` at once (default: the CPUs that this process may use, 8 at most).

    One process where there are few charts, and elsewhere than on Linux, where a copy of a running process cannot be
    relied on. Raises UsageError without matplotlib.
    """
    wanted = _cpus() if processes is None else processes
    if wanted > 1 and len(charts) >= FEWEST and sys.platform == "linux":
        return _at_once(charts, min(wanted, len(charts), MOST_PROCESSES))
    return [svg(chart, themed=True) for chart in charts]


def _at_once(charts: Sequence[Chart], processes: int) -> list[str]:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    import matplotlib.backends.backend_svg
    import matplotlib.figure
    import matplotlib.font_manager  # noqa: F401 - loaded once, here, and not in every copy

    global _waiting
    _waiting = tuple(charts)
    try:
        with warnings.catch_warnings():
            # numpy's threads sleep while nothing is multiplied, and nothing is.
            warnings.filterwarnings("ignore", category=DeprecationWarning, message=r".*use of fork\(\)")
            with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
                return list(pool.map(_picture, range(len(charts))))
    except (BrokenProcessPool, OSError):  # a process was killed, or none could be started
        return [svg(chart, themed=True) for chart in charts]
    finally:
        _waiting = ()


def _picture(place: int) -> str:
    return svg(_waiting[place], themed=True)


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1

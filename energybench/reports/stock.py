"""Joules in the tables, CSV files and histograms of the `pytest-benchmark` command, straight from the store.

One line in the conftest.py of the folder in which the command is called:

    from energybench.reports.stock import pytest_benchmark_group_stats

The command asks that hook for the groups of its table; here every case gets the statistics of its joules first. No
file is changed. The command calls every number a second (or ms, us, ns), so the groups are named after what they hold,
and estimated cases after that. `ENERGYBENCH_STOCK_METRIC=seconds` gives the seconds back. In a pytest session, whose
own table is of what was just timed, the hook stays out of the way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from pluggy import HookimplMarker

from energybench.errors import StoreError
from energybench.reports.exports.pytest_benchmark import GROUP
from energybench.reports.exports.readings import Reading, labelled, reading
from energybench.store.document import timing_stats
from energybench.store.parsing import case_from_record

VARIABLE = "ENERGYBENCH_STOCK_METRIC"
_METRICS = ("joules", "seconds")
_hook = HookimplMarker("pytest")

Groups = list[tuple[str | None, list[dict[str, Any]]]]
"""what pytest-benchmark expects: the name of each group, and its entries with their statistics"""


@_hook(optionalhook=True)  # a session without pytest-benchmark does not know the hook
def pytest_benchmark_group_stats(config: Any, benchmarks: Iterable[dict[str, Any]], group_by: str) -> Groups | None:
    """The groups of the stand-alone command, in IT joules before PUE; None in a session, which leaves it to others.

    Entries without energy have no joules to show: they are left out and named on stderr. Ends the command where the
    variable names no metric.
    """
    if config is not None:
        return None
    metric = os.environ.get(VARIABLE) or "joules"
    if metric not in _METRICS:
        raise SystemExit(f"energybench: {VARIABLE} is {metric!r}; give {' or '.join(_METRICS)}.")
    # The command has loaded its plugin: by default it calls this same function of it.
    stock = sys.modules["pytest_benchmark.plugin"].pytest_benchmark_group_stats
    if metric == "seconds":
        grouped: Groups = stock(config=config, benchmarks=benchmarks, group_by=group_by)
        return grouped
    shown = []
    for bench in benchmarks:
        left_out = _with_joules(bench)
        if left_out:
            print(f"energybench: left out: {bench['fullname']} of {bench.get('path')}: {left_out}.", file=sys.stderr)
        else:
            shown.append(bench)
    grouped = stock(config=config, benchmarks=shown, group_by=group_by)
    return [(GROUP if name is None else f"{name}, {GROUP}", members) for name, members in grouped]


def _with_joules(bench: dict[str, Any]) -> str:
    """Put the statistics of its joules into a loaded entry; or say why it has none."""
    record = (bench.get("extra_info") or {}).get("energybench")
    if record is None:
        return "no energy case"
    try:
        case = case_from_record(str(bench["fullname"]), record, bench.get("params"))
    except StoreError as error:
        return str(error)
    found = reading(case, "joules")
    if not isinstance(found, Reading):
        return found
    bench.update(timing_stats(found.values))
    bench.update(name=labelled(bench["name"], case), fullname=labelled(bench["fullname"], case))
    return ""

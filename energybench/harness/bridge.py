"""Tells pytest-benchmark about rounds that are already over; everything works without pytest-benchmark too.

The finished rounds of a case are replayed into `benchmark.pedantic` under a clock that hands back the recorded
seconds. The clock is put in place through the public `timer` keyword of the `benchmark` marker, so that the stock
entry has true seconds and can never be empty, and our record rides in `extra_info["energybench"]`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

CLOCK: pytest.StashKey[ReplayClock] = pytest.StashKey()


class ReplayClock:
    """A timer for pytest-benchmark: start, end, start, end, ... with the recorded seconds in between."""

    __name__ = "perf_counter"  # what lands in the entry's options.timer

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._now = 0.0
        self._running = False

    def __call__(self) -> float:
        if self._running:
            self._now += self.seconds.pop(0)
        self._running = not self._running
        return self._now


def stock_session(config: pytest.Config) -> Any | None:
    """pytest-benchmark's session object, None where the plugin is blocked or replaced."""
    session = config.pluginmanager.get_plugin("pytest-benchmark")
    return session if hasattr(session, "benchmarks") else None


def is_disabled(config: pytest.Config) -> bool:
    """Whether --benchmark-disable is in force: cases are then called once, unmetered."""
    session = stock_session(config)
    return bool(session is not None and session.disabled)


def storage_path(config: pytest.Config) -> Path:
    """The folder of the store: pytest-benchmark's where it is a folder, else .benchmarks under rootdir."""
    stock = getattr(config.option, "benchmark_storage", None)
    if isinstance(stock, str):
        # A relative folder is relative to the current directory, as pytest-benchmark has it.
        if stock.startswith("file://"):
            return Path(stock.removeprefix("file://")).absolute()
        if "://" not in stock:
            return Path(stock).absolute()
    return config.rootpath / ".benchmarks"


def install_clock(item: pytest.Item) -> None:
    """Give the case its replay clock, keeping the user's own `benchmark` marker."""
    own = item.get_closest_marker("benchmark")
    clock = item.stash[CLOCK] = ReplayClock()
    item.add_marker(pytest.mark.benchmark(**{**(own.kwargs if own else {}), "timer": clock}), append=False)


def replay(item: pytest.Item, benchmark: Any, seconds: Sequence[float], record: dict[str, Any]) -> None:
    """Hand finished rounds and our record to the `benchmark` fixture of this pass."""
    item.stash[CLOCK].seconds = list(seconds)
    benchmark.pedantic(_nothing, rounds=len(seconds))
    benchmark.extra_info["energybench"] = record


def forget(item: pytest.Item) -> None:
    """Take back what was replayed of this case: it goes on."""
    stock = stock_session(item.config)
    if stock is not None:
        stock.benchmarks[:] = [entry for entry in stock.benchmarks if entry.fullname != item.nodeid]


def _nothing() -> None:
    """What pytest-benchmark calls in place of the metered function."""


def run_name(commit: Mapping[str, Any], now: datetime.datetime) -> str:
    """A name for an unnamed run in pytest-benchmark's manner: commit, time, and whether the tree was dirty."""
    dirty = "_uncommitted-changes" if commit.get("dirty") else ""
    return f"{commit.get('id') or 'unversioned'}_{now:%Y%m%d_%H%M%S}{dirty}"


def machine_and_commit(config: pytest.Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """What pytest-benchmark says of machine and commit; nothing where it is off (the store fills in what it knows)."""
    stock = stock_session(config)
    if stock is None:
        return {}, {}
    machine = stock.get_machine_info()
    commit = config.hook.pytest_benchmark_generate_commit_info(config=config)
    config.hook.pytest_benchmark_update_commit_info(config=config, commit_info=commit)
    return machine, commit

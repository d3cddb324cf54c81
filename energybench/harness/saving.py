"""Where a session's rounds end up: in pytest-benchmark's own file, or in one that we write in its format.

pytest-benchmark writes when it was asked to (--benchmark-save, -autosave, -json), and then our hook adds what it cannot
know. In every other session with at least one finished round we write the file ourselves: under a temporary name,
renamed, exclusively numbered. Cases that were interrupted or failed after a finished round are added from the journal's
rounds, so that they are stored with their status.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from energybench.harness import bridge
from energybench.harness.engine import Sweep
from energybench.metering.ranks import Rank
from energybench.store import document, entry, write


def amend(output: dict[str, Any], sweep: Sweep) -> None:
    """Add the session's object and the cases that pytest-benchmark does not have. Safe to call more than once."""
    output["energybench"] = sweep.session_record()
    there = {stock["fullname"] for stock in output["benchmarks"]}
    for case in sweep.results():
        if case.id not in there:
            output["benchmarks"].append(entry(case))


def own_suffix(rank: Rank) -> str:
    """What tells the run of one rank from those of the others: `_rank1`."""
    return f"_rank{rank.rank}"


def save(config: pytest.Config, sweep: Sweep) -> Path | None:
    """Write the run where pytest-benchmark does not; returns the file, None where there is nothing to write."""
    if not sweep.options.save or not sweep.has_something_to_store:
        return None
    stock = bridge.stock_session(config)
    if stock is not None and stock.benchmarks and (stock.save or stock.autosave):
        return None  # it writes, and pytest_benchmark_update_json amends
    machine, commit = bridge.machine_and_commit(config)
    now = datetime.datetime.now(datetime.UTC)
    if stock is not None and stock.benchmarks:
        output = config.hook.pytest_benchmark_generate_json(
            config=config, benchmarks=stock.benchmarks, include_data=False, machine_info=machine, commit_info=commit
        )
        config.hook.pytest_benchmark_update_json(config=config, benchmarks=stock.benchmarks, output_json=output)
    else:
        output = document(sweep.results(), machine=machine, commit=commit, session=sweep.session_record(), created=None)
    name = (stock is not None and (stock.save or stock.autosave)) or bridge.run_name(commit, now)
    if sweep.rank is not None and sweep.rank.rank and not name.endswith(own_suffix(sweep.rank)):
        name += own_suffix(sweep.rank)
    return write(output, sweep.storage, name)

"""A file in pytest-benchmark's format whose statistics are joules instead of seconds.

It is for `pytest-benchmark compare FILE ...`, which knows no other quantity and calls every number a second: the group
above the table says what the numbers are, and an estimated case carries that in its name. Runs in the store keep their
seconds; this file has none of our records, so energybench does not take it for a run.
"""

from __future__ import annotations

import json
from typing import Any

from energybench.model import Run
from energybench.reports.exports.readings import Export, Reading, labelled, readings
from energybench.store import document, entry
from energybench.store.document import timing_stats

GROUP = "IT energy (read J for s)"
"""What stands above the table, whose unit pytest-benchmark writes as s, ms, us or ns."""


def write(run: Run, metric: str | None = None, pue: float | None = None) -> Export:
    """An entry per case with a reading; `stats` are those of the IT joules of its rounds, before PUE."""
    taken, left_out = readings(run, "joules")
    whole = document([], machine=run.machine, commit=run.commit, session={}, created=run.created or None)
    del whole["energybench"]  # it would make this a run
    whole["benchmarks"] = [_entry(run, reading) for reading in taken]
    return Export(json.dumps(whole, indent=1, allow_nan=False) + "\n", len(taken), left_out)


def _entry(run: Run, reading: Reading) -> dict[str, Any]:
    case = reading.case
    made = entry(case, group=GROUP)
    said = {"of": run.name, "unit": "J", "provenance": str(case.provenance), "status": str(case.status)}
    return made | {
        "name": labelled(made["name"], case),
        "fullname": labelled(made["fullname"], case),
        "stats": timing_stats(reading.values),
        "extra_info": {"energybench_export": said},
    }

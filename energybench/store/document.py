"""A whole run in pytest-benchmark's format, for sessions in which pytest-benchmark itself does not write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from energybench.errors import StoreError
from energybench.store.record import SCHEMA, case_record, strict

if TYPE_CHECKING:
    from energybench.model import Case

FORMAT_VERSION = "5.3.1"
"""The pytest-benchmark whose format and statistics are followed."""

# What a reader that types every field (Bencher) expects where pytest-benchmark would have had no value either.
_NO_COMMIT = {
    "id": "unknown",
    "time": None,
    "author_time": None,
    "dirty": False,
    "project": "",
    "branch": "(unknown)",
}
_OPTIONS = {
    "disable_gc": False,
    "timer": "perf_counter",
    "min_rounds": 1,
    "max_time": 0.0,
    "min_time": 0.0,
    "precision": None,
    "confidence": 0.99,
    "warmup": False,
}


def entry(case: Case, *, group: str | None = None) -> dict[str, Any]:
    """One element of `benchmarks`: statistics of the rounds' seconds, our record in `extra_info["energybench"]`.

    Raises StoreError for a case without rounds: the format has no place for it.
    """
    if not case.rounds:
        raise StoreError(f"{case.id}: no round was finished, so there is nothing to store.")
    return {
        "group": group,
        "name": case.name,
        "fullname": case.id,
        "params": strict(case.params) if case.params else None,
        "param": case.short_id if case.short_id != case.name else None,
        "extra_info": {"energybench": case_record(case)},
        "options": dict(_OPTIONS),
        "stats": timing_stats(case.seconds),
    }


def document(
    cases: Iterable[Case],
    *,
    machine: Mapping[str, Any],
    commit: Mapping[str, Any],
    session: Mapping[str, Any],
    created: str | None = None,
    groups: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A whole file. `session` becomes the top-level object `energybench`; `groups` maps case ids to group names.

    `created` is ISO 8601 with offset (default: now). A case without rounds is named in `energybench.unmeasured` and
    has no entry. Keys that `machine` and `commit` lack are filled in as pytest-benchmark fills them.
    """
    cases = tuple(cases)
    ours: dict[str, Any] = {**strict(session), "schema": SCHEMA}
    unmeasured = [
        {"fullname": case.id, "status": case.status.value, "warnings": list(case.warnings)}
        for case in cases
        if not case.rounds
    ]
    if unmeasured:
        ours["unmeasured"] = unmeasured
    return {
        "machine_info": {**_this_machine(), **strict(machine)},
        "commit_info": {**_NO_COMMIT, **strict(commit)},
        "benchmarks": [entry(case, group=(groups or {}).get(case.id)) for case in cases if case.rounds],
        "datetime": created or _now(),
        "version": FORMAT_VERSION,
        "energybench": ours,
    }


def timing_stats(seconds: Sequence[float]) -> dict[str, Any]:
    """Statistics of one or more durations (s) under pytest-benchmark's names and by its definitions.

    Quartiles: median of the halves for an even count; for an odd count the third of the methods that Wikipedia's
    article "Quartile" lists. Outliers lie beyond one standard deviation of the mean, or 1.5 IQR beyond the quartiles.
    """
    import statistics

    data = sorted(seconds)
    n, mean = len(data), statistics.mean(data)
    stddev = statistics.stdev(data) if n > 1 else 0
    q1, q3 = _quartiles(data)
    iqr = q3 - q1
    low, high = q1 - 1.5 * iqr, q3 + 1.5 * iqr
    within = [value for value in data if low <= value <= high]
    stddev_outliers = sum(not mean - stddev <= value <= mean + stddev for value in data)
    iqr_outliers = n - len(within)
    total = sum(seconds)
    return {
        "min": data[0],
        "max": data[-1],
        "mean": mean,
        "stddev": stddev,
        "rounds": n,
        "median": statistics.median(data),
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": iqr_outliers,
        "stddev_outliers": stddev_outliers,
        "outliers": f"{stddev_outliers};{iqr_outliers}",
        "ld15iqr": within[0],
        "hd15iqr": within[-1],
        "ops": n / total if total else 0,
        "total": total,
        "data": list(seconds),
        "iterations": 1,
    }


def _quartiles(data: Sequence[float]) -> tuple[float, float]:
    import statistics

    n, rest = divmod(len(data), 4)
    if len(data) == 1:
        return data[0], data[0]
    if len(data) % 2 == 0:
        half = len(data) // 2
        return statistics.median(data[:half]), statistics.median(data[half:])
    if rest == 1:
        return 0.25 * data[n - 1] + 0.75 * data[n], 0.75 * data[3 * n] + 0.25 * data[3 * n + 1]
    return 0.75 * data[n] + 0.25 * data[n + 1], 0.25 * data[3 * n + 1] + 0.75 * data[3 * n + 2]


def _this_machine() -> dict[str, Any]:
    import platform

    return {
        "node": platform.node(),
        "processor": platform.processor(),
        "machine": platform.machine(),
        "python_compiler": platform.python_compiler(),
        "python_implementation": platform.python_implementation(),
        "python_implementation_version": platform.python_version(),
        "python_version": platform.python_version(),
        "python_build": list(platform.python_build()),
        "release": platform.release(),
        "system": platform.system(),
        "cpu": {},
    }


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat()

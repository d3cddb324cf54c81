"""OpenMetrics 1.0 text for the textfile collector of node_exporter, whose Prometheus parser reads it too.

Gauges, since each run replaces the last: the collector takes only what it would take from an exporter, without times
of its own. Labels are what tells series apart from run to run (case, provenance, status) and not the run or its
commit, which would begin a new series every day. node_exporter takes files named *.prom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from energybench.model import Case, Run, Status
from energybench.reports.exports.readings import Export, known, unmeasured
from energybench.store.runs import moment

_FAMILIES: tuple[tuple[str, str, str, Callable[[Case], tuple[float, ...]]], ...] = (
    (
        "energybench_round_energy_joules",
        "joules",
        "IT energy of a round before PUE, mean of the rounds; provenance is that of its weakest part.",
        lambda case: known(case, "joules"),
    ),
    (
        "energybench_round_duration_seconds",
        "seconds",
        "Duration of a round, mean of the rounds.",
        lambda case: known(case, "seconds"),
    ),
    (
        "energybench_accuracy_ratio",
        "ratio",
        "Accuracy that a round recorded, mean of the rounds.",
        lambda case: tuple(value / 100 for value in known(case, "accuracy")),
    ),
)
"""name, its unit, help, and the values of a case; a name ends in its unit, as the format demands"""
_STORED = "energybench_run_stored_timestamp_seconds"


def write(run: Run, metric: str | None = None, pue: float | None = None) -> Export:
    """All cases with a reading, whatever became of them: the label `status` says that."""
    lines: list[str] = []
    samples = 0
    for name, unit, help, values_of in _FAMILIES:
        lines += [f"# TYPE {name} gauge", f"# UNIT {name} {unit}", f"# HELP {name} {help}"]
        for case in run.cases:
            values = values_of(case)
            if values:
                samples += 1
                lines.append(f"{name}{{{_labels(case, name)}}} {sum(values) / len(values)!r}")
    stored = moment(run.created)
    if stored > 0:
        lines += [f"# TYPE {_STORED} gauge", f"# UNIT {_STORED} seconds", f"# HELP {_STORED} When the run was stored."]
        lines.append(f"{_STORED} {stored!r}")
    return Export("\n".join([*lines, "# EOF"]) + "\n", samples, tuple(_without_energy(run)))


def escaped(text: str) -> str:
    """A label's value: backslash, double quote and line feed escaped."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _labels(case: Case, family: str) -> str:
    labels = {"case": case.id, "status": str(case.status)}
    if family == _FAMILIES[0][0]:
        labels["provenance"] = str(case.provenance or "")
    return ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())


def _without_energy(run: Run) -> Iterator[str]:
    for case in run.cases:
        if not known(case, "joules"):
            yield f"{case.short_id}: no energy reading{' (it failed)' if case.status is Status.FAILED else ''}"
    yield from unmeasured(run)

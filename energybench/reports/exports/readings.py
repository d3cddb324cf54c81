"""What an export takes from a case: the values of a metric, a label for joules that were not counted, and why not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from energybench.analysis.stats import sample_variance
from energybench.model import Case, Provenance, Run, Status
from energybench.units import kwh

UNITS = {"kwh": "kWh", "joules": "J", "accuracy": "%", "seconds": "s"}
_ENERGY = ("kwh", "joules")


@dataclass(frozen=True, slots=True)
class Export:
    """A file for another reader."""

    text: str
    entries: int
    """how many cases, rounds or samples it holds"""
    left_out: tuple[str, ...] = ()
    """`resnet18-none: no energy reading`"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric of one case: a value per round that has one."""

    case: Case
    values: tuple[float, ...]
    """in the unit of `UNITS`, accuracy in percent; at least one"""

    @property
    def mean(self) -> float:
        """Mean of the rounds."""
        return math.fsum(self.values) / len(self.values)

    @property
    def sd(self) -> float | None:
        """Standard deviation of one round; None of one round."""
        return math.sqrt(sample_variance(self.values)) if len(self.values) > 1 else None


def readings(run: Run, metric: str, pue: float | None = None) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    """The readings of a metric (see `UNITS`) for readers that compare them, and which cases have none, and why.

    kWh have the PUE (`pue`, else the case's own), joules are IT energy. A case that failed is left out; one that ended
    below its accuracy tolerance has its accuracy only, since its energy and its time would be taken for a saving.
    """
    taken, left_out = [], []
    for case in run.cases:
        found = reading(case, metric, pue)
        if isinstance(found, Reading):
            taken.append(found)
        else:
            left_out.append(f"{case.short_id}: {found}")
    return tuple(taken), (*left_out, *unmeasured(run))


def reading(case: Case, metric: str, pue: float | None = None) -> Reading | str:
    """The reading of one case, or why a reader that compares must not have one."""
    if case.status is Status.FAILED:
        return "it failed"
    if case.status is Status.FAILED_ACCURACY and metric != "accuracy":
        return "failed-accuracy, so that less of it is no saving"
    values = known(case, metric, pue)
    if not values:
        return {"accuracy": "no accuracy recorded", "seconds": "no round"}.get(metric, "no energy reading")
    if not any(values) and metric in _ENERGY:
        return "0 J in every round: too short for its counter"
    return Reading(case, values)


def known(case: Case, metric: str, pue: float | None = None) -> tuple[float, ...]:
    """The values of the rounds that have one, whatever became of the case."""
    if metric == "seconds":
        values: Sequence[float | None] = case.seconds
    elif metric == "accuracy":
        values = [None if share is None else 100 * share for share in case.metric("accuracy")]
    else:
        factor = kwh(1.0, case.pue if pue is None else pue) if metric == "kwh" else 1.0
        values = [None if joules is None else joules * factor for joules in case.joules()]
    return tuple(value for value in values if value is not None and math.isfinite(value))


def unmeasured(run: Run) -> tuple[str, ...]:
    """Cases that the run names without any finished round."""
    items = run.session.get("unmeasured") or ()
    return tuple(f"{item.get('fullname')}: no round" for item in items if isinstance(item, dict))


def label(case: Case) -> str:
    """`estimated` or `replayed` where no counter or sensor of that run delivered all of its joules; else empty."""
    provenance = case.provenance
    return str(provenance) if provenance in (Provenance.ESTIMATED, Provenance.REPLAYED) else ""


def labelled(text: str, case: Case) -> str:
    """`text`, with the label in brackets behind it where there is one."""
    said = label(case)
    return f"{text} ({said})" if said else text

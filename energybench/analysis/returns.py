"""What energy bought: per sample, per trainable parameter, per point of accuracy, and until an accuracy was reached.

| figure | formula | from |
|---|---|---|
| J per sample | joules / samples seen | GenOps, arXiv 2503.23934 |
| macs_param | multiply-adds of a forward pass / trainable parameters | the same |
| accuracy per kWh | accuracy / cumulative kWh, after each epoch | doi 10.1016/j.csi.2024.103906 |
| energy to accuracy | joules until the accuracy first reaches the target | HULK, arXiv 2002.05829 |

Joules are IT energy. A figure whose parts were not recorded is None. Full-cycle energy stands in `cycle`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from energybench.analysis.efficiency import efficiency
from energybench.model import Case, Round, mean
from energybench.units import kwh

SAMPLES = ("images", "samples")
"""metrics that count the samples of a round"""


@dataclass(frozen=True, slots=True)
class Returns:
    """Figures of one case, means over its rounds."""

    j_per_sample: float | None = None
    """joules of the whole round over the samples trained on"""
    macs_param: float | None = None
    """of the compressed model, where one was compressed"""
    accuracy_per_kwh: float | None = None
    """accuracy (a share) over IT kWh, at the end of the round"""
    to_accuracy_j: float | None = None
    """joules of a round that trained until its target; None where one of them missed it"""
    to_accuracy_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """When an accuracy was first reached."""

    epoch: int
    """the first is 1"""
    joules: float
    seconds: float | None = None


def returns(case: Case) -> Returns:
    """The figures of a case; `facts["compression"]` and `facts["parameters"]` give multiply-adds and parameters."""
    reached = [round.metrics.get("reached") for round in case.rounds]
    hit = bool(reached) and all(value == 1 for value in reached)
    return Returns(
        j_per_sample=mean(_per_sample(case, round) for round in case.rounds),
        macs_param=macs_per_parameter(case.facts),
        accuracy_per_kwh=efficiency(case).accuracy_per_kwh,
        to_accuracy_j=case.mean_j if hit else None,
        to_accuracy_s=case.mean_seconds if hit else None,
    )


def macs_per_parameter(facts: Mapping[str, Any]) -> float | None:
    """Multiply-adds of a forward pass of one example over the parameters that are trained.

    From `facts["compression"]["after"]`, whose `flops` are two per multiply-add; `facts["parameters"]` stands in for
    its parameters.
    """
    compression = facts.get("compression")
    after = compression.get("after") if isinstance(compression, Mapping) else None
    if not isinstance(after, Mapping):
        return None
    flops, parameters = after.get("flops"), after.get("parameters") or facts.get("parameters")
    count, of = _count(flops), _count(parameters)
    return None if count is None or of is None else count / 2 / of


def accuracy_per_kwh(accuracies: Sequence[float], joules: Sequence[float]) -> tuple[float, ...]:
    """Validation accuracy (a share) over cumulative IT kWh after each epoch; ValueError for unequal lengths."""
    return tuple(accuracy / kwh(total) for accuracy, total in zip(accuracies, accumulate(joules), strict=True))


def until(
    target: float, accuracies: Sequence[float], joules: Sequence[float], seconds: Sequence[float] | None = None
) -> Reached | None:
    """The first epoch after which the accuracy is at least `target`, with what was spent by then; None for never.

    Multiply by a price or an intensity for cost and carbon to accuracy. ValueError for unequal lengths.
    """
    times = [None] * len(joules) if seconds is None else list(accumulate(seconds))
    spent = zip(accuracies, accumulate(joules), times, strict=True)
    for epoch, (accuracy, total_j, time_s) in enumerate(spent, 1):
        if accuracy >= target - 1e-12:
            return Reached(epoch, total_j, time_s)
    return None


def _per_sample(case: Case, round: Round) -> float | None:
    joules = round.window.total_j(case.total_domains)
    counts = (round.metrics.get(name) for name in SAMPLES)
    count = next((value for value in counts if value), None)
    return None if joules is None or not count or count < 0 else joules / count


def _count(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    return float(value) if usable else None

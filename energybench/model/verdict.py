"""What is concluded of two cases, and what is predicted of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from energybench.model.case import Case


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity that can be compared: how to read it from a case, and which direction is better."""

    name: str
    unit: str
    better: str
    """`lower` or `higher`"""
    values: Callable[[Case], tuple[float | None, ...]] = field(compare=False)
    gates: bool = False
    """whether a regression of it fails a comparison; only energy and accuracy do by default"""


class Verdict(StrEnum):
    """What a comparison concludes about one metric of one case."""

    OK = "ok"
    IMPROVED = "improved"
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"
    NOT_COMPARABLE = "not-comparable"
    MISSING = "missing"
    """in the baseline, not in the candidate"""
    NEW = "new"
    """in the candidate, not in the baseline"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on one metric of one case."""

    case: str
    metric: str
    verdict: Verdict
    reason: str = ""
    baseline: float | None = None
    """mean over the baseline's rounds, in the metric's unit"""
    candidate: float | None = None
    change: float | None = None
    """relative change (0.05 = +5 %) for energy and seconds; difference in points (0.01 = 1 point) for accuracy"""
    interval: tuple[float, float] | None = None
    """two-sided 95 % interval of `change`; None where one side has one round and no variance is known"""
    p: float | None = None
    """one-sided p value of `not worse`"""
    rounds: int | None = None
    """rounds a side that would settle it, where it is inconclusive and rounds can"""
    terms: Mapping[str, float] = field(default_factory=dict)
    """decomposition of ln(E_c/E_b): epochs, seconds_per_epoch, power, in natural logarithms"""
    labels: tuple[str, ...] = ()
    """`trade-off`, `estimated`, `fewer epochs`, `failed-accuracy`, and the marks of either side's windows"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A projected or predicted energy. Never called a measurement."""

    method: str
    joules: float
    interval: tuple[float, float] | None = None
    basis: Mapping[str, Any] = field(default_factory=dict)
    """what it looked at"""
    warnings: tuple[str, ...] = ()

"""The history of a case: strands of runs that may be compared with one another, and the steps in their level."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from energybench.analysis.changepoints import LEVEL, partition
from energybench.analysis.comparability import accuracy_differences, differences
from energybench.analysis.effects import evaluation_size
from energybench.analysis.stats import sample_variance
from energybench.model import Case, Provenance, Status

METRICS = ("energy", "accuracy", "seconds")


@dataclass(frozen=True, slots=True)
class Measured:
    """A case as one stored run measured it."""

    run: str
    """`0042_main`"""
    created: str
    """ISO 8601 with offset"""
    commit: str
    """id, with a plus behind it where the tree had uncommitted changes; empty where it is not known"""
    case: Case


@dataclass(frozen=True, slots=True)
class Point:
    """One run's value of the metric."""

    run: str
    created: str
    commit: str
    value: float
    """J or s (geometric mean of the rounds), or a share in [0, 1] (their mean)"""
    rounds: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive points on one level."""

    points: tuple[Point, ...]
    level: float
    """in the unit of the points"""
    change: float | None = None
    """from the level before: relative for J and s (0.05 = +5 %), a difference of shares for accuracy; None: first"""
    interval: tuple[float, float] | None = None
    """two-sided 95 % interval of `change`, the place of the step taken as given"""
    p: float | None = None
    """of a step, two-sided, corrected for the places where one might have been"""


@dataclass(frozen=True, slots=True)
class Strand:
    """Runs that may be compared with one another, oldest first."""

    segments: tuple[Segment, ...]
    noise: float
    """standard deviation from run to run about the levels: relative for J and s, a share for accuracy"""
    why: tuple[str, ...] = ()
    """how it differs from what was measured just before it; empty for the first strand"""
    provenance: Provenance | None = None
    """of the joules; None for other metrics"""

    @property
    def points(self) -> tuple[Point, ...]:
        """All points, oldest first."""
        return tuple(point for segment in self.segments for point in segment.points)


@dataclass(frozen=True, slots=True)
class Trend:
    """One metric of one case through all runs."""

    case: str
    short_id: str
    metric: str
    strands: tuple[Strand, ...]
    """in the order in which they began; runs of two of them may have been measured in turn"""
    left_out: tuple[str, ...] = ()
    """`0007_x (failed-accuracy)`: runs that hold the case, but no value for its history"""

    @property
    def steps(self) -> int:
        """Number of changes of level."""
        return sum(len(strand.segments) - 1 for strand in self.strands)


@dataclass(frozen=True, slots=True)
class _Value:
    point: Point
    case: Case
    x: float
    """ln of J or s, or the share: the scale on which levels are compared"""
    error: float | None
    """standard deviation of x that its rounds, or the size of the evaluation set, say; None where they say nothing"""


def trend(case: str, measured: Sequence[Measured], metric: str, *, level: float = LEVEL) -> Trend:
    """The trend of `metric` (energy, accuracy, seconds) of the case with the id `case`, `measured` oldest first.

    Energy is that of the domains that a verdict rests on, in IT joules before PUE. Cases that did not end ok, and
    values of 0 or below on a logarithmic scale, are left out and named. `level`: see `changepoints.partition`.
    """
    strands: list[tuple[tuple[str, ...], list[_Value]]] = []
    left_out: list[str] = []
    before: _Value | None = None
    for one in measured:
        value = _value(one, metric)
        if isinstance(value, str):
            left_out.append(f"{one.run} ({value})")
            continue
        strand = next((values for _, values in strands if not _apart(values[0].case, one.case, metric)), None)
        if strand is None:
            why = () if before is None else _apart(before.case, one.case, metric)
            strand = []
            strands.append((why, strand))
        strand.append(value)
        before = value
    return Trend(
        case=case,
        short_id=measured[-1].case.short_id if measured else case,
        metric=metric,
        strands=tuple(_strand(values, why, metric, level) for why, values in strands),
        left_out=tuple(left_out),
    )


def _value(one: Measured, metric: str) -> _Value | str:
    """The value of the metric, or why there is none."""
    case = one.case
    if case.status is not Status.OK:
        return case.status.value
    if metric == "accuracy":
        shares = _known(case.metric("accuracy"))
        if not shares:
            return "no accuracy recorded"
        x, error = math.fsum(shares) / len(shares), _standard_error(shares)
        size = evaluation_size(case)
        if size:
            error = max(error or 0.0, 0.5 / size)
        return _Value(Point(one.run, one.created, one.commit, x, len(shares)), case, x, error)
    read = _known(case.seconds if metric == "seconds" else case.joules(case.verdict_domains))
    positive = [value for value in read if value > 0]
    if not positive:
        unit = "s" if metric == "seconds" else "J"
        return f"0 {unit} in every round" if read else f"no {'time' if unit == 's' else 'energy'} reading"
    logs = [math.log(value) for value in positive]
    x = math.fsum(logs) / len(logs)
    return _Value(Point(one.run, one.created, one.commit, math.exp(x), len(logs)), case, x, _standard_error(logs))


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _standard_error(values: Sequence[float]) -> float | None:
    return math.sqrt(sample_variance(values) / len(values)) if len(values) > 1 else None


def _apart(old: Case, new: Case, metric: str) -> tuple[str, ...]:
    """Why the two may not stand in one series; empty where they may."""
    if metric == "accuracy":
        return accuracy_differences(old, new)
    if metric == "energy":
        return differences(old, new)
    # Time does not care which counters were read: without domains only what was declared and the machine remain.
    found = differences(replace(old, domains=()), replace(new, domains=()))
    return tuple(clause for clause in found if not clause.startswith("no energy reading"))


def _strand(values: Sequence[_Value], why: tuple[str, ...], metric: str, level: float) -> Strand:
    """The strand cut into its levels."""
    logarithmic = metric != "accuracy"
    errors = [value.error for value in values if value.error is not None]
    xs = [value.x for value in values]
    cut = partition(xs, floor=median(errors) if errors else 0.0, level=level)
    segments = []
    for (first, behind), step in zip(cut.pieces(len(xs)), (None, *cut.steps), strict=True):
        points = tuple(value.point for value in values[first:behind])
        middle = math.fsum(xs[first:behind]) / (behind - first)
        segment = Segment(points, math.exp(middle) if logarithmic else middle)
        if step is not None:
            low, high = step.difference.interval()
            change = step.difference.value
            if logarithmic:
                change, low, high = (_relative(x) for x in (change, low, high))
            segment = replace(segment, change=change, interval=(low, high), p=step.p)
        segments.append(segment)
    return Strand(
        segments=tuple(segments),
        noise=_relative(cut.sd) if logarithmic else cut.sd,
        why=why,
        provenance=values[0].case.verdict_provenance if metric == "energy" else None,
    )


def _relative(x: float) -> float:
    """The relative change that a difference of logarithms is; bounded, since an interval of two runs may be huge."""
    return math.expm1(min(x, 700.0))

"""Accuracy against the number of bits overwritten, k = 0 to 32: the curve behind a steganographic capacity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from torch import nn

from energybench.compress.bits import RULES, Levels
from energybench.compress.compressed import check_evaluation_size
from energybench.compress.layers import check_cover, covered_weights
from energybench.compress.layerwise import places_by_layer
from energybench.compress.report import wilson_interval
from energybench.compress.search import Evaluate, Evaluation, Tolerance, check_share
from energybench.errors import UsageError

SCOPES = ("whole", "layers")


@dataclass(frozen=True, slots=True)
class Point:
    """Accuracy at one number of bits."""

    bits: int
    accuracy: float
    evaluated: bool = True
    """False where it was filled in: between two evaluated neighbours that differ by at most one example"""


@dataclass(frozen=True)
class Curve:
    """The points of k = 0 to 32, and what passes."""

    points: tuple[Point, ...]
    passed: tuple[bool, ...] = field(repr=False)
    """for each point whether its accuracy is within the tolerance; at k = 0 it is"""

    @property
    def capacity(self) -> int:
        """The largest k for which it and all below pass."""
        return next((bits - 1 for bits, passed in enumerate(self.passed) if not passed), 32)

    @property
    def largest_passing(self) -> int:
        """The largest k that passes, whatever happens below; above the capacity where accuracy is not monotone."""
        return max(bits for bits, passed in enumerate(self.passed) if passed)

    @property
    def monotone(self) -> bool:
        """Whether nothing that passes lies above something that fails."""
        return self.capacity == self.largest_passing

    def as_facts(self) -> list[list[Any]]:
        """The points as [k, accuracy, evaluated]."""
        return [[point.bits, point.accuracy, point.evaluated] for point in self.points]


@dataclass(frozen=True)
class Capacity:
    """The steganographic capacity of a model under one rule, with the curves that it comes from."""

    rule: str
    scope: str
    evaluation_size: int | None
    reference: float
    tolerance: float
    relative: bool
    evaluations: int
    whole: Curve | None = None
    """all covered weights together; None for the scope `layers`"""
    layers: Mapping[str, Curve] = field(default_factory=lambda: MappingProxyType({}))
    """layer -> its curve with all others untouched; empty for the scope `whole`"""

    @property
    def capacity(self) -> int | None:
        """Of the whole model: the largest k for which it and all below are within the tolerance."""
        return None if self.whole is None else self.whole.capacity

    @property
    def largest_passing(self) -> int | None:
        """Of the whole model: the largest k within the tolerance, also where a smaller one is not."""
        return None if self.whole is None else self.whole.largest_passing

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval (Wilson) of the accuracy at the capacity; None without a size or a whole."""
        if self.whole is None or self.evaluation_size is None:
            return None
        return wilson_interval(self.whole.points[self.whole.capacity].accuracy, self.evaluation_size)

    @property
    def monotone(self) -> bool:
        """Whether on no curve something passes above something that fails."""
        curves = self.layers.values() if self.whole is None else [self.whole]
        return all(curve.monotone for curve in curves)

    def as_facts(self) -> dict[str, Any]:
        """All of it as plain JSON types."""
        return {
            "rule": self.rule,
            "scope": self.scope,
            "evaluation_size": self.evaluation_size,
            "reference": self.reference,
            "tolerance": self.tolerance,
            "relative": self.relative,
            "points": [] if self.whole is None else self.whole.as_facts(),
            "capacity": self.capacity,
            "interval": None if self.interval is None else list(self.interval),
            "monotone": self.monotone,
            "layers": {
                name: {"capacity": curve.capacity, "points": curve.as_facts()} for name, curve in self.layers.items()
            },
            "evaluations": self.evaluations,
        }


def capacity_curve(
    model: nn.Module,
    evaluate: Evaluate,
    *,
    rule: str = "truncate",
    scope: str = "whole",
    evaluation_size: int | None = None,
    tolerance: float = 0.01,
    relative: bool = False,
    adaptive: bool = False,
    layers: int | None = None,
    cover: Sequence[str] = ("weights",),
    seed: int = 0,
) -> Capacity:
    """Evaluate `model` with 0 to 32 low bits of its covered weights overwritten.

    `scope`: all weights together (`whole`: 33 evaluations), or each layer alone with all others untouched (`layers`: 32
    a layer and the reference once), or of only so many of them as `layers` says, the first, the last and others at even
    distances between. `rule`, `cover` and `seed` as for StegoReduction. With `adaptive` the ends are
    evaluated, and of each interval the middle only where its ends differ by more than one example (by anything, without
    an `evaluation_size`) or one of them passes and the other does not; what lies between is filled in with the lower
    one and marked. That finds a capacity where accuracy is monotone, and may overlook a dip between two equal points.

    The model is worked on in place, with one copy of the covered weights, and is unchanged afterwards, also after an
    error. Raises UsageError for a bad argument, CompressionError as a compressor does.
    """
    for name, value, known in (("rule", rule, tuple(RULES)), ("scope", scope, SCOPES)):
        if value not in known:
            raise UsageError(f"capacity_curve: {name} must be one of {', '.join(known)}, not {value!r}")
    if layers is not None and (isinstance(layers, bool) or not isinstance(layers, int) or layers < 1):
        raise UsageError(f"capacity_curve: layers must be a whole number from 1 on or None, not {layers!r}")
    check_share("capacity_curve", "tolerance", tolerance, one=False)
    check_cover("capacity_curve", cover)
    check_evaluation_size(evaluation_size)
    evaluation = Evaluation(evaluate, evaluation_size)
    weights = covered_weights(model, cover)
    sources = [weight.detach().clone() for weight in weights.values()]
    levels = Levels(list(weights.values()), sources, rule, seed)
    allowed = Tolerance(tolerance, evaluation_size, relative=relative)

    def at(places: Sequence[int] | None, bits: int) -> float:
        levels.bring(bits, places)
        return evaluation(model)

    try:
        reference = evaluation(model)
        sweep = partial(_curve, reference=reference, allowed=allowed, adaptive=adaptive)
        whole, curves = None, {}
        if scope == "whole":
            whole = sweep(partial(at, None))
        else:
            places_of = places_by_layer(list(weights))
            for layer in _spread(list(places_of), layers):
                places = places_of[layer]
                curves[layer] = sweep(partial(at, places))
                levels.bring(0, places)
    finally:
        levels.restore()
    return Capacity(
        rule,
        scope,
        evaluation_size,
        reference,
        tolerance,
        relative,
        evaluation.calls,
        whole,
        MappingProxyType(curves),
    )


def _spread(layers: Sequence[str], most: int | None) -> Sequence[str]:
    """At most so many of them at even distances, both ends among them where there is room for two."""
    if most is None or most >= len(layers):
        return layers
    return [layers[round(place * (len(layers) - 1) / max(1, most - 1))] for place in range(most)]


def _curve(at: Callable[[int], float], reference: float, allowed: Tolerance, *, adaptive: bool) -> Curve:
    """k upwards, so that rules whose overwriting is nested need no fresh weights in between."""
    known = {0: reference}
    if not adaptive:
        known.update({bits: at(bits) for bits in range(1, 33)})
        points = tuple(Point(bits, known[bits]) for bits in range(33))
        return _judged(points, reference, allowed)
    known[32] = at(32)
    open_intervals = [(0, 32)]
    while open_intervals:
        low, high = open_intervals.pop()
        if high - low > 1 and _differ(known[low], known[high], reference, allowed):
            middle = (low + high) // 2
            known[middle] = at(middle)
            open_intervals += [(middle, high), (low, middle)]
    filled: list[Point] = []
    for bits in range(33):
        below = max(known_bits for known_bits in known if known_bits <= bits)
        above = min(known_bits for known_bits in known if known_bits >= bits)
        filled.append(Point(bits, min(known[below], known[above]), evaluated=bits in known))
    return _judged(tuple(filled), reference, allowed)


def _differ(first: float, second: float, reference: float, allowed: Tolerance) -> bool:
    """Whether what lies between two points has to be looked at."""
    if allowed.met(reference, first) != allowed.met(reference, second):
        return True
    return first != second if allowed.size is None else round(abs(first - second) * allowed.size) > 1


def _judged(points: tuple[Point, ...], reference: float, allowed: Tolerance) -> Curve:
    return Curve(points, tuple(allowed.met(reference, point.accuracy) for point in points))

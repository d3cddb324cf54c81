"""Finding the strongest compression whose accuracy stays within the tolerance, in few evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from torch import nn

from energybench.compress.report import Evidence
from energybench.errors import CompressionError, UsageError

Evaluate = Callable[[nn.Module], float]
"""model -> accuracy in [0, 1]; it puts the model into evaluation mode itself"""


@dataclass
class Evaluation:
    """The caller's `evaluate`, checked and counted."""

    evaluate: Evaluate
    size: int | None = None
    calls: int = 0

    def __call__(self, model: nn.Module) -> float:
        """Accuracy of `model`; CompressionError where it is not a number in [0, 1]."""
        self.calls += 1
        returned = self.evaluate(model)
        try:
            accuracy = float(returned)
        except (TypeError, ValueError):
            raise CompressionError(f"evaluate returned {returned!r}; it must return an accuracy in [0, 1]") from None
        if not 0.0 <= accuracy <= 1.0:
            raise CompressionError(f"evaluate returned {accuracy}; it must return an accuracy in [0, 1]")
        return accuracy


@dataclass(frozen=True)
class Tolerance:
    """How much accuracy may be lost, in whole examples where `size` says how many there are."""

    points: float
    """of [0, 1]: 0.01 is one point; or, where `relative`, a share of the reference accuracy"""
    size: int | None = None
    relative: bool = False

    def allowed(self, reference: float) -> float:
        """Points of [0, 1] that may be lost from `reference`."""
        return self.points * reference if self.relative else self.points

    def extra_errors(self, reference: float) -> int | None:
        """Further wrong examples that are allowed: floor(allowed * size); None where the size is not known."""
        return None if self.size is None else math.floor(self.allowed(reference) * self.size + 1e-9)

    def met(self, reference: float, accuracy: float) -> bool:
        """Whether `accuracy` is within the tolerance of `reference`; an improvement always is."""
        allowed = self.extra_errors(reference)
        if self.size is None or allowed is None:
            return reference - accuracy <= self.allowed(reference) + 1e-9
        return round((reference - accuracy) * self.size) <= allowed

    def notes(self, reference: float) -> tuple[str, ...]:
        """A warning where the examples are too few to resolve the tolerance."""
        if self.extra_errors(reference) == 0 and self.points > 0:
            return (f"{self.size} examples cannot resolve a tolerance of {self.words}: no further error is allowed",)
        return ()

    @property
    def words(self) -> str:
        """`0.01`, or `0.01 of the reference`."""
        return f"{self.points:g} of the reference" if self.relative else f"{self.points:g}"


@dataclass(frozen=True)
class Threshold:
    """The largest index that passes (0: none does), and what was learned on the way."""

    index: int
    monotone: bool = True
    """False where a failing index was seen below a passing one"""
    tried: dict[int, bool] = field(default_factory=dict)


def largest_passing(passes: Callable[[int], bool], last: int, *, verify: bool = False) -> Threshold:
    """The largest index in 1..last for which `passes`, by bisection; index 0 passes by definition.

    Bisection is right where passing is monotone. With `verify`, one more index on each side of the threshold is tried;
    if one contradicts, all indices are scanned from `last` downwards to the first that passes, which is then the
    largest whatever the curve looks like. For last = 32 that makes at most 7 calls on a monotone curve.
    """
    tried = {0: True}

    def tries(index: int) -> bool:
        if index not in tried:
            tried[index] = passes(index)
        return tried[index]

    low, high = 0, last + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if tries(middle) else (low, middle)
    if verify and not ((low == 0 or tries(low - 1)) and (high >= last or not tries(high + 1))):
        low = next(index for index in range(last, -1, -1) if tries(index))
    monotone = all(passed for index, passed in tried.items() if index < low)
    return Threshold(low, monotone, dict(sorted(tried.items())))


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    value: float | None
    """the grid's strongest value within the tolerance, None where even the mildest loses too much"""
    evidence: Evidence
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidates:
    """The values that a search may choose from, and how to bring the model to one of them and back."""

    grid: Sequence[float]
    """from the mildest to the strongest compression"""
    origin: float
    """the value that stands for the uncompressed model in the curve"""
    apply: Callable[[float], None]
    """compress the model to a value, whatever it was compressed to before"""
    restore: Callable[[], None]
    """make the model what it was before any `apply`"""
    key: Callable[[float], Hashable] = field(default=float)
    """values of one key give the same model and are evaluated once"""
    untouched: Hashable = None
    """the key of values that leave the model as it is"""


def search(
    model: nn.Module,
    candidates: Candidates,
    evaluation: Evaluation,
    tolerance: Tolerance,
    *,
    verify: bool = False,
    reference: float | None = None,
) -> Found:
    """Bring `model` to the strongest candidate whose accuracy is within `tolerance` of `reference`.

    Where `reference` is None it is the model's own accuracy. The model is restored where nothing passes, and where
    `evaluate` raises.
    """
    begun = evaluation.calls
    own = evaluation(model)
    reference = own if reference is None else reference
    accuracies: dict[Hashable, float] = {candidates.untouched: own}
    current: Hashable = candidates.untouched

    def bring_to(value: float) -> None:
        nonlocal current
        key = candidates.key(value)
        if key != current:
            candidates.apply(value)
            current = key

    def passes(index: int) -> bool:
        value = candidates.grid[index - 1]
        key = candidates.key(value)
        if key not in accuracies:
            bring_to(value)
            accuracies[key] = evaluation(model)
        return tolerance.met(reference, accuracies[key])

    try:
        threshold = largest_passing(passes, len(candidates.grid), verify=verify)
        value = candidates.grid[threshold.index - 1] if threshold.index else None
        if value is None or candidates.key(value) == candidates.untouched:
            candidates.restore()
            value = None
        else:
            bring_to(value)
    except BaseException:
        candidates.restore()
        raise
    tried = [candidates.grid[index - 1] for index in threshold.tried if index]
    points = {(value, accuracies[candidates.key(value)]) for value in tried} | {(candidates.origin, own)}
    notes = list(tolerance.notes(reference))
    if value is None:
        notes.append(f"no compression loses at most {tolerance.words} of accuracy: model unchanged")
    if not threshold.monotone:
        failed = [index for index, passed in threshold.tried.items() if index < threshold.index and not passed]
        values = ", ".join(f"{candidates.grid[index - 1]:g}" for index in failed)
        notes.append(f"accuracy is not monotone: {values} failed although a stronger compression passed")
    chosen = accuracies[candidates.key(value)] if value is not None else own
    evidence = Evidence(evaluation.calls - begun, evaluation.size, own, chosen, tuple(sorted(points)))
    return Found(value, evidence, tuple(notes))


def fixed(model: nn.Module, value: float, candidates: Candidates, evaluation: Evaluation | None) -> Evidence:
    """Bring `model` to a given value; its accuracies before and after are taken where there is an `evaluate`."""
    if evaluation is None:
        candidates.apply(value)
        return Evidence()
    begun = evaluation.calls
    reference = evaluation(model)
    candidates.apply(value)
    try:
        accuracy = evaluation(model)
    except BaseException:
        candidates.restore()
        raise
    curve = tuple(sorted({(candidates.origin, reference), (value, accuracy)}))
    return Evidence(evaluation.calls - begun, evaluation.size, reference, accuracy, curve)


def check_share(owner: str, name: str, value: object, *, zero: bool = True, one: bool = True) -> None:
    """UsageError where `value` is not a number in [0, 1] (without its ends where `zero` or `one` is False)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and 0 <= value <= 1 and (zero or value > 0) and (one or value < 1)):  # type: ignore[operator]
        left, right = "[" if zero else "(", "]" if one else ")"
        raise UsageError(f"{owner}: {name} must be a number in {left}0, 1{right}, not {value!r}")

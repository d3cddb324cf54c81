"""How far predictions are off where a whole model or a whole device was left out, and intervals made of that.

Runs of one configuration resemble one another, so leaving out runs at random measures remembering: on the public runs
of del Rey et al. the same regressor falls from an R2 of 0.97 to -14.9 when whole configurations are left out. Here a
fold is always a whole model, or a whole device.

Intervals are CV+ (Barber, Candes, Ramdas, Tibshirani, Annals of Statistics 49 (2021) 486-507) on logarithms, with one
residual per configuration: of the n values mu_without_i(x) - R_i the floor((1 - level)(n + 1))-th smallest, and of
mu_without_i(x) + R_i the ceil(level (n + 1))-th. They hold for a model (a device) that is as unlike the others as those
are unlike one another, which configurations of one model in several residuals only approximate; fewer configurations
than the level needs give no interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from energybench.errors import UsageError
from energybench.estimators.pre.observation import Observation
from energybench.estimators.pre.predictor import MINIMUM, QUANTITIES, Point, Predictor, fit_predictor

GROUPS = ("model", "device")
LEVEL = 0.9
MINIMUM_GROUPS = 3


@dataclass(frozen=True, slots=True)
class Fold:
    """A predictor that never saw one group, and that group."""

    group: str
    without: Predictor
    held_out: tuple[Observation, ...]


@dataclass(frozen=True)
class Crossed:
    """A predictor together with what it would have said of each model and device that it learned from."""

    predictor: Predictor
    observations: tuple[Observation, ...]
    """one per configuration"""

    @cached_property
    def folds(self) -> Mapping[str, tuple[Fold, ...]]:
        """`model` and `device` -> a fold per group; empty where there are fewer than MINIMUM_GROUPS of them."""
        return {by: _folds(self.observations, by, self.predictor) for by in GROUPS}

    @cached_property
    def residuals(self) -> Mapping[tuple[str, str], tuple[tuple[Fold, tuple[float, ...]], ...]]:
        """(group kind, quantity) -> each fold with the absolute errors, in logarithms, of what it never saw."""
        return {
            (by, quantity): tuple(
                (
                    fold,
                    tuple(
                        abs(fold.without.log(quantity, each) - math.log(getattr(each, quantity)))
                        for each in fold.held_out
                    ),
                )
                for fold in self.folds[by]
            )
            for by in GROUPS
            for quantity in QUANTITIES
        }

    def interval(self, quantity: str, at: Point, by: str, level: float = LEVEL) -> tuple[float, float] | None:
        """CV+ interval of a quantity in W, s or J; None where there are too few configurations or groups for it."""
        low, high = [], []
        for fold, errors in self.residuals[by, quantity]:
            middle = fold.without.log(quantity, at)
            low += [middle - error for error in errors]
            high += [middle + error for error in errors]
        rank = math.floor((1 - level) * (len(low) + 1) + 1e-9)
        if rank < 1:
            return None
        return math.exp(sorted(low)[rank - 1]), math.exp(sorted(high)[-rank])

    def by(self, device: str) -> str:
        """Which residuals speak for a prediction: of left-out devices where the device is new, else of models."""
        return "model" if device in self.predictor.seen else "device"


def cross(observations: Sequence[Observation], method: str = "ridge") -> Crossed:
    """Fit on all `observations`, one per configuration, and lazily on all but each group.

    Raises UsageError where `fit_predictor` does.
    """
    return Crossed(fit_predictor(observations, method), tuple(observations))


def _folds(observations: Sequence[Observation], by: str, whole: Predictor) -> tuple[Fold, ...]:
    groups = dict.fromkeys(getattr(each, by) for each in observations)
    if len(groups) < MINIMUM_GROUPS:
        return ()
    found = []
    for group in groups:
        rest = [each for each in observations if getattr(each, by) != group]
        held_out = tuple(each for each in observations if getattr(each, by) == group)
        if len(rest) < MINIMUM:
            return ()
        try:
            found.append(Fold(group, fit_predictor(rest, whole.method, {*whole.columns, *whole.constants}), held_out))
        except UsageError:
            return ()  # what is left differs in nothing: this group was the only one that taught anything
    return tuple(found)

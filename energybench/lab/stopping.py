"""When a fine-tune ends: the three protocols under which trainings are compared.

- early stopping, as in the paper: `EarlyStopping`;
- matched epochs: `FixedEpochs(n)`, with 0 for the control that trains nothing;
- energy to a target accuracy: `UntilTarget`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol


class Validation(Protocol):
    """What a rule looks at after each epoch."""

    @property
    def loss(self) -> float:
        """Mean cross entropy in nats."""
        ...

    @property
    def accuracy(self) -> float:
        """Share of right answers in [0, 1]."""
        ...


@dataclass(slots=True)
class Rule:
    """What every rule keeps: the epoch of the lowest validation loss, whose weights are restored where `restores`."""

    best_epoch: int = field(default=0, init=False)
    """1-based; 0 before the first epoch"""
    lowest: float = field(default=math.inf, init=False)
    epoch: int = field(default=0, init=False)
    """epochs seen so far"""

    @property
    def looks_first(self) -> bool:
        """Whether the model is validated before its first epoch too, which may already end the training."""
        return False

    @property
    def restores(self) -> bool:
        """Whether the weights of the best epoch are kept rather than the last epoch's."""
        return True

    @property
    def reached(self) -> bool | None:
        """Whether a target accuracy was reached; None where the rule has none."""
        return None

    def limit(self, epochs: int) -> int:
        """The largest number of epochs, where the recipe says at most `epochs`."""
        return epochs

    def look(self, seen: Validation) -> bool:
        """Take the validation before the first epoch; True where there is nothing to train."""
        return False

    def update(self, seen: Validation) -> bool:
        """Take the validation after the next epoch; True where training should stop now."""
        self.epoch += 1
        if seen.loss < self.lowest:
            self.lowest, self.best_epoch = seen.loss, self.epoch
        return self._stops(seen)

    def _stops(self, seen: Validation) -> bool:
        return False


@dataclass(slots=True)
class EarlyStopping(Rule):
    """Stops after `patience` epochs in a row whose loss fell by no more than `min_delta` below the best before.

    The first epoch always counts as an improvement. A patience of 0 never stops. Two bests are kept: the one that
    improvements are counted against moves only by more than `min_delta`; `best_epoch` is the lowest loss of all.
    """

    patience: int
    min_delta: float
    _reference: float = field(default=math.inf, init=False)
    _waited: int = field(default=0, init=False)

    def _stops(self, seen: Validation) -> bool:
        if seen.loss < self._reference - self.min_delta:
            self._reference, self._waited = seen.loss, 0
        else:
            self._waited += 1
        return 0 < self.patience <= self._waited


@dataclass(slots=True)
class FixedEpochs(Rule):
    """Trains exactly `epochs` epochs, whatever the recipe's limit; 0 trains nothing."""

    epochs: int

    def limit(self, epochs: int) -> int:
        return self.epochs


@dataclass(slots=True)
class UntilTarget(Rule):
    """Stops as soon as the validation accuracy is at least `target`, before the first epoch if it is so already.

    `most` bounds the epochs (None: the recipe's limit). The weights are those with which the target was reached.
    """

    target: float
    most: int | None = None
    _reached: bool = field(default=False, init=False)

    @property
    def looks_first(self) -> bool:
        return True

    @property
    def restores(self) -> bool:
        return False

    @property
    def reached(self) -> bool | None:
        return self._reached

    def limit(self, epochs: int) -> int:
        return epochs if self.most is None else self.most

    def look(self, seen: Validation) -> bool:
        return self._stops(seen)

    def _stops(self, seen: Validation) -> bool:
        self._reached = seen.accuracy >= self.target - 1e-12
        return self._reached

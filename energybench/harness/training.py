"""The training that a round is, as far as its laps and notes tell.

An epoch is what lies between two ends: the lap `epoch`, and the laps that follow it until the next one begins (a
validation, a checkpoint), since the round pays for both. What came before the first epoch goes to that one. A lap
inside another one is a part of it and is not counted again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from energybench.model import Window, mean

if TYPE_CHECKING:
    from energybench.estimators.step import Epoch

EPOCH = "epoch"
"""the label of the laps that are epochs"""


@dataclass(frozen=True, slots=True)
class OpenLap:
    """A lap that has begun."""

    label: str
    alone: bool
    """whether no other lap was open then"""
    epochs: int
    """epochs that had begun before it"""


@dataclass
class _Ended:
    lap: Window
    settings: Mapping[str, Any]
    loss: float | None
    place: int
    after: list[Window] = field(default_factory=list)
    """the laps between it and the next epoch"""
    complete: bool = False
    """whether nothing more is expected between it and the next epoch"""


class Training:
    """Grows with each lap and note of a round."""

    def __init__(self, domains: Sequence[str]) -> None:
        """`domains` are the names of those whose joules count."""
        self._domains = tuple(domains)
        self._ended: list[_Ended] = []
        self._before: list[Window] = []
        """laps before the first epoch"""
        self._open: list[OpenLap] = []
        self._begun = 0
        self._settings: dict[str, Any] = {}
        self._loss: float | None = None
        """of the epoch that is running"""

    @property
    def count(self) -> int:
        """Epochs that have ended."""
        return len(self._ended)

    @property
    def losses_lacking(self) -> int:
        """Epochs that have ended without a validation loss so far."""
        return sum(ended.loss is None for ended in self._ended)

    @property
    def lacks_last_loss_only(self) -> bool:
        """Whether every epoch but the last one has its loss, whose validation may still come."""
        return self.losses_lacking == 1 and self._ended[-1].loss is None

    def begin(self, label: str) -> OpenLap:
        """A lap begins."""
        lap = OpenLap(label, not self._open, self._begun)
        self._open.append(lap)
        if label == EPOCH:
            self._begun += 1
            self._loss = None
            if self._ended:
                self._ended[-1].complete = True
        return lap

    def leave(self, lap: OpenLap) -> None:
        """A lap is over, whatever became of it."""
        self._open.remove(lap)

    def end(self, lap: OpenLap, window: Window, place: int) -> None:
        """A lap has ended as it should, and this is what it came to; `place` is its among the round's laps."""
        if lap.label == EPOCH:
            self._ended.append(_Ended(window, dict(self._settings), self._loss, place))
            self._loss = None
        elif lap.alone and lap.epochs == self._begun:
            (self._ended[-1].after if self._ended else self._before).append(window)

    def note(self, loss: float | None, settings: Mapping[str, Any]) -> bool:
        """Settings hold from the epoch that is running, or from the next one; a loss is of the last one that began.

        Returns whether an epoch that has ended got its loss. A loss before the first epoch is of an untrained model.
        """
        self._settings.update(settings)
        if loss is None:
            return False
        if any(lap.label == EPOCH for lap in self._open):
            self._loss = loss
            return False
        if not self._ended:
            return False
        self._ended[-1].loss, self._ended[-1].complete = loss, True
        return True

    def epochs(self) -> tuple[Epoch, ...]:
        """The epochs that have ended, as STEP takes them.

        What follows the last one may still come: until the next one begins or its loss is noted, the mean of what
        followed the others stands in.
        """
        from energybench.estimators.step import Epoch

        after_s = [math.fsum(lap.seconds for lap in ended.after) for ended in self._ended]
        after_j = [self._joules(ended.after) for ended in self._ended]
        if self._ended and not self._ended[-1].complete:
            after_s[-1] = max(after_s[-1], mean(after_s[:-1]) or 0.0)
            usual_j = None if None in after_j[:-1] else mean(after_j[:-1]) or 0.0
            after_j[-1] = None if usual_j is None or after_j[-1] is None else max(after_j[-1], usual_j)
        before_s, before_j = math.fsum(lap.seconds for lap in self._before), self._joules(self._before)
        epochs = []
        for number, ended in enumerate(self._ended):
            own = [self._joules([ended.lap]), after_j[number], *([] if number else [before_j])]
            known = [joules for joules in own if joules is not None]
            epochs.append(
                Epoch(
                    ended.lap.seconds + after_s[number] + (0.0 if number else before_s),
                    math.fsum(known) if len(known) == len(own) else None,
                    ended.settings,
                    ended.loss,
                )
            )
        return tuple(epochs)

    def noted(self) -> dict[int, Mapping[str, Any]]:
        """Place among the laps of each epoch that has ended -> its settings, and its loss; only of those with any."""
        each = [(ended.place, {**ended.settings, "loss": ended.loss}) for ended in self._ended]
        known = [(place, {name: value for name, value in notes.items() if value is not None}) for place, notes in each]
        return {place: notes for place, notes in known if notes}

    @property
    def counted_j(self) -> float | None:
        """Joules of all the laps that count, None where one could not be read."""
        return self._joules([*self._before, *(lap for ended in self._ended for lap in (ended.lap, *ended.after))])

    def _joules(self, laps: Sequence[Window]) -> float | None:
        values = [lap.total_j(self._domains) for lap in laps]
        known = [value for value in values if value is not None]
        return math.fsum(known) if len(known) == len(values) else None

"""What `energy(...)` gives back to the test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from energybench.errors import EnergybenchError
from energybench.model import Case, Quantity, Round
from energybench.units import kwh

ABSENT: Any = object()
"""no value: the metered function was not called in this session"""


@dataclass(frozen=True)
class Result:
    """What `energy(...)` returns once every round of the case is finished: means over the rounds, and the rounds."""

    case: Case
    _value: Any = field(default=ABSENT, repr=False)
    _metrics: Mapping[str, float | None] = field(default_factory=dict, repr=False)

    @property
    def value(self) -> Any:
        """What the metered function returned in the last round.

        Raises EnergybenchError where all rounds came from the journal of an earlier session.
        """
        if self._value is ABSENT:
            raise EnergybenchError(
                f"{self.case.short_id} has no return value: all its rounds came from an interrupted sweep's journal. "
                "Record what an assertion needs with energy.record(...)"
            )
        return self._value

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds, in their order; empty with --benchmark-disable."""
        return tuple(self.case.rounds)

    @property
    def joules(self) -> float | None:
        """Mean IT joules per round over the in-total domains; None where no domain could be read."""
        return self.case.mean_j

    @property
    def quantity(self) -> Quantity | None:
        """Mean IT joules with random error, gain error and source; None where no domain could be read."""
        return self.case.mean_quantity

    @property
    def kwh(self) -> float | None:
        """Mean energy per round in kWh with PUE; None where no domain could be read."""
        return self.case.mean_kwh

    @property
    def it_kwh(self) -> float | None:
        """Mean IT energy per round in kWh, without PUE."""
        joules = self.case.mean_j
        return None if joules is None else kwh(joules)

    @property
    def seconds(self) -> float | None:
        """Mean seconds per round; None with --benchmark-disable."""
        return self.case.mean_seconds

    @property
    def accuracy(self) -> float:
        """Mean over the rounds of what was recorded as accuracy. Raises EnergybenchError where nothing was."""
        return self.metric("accuracy")

    def metric(self, name: str) -> float:
        """Mean over the rounds of what was recorded under `name`. Raises EnergybenchError where nothing was."""
        value = self.case.mean_metric(name) if self.case.rounds else self._metrics.get(name)
        if value is None:
            raise EnergybenchError(
                f"{self.case.short_id} recorded no {name}: call energy.record({name}=...) inside the metered function"
            )
        return value

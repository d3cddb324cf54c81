"""The epochs of a training as STEP sees them, and what is refused before any number is made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from energybench.estimators import EstimateError
from energybench.model import Case, Round

RESTARTING = ("optimizer", "frozen", "batch", "data")
"""settings that change what an epoch costs: a window never reaches across such a change"""
SETTINGS = ("lr", *RESTARTING)
"""settings that are looked at: learning rate, optimiser, frozen layers, batch size, data"""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch that has ended."""

    seconds: float
    joules: float | None
    """None where it could not be read"""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """with what it was trained, by the names of SETTINGS; those that are not known are left out"""
    loss: float | None = None
    """validation loss after it, which early stopping looks at"""


def epochs_of(case: Case, round: Round) -> tuple[Epoch, ...]:
    """The laps named `epoch` of a round, with the joules of the case's in-total domains and what was noted of them."""
    return tuple(
        Epoch(
            lap.seconds,
            lap.total_j(case.total_domains),
            {name: lap.notes[name] for name in SETTINGS if name in lap.notes},
            _loss(lap.notes.get("loss")),
        )
        for lap in round.window.laps_named("epoch")
    )


def _loss(noted: Any) -> float | None:
    is_number = isinstance(noted, (int, float)) and not isinstance(noted, bool)
    return float(noted) if is_number and math.isfinite(noted) else None


def checked(epochs: Sequence[Epoch], source: str = "") -> tuple[float, ...]:
    """Joules of each epoch. EstimateError where one has none, or where they are no energies of single epochs."""
    of = f" of {source}" if source else ""
    joules = []
    for number, epoch in enumerate(epochs, 1):
        if epoch.joules is None:
            raise EstimateError(f"Epoch {number}{of} has no energy reading, so neither a sum nor a mean is known.")
        if not math.isfinite(epoch.joules) or epoch.joules <= 0:
            raise EstimateError(
                f"Epoch {number}{of} has {epoch.joules:g} J: its meter read nothing (an epoch shorter than the "
                f"counter's update?). Leave out the domain that stood still, or meter longer epochs."
            )
        if not math.isfinite(epoch.seconds) or epoch.seconds <= 0:
            raise EstimateError(f"Epoch {number}{of} took {epoch.seconds:g} s, which is no duration.")
        joules.append(epoch.joules)
    if is_running_total(joules):
        raise EstimateError(
            f"The energies{of} grow from epoch to epoch like a running total ({joules[0]:.4g}, {joules[1]:.4g}, "
            f"{joules[2]:.4g}, ... J). Give the energy of each epoch alone."
        )
    return tuple(joules)


def joules_of(epochs: Sequence[Epoch]) -> tuple[float, ...]:
    """Joules of each epoch, none where one has no energy or an impossible one."""
    try:
        return checked(epochs)
    except EstimateError:
        return ()


def is_running_total(joules: Sequence[float]) -> bool:
    """Whether four values or more look like k times the first: every step about as large as the first value."""
    if len(joules) < 4:
        return False
    steps = [after - before for before, after in pairwise(joules)]
    usual = median(steps)
    return usual > 0 and all(0.5 * usual <= step <= 2 * usual for step in (joules[0], *steps))


def last_restart(epochs: Sequence[Epoch]) -> tuple[int, str]:
    """Index of the first epoch after the last change of a setting that changes the cost, and the change in words."""
    for index in range(len(epochs) - 1, 0, -1):
        said = changes(epochs[index - 1], epochs[index], RESTARTING)
        if said:
            return index, said
    return 0, ""


def changes(before: Epoch, after: Epoch, names: Sequence[str] = SETTINGS) -> str:
    """What differs between the settings of two epochs, where both state them: `batch 64 to 128`; empty for nothing."""
    return ", ".join(
        f"{name} {before.settings[name]} to {after.settings[name]}"
        for name in names
        if name in before.settings and name in after.settings and before.settings[name] != after.settings[name]
    )

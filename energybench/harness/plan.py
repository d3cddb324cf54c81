"""How many epochs a round is going to train: what a projection needs to know beforehand.

A test says it with `energy.plan(...)`; without that it is read off the declared workload, which has `epochs` and
perhaps `patience` and `min_delta`, at the top or in its `recipe`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from energybench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Plan:
    """The length of a training."""

    epochs: int | None
    """their number, with early stopping at most; None where nobody can know"""
    patience: int | None = None
    """of early stopping: epochs in a row without an improvement of the validation loss; None where there is none"""
    min_delta: float = 0.0
    """fall of the validation loss that counts as an improvement"""


def checked_plan(epochs: Any, patience: Any, min_delta: Any) -> Plan:
    """What `energy.plan(...)` was given. Raises UsageError for what is no number of epochs or no rule."""
    if epochs is not None and not _is_whole(epochs):
        raise UsageError(f"energy.plan(epochs=...) is a whole number of at least 0, or None, not {epochs!r}")
    if patience is not None and not _is_whole(patience):
        raise UsageError(
            f"energy.plan(patience=...) is a whole number of epochs, 0 or None for no early stopping, not {patience!r}"
        )
    if not _is_delta(min_delta):
        raise UsageError(f"energy.plan(min_delta=...) is a number of at least 0, not {min_delta!r}")
    if patience and epochs is None:
        raise UsageError("energy.plan(patience=...) needs epochs=, the number of epochs at which training ends anyway")
    return Plan(epochs, patience or None, float(min_delta))


def plan_of(inputs: Mapping[str, Any]) -> Plan | None:
    """The plan that a declared workload states, None where it states none."""
    for declared in (inputs, inputs.get("recipe")):
        if isinstance(declared, Mapping) and _is_whole(declared.get("epochs")):
            patience, min_delta = declared.get("patience"), declared.get("min_delta", 0.0)
            return Plan(
                declared["epochs"],
                patience if _is_whole(patience) and patience else None,
                float(min_delta) if _is_delta(min_delta) else 0.0,
            )
    return None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_delta(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf

"""STEP, Stable Training Epoch Projection: the energy of a training from the epochs that have ended.

After S. del Rey, L. Cruz, X. Franch, S. Martinez-Fernandez, arXiv 2307.05520. With s epochs skipped, a window of the w
epochs that follow, and N epochs in all,

    energy form:  E = sum of the first s epochs + (N - s) / w * sum of the window
    power form:   E = mean power in the window * (seconds of the first s epochs + (N - s) * mean seconds in the window)

Where metering went on behind the window, its epochs count as they were metered: E = everything seen + epochs left *
mean of the window, which is the energy form where the window ends with the last epoch seen. The authors gave the power
form the true duration; here it has the seconds of what was seen. A projection knows nothing else: neither the true
duration nor, with early stopping, the true number of epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from energybench.analysis.stats import t_tail
from energybench.estimators import EstimateError
from energybench.estimators.step.epochs import Epoch, changes, checked
from energybench.estimators.step.power import Power
from energybench.estimators.step.spread import ASSUMED, Part, Scatter, error_of_sum, quantile
from energybench.estimators.step.stopping import EarlyStopping, Length, length
from energybench.estimators.step.window import Window, find_window
from energybench.model import Estimate

FORMS = ("energy", "power")
CONFIDENCE = 0.9
_ATOMS = 12
"""numbers of epochs that a prediction of their number is thinned to"""


@dataclass(frozen=True, slots=True)
class Projection:
    """How to project; `after` does it, as often as epochs end."""

    epochs: int | None = None
    """planned number of epochs, where it is fixed"""
    window: int | None = None
    """w; None: all stable epochs"""
    skip: int | None = None
    """s; None: detected"""
    form: str = "energy"
    confidence: float = CONFIDENCE
    """of the two-sided prediction interval"""
    source: str = ""
    """what the epochs are of, for messages"""
    scatter: Scatter = ASSUMED
    """of epochs on this machine, as earlier trainings showed it or as it is declared"""

    def after(
        self,
        seen: Sequence[Epoch],
        planned: int | EarlyStopping | None = None,
        *,
        power: Power | None = None,
        ahead: Mapping[int, str] = MappingProxyType({}),
    ) -> Estimate:
        """The energy of the whole training in IT joules, after the epochs `seen`.

        `planned` is the number of epochs (default: `self.epochs`) or the rule that ends the training. `power` is the
        power series of the epochs seen. `ahead` names what is known to change: number of the epoch (1 is the first)
        -> what, such as `optimizer`.

        Raises TooEarlyError where more epochs have to end first, EstimateError for epochs without energy or with
        impossible values, fewer planned than seen, and a rule that the losses contradict.
        """
        if self.form not in FORMS:
            raise EstimateError(f"There is no form {self.form!r} of the projection; there are {' and '.join(FORMS)}.")
        joules = checked(seen, self.source)
        number = self._number(seen, self.epochs if planned is None else planned)
        if number.likely[-1][0] == len(seen):
            return self._finished(seen, joules)
        window = find_window(seen, joules, size=self.window, skip=self.skip, power=power)
        inside = joules[window.first : window.end]
        mean_j = math.fsum(inside) / window.size
        mean_s = math.fsum(epoch.seconds for epoch in seen[window.first : window.end]) / window.size
        seen_j, left = math.fsum(joules), number.mean - len(seen)
        seconds = math.fsum(epoch.seconds for epoch in seen) + left * mean_s
        total_j, watts = seen_j + left * mean_j, _watts(window, seen, inside, power)
        apart = 0.0
        if self.form == "power":
            before_s = math.fsum(epoch.seconds for epoch in seen[: window.first])
            by_power = watts * (before_s + (number.mean - window.first) * mean_s)
            total_j, apart = by_power, abs(by_power - total_j)
        before = joules[window.first - 1] if window.first else None
        mixture = _errors(inside, number, len(seen), apart, before, self.scatter)
        tail = (1 - self.confidence) / 2
        high = quantile(mixture, 1 - tail)
        low = -high if len(number.likely) == 1 else quantile(mixture, tail)  # symmetric unless their number is guessed
        warnings = (
            *window.warnings,
            *_doubts(seen, joules, window, self.scatter),
            *(
                f"{what} changes at epoch {at}, behind the window"
                for at, what in sorted(ahead.items())
                if at > window.end
            ),
        )
        basis: dict[str, Any] = {
            "form": self.form,
            "epochs": number.mean if len(number.likely) > 1 else number.likely[0][0],
            "epochs_seen": len(seen),
            "seen_j": seen_j,
            "window": [window.first + 1, window.end],
            "window_mean_j": mean_j,
            "window_cv": _cv(inside),
            "scatter": self.scatter.relative,
            "scatter_from": self.scatter.trainings,
            "stable_by": window.found,
            "seconds": seconds,
            "power_w": watts,
            "confidence": self.confidence,
        }
        if len(number.likely) > 1:
            basis["epochs_interval"] = [number.quantile(tail), number.quantile(1 - tail)]
        interval = (max(seen_j, total_j + low), max(seen_j, total_j + high))
        return Estimate(f"STEP, {self.form} form", total_j, interval, basis, warnings)

    def _number(self, seen: Sequence[Epoch], planned: int | EarlyStopping | None) -> Length:
        if planned is None:
            raise EstimateError("How many epochs are planned? Give their number, or the rule that ends the training.")
        if isinstance(planned, EarlyStopping):
            losses = [epoch.loss for epoch in seen if epoch.loss is not None]
            if len(losses) < len(seen):
                raise EstimateError(
                    f"Early stopping is predicted from the validation loss of every epoch; {len(seen) - len(losses)} "
                    f"of {len(seen)} have none. Give them, or the number of epochs."
                )
            return length(losses, planned)
        if planned < len(seen):
            raise EstimateError(f"{len(seen)} epochs have ended already, more than the {planned} that are planned.")
        return Length(((planned, 1.0),))

    def _finished(self, seen: Sequence[Epoch], joules: Sequence[float]) -> Estimate:
        total_j = math.fsum(joules)
        basis = {
            "form": self.form,
            "epochs": len(seen),
            "epochs_seen": len(seen),
            "seen_j": total_j,
            "seconds": math.fsum(epoch.seconds for epoch in seen),
            "confidence": self.confidence,
        }
        said = "all epochs have ended: this is the sum of their readings, nothing is projected"
        return Estimate(f"STEP, {self.form} form", total_j, (total_j, total_j), basis, (said,))


def width(estimate: Estimate) -> float:
    """Half the interval over the estimate: 0.03 is +-3 %; infinite without an interval. What `tight` is judged by."""
    if estimate.interval is None or estimate.joules <= 0:
        return math.inf
    return (estimate.interval[1] - estimate.interval[0]) / 2 / estimate.joules


def _errors(
    inside: Sequence[float], number: Length, seen: int, apart: float, before: float | None, scatter: Scatter
) -> list[Part]:
    """The error of the projection: of the epochs left, and of how many they are."""
    mean_j = math.fsum(inside) / len(inside)
    return [
        Part(share * part.weight, (epochs - number.mean) * mean_j, math.hypot(part.scale, apart), part.df)
        for epochs, share in _thinned(number)
        for part in error_of_sum(inside, epochs - seen, before, scatter)
    ]


def _thinned(number: Length) -> list[tuple[int, float]]:
    """At most _ATOMS numbers of epochs, neighbours put together at their mean."""
    if len(number.likely) <= _ATOMS:
        return list(number.likely)
    groups: list[list[tuple[int, float]]] = [[]]
    filled = 0.0
    for epochs, share in number.likely:
        if filled >= len(groups) / _ATOMS:
            groups.append([])
        groups[-1].append((epochs, share))
        filled += share
    weights = [math.fsum(share for _, share in group) for group in groups]
    return [
        (round(math.fsum(epochs * share for epochs, share in group) / weight), weight)
        for group, weight in zip(groups, weights, strict=True)
    ]


def _watts(window: Window, seen: Sequence[Epoch], inside: Sequence[float], power: Power | None) -> float:
    """Mean power in the window, from the power series where it says where the epochs lie."""
    if power is not None and len(power.ends_s) >= window.end:
        spans = power.spans[window.first : window.end]
        return math.fsum(power.joules(*span) for span in spans) / math.fsum(end - begin for begin, end in spans)
    return math.fsum(inside) / math.fsum(epoch.seconds for epoch in seen[window.first : window.end])


def _cv(inside: Sequence[float]) -> float | None:
    """Relative standard deviation of the window; None of one epoch."""
    if len(inside) < 2:
        return None
    mean_j = math.fsum(inside) / len(inside)
    return math.sqrt(math.fsum((value - mean_j) ** 2 for value in inside) / (len(inside) - 1)) / mean_j


def _doubts(seen: Sequence[Epoch], joules: Sequence[float], window: Window, scatter: Scatter) -> list[str]:
    """What a reader must know of the window."""
    said = []
    if window.size == 1:
        beside = " beside the one before it" if window.first else ""
        said.append(f"the window is one epoch, which has no spread: {scatter.said}{beside}")
    for index in range(window.first + 1, window.end):
        change = changes(seen[index - 1], seen[index])
        if change:
            said.append(f"{change} at epoch {index + 1}, inside the window")
    for index in range(window.end, len(seen)):
        change = changes(seen[index - 1], seen[index])
        if change:
            said.append(f"{change} at epoch {index + 1}, behind the window")
    behind, inside = joules[window.end :], joules[window.first : window.end]
    if behind and _differ(inside, behind, scatter):
        ratio = math.fsum(behind) / len(behind) / (math.fsum(inside) / len(inside)) - 1
        said.append(
            f"the {len(behind)} epochs behind the window cost {100 * ratio:+.1f} % beside it, and the rest is "
            f"projected from the window"
        )
    return said


def _differ(inside: Sequence[float], behind: Sequence[float], scatter: Scatter) -> bool:
    """Whether two stretches differ beyond the prediction interval of the first (1 %)."""
    error = math.fsum(behind) - len(behind) * math.fsum(inside) / len(inside)
    return (
        math.fsum(
            part.weight * 2 * t_tail(abs(error) / part.scale, part.df)
            for part in error_of_sum(inside, len(behind), scatter=scatter)
        )
        < 0.01
    )

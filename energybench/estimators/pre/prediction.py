"""The answer to a question: power, seconds and energy with intervals, what speaks against them, and the calculators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from energybench.errors import UsageError
from energybench.estimators.formulas import Formula, beside
from energybench.estimators.pre.crossing import LEVEL, MINIMUM_GROUPS, Crossed
from energybench.estimators.pre.observation import FEATURES
from energybench.estimators.pre.predictor import QUANTITIES
from energybench.estimators.pre.question import Asked
from energybench.model import Estimate

FAR = 10.0
"""times outside of the training range, from where on a prediction is refused"""


@dataclass(frozen=True, slots=True)
class Predicted:
    """One quantity, in W, s or J."""

    value: float
    interval: tuple[float, float] | None
    """None where there are too few configurations for its level"""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a training is predicted to take. Nothing of it was measured."""

    estimate: Estimate
    """joules of the whole training"""
    quantities: Mapping[str, Predicted]
    """by the names of QUANTITIES"""
    seconds: Predicted
    """of the whole training"""
    formulas: tuple[Formula, ...]
    """what calculators say for the same training"""
    level: float
    by: str
    """`model` or `device`: whose leaving-out the intervals are made of"""


def predict(
    asked: Asked,
    crossed: Crossed,
    *,
    level: float = LEVEL,
    far: bool = False,
    seconds: float | None = None,
    utilisation: float | None = None,
    memory_gb: float | None = None,
) -> Prediction:
    """Answer `asked`.

    With `seconds` the duration of the whole training is known, and its energy is the predicted mean power times it, as
    in the first of the paper's two forms; else it is the predicted energy of an epoch times the epochs. Raises
    UsageError where a feature is missing, and without `far` where one lies more than FAR times outside of the runs'.
    """
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval lies between 0 and 1, not {level!r}")
    predictor, question = crossed.predictor, asked.question
    by = crossed.by(asked.device)
    warnings = list(outside(asked, crossed, far=far))
    quantities = {
        quantity: Predicted(predictor.predict(quantity, asked), crossed.interval(quantity, asked, by, level))
        for quantity in QUANTITIES
    }
    if any(one.interval is None for one in quantities.values()):
        warnings.append(_no_interval(crossed, by, level))
    if seconds is None:
        total_j, total_s = (_times(quantities[name], question.epochs) for name in ("epoch_j", "epoch_s"))
    else:
        total_j, total_s = _times(quantities["power_w"], seconds), Predicted(seconds, None)
    return Prediction(
        estimate=Estimate(
            method=f"PRE, {predictor.method}",
            joules=total_j.value,
            interval=total_j.interval,
            basis=_basis(asked, crossed, by, level),
            warnings=tuple(warnings),
        ),
        quantities=quantities,
        seconds=total_s,
        formulas=beside(asked.features.get("device_w"), total_s.value, utilisation, memory_gb),
        level=level,
        by=by,
    )


def outside(asked: Asked, crossed: Crossed, *, far: bool = False) -> list[str]:
    """A sentence for everything in which the question lies outside of what was learned from.

    Raises UsageError where a number does by more than FAR times and `far` does not allow it, and for a device of which
    nothing could be learned.
    """
    predictor = crossed.predictor
    if not predictor.knows_devices(asked.device):
        raise UsageError(
            f"no run is of {asked.device}, and those there are do not show how devices differ: they are of "
            f"{', '.join(predictor.seen)}. Measure on it, or bring runs of several devices with --from"
        )
    said: list[str] = []
    refused: list[str] = []
    for name, (low, high) in predictor.ranges.items():
        value = asked.images if name == "images" else asked.features.get(name)
        if value is None or low * (1 - 1e-9) <= value <= high * (1 + 1e-9):
            continue
        runs = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        what = "images of an epoch" if name == "images" else f"{name} ({FEATURES[name]})"
        if name == "images":
            effect = ": energy is taken to grow in proportion"
        elif name in predictor.constants:
            effect = ": no run says what another value does, so it is left out of account"
        else:
            effect = ""
            if value > high * FAR or value < low / FAR:
                refused.append(f"{name} {value:.4g}, the runs' {runs}")
        said.append(f"{what} is {value:.4g} and the runs' is {runs}{effect}")
    if refused and not far:
        raise UsageError(
            f"more than {FAR:g} times outside of what the runs cover: {'; '.join(refused)}. Measure nearer to it, or "
            f"take a guess with --far"
        )
    if asked.device not in predictor.seen:
        said.append(f"no run is of {asked.device}; the runs are of {', '.join(predictor.seen)}")
    return said


def _basis(asked: Asked, crossed: Crossed, by: str, level: float) -> dict[str, object]:
    observations = crossed.observations
    return {
        "model": asked.question.model,
        "device": asked.device,
        "epochs": asked.question.epochs,
        "images_per_epoch": asked.images,
        "features": dict(asked.features),
        "columns": list(crossed.predictor.columns),
        "meters": observations[0].meters,
        "configurations": len(observations),
        "cases": sum(each.cases for each in observations),
        "models": len({each.model for each in observations}),
        "devices": len({each.device for each in observations}),
        "interval": f"{level:.0%}, by leaving out each {by}",
        "notes": list(asked.notes),
    }


def _no_interval(crossed: Crossed, by: str, level: float) -> str:
    groups = len({getattr(each, by) for each in crossed.observations})
    if groups < MINIMUM_GROUPS:
        some = f"{groups} {by}{'s' if groups != 1 else ''}"
        return f"no interval: the runs are of {some}, which does not show how {by}s differ"
    return f"no interval at {level:.0%}: {len(crossed.observations)} configurations are too few for it"


def _times(one: Predicted, factor: float) -> Predicted:
    """The error of a predictor is one for all epochs, so that the interval grows like the value."""
    interval = None if one.interval is None else (one.interval[0] * factor, one.interval[1] * factor)
    return Predicted(one.value * factor, interval)

"""Predictions and their errors as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from textwrap import fill
from typing import TYPE_CHECKING

from energybench.reports.table import Column, render
from energybench.units import duration, energy, mass_scale, power, significant, watt_hours

if TYPE_CHECKING:
    from energybench.estimators.carbon import Factors
    from energybench.estimators.pre.check import ErrorRow
    from energybench.estimators.pre.prediction import Predicted, Prediction
    from energybench.estimators.pre.saved import Saved

SCHEMA = 1


def prediction_text(prediction: Prediction, factors: Factors, pue: float, width: int) -> str:
    """Quantities with intervals, the calculators beside them, and what speaks against them."""
    from energybench.estimators.pre.predictor import QUANTITIES

    estimate, basis = prediction.estimate, prediction.estimate.basis
    epochs = f"{basis['epochs']:g} epochs"
    head = (
        f"{basis['model']}, {epochs} of {basis['images_per_epoch']:.6g} images on {basis['device']}: predicted by "
        f"{estimate.method}, from {basis['configurations']} configurations of {_some(basis['models'], 'model')} on "
        f"{_some(basis['devices'], 'device')} ({basis['meters']}). Nothing of it was measured."
    )
    shown: list[tuple[str, str, str]] = []
    for name, text in (("power_w", power), ("epoch_s", _seconds), ("epoch_j", energy)):
        one = prediction.quantities[name]
        shown.append((QUANTITIES[name], text(one.value), _interval(one, text)))
    shown.append((f"{epochs}: time", duration(prediction.seconds.value), _interval(prediction.seconds, duration)))
    total = _whole(prediction)
    shown.append((f"{epochs}: energy", energy(total.value), _interval(total, energy)))
    at = f" (PUE {pue:g})" if pue != 1 else ""
    shown.append((f"{epochs}{at}", watt_hours(total.value * pue), _interval(total, lambda j: watt_hours(j * pue))))
    if factors.g_per_kwh is not None:
        shown.append((f"CO2e at {factors.g_per_kwh:g} g/kWh", *_factor(total, lambda j: factors.grams(j, pue), _mass)))
    if factors.price_per_kwh is not None:
        name = f"price at {factors.price_per_kwh:g} per kWh"
        shown.append((name, *_factor(total, lambda j: factors.cost(j, pue), significant)))
    quantities, values, intervals = zip(*shown, strict=True)
    parts = [
        fill(head, width),
        render(
            [
                Column("quantity", quantities, left=True),
                Column("predicted", values),
                Column(f"{prediction.level:.0%} interval", intervals),
            ],
            width,
        ),
        _calculators(prediction, width),
    ]
    lines = [*(f"Warning: {warning}." for warning in estimate.warnings), *(f"Note: {note}." for note in basis["notes"])]
    if factors.source and factors.source != "given":
        lines.append(f"Carbon intensity: {factors.source}.")
    parts += [fill(line, width, subsequent_indent="  ") for line in lines]
    return "\n\n".join(parts[:3]) + ("\n\n" + "\n".join(parts[3:]) if parts[3:] else "")


def prediction_json(prediction: Prediction, factors: Factors, pue: float) -> str:
    """Strict JSON: the total in IT joules, every quantity, the calculators, and the factors that were asked for."""
    estimate = prediction.estimate
    low, high = estimate.interval or (None, None)
    document = {
        "schema": SCHEMA,
        "joules": estimate.joules,
        "low": low,
        "high": high,
        "method": estimate.method,
        "level": prediction.level,
        "seconds": _pair(prediction.seconds),
        "quantities": {name: _pair(one) for name, one in prediction.quantities.items()},
        "formulas": [{"name": one.name, "joules": one.joules, "takes": one.takes} for one in prediction.formulas],
        "pue": pue,
        "carbon_g": factors.grams(estimate.joules, pue),
        "carbon_source": factors.source or None,
        "price": factors.cost(estimate.joules, pue),
        "basis": dict(estimate.basis),
        "warnings": list(estimate.warnings),
    }
    return json.dumps(document, indent=1, allow_nan=False)


def errors_text(saved: Saved, width: int) -> str:
    """What was learned from, and how far predictions were off where whole models or devices were left out."""
    observations = saved.crossed.observations
    models, devices = ({getattr(each, by) for each in observations} for by in ("model", "device"))
    cases = sum(each.cases for each in observations)
    head = (
        f"{saved.crossed.predictor.method} on {', '.join(saved.crossed.predictor.columns)}: {len(observations)} "
        f"configurations ({cases} cases of {_some(len(saved.runs), 'run')}), {_some(len(models), 'model')}, "
        f"{_some(len(devices), 'device')} ({observations[0].meters})."
    )
    if not saved.errors:
        return fill(f"{head} With so few models and devices none can be left out: its error is not known.", width)
    return f"{fill(head, width)}\n\n{error_table(saved.errors, width)}"


def error_table(rows: Iterable[ErrorRow], width: int) -> str:
    """A line per quantity and per calculator. The error of mean power is that of energy where the time is known."""
    return render(error_columns(rows), width)


def error_columns(rows: Iterable[ErrorRow]) -> tuple[Column, ...]:
    """The columns of that table."""
    from energybench.estimators.pre.predictor import QUANTITIES

    given = tuple(rows)
    return (
        Column("method", tuple(row.method for row in given), left=True),
        Column("quantity", tuple(QUANTITIES[row.quantity] for row in given), left=True),
        Column("left out", tuple(f"each {row.left_out}" if row.left_out else "true time" for row in given), left=True),
        Column("cases", tuple(str(row.cases) for row in given), drop=1),
        Column("mean error", tuple(f"{row.mean_error:.1%}" for row in given)),
        Column("median", tuple(f"{row.median_error:.1%}" for row in given)),
        Column("in interval", tuple("-" if row.coverage is None else f"{row.coverage:.1%}" for row in given)),
    )


def _calculators(prediction: Prediction, width: int) -> str:
    total = prediction.estimate.joules
    known = prediction.formulas
    return render(
        [
            Column("beside it", tuple(one.name for one in known), left=True),
            Column("energy", tuple(energy(one.joules) for one in known)),
            Column("x PRE", tuple("-" if one.joules is None else significant(one.joules / total) for one in known)),
            Column("takes", tuple(one.takes for one in known), left=True),
        ],
        width,
    )


def _whole(prediction: Prediction) -> Predicted:
    from energybench.estimators.pre.prediction import Predicted

    return Predicted(prediction.estimate.joules, prediction.estimate.interval)


def _interval(one: Predicted, text: object) -> str:
    assert callable(text)
    return "-" if one.interval is None else f"{text(one.interval[0])} to {text(one.interval[1])}"


def _factor(total: Predicted, factor: object, text: object) -> tuple[str, str]:
    assert callable(factor)
    assert callable(text)
    value = text(factor(total.value))
    return value, "-" if total.interval is None else " to ".join(text(factor(end)) for end in total.interval)


def _mass(grams: float) -> str:
    scale = mass_scale([grams])
    return f"{scale.text(grams)} {scale.unit}"


def _seconds(seconds: float) -> str:
    return f"{significant(seconds)} s"


def _pair(one: Predicted) -> dict[str, float | None]:
    low, high = one.interval or (None, None)
    return {"value": one.value, "low": low, "high": high}


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

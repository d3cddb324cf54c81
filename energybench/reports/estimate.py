"""An estimate for people and for programs. It is called an estimate everywhere, and its warnings go with it."""

from __future__ import annotations

import json

from energybench.model import Estimate
from energybench.reports.part import filled
from energybench.units import duration, energy, percent, power, watt_hours

SCHEMA = 1


def estimate_json(estimate: Estimate) -> str:
    """`{"schema": 1, "joules": J, "low": J, "high": J, "method": ..., "basis": {...}, "warnings": [...]}`, strict JSON.

    Joules are IT energy. `low` and `high` are null where the method gives no interval.
    """
    low, high = estimate.interval or (None, None)
    document = {
        "schema": SCHEMA,
        "joules": estimate.joules,
        "low": low,
        "high": high,
        "method": estimate.method,
        "basis": dict(estimate.basis),
        "warnings": list(estimate.warnings),
    }
    return json.dumps(document, indent=1, allow_nan=False)


def step_text(estimate: Estimate, source: str, *, width: int, pue: float | None = None) -> str:
    """A projection of STEP: the energy with its interval, what it rests on, and its warnings.

    Watt-hours include `pue`, where one is given.
    """
    basis = estimate.basis
    lines = [f"{estimate.method}: {_with_interval(estimate)} for {_epochs(estimate)}"]
    if pue is not None:
        lines.append(f"at PUE {pue:g}: {watt_hours(estimate.joules * pue)}")
    if "window" in basis:
        first, last = basis["window"]
        inside = f"epoch {first}" if first == last else f"epochs {first} to {last}"
        spread = "" if basis["window_cv"] is None else f", standard deviation {percent(basis['window_cv']).lstrip('+')}"
        lines.append(f"seen: {basis['epochs_seen']} epochs, {energy(basis['seen_j'])}")
        lines.append(f"window: {inside}, {energy(basis['window_mean_j'])} an epoch{spread} ({basis['stable_by']})")
        lines.append(f"time: {duration(basis['seconds'])} in all, at {power(basis['power_w'])} in the window")
    lines += [f"note: {text}" for text in estimate.warnings]
    return "\n".join([source, *(f"  {filled(line, width - 2, '    ')}" for line in lines)])


def _with_interval(estimate: Estimate) -> str:
    if estimate.interval is None or estimate.interval[0] == estimate.interval[1]:
        return energy(estimate.joules, 4)
    low, high = estimate.interval
    share = f"{100 * estimate.basis['confidence']:g} %: " if "confidence" in estimate.basis else ""
    return f"{energy(estimate.joules, 4)} ({share}{energy(low, 4)} to {energy(high, 4)})"


def _epochs(estimate: Estimate) -> str:
    count = estimate.basis["epochs"]
    if "epochs_interval" in estimate.basis:
        low, high = estimate.basis["epochs_interval"]
        return f"about {count:.1f} epochs ({low} to {high})"
    return f"{count:g} epochs"

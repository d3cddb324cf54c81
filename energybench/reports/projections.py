"""Rounds that were ended early: what was projected of them. An estimate, in no total, no mean and no verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energybench.model import Case, Estimate
from energybench.reports.factors import footprint
from energybench.reports.part import Part
from energybench.reports.table import Column
from energybench.units import watt_hour_scale

TITLE = "Projected, not measured: rounds that were ended early"


def projection_part(session: Mapping[str, Any], pue: float | None = None) -> Part | None:
    """A table of `session["projections"]`; None where there are none. Watt-hours include `pue`, else each one's own."""
    entries = session.get("projections") or ()
    if not entries:
        return None
    estimates = [estimate_of(entry) for entry in entries]
    factors = [entry.get("pue") or 1.0 if pue is None else pue for entry in entries]
    final = [estimate.joules * factor for estimate, factor in zip(estimates, factors, strict=True)]
    lows, highs = (
        [None if e.interval is None else e.interval[end] * factor for e, factor in zip(estimates, factors, strict=True)]
        for end in (0, 1)
    )
    wh = watt_hour_scale(final)
    names = [Case(entry["case"]).short_id for entry in entries]
    columns = (
        Column("case", tuple(names), left=True),
        Column(wh.unit, tuple(map(wh.text, final))),
        Column("from", tuple(map(wh.text, lows))),
        Column("to", tuple(map(wh.text, highs))),
        Column("after epochs", tuple(map(progress, estimates)), left=True),
        Column("ended as", tuple(str(entry.get("ended", "-")) for entry in entries), drop=1, left=True),
        Column("CO2e, cost", tuple(footprint(joules, session) or "-" for joules in final), drop=2, left=True),
    )
    methods = ", ".join(dict.fromkeys(_method(estimate) for estimate in estimates))
    lines = dict.fromkeys(
        f"{name}: {text}."
        for name, estimate in zip(names, estimates, strict=True)
        for text in dict.fromkeys(estimate.warnings)
    )
    return Part(TITLE, columns, lines=(f"{methods}; in no total and no verdict.", *lines))


def estimate_of(entry: Mapping[str, Any]) -> Estimate:
    """The estimate of one element of `session["projections"]`."""
    stored = entry["estimate"]
    low, high = stored.get("low"), stored.get("high")
    return Estimate(
        method=str(stored.get("method", "")),
        joules=float(stored["joules"]),
        interval=None if low is None or high is None else (float(low), float(high)),
        basis=stored.get("basis") or {},
        warnings=tuple(map(str, stored.get("warnings") or ())),
    )


def with_interval(estimate: Estimate, pue: float) -> str:
    """`5.13 Wh (4.90 to 5.36)`, all on one scale, with PUE."""
    scale = watt_hour_scale([estimate.joules * pue])
    text = f"{scale.text(estimate.joules * pue)} {scale.unit}"
    if estimate.interval is None:
        return text
    low, high = (scale.text(end * pue) for end in estimate.interval)
    return f"{text} ({low} to {high})"


def progress(estimate: Estimate) -> str:
    """`5 of 90`, or `5 of about 12.3 (9 to 15)` where their number is predicted."""
    basis = estimate.basis
    if "epochs_seen" not in basis or "epochs" not in basis:
        return "-"
    interval = basis.get("epochs_interval")
    if interval is None:
        return f"{basis['epochs_seen']} of {basis['epochs']:g}"
    return f"{basis['epochs_seen']} of about {basis['epochs']:.1f} ({interval[0]} to {interval[1]})"


def _method(estimate: Estimate) -> str:
    confidence = estimate.basis.get("confidence")
    return f"{estimate.method}, {100 * confidence:g} % interval" if confidence else estimate.method

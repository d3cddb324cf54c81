"""A layer-wise sum for people: what a step takes, by kind of operation."""

from __future__ import annotations

from energybench.model import Estimate
from energybench.reports.part import Part, as_text, filled
from energybench.reports.table import Column
from energybench.units import duration, energy, energy_scale, power, time_scale, watt_hours


def layers_text(estimate: Estimate, *, width: int, pue: float | None = None) -> str:
    """The table of kinds, the dearest first, the whole, and what to know of it. Watt-hours include `pue`."""
    basis = estimate.basis
    step_j, steps = basis["step_j"], basis["steps"]
    kinds = sorted(basis["by_kind"].items(), key=lambda item: -item[1]["joules"])
    joules = energy_scale(cost["joules"] for _, cost in kinds)
    seconds = time_scale(cost["seconds"] for _, cost in kinds)
    shares = [f"{100 * cost['joules'] / step_j:.1f}" if step_j > 0 else "-" for _, cost in kinds]
    columns = (
        Column("operations", tuple(kind for kind, _ in kinds), left=True),
        Column(joules.unit, tuple(joules.text(cost["joules"]) for _, cost in kinds)),
        Column("%", tuple(shares)),
        Column(seconds.unit, tuple(seconds.text(cost["seconds"]) for _, cost in kinds)),
    )
    title = (
        f"{basis['model']}, a {basis['work']} of {basis['batch']} images of {basis['pixels']} x {basis['pixels']}: "
        f"{energy(step_j)}, {_time(basis['step_s'])} ({_source(estimate)})"
    )
    lines = [f"{basis['calls']} operations, {basis['distinct_calls']} of them different, on {basis['device']}"]
    if steps > 1:
        lines.append(f"{steps} steps: {energy(estimate.joules)}, {duration(steps * basis['step_s'])}")
    if pue is not None:
        lines.append(f"at PUE {pue:g}: {watt_hours(estimate.joules * pue)}")
    lines += [f"note: {text}" for text in estimate.warnings]
    return as_text(Part(filled(title, width), columns, lines=tuple(lines)), width)


def _source(estimate: Estimate) -> str:
    watts, source = estimate.basis["watts"], estimate.basis["source"]
    if watts is None:
        return f"{source}: {', '.join(estimate.basis['domains'])}"
    return f"{source}, {power(watts)}"


def _time(seconds: float) -> str:
    scale = time_scale([seconds])
    return f"{scale.text(seconds)} {scale.unit}"

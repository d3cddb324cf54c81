"""A comparison as a person reads it in a failed gate, and as a program reads it in JUnit XML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from energybench.analysis.report import SessionNoise, Shift
from energybench.model import Comparison, Verdict
from energybench.units import energy, percent


def describe_all(comparisons: Sequence[Comparison], margins: Mapping[str, float]) -> str:
    """The metrics of one case in one sentence; what holds of several for one reason is said once."""
    clauses: list[str] = []
    said: set[tuple[Verdict, str]] = set()
    for comparison in comparisons:
        if comparison.verdict is Verdict.NOT_COMPARABLE and (comparison.verdict, comparison.reason) in said:
            clauses.append(f"{comparison.metric} likewise")
        else:
            clauses.append(describe(comparison, margins.get(comparison.metric)))
        said.add((comparison.verdict, comparison.reason))
    return "; ".join(clauses)


def describe(comparison: Comparison, margin: float | None = None) -> str:
    """One comparison as a clause: what, by how much, the interval, from what to what, and what it is made of.

    `energy regressed +20.1 % (95 % interval +18.0 % to +22.3 %, margin 5 %), 200 J to 240 J a round = epochs +0.0 % x
    seconds per epoch +0.2 % x power +19.9 %: reason (labels)`.
    """
    points = comparison.metric == "accuracy"
    parts = [f"{comparison.metric} {comparison.verdict}"]
    if comparison.change is not None:
        parts.append(f" {_change(comparison.change, points=points)}")
    reason = comparison.reason
    basis = [_interval(comparison.interval, points=points)] if comparison.interval is not None else []
    if reason.startswith("interval "):
        basis = []  # the reason says it
    if margin is not None and comparison.change is not None:
        basis.append(f"margin {_amount(margin, points=points)}")
    if basis:
        parts.append(f" ({', '.join(basis)})")
    if comparison.verdict is not Verdict.OK:
        parts.append(_values(comparison))
        if comparison.terms and not points:
            parts.append(f" = {' x '.join(_term(name, term) for name, term in comparison.terms.items())}")
    if reason:
        parts.append(f": {reason}")
    if comparison.labels:
        parts.append(f" ({', '.join(comparison.labels)})")
    return "".join(parts)


def describe_shift(shift: Shift, canary: float | None) -> str:
    """`all 36 cases together: energy regressed +6.1 % (95 % interval ...): reason; the canary changed by +0.2 %`."""
    basis = "" if shift.interval is None else f" ({_interval(shift.interval, points=False)})"
    if shift.reason.startswith("interval "):
        basis = ""
    reason = f": {shift.reason}" if shift.reason else ""
    moved = "" if canary is None or "canary" in reason else f"; the canary changed by {percent(canary)}"
    what = f"{shift.metric} {shift.verdict} {percent(shift.change)}"
    return f"all {shift.cases} cases together: {what}{basis}{reason}{moved}"


def describe_noise(noise: SessionNoise) -> str:
    """What the verdicts on energy took for the difference between two sessions of unchanged code."""
    basis = (
        f"from {noise.sessions} earlier sessions"
        if noise.sessions
        else "assumed: the store has too few earlier sessions of these cases"
    )
    common, case = (f"{100 * math.expm1(value):.2g} %" for value in (noise.common, noise.case))
    return f"noise between sessions: {common} common to all cases, {case} of each, {basis}"


def properties(comparison: Comparison, margin: float) -> list[tuple[str, str]]:
    """JUnit properties of one metric: `energybench_<metric>_` and verdict, change, low, high, p, baseline, candidate,
    or margin.

    Change, interval and margin are relative (0.05 = +5 %) for energy and differences of shares (0.01 = 1 point) for
    accuracy; baseline and candidate are means over the rounds, in IT joules and shares. What is absent is left out.
    """
    low, high = comparison.interval or (None, None)
    numbers = {
        "change": comparison.change,
        "low": low,
        "high": high,
        "p": comparison.p,
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "margin": margin,
    }
    head = f"energybench_{comparison.metric}"
    return [(f"{head}_verdict", str(comparison.verdict)), *_known(head, numbers)]


def shift_properties(shift: Shift | None, canary: float | None) -> list[tuple[str, str]]:
    """The same of what all cases have in common: `energybench_shift_` verdict, change, low, high, p, cases, canary."""
    if shift is None:
        return _known("energybench_shift", {"canary": canary})
    low, high = shift.interval or (None, None)
    numbers = {"change": shift.change, "low": low, "high": high, "p": shift.p, "cases": shift.cases, "canary": canary}
    return [("energybench_shift_verdict", str(shift.verdict)), *_known("energybench_shift", numbers)]


def _known(head: str, numbers: dict[str, float | None]) -> list[tuple[str, str]]:
    return [(f"{head}_{name}", f"{value:.9g}") for name, value in numbers.items() if value is not None]


def _change(value: float, *, points: bool) -> str:
    return f"{100 * value:+.2f} points" if points else percent(value)


def _amount(value: float, *, points: bool) -> str:
    return f"{100 * value:g} {'points' if points else '%'}"


def _interval(interval: tuple[float, float], *, points: bool) -> str:
    return f"95 % interval {_change(interval[0], points=points)} to {_change(interval[1], points=points)}"


def _values(comparison: Comparison) -> str:
    old, new = comparison.baseline, comparison.candidate
    if old is None or new is None or comparison.change is None:  # not comparable: no numbers side by side
        return ""
    if comparison.metric == "accuracy":
        return f", {100 * old:.2f} % to {100 * new:.2f} %"
    return f", {energy(old)} to {energy(new)} a round" if comparison.metric == "energy" else ""


def _term(name: str, logarithm: float) -> str:
    return f"{name.replace('_', ' ')} {percent(math.expm1(logarithm))}"

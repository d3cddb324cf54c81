"""What a comparison says in words: one metric of one case, what all cases have in common, and the whole in a sentence.

Terminal, Markdown, JUnit XML and annotations say the same, for all of them take it from here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from energybench.analysis.fronts import front_changes
from energybench.analysis.report import GATING, Report, SessionNoise, Shift
from energybench.model import Comparison, Verdict
from energybench.reports.comparison_view import GRAVEST_FIRST, Mean, Row, geometric_mean, mean_points, shown_names
from energybench.units import energy, percent

SAID_ALWAYS = (Verdict.REGRESSED, Verdict.NOT_COMPARABLE, Verdict.MISSING, Verdict.INCONCLUSIVE, Verdict.NEW)
"""verdicts of which the reason is given"""
FAILING = (Verdict.REGRESSED, Verdict.NOT_COMPARABLE, Verdict.MISSING)
"""verdicts on energy or accuracy that fail a comparison"""
OUTCOMES = {0: "passed", 1: "regressed", 3: "inconclusive", 4: "incomplete or not comparable"}


def verdict_text(comparison: Comparison) -> str:
    """`energy regressed`; a case that only one side has is `missing` or `new` as a whole."""
    whole = comparison.verdict in (Verdict.MISSING, Verdict.NEW) and comparison.metric == "energy"
    return comparison.verdict.value if whole else f"{comparison.metric} {comparison.verdict.value}"


def change_text(comparison: Comparison | None) -> str:
    """`+3.2 %`, of accuracy `-0.40 points`; a dash where there is no change."""
    if comparison is None or comparison.change is None:
        return "-"
    return _change(comparison.change, points=comparison.metric == "accuracy")


def interval_text(comparison: Comparison | None) -> str:
    """`+1.1 .. +5.3`, in per cent or points; a dash where there is no interval."""
    if comparison is None or comparison.interval is None:
        return "-"
    digits = 2 if comparison.metric == "accuracy" else 1
    low, high = comparison.interval
    return f"{100 * low:+.{digits}f} .. {100 * high:+.{digits}f}"


def describe_all(comparisons: Iterable[Comparison], margins: Mapping[str, float] | None = None) -> str:
    """The metrics of one case in one sentence; what holds of several for one reason is said once."""
    clauses: list[str] = []
    said: set[str] = set()
    for comparison in comparisons:
        if comparison.verdict is Verdict.NOT_COMPARABLE and comparison.reason in said:
            clauses.append(f"{comparison.metric} likewise")
        else:
            clauses.append(describe(comparison, (margins or {}).get(comparison.metric)))
        if comparison.verdict is Verdict.NOT_COMPARABLE:
            said.add(comparison.reason)
    return "; ".join(clauses)


def describe(comparison: Comparison, margin: float | None = None) -> str:
    """One comparison as a clause: what, by how much, the interval, from what to what, what it is made of, and why.

    `energy regressed +20.1 % (95 % interval +18.0 % to +22.3 %, margin 5 %), 200 J to 240 J a round = epochs +0.0 % x
    seconds per epoch +0.2 % x power +19.9 %: reason (labels)`. A case that only one side has is not of a metric.
    """
    points = comparison.metric == "accuracy"
    parts = [verdict_text(comparison)]
    if comparison.change is not None:
        parts.append(f" {_change(comparison.change, points=points)}")
    basis = []
    if comparison.interval is not None and not comparison.reason.startswith("interval "):  # the reason says it
        basis.append(_interval(comparison.interval, points=points))
    if margin is not None and comparison.change is not None:
        basis.append(f"margin {100 * margin:g} {'points' if points else '%'}")
    if basis:
        parts.append(f" ({', '.join(basis)})")
    if comparison.verdict is not Verdict.OK:
        parts.append(_values(comparison))
        if comparison.terms and not points:
            parts.append(f" = {' x '.join(_term(name, term) for name, term in comparison.terms.items())}")
    if comparison.reason:
        parts.append(f": {comparison.reason}")
    if comparison.labels:
        parts.append(f" ({', '.join(comparison.labels)})")
    return "".join(parts)


def describe_shift(shift: Shift, canary: float | None = None) -> str:
    """`all 36 cases together: energy regressed +6.1 % (95 % interval ...): reason; the canary changed by +0.2 %`."""
    basis = ""
    if shift.interval is not None and not shift.reason.startswith("interval "):
        basis = f" ({_interval(shift.interval, points=False)})"
    reason = f": {shift.reason}" if shift.reason else ""
    moved = "" if canary is None or "canary" in reason else f"; the canary changed by {percent(canary)}"
    what = f"{shift.metric} {shift.verdict} {percent(shift.change)}"
    return f"all {shift.cases} cases together: {what}{basis}{reason}{moved}"


def describe_noise(noise: SessionNoise) -> str:
    """What whole sessions were taken to differ by, and where that is known from."""
    if noise.paired:
        return "noise between sessions: none, both sides were measured in turn in one"
    source = (
        f"from {noise.sessions} earlier sessions" if noise.sessions else "assumed, not learnt from earlier sessions"
    )
    common, case = (f"{100 * math.expm1(value):.2g} %" for value in (noise.common, noise.case))
    return f"noise between sessions: {common} common to all cases, {case} of each, {source}"


def common_lines(report: Report) -> list[str]:
    """What concerns all cases: the shift with the canary, and the noise that the verdicts on energy took."""
    lines = []
    if report.shift is not None:
        lines.append(describe_shift(report.shift, report.canary))
    elif report.canary is not None:
        lines.append(f"the canary changed by {percent(report.canary)}")
    if report.noise is not None and not report.nothing_compared:
        lines.append(describe_noise(report.noise))
    return [f"{line[0].upper()}{line[1:]}." for line in lines]


def front_lines(report: Report) -> list[str]:
    """How the fronts of energy and accuracy moved, a line per group in which they did; empty where there is none."""
    changes = front_changes(report)
    if not changes:
        return []
    names = shown_names(report.pairs)

    def named(ids: Sequence[str]) -> str:
        return ", ".join(names[id] for id in ids)

    lines = []
    for change in changes:
        moves = [f"{named(ids)} {verb}" for ids, verb in ((change.joined, "joined"), (change.left, "left")) if ids]
        if moves:
            lines.append(f"Pareto front of energy and accuracy, {change.group}, by the means: {'; '.join(moves)}")
    several = f"all {len(changes)} groups" if len(changes) > 1 else changes[0].group
    same = f"Pareto front of energy and accuracy, by the means: the same cases as before in {several}"
    return [f"{line}." for line in lines or [same]]


def reasons(chosen: Iterable[Row]) -> list[str]:
    """One line per verdict on energy or accuracy that is not plainly good, the gravest first."""
    found = [(row.name, comparison) for row in chosen for comparison in row.shown if comparison.metric in GATING]
    lines = []
    for name, comparison in sorted(found, key=lambda item: GRAVEST_FIRST.index(item[1].verdict)):
        weak = comparison.verdict is Verdict.IMPROVED and "interval" not in comparison.reason
        if comparison.verdict in SAID_ALWAYS or weak:
            # The table leaves its labels out first where it is too wide, and a trade-off shall be named all the same.
            labels = (
                f" ({', '.join(comparison.labels)})" if comparison.metric == "accuracy" and comparison.labels else ""
            )
            lines.append(f"{name}: {verdict_text(comparison)}: {comparison.reason}{labels}.")
    return lines


def mean_text(comparisons: Sequence[Comparison], metric: str) -> str:
    """`geometric mean +1.2 % over 36 cases`, of accuracy `mean +0.10 points`; empty where nothing was compared."""
    if metric == "accuracy":
        points = mean_points(comparisons)
        return "" if points is None else f"mean {_change(points, points=True)}"
    mean = geometric_mean(comparisons, metric)
    return "" if mean is None else f"geometric mean {_ratio(mean)}"


def summary(report: Report, *, with_exit: bool = True) -> str:
    """One sentence: how many cases were compared, what came of them, the mean change, the exit code."""
    both = sum(pair.baseline is not None and pair.candidate is not None for pair in report.pairs)
    lines = [f"{_cases(both)} in both runs:"]
    for metric in GATING:
        counted = [c.verdict for c in report.comparisons if c.metric == metric]
        counts = [f"{counted.count(verdict)} {verdict.value}" for verdict in Verdict if verdict in counted]
        if counts:
            mean = mean_text(report.comparisons, metric) if metric == "energy" else ""
            lines.append(f"{metric} {', '.join([*counts, *([mean] if mean else [])])};")
    outcome = OUTCOMES[report.exit_code]
    if report.nothing_compared:
        outcome = "nothing was compared, so nothing passes"
    code = f" (exit {report.exit_code})" if with_exit else ""
    return f"{' '.join(lines)} {outcome}{code}."


def heading(report: Report) -> str:
    """`0001_run1 -> 0002_run2`; empty where the runs have no name."""
    return f"{report.baseline} -> {report.candidate}" if report.baseline else ""


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


def _ratio(mean: Mean) -> str:
    return f"{percent(mean.ratio - 1)} over {_cases(mean.cases)}"


def _change(value: float, *, points: bool) -> str:
    return f"{100 * value:+.2f} points" if points else percent(value)


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
    return f"{name.replace('_', ' ')} {percent(math.expm1(min(logarithm, 700.0)))}"

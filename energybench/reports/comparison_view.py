"""What of a comparison is shown: which metrics and verdicts, in which order, in which groups. It never moves a verdict.

The rows of every format (tables, CSV, JSON, JUnit, annotations) are chosen here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from energybench.analysis.metrics import METRICS
from energybench.analysis.report import COMPARED, GATING, Pair, Report
from energybench.errors import UsageError
from energybench.model import Case, Comparison, Verdict

GRAVEST_FIRST = (
    Verdict.REGRESSED,
    Verdict.NOT_COMPARABLE,
    Verdict.MISSING,
    Verdict.INCONCLUSIVE,
    Verdict.NEW,
    Verdict.OK,
    Verdict.IMPROVED,
)
SORTS = ("id", "change", "verdict", "energy")
GROUPS = ("model", "compressor", "metric")
_WHOLE_CASE = (Verdict.MISSING, Verdict.NEW)
"""verdicts on a case as a whole, whatever metric was asked for"""
_NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class View:
    """What to show of a report. Raises UsageError for a metric, an order or a group that there is not."""

    metrics: tuple[str, ...] = ()
    """none: those that a format shows by itself"""
    only: tuple[Verdict, ...] = ()
    """cases in which a shown metric has one of these verdicts; none: all"""
    sort: str = ""
    """`id`; `change`, the worst first; `verdict`, the gravest first; `energy`, the candidate's largest first;
    empty: as measured"""
    group_by: str = ""
    """`model`, `compressor`, `metric`; empty: one table"""

    def __post_init__(self) -> None:
        known = [metric.name for metric in METRICS]
        for given, allowed, what in (
            *((name, known, "metric") for name in self.metrics),
            *((self.sort, SORTS, "order") for _ in (0,) if self.sort),
            *((self.group_by, GROUPS, "group") for _ in (0,) if self.group_by),
        ):
            if given not in allowed:
                raise UsageError(f"there is no {what} {given!r}; there are {', '.join(allowed)}")

    @property
    def restricts(self) -> bool:
        """Whether anything is left out."""
        return bool(self.metrics or self.only)


EVERYTHING = View()


@dataclass(frozen=True, slots=True)
class Row:
    """One case with its comparisons."""

    pair: Pair
    name: str
    """as short as tells it from the others: the part in brackets where that does"""
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    """metric -> comparison, all of them"""
    shown: tuple[Comparison, ...] = ()
    """those that the view leaves in"""

    @property
    def case(self) -> Case | None:
        """The candidate's case, else the baseline's."""
        return self.pair.candidate or self.pair.baseline

    def of(self, metric: str) -> Comparison | None:
        """The comparison of this metric; of a case that only one side has, the one that says so."""
        found = self.comparisons.get(metric)
        if found is not None or len(self.comparisons) != 1:
            return found
        return next((c for c in self.comparisons.values() if c.verdict in _WHOLE_CASE), None)

    @property
    def gravest(self) -> Verdict:
        """Of energy and accuracy as far as they are shown, else of what is; `ok` where nothing is."""
        decisive = [c for c in self.shown if c.metric in GATING] or self.shown
        return min((c.verdict for c in decisive), key=GRAVEST_FIRST.index, default=Verdict.OK)


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of one model or compressor, or one metric of all cases."""

    name: str
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    """of all its cases, shown or not: its mean is over these"""


@dataclass(frozen=True, slots=True)
class Mean:
    """Geometric mean of candidate / baseline."""

    ratio: float
    cases: int
    """comparable cases of both runs that it is taken over"""


def rows(report: Report, view: View = EVERYTHING) -> tuple[Row, ...]:
    """The cases that the view shows, in its order."""
    found: dict[str, dict[str, Comparison]] = {}
    for comparison in report.comparisons:
        found.setdefault(comparison.case, {})[comparison.metric] = comparison
    names = shown_names(report.pairs)
    chosen = []
    for pair in report.pairs:
        comparisons = found.get(pair.case, {})
        decisive = _of(comparisons, view.metrics or GATING)
        if view.only and not any(c.verdict in view.only for c in decisive):
            continue
        shown = tuple(c for c in _of(comparisons, view.metrics) if not view.only or c.verdict in view.only)
        chosen.append(Row(pair, names[pair.case], comparisons, shown))
    return tuple(_sorted(chosen, view))


def groups(report: Report, view: View, chosen: Sequence[Row]) -> tuple[Group, ...]:
    """The groups of `view.group_by` in the order in which they first come; those without a row to show are left out."""
    if view.group_by == "metric":
        names = [metric.name for metric in METRICS if not view.metrics or metric.name in view.metrics]
        found = [
            Group(name, tuple(row for row in chosen if any(c.metric == name for c in row.shown)), report.comparisons)
            for name in names
        ]
        return tuple(group for group in found if group.rows)
    shown: dict[str, list[Row]] = {}
    for row in chosen:
        shown.setdefault(_group(row.case, view.group_by), []).append(row)
    whole: dict[str, list[Comparison]] = {name: [] for name in shown}
    for row in rows(report):
        name = _group(row.case, view.group_by)
        if name in whole:
            whole[name].extend(row.comparisons.values())
    return tuple(Group(name, tuple(members), tuple(whole[name])) for name, members in shown.items())


def shown_names(pairs: Sequence[Pair]) -> dict[str, str]:
    """Case id -> bracketed part; where two cases share it, what stands before it up to the file; else the whole id."""
    cases = {pair.case: pair.candidate or pair.baseline for pair in pairs}
    shorts = {id: id if case is None else case.short_id for id, case in cases.items()}
    longer = {id: id if case is None else case.name for id, case in cases.items()}
    short_counts, long_counts = Counter(shorts.values()), Counter(longer.values())
    return {
        id: short if short_counts[short] == 1 else longer[id] if long_counts[longer[id]] == 1 else id
        for id, short in shorts.items()
    }


def gravest_first(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """By verdict: a reader that cuts a long text off has seen what matters."""
    return sorted(comparisons, key=lambda comparison: GRAVEST_FIRST.index(comparison.verdict))


def geometric_mean(comparisons: Iterable[Comparison], metric: str = "energy") -> Mean | None:
    """Of candidate / baseline over the comparable cases of both runs; None where there is none.

    Cases that only one run has never enter. Accuracy has no ratio: it is compared in points.
    """
    if metric == "accuracy":
        return None
    logs = [
        math.log1p(c.change)
        for c in comparisons
        if c.metric == metric and c.verdict in COMPARED and c.change is not None and c.change > -1
    ]
    return Mean(math.exp(math.fsum(logs) / len(logs)), len(logs)) if logs else None


def mean_points(comparisons: Iterable[Comparison]) -> float | None:
    """Mean difference in accuracy, as a share, over the comparable cases of both runs; None where there is none."""
    changes = [
        c.change for c in comparisons if c.metric == "accuracy" and c.verdict in COMPARED and c.change is not None
    ]
    return math.fsum(changes) / len(changes) if changes else None


def left_out(report: Report, view: View, chosen: Sequence[Row]) -> tuple[str, ...]:
    """What a reader must know of a view that does not show all."""
    notes = []
    if view.only and len(chosen) < len(report.pairs):
        said = ", ".join(verdict.value for verdict in view.only)
        notes.append(
            f"Shown: {len(chosen)} of {len(report.pairs)} cases ({said}). The summary and the exit code count all."
        )
    hidden = [metric for metric in GATING if view.metrics and metric not in view.metrics]
    if hidden:
        notes.append(f"Not shown, but decides the exit code all the same: {' and '.join(hidden)}.")
    return tuple(notes)


def _of(comparisons: Mapping[str, Comparison], metrics: Sequence[str]) -> list[Comparison]:
    return [c for c in comparisons.values() if not metrics or c.metric in metrics or c.verdict in _WHOLE_CASE]


def _sorted(chosen: list[Row], view: View) -> list[Row]:
    metric = view.metrics[0] if view.metrics else "energy"
    if view.sort == "id":
        return sorted(chosen, key=lambda row: row.pair.case)
    if view.sort == "verdict":
        return sorted(chosen, key=lambda row: GRAVEST_FIRST.index(row.gravest))
    if view.sort == "change":
        better = next(m.better for m in METRICS if m.name == metric)
        return sorted(chosen, key=lambda row: _worst_first(row.comparisons.get(metric), better))
    if view.sort == "energy":
        return sorted(chosen, key=lambda row: _largest_first(row.comparisons.get("energy")))
    return chosen


def _worst_first(comparison: Comparison | None, better: str) -> float:
    if comparison is None or comparison.change is None:
        return math.inf
    return comparison.change if better == "higher" else -comparison.change


def _largest_first(comparison: Comparison | None) -> float:
    return math.inf if comparison is None or comparison.candidate is None else -comparison.candidate


def _group(case: Case | None, group_by: str) -> str:
    """The model or compressor: a parameter of the test, else what the case declared."""
    if group_by not in ("model", "compressor") or case is None:
        return ""
    declared = case.facts.get("workload")
    sources = [case.params, declared if isinstance(declared, Mapping) else {}]
    return next((str(s[key]) for s in sources for key in (group_by, f"{group_by}_name") if s.get(key)), _NOT_STATED)

"""The gate of `--energy-compare`: synthetic test items that fail where a case got worse than the baseline run.

One item `energybench::gate[<case>]` per selected or missing case, and `energybench::gate[run]`, which is red whenever
nothing was compared, and carries what all cases have in common. They are ordinary items: they appear in JUnit XML,
respect -x, and make pytest exit with 1.

JUnit properties of a case's gate: `energybench_verdict` (`energy:regressed,accuracy:ok`), and for each of the two
metrics those of `energybench.reports.junit.properties`. Of `gate[run]`: `energybench_verdict` (ok, regressed,
inconclusive, nothing-compared, not-comparable), `energybench_baseline`, `energybench_compared` (cases with a verdict on
energy or accuracy), `energybench_missing` (their ids, comma-separated), `energybench_looks`, and those of
`energybench.reports.junit.shift_properties`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from energybench.errors import EnergybenchError
from energybench.harness.baseline import Baseline
from energybench.harness.engine import Sweep
from energybench.model import Comparison, Verdict

if TYPE_CHECKING:
    from energybench.analysis.report import Report

GATED = ("energy", "accuracy")
FAILING = (Verdict.REGRESSED, Verdict.MISSING, Verdict.NOT_COMPARABLE)


class GateFailedError(EnergybenchError):
    """A case, or the run, does not pass the gate."""


class GateInconclusiveError(EnergybenchError):
    """A case, or the run, could not be told apart from its baseline; shown as `x`."""


class GateRoot(pytest.Collector):
    """The parent of the gate items: `energybench`."""

    def collect(self) -> Iterable[pytest.Item]:
        """Gates are added by hand, after all selection has been done."""
        return ()


class Gate(pytest.Item):
    """One gate. `case` is the id that it judges, None for the whole run."""

    baseline: Baseline
    sweep: Sweep
    case: str | None

    def runtest(self) -> None:
        """Raise GateFailedError with one paragraph, or mark the item as inconclusive, or pass."""
        try:
            if self.case is None:
                self._judge_run()
            else:
                self._judge_case(self.case)
        except GateInconclusiveError as inconclusive:
            if self.sweep.options.inconclusive == "warn":
                pytest.xfail(str(inconclusive))
            # Also where xfail returned, under --runxfail: an inconclusive case must not pass then.
            self.sweep.gate_inconclusive = True
            raise
        except GateFailedError:
            self.sweep.gate_failed = True
            raise

    def _judge_case(self, case: str) -> None:
        name = self.baseline.run.name
        if case in self.baseline.missing:
            self.user_properties.append(("energybench_verdict", str(Verdict.MISSING)))
            raise GateFailedError(
                f"{case} is in the baseline {name} and not in this run. Renamed or removed? "
                "Then store a new baseline; a case that is not measured cannot pass."
            )
        measured = self.sweep.cases[case]
        if not measured.rounds:
            why = "skipped, failed or disabled"
            if measured.projected is not None:
                why = f"its first round was ended early: {measured.projected.reason}"
            raise GateFailedError(f"{case}: no round was finished in this session ({why}), so nothing passes")
        from energybench.reports.comparison_words import describe_all
        from energybench.reports.junit import properties

        report = self.baseline.report()
        gated = gated_comparisons(report, case)
        self.user_properties.append(("energybench_verdict", ",".join(f"{c.metric}:{c.verdict}" for c in gated)))
        margins = {c.metric: self.baseline.margin(case, c.metric, report) for c in gated}
        for comparison in gated:
            self.user_properties += properties(comparison, margins[comparison.metric])
        promise = self.baseline.broken_promise(report, case)
        text = f"{case} against {name}: {describe_all(gated, margins)}{f'; {promise}' if promise else ''}"
        verdict = case_verdict(gated)
        if verdict in FAILING:
            raise GateFailedError(text)
        if verdict is None:
            raise GateFailedError(
                f"{case} against {name}: nothing could be compared; `energybench compare {name} latest` says why"
            )
        if verdict is Verdict.INCONCLUSIVE:
            raise GateInconclusiveError(text)

    def _judge_run(self) -> None:
        from energybench.reports.comparison_words import describe_shift
        from energybench.reports.junit import shift_properties

        report, missing = self.baseline.report(), self.baseline.missing
        name, shift = self.baseline.run.name, report.shift
        compared = {
            c.case for c in report.comparisons if c.metric in GATED and c.verdict not in (Verdict.NEW, *FAILING[1:])
        }
        promise = self.baseline.broken_promise(report)
        verdict, clauses = "ok" if shift is None else str(shift.verdict), []
        if shift is not None and shift.verdict in (Verdict.REGRESSED, Verdict.INCONCLUSIVE):
            clauses.append(f"against {name}, {describe_shift(shift, report.canary)}")
        if promise:
            verdict, clauses = str(Verdict.NOT_COMPARABLE), [promise]
        if not compared:
            verdict = "nothing-compared"
            clauses.insert(
                0,
                f"nothing was compared with {name}: no selected case was measured in both runs on comparable terms, so "
                "the gate cannot pass",
            )
        if missing:
            clauses.append(f"missing in this run: {', '.join(missing)}")
        self.user_properties += [
            ("energybench_verdict", verdict),
            ("energybench_baseline", name),
            ("energybench_compared", str(len(compared))),
            ("energybench_missing", ",".join(missing)),
            ("energybench_looks", str(report.options.looks)),
            *shift_properties(shift, report.canary),
        ]
        if verdict == Verdict.INCONCLUSIVE:
            raise GateInconclusiveError("; ".join(clauses))
        if verdict not in (Verdict.OK, Verdict.IMPROVED):
            raise GateFailedError("; ".join(clauses))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """One paragraph instead of a traceback."""
        if isinstance(excinfo.value, EnergybenchError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """A line number is needed: plugins that skip-mark items fail without one."""
        return self.path, 0, self.nodeid


def gated_comparisons(report: Report, case: str) -> list[Comparison]:
    """What decides a case's gate."""
    return [c for c in report.comparisons if c.case == case and c.metric in GATED]


def case_verdict(gated: Sequence[Comparison]) -> Verdict | None:
    """The worst verdict of a case's gate; OK where it passes, None where nothing could be compared."""
    verdicts = {comparison.verdict for comparison in gated}
    worst = (verdict for verdict in (*FAILING, Verdict.INCONCLUSIVE) if verdict in verdicts)
    return next(worst, Verdict.OK if verdicts else None)


def add_gates(session: pytest.Session, sweep: Sweep, baseline: Baseline) -> list[pytest.Item]:
    """The gate items for the selected and the missing cases, and the run's own."""
    root = GateRoot.from_parent(session, name="energybench", nodeid="energybench")
    wanted: Sequence[str | None] = [*sweep.cases, *baseline.missing, None]
    gates: list[pytest.Item] = []
    for case in wanted:
        name = f"gate[{case or 'run'}]"
        gate = Gate.from_parent(root, name=name, nodeid=f"energybench::{name}")
        gate.baseline, gate.sweep, gate.case = baseline, sweep, case
        gates.append(gate)
    return gates


def remember_cases_for_last_failed(config: pytest.Config) -> None:
    """Let --lf re-measure the case of a failed gate: replace the gate's id in the cache by its case's id."""
    cache = getattr(config, "cache", None)
    if cache is None:
        return
    failed = cache.get("cache/lastfailed", {})
    renamed = {}
    for node_id, value in failed.items():
        inside = node_id.removeprefix("energybench::gate[")
        if inside == node_id:
            renamed[node_id] = value
        elif inside != "run]":
            renamed[inside.removesuffix("]")] = value
    if renamed != failed:
        cache.set("cache/lastfailed", renamed)


def refuse_workers(session: pytest.Session, nodeid: str) -> pytest.Item:
    """A sentinel by which an xdist worker tells the controller that it has cases."""
    root = GateRoot.from_parent(session, name="energybench", nodeid="energybench")
    item = Gate.from_parent(root, name="refuse", nodeid=nodeid)
    item.case = None
    return item

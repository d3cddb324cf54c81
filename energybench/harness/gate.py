"""The gate of `--energy-compare`: synthetic test items that fail where a case got worse than the baseline run.

One item `energybench::gate[<case>]` per selected or missing case, and `energybench::gate[run]`, which is red whenever
nothing was compared. They are ordinary items: they appear in JUnit XML, respect -x, and make pytest exit with 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from energybench.errors import EnergybenchError, StoreError, UsageError
from energybench.harness.engine import Sweep
from energybench.model import Case, Comparison, Run, Verdict
from energybench.units import percent

if TYPE_CHECKING:
    from energybench.analysis.compare import Report

GATED = ("energy", "accuracy")
FAILING = (Verdict.REGRESSED, Verdict.MISSING, Verdict.NOT_COMPARABLE)


class GateFailedError(EnergybenchError):
    """A case, or the run, does not pass the gate."""


class GateInconclusiveError(EnergybenchError):
    """A case could not be told apart from its baseline; shown as `x`."""


class Baseline:
    """The run to compare with, and the comparison, made once when the first gate asks for it."""

    def __init__(self, sweep: Sweep, ref: str) -> None:
        from energybench.store import find_run, read_run

        found = find_run(ref, sweep.storage)
        self.run: Run = read_run(found.path)
        self.notes: tuple[str, ...] = tuple(found.notes)
        if not self.run.cases:
            raise StoreError(
                f"{found.path} holds no energy cases: --energy-compare needs a run that energybench stored"
            )
        self.missing: tuple[str, ...] = ()
        self._sweep = sweep
        self._report: Report | None = None

    def find_missing(self, session: pytest.Session, known: Iterable[str]) -> None:
        """Baseline cases that this session should have had: their file was asked for whole, no item has their id."""
        if session.config.getoption("lf", False):
            return  # --lf asks for a subset, and leaves out whole files without a word to other plugins
        seen = set(known)
        roots = [_asked(argument, session.config) for argument in session.config.args]
        whole = [root for root in roots if root is not None]
        self.missing = tuple(
            case.id
            for case in self.run.cases
            if case.id not in seen
            and _inside(case.id, whole, session.config.rootpath)
            and _in_scope(case, session.config)
        )

    def report(self) -> Report:
        """The comparison of the baseline's cases in scope with what was measured in this session."""
        if self._report is None:
            from energybench.analysis.compare import CompareOptions, compare_cases

            options = self._sweep.options
            wanted = {*self._sweep.cases, *self.missing}
            self._report = compare_cases(
                [case for case in self.run.cases if case.id in wanted],
                self._sweep.results(),
                CompareOptions(
                    margin=options.margin,
                    accuracy_margin=options.accuracy_margin,
                    noise_floor=options.noise_floor,
                ),
            )
        return self._report


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
            pytest.xfail(str(inconclusive))
            raise  # with --runxfail, xfail returns: an inconclusive case must not pass then
        except GateFailedError:
            self.sweep.gate_failed = True
            raise

    def _judge_case(self, case: str) -> None:
        if case in self.baseline.missing:
            raise GateFailedError(
                f"{case} is in the baseline {self.baseline.run.name} and not in this run. Renamed or removed? "
                "Then store a new baseline; a case that is not measured cannot pass."
            )
        measured = self.sweep.cases[case]
        if not measured.rounds:
            raise GateFailedError(
                f"{case}: nothing was measured in this session (skipped, failed or disabled), so nothing passes"
            )
        found = [c for c in self.baseline.report().comparisons if c.case == case]
        gated = [c for c in found if c.metric in GATED or c.verdict in (Verdict.NOT_COMPARABLE, Verdict.NEW)]
        verdicts = {c.verdict for c in gated}
        self.user_properties.append(("energybench_verdict", ",".join(f"{c.metric}:{c.verdict}" for c in gated)))
        text = "; ".join(describe(c) for c in gated)
        if verdicts.intersection(FAILING):
            raise GateFailedError(f"{case} against {self.baseline.run.name}: {text}")
        if not gated:
            raise GateFailedError(f"{case} against {self.baseline.run.name}: nothing could be compared")
        if Verdict.INCONCLUSIVE in verdicts:
            raise GateInconclusiveError(text)

    def _judge_run(self) -> None:
        report = self.baseline.report()
        compared = [c for c in report.comparisons if c.metric in GATED and c.verdict not in (Verdict.NEW, *FAILING[1:])]
        if not compared:
            raise GateFailedError(
                f"nothing was compared with {self.baseline.run.name}: no selected case was measured in both runs on "
                "comparable terms, so the gate cannot pass"
            )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """One paragraph instead of a traceback."""
        if isinstance(excinfo.value, EnergybenchError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """A line number is needed: plugins that skip-mark items fail without one."""
        return self.path, 0, self.nodeid


def describe(comparison: Comparison) -> str:
    """`energy regressed: +20.1 % (+18.0 .. +22.3 %); reason`: one comparison as a clause."""
    points = comparison.metric == "accuracy"

    def text(value: float) -> str:
        return f"{100 * value:+.2f} points" if points else percent(value)

    parts = [f"{comparison.metric} {comparison.verdict}"]
    if comparison.change is not None:
        parts.append(text(comparison.change))
    if comparison.interval is not None:
        parts.append(f"({text(comparison.interval[0])} to {text(comparison.interval[1])})")
    terms = ", ".join(f"{name.replace('_', ' ')} {percent(_ratio(term))}" for name, term in comparison.terms.items())
    tail = f" [{terms}]" if terms and not points else ""
    reason = f": {comparison.reason}" if comparison.reason else ""
    labels = f" ({', '.join(comparison.labels)})" if comparison.labels else ""
    return " ".join(parts) + tail + reason + labels


def _ratio(logarithm: float) -> float:
    import math

    return math.expm1(logarithm)


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


def _asked(argument: str, config: pytest.Config) -> Path | None:
    """The path that a command-line argument selects whole; None for a node id, which restricts its file."""
    if "::" in argument:
        return None
    return Path(config.invocation_params.dir, argument).resolve()


def _inside(node_id: str, whole: Sequence[Path], rootdir: Path) -> bool:
    file = Path(rootdir, node_id.partition("::")[0]).resolve()
    return any(file.is_relative_to(root) for root in whole)


def _in_scope(case: Case, config: pytest.Config) -> bool:
    """Whether --energy-models and --energy-compressors leave the case in."""
    for parameter in ("model", "compressor"):
        chosen = getattr(config.option, f"energy_{parameter}s", None)
        value = case.params.get(parameter)
        if chosen and value is not None and value not in chosen:
            return False
    return True


def refuse_workers(session: pytest.Session, nodeid: str) -> pytest.Item:
    """A sentinel by which an xdist worker tells the controller that it has cases."""
    root = GateRoot.from_parent(session, name="energybench", nodeid="energybench")
    item = Gate.from_parent(root, name="refuse", nodeid=nodeid)
    item.case = None
    return item


def check_reference(sweep: Sweep) -> Baseline | None:
    """The baseline of --energy-compare, found before anything runs. Raises UsageError where it cannot be read."""
    if sweep.options.compare is None:
        return None
    try:
        return Baseline(sweep, sweep.options.compare)
    except StoreError as error:
        raise UsageError(f"--energy-compare: {error}") from None

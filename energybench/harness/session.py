"""The hooks of a session that has cases; registered when collection has found them, so that no other session pays.

Each hook is a few lines: what it decides lives in the modules beside this one.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from energybench.errors import EnergybenchError
from energybench.harness.baseline import Baseline, check_reference, read_margin_file
from energybench.harness.case import Measured
from energybench.harness.earlier import earlier_costs
from energybench.harness.engine import CASE, Sweep
from energybench.harness.fixture import RoundDone
from energybench.harness.gate import Gate, add_gates, remember_cases_for_last_failed
from energybench.harness.looks import undecided
from energybench.harness.loop import run_all, run_pass
from energybench.harness.progress import Progress
from energybench.harness.terminal import case_letter, check_layout, header, round_line, summary, write_between


class SessionHooks:
    """From the end of collection to the stored run."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.baseline: Baseline | None = None
        self.progress: Progress | None = None
        self.stored = ""

    def select(
        self, session: pytest.Session, items: list[pytest.Item], cases: list[pytest.Item], known: set[str]
    ) -> None:
        """Take the selected cases, add the gates to `items`, open the meters; `known` are ids that are not missing.

        Raises EnergybenchError before anything has been spent.
        """
        sweep = self.sweep
        for item in cases:
            sweep.add(item)
        check_layout(sweep)
        self.baseline = check_reference(sweep)
        stored = [case.id for case in self.baseline.run.cases] if self.baseline is not None else []
        sweep.margins, notes = read_margin_file(sweep, [*known, *stored])
        sweep.notes.extend(notes)
        if self.baseline is not None:
            self.baseline.find_missing(session, known)
            sweep.notes.extend(self.baseline.notes)
            items.extend(add_gates(session, sweep, self.baseline))
        if sweep.cases and not session.config.option.collectonly and not sweep.disabled:
            sweep.open()

    def pytest_report_collectionfinish(self, config: pytest.Config) -> list[str]:
        """Called after collection: which domains are measured, estimated, absent and why."""
        sweep = self.sweep
        # Also called after a usage error in the collection, when no meter is open.
        if not sweep.cases or config.option.collectonly or not (sweep.meters or sweep.disabled):
            return []
        if config.get_verbosity() < 0:
            return []
        return header(sweep)

    # running

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Called instead of pytest's own loop where the session has cases: rounds, then gates."""
        sweep = self.sweep
        if sweep.cases and not sweep.disabled:
            run = self.baseline.run if self.baseline is not None else None
            self.progress = Progress(session.config, sweep, lambda: earlier_costs(sweep, run))
            sweep.on_progress, sweep.on_projection = self.progress, self.progress.project
        try:
            return run_all(session, sweep, lambda item: isinstance(item, Gate), self._undecided)
        except EnergybenchError as error:
            raise pytest.UsageError(str(error)) from None
        except KeyboardInterrupt:
            sweep.interrupted = True
            raise
        finally:
            if self.progress is not None:
                self.progress.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Called for every pass of every item: a case is run silently until its last round."""
        case = item.stash.get(CASE, None)
        if case is None:
            return None
        run_pass(item, nextitem, case, self._after_pass)
        return True

    def _undecided(self, cases: Sequence[Measured]) -> set[str]:
        assert self.baseline is not None  # there are no looks without one
        return undecided(self.baseline, cases)

    def _after_pass(self, case: Measured) -> None:
        if self.sweep.disabled:
            return
        if self.progress is not None:
            self.progress.round_done(case)
        if not case.ended or case.item.config.get_verbosity() > 0:
            write_between(case.item.config, round_line(self.sweep, case) + " " * case.ended)

    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport, config: pytest.Config
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Called for each logged report: a finished case shows its line of figures where others show a dot."""
        case = self.sweep.cases.get(report.nodeid)
        if case is None or report.when != "call" or config.get_verbosity() != 0 or self.sweep.disabled:
            return None
        if hasattr(report, "wasxfail"):
            return None
        if case.projected is None and (report.skipped or not case.rounds):
            return None
        return case_letter(self.sweep, case, config, report.outcome)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Called around the test's body: a round that ended it early is no error."""
        case = pyfuncitem.stash.get(CASE, None)
        if case is not None:  # a coroutine is run by a plugin, whose loop would take the end of a round for a crash
            case.body_runs = not inspect.iscoroutinefunction(pyfuncitem.obj)
        try:
            return (yield)
        except RoundDone:
            return True
        finally:
            if case is not None:
                case.body_runs = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Called for each phase of a pass: a finished round under xfail(strict) is not an unexpected pass."""
        report = yield
        case = item.stash.get(CASE, None)
        if case is not None and call.when == "call" and call.excinfo is None and case.round_done:
            report.outcome, report.longrepr = "passed", None
            if hasattr(report, "wasxfail"):
                del report.wasxfail
        return report

    # saving

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Called once per document that pytest-benchmark makes: add what it cannot know."""
        if self.sweep.cases:
            from energybench.harness.saving import amend

            amend(output_json, self.sweep)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Called at the end, around pytest-benchmark's saving: write the run where it does not."""
        sweep = self.sweep
        if sweep.cases and not sweep.disabled and sweep.meters is not None:
            from energybench.harness.saving import save

            sweep.settle()
            try:
                path = save(session.config, sweep)
                self.stored = f"stored as {path}" if path else ""
            except EnergybenchError as error:
                self.stored = f"NOT STORED: {error}. The rounds are in the journal: --energy-resume stores them."
                session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        try:
            yield
        finally:
            if self.baseline is not None:
                remember_cases_for_last_failed(session.config)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Called at the end: the table."""
        if self.sweep.has_something_to_store and not self.sweep.disabled:
            summary(terminalreporter, self.sweep, self.stored, self.baseline)

    def pytest_unconfigure(self) -> None:
        """Called last: release journal and meters."""
        self.sweep.close()

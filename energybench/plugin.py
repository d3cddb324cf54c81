"""pytest's hooks and the `energy` fixture; everything behind them lives in energybench.harness.

Importing this module loads nothing but pytest and the options: a user whose session has no energy case pays
milliseconds. The hooks that need a session are on `EnergyPlugin`, which is registered when pytest configures; as
module-level functions some of them would run inside other plugins' wrappers (--lf would drop gates).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from energybench.errors import EnergybenchError, UsageError
from energybench.harness.options import add_options, merge, on_command_line

if TYPE_CHECKING:
    from energybench.harness.engine import Sweep
    from energybench.harness.fixture import Energy
    from energybench.harness.gate import Baseline
    from energybench.harness.progress import Progress

NAME = "energybench.session"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Called once when pytest starts: declare --energy-* and their ini twins."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Called before pytest-benchmark configures (it asks to be last): options, default store, session plugin."""
    config.addinivalue_line(
        "markers",
        "energybench(rounds=1, warmup=0, seeds=None): how the case is metered; the command line beats it",
    )
    from energybench.harness.bridge import use_rootdir_storage

    command_line = on_command_line(config)
    try:
        options = merge(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    if options.compare is not None and config.getoption("dist", "no") != "no":
        from energybench.harness.gate import REFUSAL

        raise pytest.UsageError(REFUSAL)
    use_rootdir_storage(config)
    from energybench.harness.engine import Sweep

    plugin = EnergyPlugin(Sweep(config, options, command_line))
    config.pluginmanager.register(plugin, NAME)
    with_benchmark = config.pluginmanager.hasplugin("benchmark")
    config.pluginmanager.register(_WithBenchmark() if with_benchmark else _WithoutBenchmark(), f"{NAME}.fixture")


class _WithBenchmark:
    """The fixture where pytest-benchmark is there: asking for `energy` then also asks for `benchmark`."""

    @pytest.fixture
    def energy(self, request: pytest.FixtureRequest, benchmark: Any) -> Iterator[Energy]:
        """Meter a call: `run = energy(function, *args)`; `energy.lap("epoch")`, `energy.record(accuracy=...)`."""
        yield from _energy(request, benchmark)


class _WithoutBenchmark:
    """The fixture under `-p no:benchmark`."""

    @pytest.fixture
    def energy(self, request: pytest.FixtureRequest) -> Iterator[Energy]:
        """Meter a call: `run = energy(function, *args)`; `energy.lap("epoch")`, `energy.record(accuracy=...)`."""
        yield from _energy(request, None)


def _energy(request: pytest.FixtureRequest, benchmark: Any | None) -> Iterator[Energy]:
    from energybench.harness.engine import CASE
    from energybench.harness.fixture import Energy

    plugin: Any = request.config.pluginmanager.get_plugin(NAME)
    case = request.node.stash.get(CASE, None)
    if case is None:
        raise UsageError(
            f"{request.node.nodeid} asks for the energy fixture through request.getfixturevalue: name it as a parameter"
        )
    energy = Energy(plugin.sweep, case, benchmark)
    yield energy
    energy.close()


class EnergyPlugin:
    """The hooks of one session."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.baseline: Baseline | None = None
        self.progress: Progress | None = None
        self.stored = ""
        self._deselected: set[str] = set()

    # collection

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Called with what -k, -m and the like have left out: those cases are not missing."""
        self._deselected.update(item.nodeid for item in items)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Called after collection, around every other plugin: find the cases, then (selection done) add the gates."""
        cases = [item for item in items if "energy" in getattr(item, "fixturenames", ())]
        if cases and config.pluginmanager.hasplugin("benchmark"):
            from energybench.harness.bridge import install_clock

            for item in cases:
                install_clock(item)
        yield
        try:
            self._select(session, config, items)
        except EnergybenchError as error:
            raise pytest.UsageError(str(error)) from None

    def _select(self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
        sweep = self.sweep
        selected = [item for item in items if "energy" in getattr(item, "fixturenames", ())]
        if hasattr(config, "workerinput"):
            if selected and not config.getoption("benchmark_skip", False):
                from energybench.harness.gate import refuse_workers

                items.append(refuse_workers(config, session))
            return
        for item in selected:
            sweep.add(item)
        if sweep.options.compare is not None:
            from energybench.harness.gate import add_gates, check_reference

            self.baseline = check_reference(sweep)
            assert self.baseline is not None
            self.baseline.find_missing(session, {*self._deselected, *(item.nodeid for item in items)})
            sweep.notes.extend(self.baseline.notes)
            items.extend(add_gates(session, sweep, self.baseline))
        if sweep.cases and not config.option.collectonly and not sweep.disabled:
            sweep.open()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Called in xdist's controller: refuse, in one sentence, when a worker has cases."""
        from energybench.harness.gate import REFUSAL, REFUSE

        if REFUSE in ids:
            raise pytest.UsageError(REFUSAL)

    def pytest_report_collectionfinish(self, config: pytest.Config) -> list[str]:
        """Called after collection: which domains are measured, estimated, absent and why."""
        if not self.sweep.cases or config.option.collectonly:
            return []
        from energybench.harness.terminal import header

        return header(self.sweep)

    # running

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Called instead of pytest's own loop where the session has cases: rounds, then gates."""
        sweep = self.sweep
        if not sweep.cases and self.baseline is None:
            return None
        from energybench.harness.gate import Gate
        from energybench.harness.loop import run_all
        from energybench.harness.progress import Progress

        if sweep.cases and not sweep.disabled:
            self.progress = Progress(session.config, len(sweep.cases))
            sweep.on_progress = self.progress
        try:
            return run_all(session, sweep, lambda item: isinstance(item, Gate))
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
        from energybench.harness.engine import CASE
        from energybench.harness.loop import run_pass

        case = item.stash.get(CASE, None)
        if case is None:
            return None
        run_pass(item, nextitem, case, self._after_pass)
        return True

    def _after_pass(self, case: Any) -> None:
        if self.sweep.disabled:
            return
        from energybench.harness.terminal import round_line, write_between

        if self.progress is not None:
            rounds = case.ordered()
            names = self.sweep.frozen(case).total_domains
            self.progress.round_done(rounds[-1].window.total_j(names) if rounds and case.measured_this_pass else None)
        if not case.ended or case.item.config.get_verbosity() > 0:
            write_between(case.item.config, round_line(self.sweep, case) + " " * case.ended)

    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport, config: pytest.Config
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Called for each logged report: a finished case shows its line of figures where others show a dot."""
        case = self.sweep.cases.get(report.nodeid)
        if case is None or report.when != "call" or config.get_verbosity() != 0 or self.sweep.disabled:
            return None
        if hasattr(report, "wasxfail") or report.skipped or not case.rounds:
            return None
        from energybench.harness.terminal import case_letter

        return case_letter(self.sweep, case, config, failed=report.failed)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Called around the test's body: a round that ended it early is no error."""
        from energybench.harness.fixture import RoundDone

        try:
            return (yield)
        except RoundDone:
            return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Called for each phase of a pass: a finished round under xfail(strict) is not an unexpected pass."""
        from energybench.harness.engine import CASE

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

    @pytest.hookimpl(optionalhook=True, wrapper=True)
    def pytest_benchmark_compare_machine_info(self) -> Generator[None, None, None]:
        """Called by --benchmark-compare: in a subfolder of rootdir the stock warning cannot print its storage."""
        try:
            yield
        except ValueError as error:
            if "subpath" not in str(error):
                raise

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
                from energybench.harness.gate import remember_cases_for_last_failed

                remember_cases_for_last_failed(session.config)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Called at the end: the table."""
        if self.sweep.results() and not self.sweep.disabled:
            from energybench.harness.terminal import summary

            summary(terminalreporter, self.sweep, self.stored)

    def pytest_unconfigure(self) -> None:
        """Called last: release journal and meters."""
        self.sweep.close()

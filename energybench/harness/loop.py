"""Runs each case once per round and lets pytest report it once.

pytest's own protocol runs an item once. Here a case is passed through the runner's `runtestprotocol` with log=False as
often as rounds are due; only the reports of the last pass (or of the pass that failed) are logged, so that every case
appears once on the screen, in JUnit XML and in the exit status. `runtestprotocol` is the one undocumented function in
use; it is reached through the plugin manager and held by a contract test. Repeating the item in `session.items`
instead reports it several times, and repeating the call inside one body trains an already trained model. Which pass
comes next is said by energybench.harness.order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

from energybench.harness.case import Measured
from energybench.harness.engine import CASE, Sweep
from energybench.harness.looks import InLooks
from energybench.harness.order import CaseByCase, Interleaved, NextRound, Order
from energybench.harness.progress import Progress
from energybench.model import Status


def run_all(
    session: pytest.Session,
    sweep: Sweep,
    is_gate: Callable[[pytest.Item], bool],
    undecided: Callable[[Sequence[Measured]], Collection[str]],
) -> bool | None:
    """pytest_runtestloop: every item, each case as often as rounds are due, in the order asked for, gates last.

    `undecided` says which of the cases that have reached a look at the gate go on. Returns None (pytest's own loop
    runs) where there is nothing of ours to do.
    """
    given = session.config.option
    if given.collectonly or (session.testsfailed and not given.continue_on_collection_errors):
        return None
    if not sweep.cases and not any(is_gate(item) for item in session.items):
        return None
    sweep.begin()
    items = sorted(session.items, key=is_gate)  # stable: other plugins' order is kept, gates come last
    order: Order
    if any(case.options.looks for case in sweep.cases.values()):
        order = InLooks(items, lambda cases: _order(cases, sweep), undecided, _release)
    else:
        order = _order(items, sweep)
    while (item := order.advance()) is not None:
        if is_gate(item):
            sweep.look_at_canary("last")
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=order.promise(item))
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
    sweep.look_at_canary("last")
    return True


def _order(items: Sequence[pytest.Item], sweep: Sweep) -> Order:
    """Case by case, or round by round over all of them."""
    if not (sweep.options.interleave and any(CASE in item.stash for item in items)):
        return CaseByCase(items)
    order = Interleaved(items, sweep.expected)
    if isinstance(sweep.on_progress, Progress):
        sweep.on_progress.count = order.count
    return order


def run_pass(
    item: pytest.Item,
    following: pytest.Item | None,
    case: Measured,
    between: Callable[[Measured], None],
) -> None:
    """One pass of a case: silent while rounds are due, logged when the case is done or something failed."""
    runner: Any = item.config.pluginmanager.get_plugin("runner")
    case.measured_this_pass = case.restarted = False
    case.passes += 1
    item.user_properties[:] = case.properties  # it grows with every pass
    # Where other cases run between a case's passes, pytest is told of the pass that will be reported.
    if not case.options.looks and (len(case.due()) <= 1 or not item.config.getoption("energy_interleave")):
        _announce(case)
    reports: list[pytest.TestReport] = runner.runtestprotocol(item, log=False, nextitem=following)
    case.call_seconds += sum(report.duration for report in reports if report.when == "call")
    good = all(report.passed for report in reports)
    if good and case.round_done:
        if case.measured_this_pass:
            between(case)
        return
    if good and case.has_further_look:
        case.held = reports
    else:
        case.ended = True
    if isinstance(following, NextRound):
        reports = _with_late_teardown(reports, item, following)
        good = all(report.passed for report in reports)
    if good and not case.ended:
        case.held = reports
        between(case)
        return
    _conclude(case, reports, between)


def _release(case: Measured) -> None:
    """Report a case that the gate has looked at."""
    assert case.held is not None
    _conclude(case, case.held, lambda case: None)


def _conclude(case: Measured, reports: list[pytest.TestReport], between: Callable[[Measured], None]) -> None:
    """The case is over: its status, and its one report."""
    case.held, case.ended = None, True
    case.passed = all(report.passed for report in reports)
    _announce(case)
    _settle(case, reports)
    between(case)
    hook = case.item.ihook
    for report in reports:
        if report.when == "call":
            report.duration = case.call_seconds  # JUnit and --durations then show all rounds
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=case.id, location=case.item.location)


def _announce(case: Measured) -> None:
    """Tell pytest, once, that the case starts."""
    if not case.announced:
        case.announced = True
        item = case.item
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)


def _with_late_teardown(
    reports: list[pytest.TestReport], item: pytest.Item, promised: NextRound
) -> list[pytest.TestReport]:
    """End the wider fixtures that `promised` kept alive; an error in that is the case's own teardown error."""
    runner: Any = item.config.pluginmanager.get_plugin("runner")
    late: list[pytest.TestReport] = runner.runtestprotocol(promised, log=False, nextitem=promised.follows())
    for report in late:
        if report.when == "teardown" and report.failed:
            report.nodeid, report.location = item.nodeid, item.location
            return [*(own for own in reports if own.when != "teardown" or own.failed), report]
    return reports


def _settle(case: Measured, reports: list[pytest.TestReport]) -> None:
    """The case's status, now that its last pass is over."""
    if any(report.failed for report in reports):
        case.status = Status.FAILED
        reason = next((_last_line(report) for report in reports if report.failed), "")
        case.warnings.append(f"the test failed: {reason}")
    elif (case.rounds and not case.replayed) or case.projected is not None:
        case.status = Status.PARTIAL
    if case.record is not None:
        case.record["status"] = str(case.status)
        case.record["warnings"] = list(dict.fromkeys(case.warnings))


def _last_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else report.longreprtext
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[0][:300] if lines else "no message"

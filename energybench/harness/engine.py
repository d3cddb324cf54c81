"""The sweep: what is measured in this session, with which meters, and what earlier rounds can be reused.

A round is one complete pass of its test item, so every round starts from the same state. Each finished round is in
the journal, synchronised to the disk, before anything else happens.
"""

from __future__ import annotations

import datetime
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from energybench.errors import MeterError, UsageError
from energybench.harness.bridge import is_disabled, storage_path
from energybench.harness.case import WARMUP, Measured, plain_metrics
from energybench.harness.code import code_hash
from energybench.harness.hooks import offered
from energybench.harness.journalling import LAPS, laps_record, part_record
from energybench.harness.marker import CaseOptions, case_options
from energybench.harness.opening import check_together, idle_power, meters_for, trace_of
from energybench.harness.options import TRACED_PROFILES, EnergyOptions
from energybench.harness.record import closing_notes, session_record, session_status
from energybench.harness.resume import adopt_rounds, notes_on
from energybench.harness.surroundings import slowed
from energybench.harness.windows import Opened, opened
from energybench.metering.ranks import find_rank
from energybench.model import Case, Estimate, Round, Span, Status, Window

if TYPE_CHECKING:
    from energybench.harness.canary import Look
    from energybench.harness.journal import Journal
    from energybench.harness.projecting import Projected
    from energybench.metering import Meters, OpenWindow
    from energybench.store import TraceWriter

CASE: pytest.StashKey[Measured] = pytest.StashKey()


class Sweep:
    """The cases of one session, their meters and their journal."""

    def __init__(self, config: pytest.Config, options: EnergyOptions, command_line: frozenset[str]) -> None:
        self.config = config
        self.options = options
        self.id = secrets.token_hex(6)
        self.started = datetime.datetime.now(datetime.UTC).astimezone()
        self.storage: Path = storage_path(config)
        self.cases: dict[str, Measured] = {}
        self.meters: Meters | None = None
        self.journal: Journal | None = None
        self.trace: TraceWriter | None = None
        self.rank = find_rank(os.environ)
        """this process among those of one training, None where it is alone"""
        self.idle_w: dict[str, float | None] = {}
        """watts of each domain while nothing ran, where that was measured"""
        self.notes: list[str] = []
        """what the reader of the summary must know: refused rounds, unknown earlier cases"""
        self.canary: list[Look] = []
        self.margins: Mapping[str, Mapping[str, float]] = {}
        """pattern of case ids -> metric -> margin, of --energy-margins"""
        self.gate: dict[str, Any] = {}
        """what the comparison with the baseline rested on, once it was made"""
        self.gate_failed = False
        self.gate_inconclusive = False
        """an inconclusive gate failed, and no other did"""
        self.interrupted = False
        self.on_progress: Callable[[Measured, str, Window | None], None] = lambda case, what, so_far: None
        self.on_projection: Callable[[Measured, Window, str, Estimate | None], None] = lambda *of_round: None
        self.unprojected: dict[str, dict[str, None]] = {}
        """why rounds were not projected -> the cases, by their short ids"""
        self._command_line = command_line
        self._looked: set[str] = set()
        """the looks at the canary that were taken, or tried"""

    @property
    def disabled(self) -> bool:
        """Whether cases are called once without metering (--benchmark-disable)."""
        return is_disabled(self.config)

    def add(self, item: pytest.Item) -> None:
        """Take `item` as a case. Raises UsageError for a bad marker or a node id that is there already."""
        if item.nodeid in self.cases:
            raise UsageError(
                f"{item.nodeid} was collected twice (--keep-duplicates?): its rounds could not be told apart. Name "
                "each file once"
            )
        marker = item.get_closest_marker("energybench")
        if marker is not None and marker.args:
            raise UsageError(f"{item.nodeid}: @pytest.mark.energybench takes keywords only, such as rounds=3")
        try:
            options = case_options(self.options, marker.kwargs if marker else None, self._command_line)
        except UsageError as error:
            raise UsageError(f"{item.nodeid}: {error}") from None
        case = Measured(item, options, len(self.cases) + 1, properties=tuple(item.user_properties))
        self.cases[item.nodeid] = item.stash[CASE] = case

    def open(self) -> None:
        """Open meters and check the store, before the first case runs.

        Raises UsageError, MeterError or StoreError: all before anything has been spent.
        """
        check_together(self.options, self.rank)
        if self.options.save:
            from energybench.store import check_writable

            check_writable(self.storage)
        self.meters = meters_for(self.options, lambda: offered(self.config))
        if self.trace_hz and self.options.save:
            self.trace = trace_of(self.meters, self.trace_hz, self.storage, self.id)

    @property
    def trace_hz(self) -> float:
        """Readings per second of the trace; 0 where there is none."""
        if self.options.trace_hz is not None:
            return self.options.trace_hz
        return 1.0 if self.config.getoption("energy_profile") in TRACED_PROFILES else 0.0

    def begin(self) -> None:
        """Open the journal, then watch the idle machine where asked to, then the canary.

        Raises UsageError where another sweep writes to the same store.
        """
        if self.disabled or not self.cases or self.config.option.setuponly:
            return
        if self.options.save:
            self._open_journal()
        if self.options.idle_s and self.meters is not None:
            self.idle_w, warnings = idle_power(self.meters, self.options.idle_s)
            self.notes.extend(f"idle: {warning}" for warning in warnings)
        self.look_at_canary("first")

    def _open_journal(self) -> None:
        from energybench.harness.journal import open_journal

        name = f"{self.started:%Y%m%dT%H%M%S}-{self.id}"
        self.journal = open_journal(
            self.storage, name, resume=self.options.resume, rank=self.rank.rank if self.rank else 0
        )
        self.notes.extend(notes_on(self.journal.earlier, self.cases.keys(), resume=self.options.resume))

    def look_at_canary(self, when: Literal["first", "last"]) -> None:
        """Meter the canary where the session has one; what fails in that is a note."""
        from energybench.harness.canary import is_wanted, look

        if self.meters is None or not self.cases or not is_wanted(self.options, self.meters):
            return
        if when in self._looked or (when == "last" and not self.canary):
            return  # done, or the session began without it
        self._looked.add(when)
        try:
            self.canary.append(look(self.meters, when, self.canary[0] if self.canary else None))
        except Exception as error:
            self.notes.append(f"canary: not metered ({type(error).__name__}: {error})")

    def settle(self) -> None:
        """At the end of the session: a case that was cut short between its rounds is partial."""
        self.notes.extend(closing_notes(self))
        for case in self.cases.values():
            if case.rounds and not case.replayed and case.status is not Status.FAILED:
                case.status = Status.PARTIAL

    def close(self) -> None:
        """Mark a complete sweep as ended, release journal and meters."""
        if self.journal is not None:
            cases = self.cases.values()
            if any(case.replayed for case in cases) and all(map(self._is_over, cases)) and not self.interrupted:
                self.journal.end(self.cases)
            self.journal.close()
            self.journal = None
        if self.meters is not None:
            self.meters.close()
            self.meters = None
        if self.trace is not None:
            self.trace.close()
            self.trace = None

    def _is_over(self, case: Measured) -> bool:
        """Whether a resumed sweep could add nothing to the case: complete, or skipped without any round."""
        assert self.journal is not None
        begun = bool(case.rounds) or any(r["case"] == case.id for r in self.journal.earlier.open)
        complete = case.replayed and case.held is None
        return complete or (case.ended and case.status is Status.OK and not begun)

    def adopt(self, case: Measured, function: Callable[..., Any]) -> None:
        """Reuse the earlier rounds of `case` whose workload, code, seed and domains are the same; name the others."""
        if case.adopted:
            return
        case.adopted = True
        if self.journal is None or self.meters is None:
            return
        records = [r for r in self.journal.earlier.open if r["case"] == case.id]
        if records:
            from energybench.store.record import strict

            keys = strict(self.frozen(case).comparability)
            self.notes.extend(adopt_rounds(case, records, self._code(case, function), self.meters.domains, keys))
            case.catch_up()

    def _code(self, case: Measured, function: Callable[..., Any]) -> str:
        test = getattr(case.item, "function", function)
        return code_hash(test, function, self.config.rootpath)

    def expected(self, case: Measured) -> list[int]:
        """The rounds that are due, as far as the journal can tell before the workload is declared."""
        due = case.due()
        if not case.adopted and self.journal is not None:
            own = [r for r in self.journal.earlier.open if r["case"] == case.id and r["kind"] != LAPS]
            there = {r["index"] for r in own if "index" in r}
            due = [index for index in due if index not in there]
        return due

    def seed(self, case: Measured) -> int:
        """Seed of the round that comes next, as far as the journal can tell before the workload is declared."""
        due = self.expected(case)
        return case.options.seed(due[0] if due else case.options.rounds - 1)

    def pedantic_options(self, case: Measured, **own: Any) -> CaseOptions:
        """The options of a case whose test names its rounds itself: below the command line, above the marker."""
        marker = case.item.get_closest_marker("energybench")
        given = dict(marker.kwargs) if marker else {}
        given |= {name: value for name, value in own.items() if value is not None}
        return case_options(self.options, given, self._command_line)

    def conditions(self) -> dict[str, float]:
        """Temperatures and clocks, where the meters can read them."""
        return self.meters.conditions() if self.meters else {}

    def span(self, window: OpenWindow) -> Span | None:
        """Where a closed window lies in the trace, None without one."""
        return None if self.trace is None else Span(self.trace.name, window.start_s, window.end_s)

    def window(self, case: Measured, label: str) -> AbstractContextManager[Opened]:
        """A metered window of `case`; once it is closed, what it read stands in `.result`.

        Raises MeterError where the meters are not open.
        """
        if self.meters is None:
            raise MeterError(f"{case.id}: the meters are closed; energy() works only inside the tests of a session")
        return opened(self.meters, label)

    def finish_round(
        self, case: Measured, index: int, finished: Round, metrics: Mapping[str, Any], function: Callable[..., Any]
    ) -> None:
        """Complete a round that was just metered with what was recorded in it, and put it on the disk."""
        numbers, complaints = plain_metrics(metrics)
        case.warnings += [*complaints, *finished.window.warnings, *slowed(finished)]
        finished = replace(finished, metrics=numbers, seed=case.options.seed(index), session=self.id)
        case.measured += 1
        case.measured_this_pass = True
        if index == WARMUP:
            case.warmups.append(finished)
            parts = {"rounds": (), "warmups": (finished,)}
        else:
            case.rounds[index] = finished
            parts = {"rounds": (finished,), "warmups": ()}
        if self.journal is not None:
            kind = "warmup" if index == WARMUP else "round"
            code = self._code(case, function)
            self._append(
                case, kind, {**parts, "search": (), "pretraining": ()}, index=index, seed=finished.seed, code=code
            )

    def finish_apart(self, case: Measured, kind: str, window: Window) -> None:
        """Take a window that was metered apart (search, pretraining) and put it on the disk."""
        case.take_apart(kind, window)
        if self.journal is not None:
            self._append(case, kind, {"rounds": (), "warmups": ()})

    def finish_early(self, case: Measured, projected: Projected) -> None:
        """Take a round that its projection ended: its laps go to the disk, and no joule of it into any round."""
        case.projected = projected
        if projected.ended == "stable":  # else the failure of the test says it
            case.warnings.append(projected.reason)
        if self.journal is not None:
            self.journal.append(laps_record(projected, self.frozen(case), self.id))

    def _append(self, case: Measured, kind: str, parts: Mapping[str, Any], **more: Any) -> None:
        assert self.journal is not None
        self.journal.append(part_record(kind, self.frozen(case), self.id, parts, **more))

    def frozen(self, case: Measured) -> Case:
        """The case as a value, with this session's domains and comparability keys."""
        domains = self.meters.domains if self.meters else ()
        comparability = {"scope": "machine", **(self.meters.comparability() if self.meters else {})}
        return case.frozen(domains, comparability, self.options.pue, self.idle_w)

    def results(self) -> tuple[Case, ...]:
        """Every case that has at least one finished round, in the order of the session."""
        return tuple(self.frozen(case) for case in self.cases.values() if case.rounds)

    @property
    def has_something_to_store(self) -> bool:
        """Whether a round was finished, or one was ended by its projection."""
        return any(case.rounds or case.projected is not None for case in self.cases.values())

    @property
    def status(self) -> str:
        """How the session ended: only an ok run may become `latest`."""
        return session_status(self)

    def session_record(self) -> dict[str, Any]:
        """The stored file's top-level `energybench` object."""
        return session_record(self)

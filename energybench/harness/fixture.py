"""The `energy` fixture: what a test calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, TypeVar

import pytest

from energybench.errors import EnergybenchError, UsageError
from energybench.harness import bridge
from energybench.harness.budget import budget_failure
from energybench.harness.case import Measured, plain_facts, plain_inputs, plain_metrics
from energybench.harness.engine import Sweep
from energybench.harness.plan import Plan, checked_plan
from energybench.harness.projecting import StopRound
from energybench.harness.result import ABSENT, Result
from energybench.harness.running import Running, prepared
from energybench.harness.surroundings import seed_everything
from energybench.model import Status

T = TypeVar("T")


class RoundDone(BaseException):
    """Ends the body of a test whose round is finished while more rounds are due; the item runs again for the next."""


class Energy:
    """One pass of one case. A test calls it once, or calls `pedantic` once."""

    def __init__(self, sweep: Sweep, case: Measured, benchmark: Any | None) -> None:
        self._sweep = sweep
        self._case = case
        self._benchmark = benchmark
        self._used = False
        self._running: Running | None = None
        case.plan = None
        self._prepared_with = self.seed
        seed_everything(self._prepared_with)

    # what a test calls

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Result:
        """Meter one call of `function`: one round of this case.

        Where more rounds are due the body of the test ends here and the whole test runs again, so that every round
        starts from the same state; after the last round the result of all of them is returned. Where the projection
        of the round ends it, the test ends here too, as a skip or, over its budget, as a failure.

        Raises EnergybenchError when the fixture was used before in this test.
        """
        __tracebackhide__ = True  # a skip is then reported where the test stands
        self._use()
        if self._sweep.disabled:
            return self._unmetered(function, args, kwargs)
        case = self._case
        self._check_place()
        self._adopt(function)
        due = case.due()
        value = ABSENT
        if due:
            value = self._round(due[0], function, args, kwargs)
            if case.projected is not None:
                self._end_early()
            if case.due():
                raise RoundDone
        return self._finish(value)

    def pedantic(
        self,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int | None = None,
        warmup_rounds: int | None = None,
        iterations: int | Literal["auto"] | None = None,
    ) -> Result:
        """Meter `function` in a loop inside this test: `setup`, unmetered, makes the state of every round.

        `setup` may return `(args, kwargs)`; `teardown` is called with the same arguments after each round. `rounds`,
        `warmup_rounds` and `iterations` (calls inside one metered round, "auto": until the window is 20 counter ticks
        long) stand in for the marker's; the command line beats both.

        Raises UsageError for several rounds without `setup`, which would train an already trained model.
        """
        __tracebackhide__ = True
        self._use()
        case = self._case
        case.choose(self._sweep.pedantic_options(case, rounds=rounds, warmup=warmup_rounds, iterations=iterations))
        if setup is None and case.options.rounds + case.options.warmup > 1 and not self._sweep.disabled:
            raise UsageError(
                f"{case.id}: energy.pedantic with {case.options.rounds} rounds and {case.options.warmup} warm-ups "
                "needs setup=, which makes each round's state; or call energy(...), whose rounds are whole tests"
            )
        if self._sweep.disabled:
            ready = prepared(case.id, setup, args, kwargs)
            result = self._unmetered(function, *ready)
            if teardown is not None:
                teardown(*ready[0], **ready[1])
            return result
        self._sweep.adopt(case, function)
        value = ABSENT
        for index in case.due():
            seed_everything(case.options.seed(index))
            ready = prepared(case.id, setup, args, kwargs)
            value = self._round(index, function, *ready)
            if teardown is not None:
                teardown(*ready[0], **ready[1])
            if case.projected is not None:
                self._end_early()
        return self._finish(value)

    @contextmanager
    def lap(self, label: str) -> Iterator[None]:
        """Meter a part of the round, such as an epoch. Does nothing outside a round and with --benchmark-disable.

        Laps named `epoch` are what --energy-project works with; at the end of one it may end the round.
        """
        if self._running is None:
            yield
            return
        with self._running.lap(label):
            yield

    def record(self, **metrics: Any) -> None:
        """Store numbers with the round that is running: accuracy in [0, 1], epochs, images, ...

        Raises UsageError outside a round, and for a value that is no number.
        """
        if self._running is None:
            raise UsageError(
                f"{self._case.id}: energy.record(...) belongs inside the function that energy(...) meters: after it, "
                "the round is already on the disk"
            )
        plain_metrics(metrics)
        self._running.metrics.update(metrics)

    def plan(self, epochs: int | None, *, patience: int | None = None, min_delta: float = 0.0) -> None:
        """Say how many epochs the round will train, for --energy-project; before them, in the test or in its function.

        With early stopping `epochs` is the most that it trains, and `patience` and `min_delta` are its rule: how many
        epochs in a row may pass whose validation loss (`energy.note(loss=...)`) falls by no more than that. None for
        `epochs`: nobody can know. Without a plan `epochs` of the declared workload, or of its `recipe`, is taken.

        Raises UsageError for what is no number of epochs or no rule.
        """
        self._case.plan = checked_plan(epochs, patience, min_delta)

    def note(self, *, loss: Any = None, **settings: Any) -> None:
        """Tell of an epoch: the validation loss after it, and settings that change while training.

        `loss` is of the epoch that is running, else of the last one; `lr`, `optimizer`, `frozen`, `batch` and `data`
        hold from the epoch that is running, else from the next one. They are stored with the epoch's lap, for
        `energybench estimate step`, and --energy-project uses them at once.

        Raises UsageError outside a round, for another name, and for a loss that is no number.
        """
        if self._running is None:
            raise UsageError(f"{self._case.id}: energy.note(...) belongs inside the function that energy(...) meters")
        self._running.note(loss, settings)

    @property
    def stopping(self) -> bool:
        """Whether the round that is running is to end: for loops in other threads, which no exception reaches."""
        return self._running is not None and self._running.projected is not None

    @contextmanager
    def apart(self, label: str) -> Iterator[None]:
        """Meter `search` or `pretraining` in a window of its own, outside the rounds.

        Raises UsageError for another label and inside a round.
        """
        if label not in self._case.apart:
            raise UsageError(
                f"energy.apart({label!r}): only {' and '.join(self._case.apart)} are metered apart; a part of the "
                f"round is metered with energy.lap({label!r})"
            )
        if self._sweep.disabled:
            yield
            return
        if self._running is not None:
            raise UsageError(
                f"energy.apart({label!r}) inside a round would count its energy twice: call it before energy()"
            )
        self._sweep.on_progress(self._case, label, None)
        with self._sweep.window(self._case, label) as opened:
            yield
        assert opened.result is not None
        self._sweep.finish_apart(self._case, label, opened.result)

    def workload(self, **inputs: Any) -> None:
        """Declare what this case is: model, compressor and its given parameters, data and split, batch, schedule.

        Plain JSON values. Their hash must match in a comparison and when a sweep is resumed. Never seeds, and nothing
        that was measured or found. Raises UsageError after the round and for values that are not JSON.
        """
        if self._used:
            raise UsageError(f"{self._case.id}: declare the workload before energy(...) is called")
        self._case.inputs.update(plain_inputs(inputs))

    def facts(self, **facts: Any) -> None:
        """Store what is worth knowing of the case: hyper-parameters, parameter counts, a compression report."""
        self._case.facts.update(plain_facts(facts))

    def failed_accuracy(self, reason: str) -> None:
        """Label the case `failed-accuracy`: it ended below its tolerance, so its energy is no saving."""
        self._case.status = Status.FAILED_ACCURACY
        self._case.warnings.append(reason)

    @property
    def seed(self) -> int:
        """The seed of the round that comes next, or that is running; after the last round, the last one's."""
        return self._sweep.seed(self._case)

    def resumed(self, function: Callable[..., Any]) -> bool:
        """Whether every round of this case comes from an interrupted sweep's journal, so that `function` will not run.

        Ask after the workload is declared and before costly preparation.
        """
        if self._sweep.disabled:
            return False
        self._adopt(function)
        return not self._case.due()

    # how it works

    def _check_place(self) -> None:
        """Raises UsageError where the end of a round cannot end the test: no further round could begin."""
        passes = self._case.options.rounds + self._case.options.warmup
        if passes > 1 and not self._case.body_runs:
            raise UsageError(
                f"{self._case.id}: for {passes} rounds and warm-ups energy(...) runs the whole test as often, which "
                "works in the body of a plain test function only, not in a fixture, a unittest method or an async "
                "test: call it there, or use energy.pedantic(..., setup=...)"
            )

    def _adopt(self, function: Callable[..., Any]) -> None:
        """Take over earlier rounds; start the pass afresh where it was prepared for a round after ones now refused."""
        self._sweep.adopt(self._case, function)
        if self._case.due() and self.seed != self._prepared_with:
            self._case.restarted = True
            raise RoundDone

    def _use(self) -> None:
        if self._used:
            raise EnergybenchError(
                f"{self._case.id} used the energy fixture twice: one case is one metered function; make two tests of it"
            )
        self._used = True

    def _round(self, index: int, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        running = self._running = Running(self._sweep, self._case)
        try:
            value, finished = running.measure(index, self._planned, function, args, kwargs)
        except StopRound:
            assert running.projected is not None
            self._sweep.finish_early(self._case, running.projected)
            return ABSENT
        finally:
            self._running = None
        self._sweep.finish_round(self._case, index, finished, running.metrics, function)
        return value

    def _planned(self) -> Plan | None:
        return self._case.planned

    def _end_early(self) -> NoReturn:
        """The case is over, with its projection as the reason: none of its rounds is due any more."""
        __tracebackhide__ = True
        projected = self._case.projected
        assert projected is not None
        if projected.ended == "over budget":
            pytest.fail(projected.reason, pytrace=False)
        pytest.skip(projected.reason)

    def _finish(self, value: Any) -> Result:
        from energybench.store import case_record

        case = self._case
        frozen = self._sweep.frozen(case)
        case.record = case_record(frozen)
        if self._benchmark is not None:
            bridge.replay(case.item, self._benchmark, frozen.seconds, case.record)
        case.replayed = True
        failure = budget_failure(frozen, case.options.budget)
        if failure:
            pytest.fail(failure, pytrace=False)
        return Result(frozen, value)

    def _unmetered(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Result:
        running = self._running = Running(self._sweep, self._case)
        try:
            if self._benchmark is not None:
                value = self._benchmark(function, *args, **kwargs)  # disabled: calls it once
            else:
                value = function(*args, **kwargs)
        finally:
            self._running = None
        return Result(self._sweep.frozen(self._case), value, plain_metrics(running.metrics)[0])

    def close(self) -> None:
        """Keep pytest-benchmark from complaining about a fixture that a failed or unfinished pass never reached."""
        if self._benchmark is not None and not self._case.replayed:
            self._benchmark.skipped = True

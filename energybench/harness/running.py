"""The round that is running: its window, what it records, and how it is projected."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energybench.errors import UsageError
from energybench.harness.case import WARMUP, Measured, plain_facts, plain_metrics
from energybench.harness.plan import Plan
from energybench.harness.projecting import Projected, StopRound, Watch
from energybench.harness.surroundings import now, seed_everything
from energybench.harness.training import Training
from energybench.model import Round, Window

if TYPE_CHECKING:
    from energybench.harness.engine import Sweep
    from energybench.metering import OpenWindow

_STILL_TO_RUN = frozenset({types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType})
"""what a call may return instead of running; a look at the type is all that a window is charged for it"""


class Running:
    """One round, or one unmetered call with --benchmark-disable, from before its call until after it."""

    def __init__(self, sweep: Sweep, case: Measured) -> None:
        self._sweep = sweep
        self._case = case
        self._window: OpenWindow | None = None
        self.metrics: dict[str, Any] = {}
        self.watch: Watch | None = None
        """None where nothing is projected"""
        self._training = Training(())

    @property
    def projected(self) -> Projected | None:
        """Why it is to end, once it is."""
        return None if self.watch is None else self.watch.projected

    def measure(
        self,
        index: int,
        plan: Callable[[], Plan | None],
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> tuple[Any, Round]:
        """Call `function` in a window, as often as a round does; what it returned last, and the round.

        Raises StopRound where its projection ended it, and whatever `function` raises; nothing is kept of it then.
        """
        sweep, case = self._sweep, self._case
        seed_everything(case.options.seed(index))
        sweep.on_progress(case, "warm-up" if index == WARMUP else f"round {index + 1}/{case.options.rounds}", None)
        self._training = Training(sweep.frozen(case).total_domains)
        self.watch = Watch(sweep, case, index, plan, self._training) if sweep.options.project else None
        started, conditions = now(), sweep.conditions()
        with sweep.window(case, case.id) as opened:
            self._window = opened.window
            try:
                value = function(*args, **kwargs)
                if type(value) in _STILL_TO_RUN:
                    _check_ran(case.id, function, value)
                if self.projected is not None:
                    raise StopRound  # it returned early, or held the first one up
                calls, laps, noted = 1, opened.window.laps_ended, self._training.noted()
                self.watch = None  # of one call only
                while _calls_more(case.options.iterations, calls, opened.window):
                    value = function(*args, **kwargs)
                    calls += 1
            finally:
                self._window = None
        window = opened.result
        assert window is not None
        if calls > 1:  # laps of the first call: with those of all calls they would add up to several windows
            window = replace(window.divided(calls), laps=window.laps[:laps])
        if noted:
            laps_with = (_with_notes(lap, noted.get(place)) for place, lap in enumerate(window.laps))
            window = replace(window, laps=tuple(laps_with))
        finished = Round(
            window,
            started=started,
            conditions=conditions,
            conditions_end=sweep.conditions(),
            iterations=calls,
            trace=sweep.span(opened.window),
        )
        return value, finished

    @contextmanager
    def lap(self, label: str) -> Iterator[None]:
        """Meter a part of the round; nothing where there is no window. Raises StopRound at the end of an epoch."""
        window, watch, training = self._window, self.watch, self._training
        if window is None:
            yield
            return
        opened = training.begin(label)
        try:
            with window.lap(label):
                yield
            so_far = window.peek()
            place = next((at for at in reversed(range(len(so_far.laps))) if so_far.laps[at].label == label), None)
            if place is not None:
                training.end(opened, so_far.laps[place], place)
        finally:
            training.leave(opened)
        projected = "" if watch is None else watch.ended(label, so_far)
        if projected:
            self._sweep.on_projection(self._case, so_far, projected, None if watch is None else watch.estimate)
        self._sweep.on_progress(self._case, label, so_far)

    def note(self, loss: Any, settings: Mapping[str, Any]) -> None:
        """Take what is known of an epoch. Raises StopRound; UsageError for another name and a loss that is no number.

        A loss that is not finite is none.
        """
        from energybench.estimators.step.epochs import SETTINGS

        unknown = settings.keys() - set(SETTINGS)
        if unknown:
            known = ", ".join(("loss", *SETTINGS))
            raise UsageError(f"{self._case.id}: energy.note({min(unknown)}=...) means nothing; there are {known}")
        try:
            number = None if loss is None else plain_metrics({"loss": loss})[0]["loss"]
        except UsageError:
            kind = type(loss).__name__
            raise UsageError(f"{self._case.id}: energy.note(loss=...) takes a number, not {kind}") from None
        window, watch = self._window, self.watch
        if window is None:
            return
        completes = self._training.note(number, plain_facts(settings))
        projected = "" if watch is None or not completes else watch.noted(window.peek)
        if projected and watch is not None:
            self._sweep.on_projection(self._case, window.peek(), projected, watch.estimate)


def _with_notes(lap: Window, notes: Mapping[str, Any] | None) -> Window:
    return replace(lap, notes=notes) if notes else lap


def prepared(
    case: str, setup: Callable[[], Any] | None, args: Sequence[Any], kwargs: Mapping[str, Any] | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a round of `energy.pedantic`: what `setup` returns, else those that were given.

    Raises UsageError where there are both.
    """
    made = setup() if setup is not None else None
    if made is None:
        return tuple(args), dict(kwargs or {})
    if args or kwargs:
        raise UsageError(f"{case}: setup= returned arguments although args or kwargs were given: choose one way")
    return tuple(made[0]), dict(made[1])


def _check_ran(case: str, function: Callable[..., Any], value: Any) -> None:
    """UsageError where the call only made something that is still to run, so that nothing of it was metered."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.iscoroutine(value):
        value.close()  # or Python would warn that it was never awaited
        what, instead = "a coroutine, which has not run", "asyncio.run(train())"
    elif inspect.isasyncgen(value) or (inspect.isgenerator(value) and inspect.isgeneratorfunction(function)):
        what, instead = "a generator, of which nothing has run", "list(train())"
    else:
        return
    raise UsageError(f"{case}: the metered function returned {what}: meter one that runs it, as lambda: {instead} does")


def _calls_more(iterations: int | str, calls: int, window: OpenWindow) -> bool:
    """Whether the target is called again in the open window, after `calls` calls."""
    if iterations == "auto":
        return not window.is_long_enough
    return calls < int(iterations)

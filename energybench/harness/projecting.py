"""Projects a round from its epochs while it runs (STEP), and ends it where that was asked for.

After each epoch (of more than a hundred: after every hundredth part of them) the energy of the whole round is estimated
from what its laps have read. That costs about a millisecond inside the round, with early stopping a tenth of a second.
With `--energy-stop-after stable` a round ends as soon as the interval is within TIGHT of its estimate; with a budget it
ends as soon as the interval's lower end exceeds that. A warm-up round is never ended, and no round of several ranks,
which would decide apart. What is projected is an `Estimate`, never a round.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from energybench.harness.budget import projected_failure
from energybench.harness.case import WARMUP, Measured
from energybench.harness.factors import factors_between
from energybench.harness.plan import Plan
from energybench.harness.training import EPOCH, Training
from energybench.model import Estimate, Provenance, Window
from energybench.reports.factors import footprint
from energybench.reports.projections import progress, with_interval

if TYPE_CHECKING:
    from energybench.estimators.step import EarlyStopping
    from energybench.estimators.step.spread import Scatter
    from energybench.harness.engine import Sweep

TIGHT = 0.05
"""half the interval over the estimate, at which a projection counts as stable"""
FEWEST_LOSSES = 5
"""validation losses below which a predicted number of epochs ends nothing: the fitted curve has three parameters"""
EVERY = 100
"""epochs up to which each one is followed by a projection"""
OUTSIDE = 0.02
"""share of a round outside its laps that is worth a warning"""

Ending = Literal["stable", "over budget"]


class StopRound(BaseException):
    """Ends the metered function of a round whose projection says enough; no `except Exception` holds it up."""


@dataclass(frozen=True, slots=True)
class Projected:
    """A round that was ended early, and what it would have come to."""

    case: str
    index: int
    seed: int
    ended: Ending
    estimate: Estimate
    so_far: Window
    """what was metered by then, with the laps that had ended"""
    pue: float
    provenance: Provenance | None
    reason: str

    def record(self) -> dict[str, Any]:
        """As one element of the session's `projections`."""
        low, high = self.estimate.interval or (None, None)
        return {
            "case": self.case,
            "round": self.index + 1,
            "seed": self.seed,
            "ended": self.ended,
            "pue": self.pue,
            "provenance": None if self.provenance is None else str(self.provenance),
            "estimate": {
                "joules": self.estimate.joules,
                "low": low,
                "high": high,
                "method": self.estimate.method,
                "basis": dict(self.estimate.basis),
                "warnings": list(self.estimate.warnings),
            },
        }


class Watch:
    """Follows one round, and says what it will have come to."""

    def __init__(
        self, sweep: Sweep, case: Measured, index: int, plan: Callable[[], Plan | None], training: Training
    ) -> None:
        """`plan` is asked after each epoch: the metered function itself may say how long it trains. `training` is the
        round's, and grows with its laps and notes.
        """
        self._sweep, self._case, self._index, self._plan = sweep, case, index, plan
        self._frozen = sweep.frozen(case)
        self._training = training
        self._thread = threading.get_ident()
        self.projected: Projected | None = None
        """why the round is to end, once it is"""
        self.estimate: Estimate | None = None
        """what was last projected; None where that is only a bound"""

    @cached_property
    def _scatter(self) -> Scatter:
        """How far epochs scattered in the rounds that this session has finished."""
        from energybench.estimators.step.epochs import epochs_of, joules_of
        from energybench.estimators.step.spread import NEWEST, learnt

        case = self._frozen
        rounds = [round for other in self._sweep.cases.values() for round in other.rounds.values()]
        rounds.sort(key=lambda round: round.started)
        return learnt([joules for round in rounds[-NEWEST:] if (joules := joules_of(epochs_of(case, round)))])

    def ended(self, label: str, so_far: Window) -> str:
        """After a lap: the projection in words, empty where there is none. Raises StopRound."""
        return self._look(so_far) if label == EPOCH else ""

    def noted(self, so_far: Callable[[], Window]) -> str:
        """After the loss of an epoch that has ended, which early stopping may have waited for. Raises StopRound."""
        plan = self._plan()
        return self._look(so_far()) if plan is not None and plan.patience else ""

    def stop(self) -> None:
        """Raise StopRound where the round is to end; in another thread than the round's only the flag says so."""
        if self.projected is not None and threading.get_ident() == self._thread:
            raise StopRound

    def _look(self, so_far: Window) -> str:
        if self.projected is not None:
            self.stop()
            return ""
        plan, seen = self._plan(), self._training.count
        if plan is None or plan.epochs is None:
            self._cannot("how many epochs they train is not declared: energy.plan(epochs=N)")
            return ""
        if seen > EVERY and seen % (seen // EVERY):
            return ""
        predicts = plan.patience is not None and not self._training.losses_lacking
        if plan.patience is not None and self._training.lacks_last_loss_only:
            return ""  # its validation comes next, and the loss with it
        if predicts and seen < 2:
            return ""  # a single loss has no course
        estimate = self._estimate(plan, predicts=predicts, so_far=so_far)
        if estimate is None:
            return ""
        at_most = plan.patience is not None and not predicts
        self.estimate = None if at_most else estimate
        if not at_most and not (predicts and seen < FEWEST_LOSSES):
            self._judge(estimate, so_far)
        return f"at the end {'at most ' if at_most else ''}{self._in_words(estimate, so_far.seconds)}"

    def _estimate(self, plan: Plan, *, predicts: bool, so_far: Window) -> Estimate | None:
        """The projection; None where it is too early, where nothing is left to project, or where it cannot be made."""
        from energybench.estimators.step import EarlyStopping, EstimateError, Projection, TooEarlyError

        assert plan.epochs is not None
        planned: int | EarlyStopping = plan.epochs
        try:
            if predicts and plan.patience is not None:
                planned = EarlyStopping(plan.patience, plan.min_delta, plan.epochs)
            estimate = Projection(scatter=self._scatter).after(self._training.epochs(), planned)
        except TooEarlyError:
            return None
        except EstimateError as error:
            self._cannot(str(error).rstrip("."))
            return None
        if "window" not in estimate.basis:
            return None
        warnings = [*estimate.warnings, *self._doubts(so_far)]
        if plan.patience is not None and not predicts:
            warnings.append("early stopping may end it sooner: give each validation loss to energy.note(loss=...)")
        return replace(estimate, warnings=tuple(warnings))

    def _doubts(self, so_far: Window) -> Iterator[str]:
        if self._frozen.provenance is Provenance.ESTIMATED:
            yield "the epochs' joules are estimated, not measured: the projection can be no better"
        whole, counted = so_far.total_j(self._frozen.total_domains), self._training.counted_j
        if whole and counted and whole - counted > OUTSIDE * whole:
            share = 100 * (whole - counted) / whole
            yield f"{share:.0f} % of the round so far lies outside its laps and is not projected"

    def _judge(self, estimate: Estimate, so_far: Window) -> None:
        """End the round where its budget or --energy-stop-after asks for it. Raises StopRound."""
        from energybench.estimators.step import width

        if self._index == WARMUP or self._sweep.rank is not None:
            return
        failure = projected_failure(estimate, self._frozen, self._case.options.budget)
        if failure:
            kept = ", its finished laps are in the journal" if self._sweep.options.save else ""
            self._end("over budget", f"{failure}; the round was ended there{kept}", estimate, so_far)
        elif self._sweep.options.stop_after == "stable" and width(estimate) <= TIGHT:
            said = self._in_words(estimate, so_far.seconds)
            reason = f"projected: {said} after {progress(estimate)} epochs; an estimate, not a measurement"
            self._end("stable", reason, estimate, so_far)

    def _end(self, ended: Ending, reason: str, estimate: Estimate, so_far: Window) -> None:
        case, index = self._case, self._index
        self.projected = Projected(
            case.id,
            index,
            case.options.seed(index),
            ended,
            estimate,
            so_far,
            self._sweep.options.pue,
            self._frozen.provenance,
            reason,
        )
        self.stop()

    def _in_words(self, estimate: Estimate, spent_s: float) -> str:
        """Energy with PUE and its interval; CO2e and cost where the factors are known."""
        pue = self._sweep.options.pue
        begin_s = time.time() - spent_s
        end_s = begin_s + max(spent_s, estimate.basis["seconds"])
        beside = footprint(estimate.joules * pue, factors_between(self._sweep.options, begin_s, end_s))
        return f"{with_interval(estimate, pue)}{f', {beside}' if beside else ''}"

    def _cannot(self, reason: str) -> None:
        self._sweep.unprojected.setdefault(reason, {})[self._frozen.short_id] = None

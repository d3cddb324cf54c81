"""STEP judged by trainings that are over: what it would have said when only some of their epochs had ended.

The truth is the sum of all epochs. Beside STEP stand carbontracker's rule, the mean of the epochs so far times their
number, and rated power times time, which is given the true duration, as in the paper's baselines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from energybench.estimators import EstimateError
from energybench.estimators.step.epochs import Epoch, checked, epochs_of
from energybench.estimators.step.projection import CONFIDENCE, Projection
from energybench.estimators.step.spread import learnt
from energybench.model import Case, Run, Status

SHARES = (0.2, 0.4, 0.6, 0.8)
WINDOWS: tuple[int | None, ...] = (None, 1, 2, 3, 5)
FEWEST = 3
"""epochs of a training that can be replayed: one to leave out, one to look at, one to project"""


@dataclass(frozen=True, slots=True)
class Replay:
    """A training that is over."""

    name: str
    epochs: tuple[Epoch, ...]
    rated_w: float | None = None
    """rated power of what was metered; None where it is not known"""

    @property
    def total_j(self) -> float:
        """What all its epochs took."""
        return math.fsum(checked(self.epochs, self.name))

    def seen(self, share: float) -> int:
        """Epochs that have ended when `share` of them have: 1 at least, and never all."""
        return min(max(1, math.ceil(share * len(self.epochs) - 1e-9)), len(self.epochs) - 1)


@dataclass(frozen=True, slots=True)
class Score:
    """How far from the truth each rule was, over many replays; errors are relative to the total, None of no replay."""

    share: float
    window: int | None
    replays: int
    answered: int
    """replays in which STEP gave a number; the errors of all rules are over these"""
    step: float | None = None
    """median absolute error"""
    step_p90: float | None = None
    """nine of ten errors are at most this"""
    covered: float | None = None
    """share of the totals that lay inside STEP's interval"""
    so_far: float | None = None
    """median absolute error of carbontracker's rule"""
    rated: float | None = None
    """median absolute error of rated power times the true duration, where rated power is known"""


def replays(run: Run, rated_w: Callable[[Case], float | None] = lambda case: None) -> tuple[Replay, ...]:
    """Every round with FEWEST epochs or more of a case that ended, and whose epochs all have joules."""
    found = []
    for case in run.cases:
        if case.status not in (Status.OK, Status.FAILED_ACCURACY):
            continue
        for number, round in enumerate(case.rounds, 1):
            epochs = epochs_of(case, round)
            try:
                checked(epochs)
            except EstimateError:
                continue
            if len(epochs) >= FEWEST:
                found.append(Replay(f"{case.short_id}, round {number}", epochs, rated_w(case)))
    return tuple(found)


def score(trainings: Sequence[Replay], share: float, window: int | None = None) -> Score:
    """STEP with a window of `window` epochs (None: all stable ones) when `share` of the epochs had ended.

    How far epochs scatter it learns from the trainings before each, in the order in which they are given.
    """
    step, so_far, rated, covered = [], [], [], 0
    joules = [checked(training.epochs, training.name) for training in trainings]
    for index, training in enumerate(trainings):
        epochs, seen, total = training.epochs, training.seen(share), training.total_j
        rule = Projection(window=window, confidence=CONFIDENCE, scatter=learnt(joules[:index]))
        try:
            said = rule.after(epochs[:seen], len(epochs))
        except EstimateError:
            continue
        step.append(abs(said.joules / total - 1))
        covered += said.interval is not None and said.interval[0] <= total <= said.interval[1]
        so_far.append(abs(math.fsum(checked(epochs[:seen])) / seen * len(epochs) / total - 1))
        if training.rated_w is not None:
            rated.append(abs(training.rated_w * math.fsum(epoch.seconds for epoch in epochs) / total - 1))
    if not step:
        return Score(share, window, len(trainings), 0)
    return Score(
        share,
        window,
        len(trainings),
        len(step),
        step=median(step),
        step_p90=sorted(step)[math.ceil(0.9 * len(step)) - 1],
        covered=covered / len(step),
        so_far=median(so_far),
        rated=median(rated) if rated else None,
    )

"""What a session has taken so far, and what is left of it: for the progress line, never for a result.

What a round of a case will take is known, in this order, from the case's own finished rounds, from an earlier run of it
(scaled by how much faster or slower today's rounds were than that run's), or from finished cases of the same model.
While less than half of the cases are known in one of these ways the others are counted like the cheapest finished case,
and the sum is said to be a least one: suites begin with their small models, whose mean says nothing of the large ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from energybench.harness.case import WARMUP, Measured
from energybench.harness.earlier import Costs
from energybench.model import Round, Window
from energybench.units import JOULES_PER_KWH

if TYPE_CHECKING:
    from energybench.harness.engine import Sweep


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is left of the session."""

    seconds: float
    total_j: float | None
    """IT joules of the whole session; None where they are not known of every case"""
    is_least: bool
    """cases of which nothing is known are counted like the cheapest one, or not at all"""


class Typical:
    """One quantity of a round, by case."""

    def __init__(self, earlier: Mapping[str, float], models: Mapping[str, str]) -> None:
        self._earlier = earlier
        self._models = models
        self._own: dict[str, tuple[float, int]] = {}
        self._of_model: dict[str, float] = {}
        self._pace = 1.0

    def take(self, case: str, values: Iterable[float | None]) -> None:
        """All values that this session has of a case."""
        known = [value for value in values if value is not None]
        if known:
            self._own[case] = sum(known), len(known)

    def settle(self) -> None:
        """Learn from what was taken; before `of` is asked again."""
        both = [(*self._own[case], self._earlier[case]) for case in self._own if case in self._earlier]
        before = sum(count * earlier for _, count, earlier in both)
        self._pace = sum(total for total, _, _ in both) / before if before else 1.0
        by_model: dict[str, list[float]] = {}
        for case, (total, count) in self._own.items():
            by_model.setdefault(self._models.get(case, case), []).append(total / count)
        self._of_model = {model: sum(values) / len(values) for model, values in by_model.items()}

    def of(self, case: str) -> float | None:
        """A round of this case, None where nothing is known of it."""
        if case in self._own:
            total, count = self._own[case]
            return total / count
        if case in self._earlier:
            return self._earlier[case] * self._pace
        return self._of_model.get(self._models.get(case, case))

    def others(self, *, least: bool) -> float | None:
        """A round of a case of which nothing is known: like the cheapest finished case, or like their mean."""
        means = [total / count for total, count in self._own.values()]
        if not means:
            return None
        return min(means) if least else sum(means) / len(means)


class Forecast:
    """Counts what the rounds of a session take, between them; inside a round only `outlook` and `joules` are asked."""

    def __init__(self, sweep: Sweep, earlier: Costs) -> None:
        self._sweep = sweep
        self._cases: dict[str, Measured] = dict(sweep.cases)
        models = {case.id: _model(case) for case in self._cases.values()}
        self._seconds = Typical({id: seconds for id, (seconds, _) in earlier.items()}, models)
        self._joules = Typical({id: joules for id, (_, joules) in earlier.items() if joules is not None}, models)
        self._names = tuple(domain.name for domain in sweep.meters.domains if domain.in_total) if sweep.meters else ()
        self._due = {case.id: _due(sweep, case) for case in self._cases.values()}
        self._taken: dict[str, _Taken] = {}
        self.spent_j = 0.0
        """IT joules of everything that this session has finished: rounds, warm-ups, searches"""
        self.budget = self._budget()
        """IT joules of the rounds that are finished, and what all rounds may take; None unless every case has a
        `max_kwh`. Warm-ups and searches are in neither: no budget is about them.
        """
        self._case = ""
        self._rest_s = 0.0
        self._rest_j: float | None = None
        self._is_least = True

    def joules(self, window: Window | None) -> float:
        """IT joules of the total so far in an open window; 0 where there is none."""
        return 0.0 if window is None else window.total_j(self._names) or 0.0

    def _budget(self) -> tuple[float, float] | None:
        allowed_j = 0.0
        for case in self._cases.values():
            most = case.options.budget.max_kwh
            if most is None or case.options.iterations != 1:  # a budget is of one call
                return None
            taken = self._taken.get(case.id)
            allowed_j += most * JOULES_PER_KWH * (self._due[case.id].rounds + (taken.rounds if taken else 0))
        return sum(taken.rounds_j for taken in self._taken.values()), allowed_j

    def take(self, case: Measured) -> None:
        """Count what `case` has finished in this session by now."""
        own = [round for round in case.rounds.values() if round.session == self._sweep.id]
        both = [*own, *(round for round in case.warmups if round.session == self._sweep.id)]
        seconds = [round.window.seconds * round.iterations for round in both]
        joules = [self._whole_j(round) for round in both]
        self._seconds.take(case.id, seconds)
        self._joules.take(case.id, joules)
        apart = [window.total_j(self._names) for windows in case.apart.values() for window in windows]
        self._taken[case.id] = _Taken(
            seconds=sum(seconds),
            windows=len(both),
            joules=sum(value for value in (*joules, *apart) if value is not None),
            rounds=len(own),
            rounds_j=sum(self._whole_j(round) or 0.0 for round in own),
        )
        self._due[case.id] = _due(self._sweep, case)
        self.spent_j = sum(taken.joules for taken in self._taken.values())
        self.budget = self._budget()

    def begin(self, case: Measured, wall_s: float) -> None:
        """A round of `case` begins, `wall_s` seconds after the session's first: add up what comes after it."""
        self.take(case)
        self._case = case.id
        for typical in (self._seconds, self._joules):
            typical.settle()
        due = {id: count.all - (id == case.id) for id, count in self._due.items()}
        due = {id: count for id, count in due.items() if count > 0}
        known = sum(self._seconds.of(id) is not None for id in self._cases)
        least = 2 * known < len(self._cases)
        rest_s = _sum(self._seconds, due, least=least)
        unknown = any(self._seconds.of(id) is None for id in due)
        self._is_least = unknown and (least or rest_s is None)
        self._rest_j = None if self._is_least else _sum(self._joules, due, least=False)
        # Preparing a round takes time too, much the same whatever the round itself takes.
        finished_s = sum(taken.seconds for taken in self._taken.values())
        windows = sum(taken.windows for taken in self._taken.values())
        between_s = max(0.0, wall_s - finished_s) / windows if windows else 0.0
        if rest_s is None:  # what is known of it
            rest_s = sum(count * (self._seconds.of(id) or 0.0) for id, count in due.items())
        self._rest_s = rest_s + between_s * sum(due.values())

    def outlook(self, so_far: Window | None, round_s: float | None, round_j: float | None) -> Outlook | None:
        """What is left once `so_far` of the running round is over; None where nothing can be said.

        `round_s` and `round_j` are what that round will come to, where that is projected.
        """
        if round_s is None:
            round_s = self._seconds.of(self._case)
        if round_j is None:
            round_j = self._joules.of(self._case)
        if round_s is None and not self._rest_s:
            return None
        left_s = self._rest_s + max(0.0, (round_s or 0.0) - (so_far.seconds if so_far else 0.0))
        total_j = None
        if round_j is not None and self._rest_j is not None:
            total_j = self.spent_j + max(round_j, self.joules(so_far)) + self._rest_j
        return Outlook(left_s, total_j, self._is_least or round_s is None)

    def _whole_j(self, round: Round) -> float | None:
        """Of all its calls: the round's window is that of one."""
        joules = round.window.total_j(self._names)
        return None if joules is None else joules * round.iterations


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a case has taken in this session."""

    seconds: float
    windows: int
    """rounds and warm-ups"""
    joules: float
    """searches too"""
    rounds: int
    rounds_j: float


@dataclass(frozen=True, slots=True)
class _Due:
    """How many rounds of a case are still to come."""

    all: int
    """with warm-ups"""
    rounds: int


def _due(sweep: Sweep, case: Measured) -> _Due:
    expected = () if case.resting else sweep.expected(case)
    return _Due(len(expected), sum(index != WARMUP for index in expected))


def _sum(typical: Typical, due: Mapping[str, int], *, least: bool) -> float | None:
    """Of the rounds that are due; None where nothing is known of one, nor of any other."""
    others = typical.others(least=least)
    total = 0.0
    for id, count in due.items():
        one = typical.of(id)
        one = others if one is None else one
        if one is None:
            return None
        total += count * one
    return total


def _model(case: Measured) -> str:
    """The model that its parameters name; a case without one is like no other."""
    params = case.params
    named = params.get("model") or params.get("model_name")
    return str(named) if named else case.id

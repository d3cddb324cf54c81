"""In which order the passes of a session run: case by case, or round by round over all cases (`--energy-interleave`).

A machine drifts: it warms up, its clocks change, other work comes and goes. Measured case by case, that drift stands
between the cases as if it were their own. Interleaved, every round visits every case, and each round starts at another
place, so that no case is always the first: round k = 0, 1, ... of R starts at group k n / R of n. Of a linear drift
over 36 cases and 3 rounds, 97 % stand between the best and the worst placed case in blocks, 32 % where the order of
the rounds is always the same, 10 % with the rotation (computed in its test).

Items that are no cases run once and never between two rounds, where they would warm the machine for some cases only:
those in front of the first case before all rounds, the others after the last round. Gates come last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from energybench.harness.case import WARMUP, Measured
from energybench.harness.engine import CASE

T = TypeVar("T")
NO_MODEL = object()


class NextRound(pytest.Item):
    """Promised to pytest as the next item where only a pass itself can tell what comes; only function fixtures end.

    Promising the case itself would end nothing, promising the next case would build the last case's wider fixtures
    anew for every round. Where the promise is not kept (a failure, a skip, rounds from a journal), it is run in
    place of the next round: it does nothing, and its teardown ends what the promise kept alive.
    """

    follows: Callable[[], pytest.Item | None]
    """what comes next where the promise is not kept, asked once the case is over"""

    @classmethod
    def of(cls, item: pytest.Item, follows: Callable[[], pytest.Item | None]) -> NextRound:
        """The round after the one that `item` is about to run."""
        assert item.parent is not None
        promised: NextRound = cls.from_parent(item.parent, name=f"{item.name} (next round)")
        promised.follows = follows
        return promised

    def runtest(self) -> None:
        """Nothing: only its setup and teardown matter."""

    def reportinfo(self) -> tuple[Path, int, str]:
        """Never shown."""
        return self.path, 0, self.name


class Order(Protocol):
    """Says what runs, pass by pass."""

    def advance(self) -> pytest.Item | None:
        """The item whose pass runs now; None at the end of the session."""

    def promise(self, item: pytest.Item) -> pytest.Item | None:
        """What pytest is told to come after the pass of `item` that is about to run: fixtures end accordingly."""


class CaseByCase:
    """Every item in its place, a case as often as rounds are due."""

    def __init__(self, items: Iterable[pytest.Item]) -> None:
        self._items = deque(items)
        self._now: pytest.Item | None = None

    def advance(self) -> pytest.Item | None:
        """The case that is not over yet, else the next item."""
        case = self._now.stash.get(CASE, None) if self._now is not None else None
        if case is None or case.resting:
            self._now = self._items.popleft() if self._items else None
        return self._now

    def promise(self, item: pytest.Item) -> pytest.Item | None:
        """The next item; the case's next round where it has one."""
        following = self._items[0] if self._items else None
        case = item.stash.get(CASE, None)
        if case is None or len(case.due()) <= 1:
            return following
        return NextRound.of(item, lambda: following)


class Interleaved:
    """Warm-ups of all cases, then round 1 of all cases, then round 2, ...

    Always the lowest round that is due anywhere comes next. So a resumed sweep goes on where it was interrupted, and
    where an earlier round turns out to be of no use, it is caught up with before anybody else goes on.

    A case that ends early (a failure, a skip, `energy.pedantic`, whose rounds are one pass) leaves the others in their
    order. Cases with fewer rounds than others take part in the first ones.
    """

    def __init__(self, items: Sequence[pytest.Item], expected: Callable[[Measured], list[int]]) -> None:
        """`expected` says which rounds of a case are due, as far as it can be told before the case runs."""
        cases = [item for item in items if CASE in item.stash]
        first = items.index(cases[0])
        self._expected = expected
        self._before = deque(items[:first])
        self._groups = [[item.stash[CASE] for item in group] for group in grouped(cases)]
        self._after = deque(item for item in items[first:] if CASE not in item.stash)
        # As asked for at the start: energy.pedantic may say otherwise when its turn has come.
        self._rounds = {case.id: case.options.rounds for case in self._cases()}
        self._pass: deque[Measured] = deque()
        """what is left of the pass over the cases that is running"""

    def advance(self) -> pytest.Item | None:
        """Items in front of the cases, then the next case of this pass or of the next one, then the other items."""
        item = self._peek()
        for queue in (self._before, self._pass, self._after):
            if queue:
                queue.popleft()
                break
        return item

    def promise(self, item: pytest.Item) -> pytest.Item | None:
        """What runs after `item`: within a pass that is known; at the end of one it may be the case's own next round.

        Where another case comes first in the next pass, it does so whatever becomes of `item`, or `item` itself runs
        again at once; the promise holds in both.
        """
        case = item.stash.get(CASE, None)
        if case is None or self._pass:
            return self._peek()
        others = {other.id: self._stage(other, self._expected(other)) for other in self._open() if other is not case}
        if len(case.due()) > 1:
            next_stage = self._stage(case, self._expected(case)[1:])
            if self._first({**others, case.id: next_stage}) is item:
                return NextRound.of(item, self._peek)
        return self._first(others)

    def count(self) -> tuple[int, int]:
        """Rounds and warm-ups that were measured in this session, and the same with those to come."""
        done = sum(case.measured for case in self._cases())
        return done, done + sum(len(self._expected(case)) for case in self._open())

    def _peek(self) -> pytest.Item | None:
        """What runs next; plans the next pass over the cases where the last one is over."""
        if self._before:
            return self._before[0]
        if not self._pass:
            self._pass.extend(
                self._planned({case.id: self._stage(case, self._expected(case)) for case in self._open()})
            )
        return self._pass[0].item if self._pass else self._first({})

    def _first(self, stages: Mapping[str, int]) -> pytest.Item | None:
        planned = self._planned(stages)
        if planned:
            return planned[0].item
        return self._after[0] if self._after else None

    def _planned(self, stages: Mapping[str, int]) -> list[Measured]:
        """The next pass, where the cases that are not over are at `stages`: those at the lowest one, rotated.

        Cases that are over keep their place in the rotation, so that the others come in the order in which they would
        have come anyway.
        """
        if not stages:
            return []
        lowest = min(stages.values())
        taking_part = [[case for case in group if lowest < self._rounds[case.id]] for group in self._groups]
        order = rotated([group for group in taking_part if group], lowest, max(self._rounds.values()))
        return [case for case in order if stages.get(case.id) == lowest]

    @staticmethod
    def _stage(case: Measured, due: Sequence[int]) -> int:
        """Index of the round that comes next; -n before the nth last warm-up.

        A case that is complete in the journal comes first, so that it is early known whether its rounds hold.
        """
        if not due:
            return -case.options.warmup
        return due[0] if due[0] != WARMUP else -due.count(WARMUP)

    def _cases(self) -> Iterable[Measured]:
        return (case for group in self._groups for case in group)

    def _open(self) -> Iterable[Measured]:
        return (case for case in self._cases() if not case.resting)


def grouped(items: Iterable[pytest.Item]) -> list[list[pytest.Item]]:
    """`items`, neighbours with the same parameter `model` in one group, every other item in a group of its own.

    A group moves as a whole and its order stays: what a case does in a round may rest on the same round of an earlier
    case of its model (matched epochs trains for as many epochs as the uncompressed model's case took), and each model's
    weights are loaded once in a round.
    """
    groups: list[list[pytest.Item]] = []
    last: object = NO_MODEL
    for item in items:
        callspec = getattr(item, "callspec", None)
        model = callspec.params.get("model", NO_MODEL) if callspec else NO_MODEL
        if model is not NO_MODEL and _same(model, last):
            groups[-1].append(item)
        else:
            groups.append([item])
        last = model
    return groups


def _same(one: object, other: object) -> bool:
    """One object, or equal plain values: the == of arrays and tensors is no truth value."""
    return one is other or (isinstance(one, str | int | float) and type(one) is type(other) and one == other)


def rotated(groups: Sequence[Sequence[T]], index: int, rounds: int) -> list[T]:
    """The members of `groups` in the order of round `index` of `rounds`; warm-ups (negative) are not rotated."""
    start = max(0, index) * len(groups) // rounds
    return [member for group in (*groups[start:], *groups[:start]) for member in group]

"""Looks at the gate while the session runs (`--energy-looks 3,5,10`): only cases that it cannot tell apart go on.

All cases run to the first number of rounds, in whatever order they would have had. Then they are held against the
baseline; those that are inconclusive, and that more rounds can settle, run to the next number, and so on. What is
fixed beforehand is how often the gate may look, and each look has its part of the level: measuring until the answer
pleases is not on offer.

A case that may go on is not reported yet: its last pass has run in whole, assertions included, and its reports are
held. Where the gate is satisfied they are logged as they are; else they are dropped, the rounds stay, and the pass
after its further rounds is the one that counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import pytest

from energybench.harness import bridge
from energybench.harness.baseline import Baseline
from energybench.harness.case import Measured
from energybench.harness.engine import CASE
from energybench.harness.gate import case_verdict, gated_comparisons
from energybench.harness.order import Order
from energybench.model import Comparison, Verdict

if TYPE_CHECKING:
    from energybench.analysis.report import Pair, Report

FEWEST_ROUNDS = 2
"""of the baseline; with one there is no test, however many the candidate has"""


class InLooks:
    """Items in front of the first case, then the cases look by look, then all other items."""

    def __init__(
        self,
        items: Sequence[pytest.Item],
        order_of: Callable[[Sequence[pytest.Item]], Order],
        undecided: Callable[[Sequence[Measured]], Collection[str]],
        release: Callable[[Measured], None],
    ) -> None:
        """`order_of` arranges the cases of one look, `undecided` says which ids go on, `release` reports the others."""
        cases = [item for item in items if CASE in item.stash]
        first = items.index(cases[0])
        self._before = deque(items[:first])
        self._after = deque(item for item in items[first:] if CASE not in item.stash)
        self._cases = [item.stash[CASE] for item in cases]
        self._order_of, self._undecided, self._release = order_of, undecided, release
        self._look = order_of(cases)
        self._begun = False

    def advance(self) -> pytest.Item | None:
        """The next item; between two looks it is decided who goes on."""
        if self._before:
            return self._before.popleft()
        self._begun = True
        while True:
            item = self._look.advance()
            if item is not None:
                return item
            if not self._begin_next():
                return self._after.popleft() if self._after else None

    def promise(self, item: pytest.Item) -> pytest.Item | None:
        """What comes after `item`; None, which ends all fixtures, where that is decided only then."""
        if CASE in item.stash:
            return self._look.promise(item)
        if self._begun:
            return self._after[0] if self._after else None
        return self._before[0] if self._before else None

    def _begin_next(self) -> bool:
        """Report the cases that are decided, and let the others go on; False where there are none."""
        held = [case for case in self._cases if case.held is not None]
        if not held:
            return False
        going_on = self._undecided(held)
        for case in held:
            if case.id in going_on:
                bridge.forget(case.item)
                case.go_on()
            else:
                self._release(case)
        self._look = self._order_of([case.item for case in held if case.id in going_on])
        return bool(going_on)


def undecided(baseline: Baseline, cases: Sequence[Measured]) -> set[str]:
    """The ids of the cases whose gate cannot tell by now, and that further rounds can settle."""
    report = baseline.compare()
    return {case.id for case in cases if _can_be_settled(report, case.id)}


def _can_be_settled(report: Report, case: str) -> bool:
    pair = next(pair for pair in report.pairs if pair.case == case)
    gated = gated_comparisons(report, case)
    return case_verdict(gated) is Verdict.INCONCLUSIVE and any(_needs_rounds(each, pair) for each in gated)


def _needs_rounds(comparison: Comparison, pair: Pair) -> bool:
    old, new = (0 if side is None else len(side.rounds) for side in (pair.baseline, pair.candidate))
    if comparison.verdict is not Verdict.INCONCLUSIVE or comparison.rounds is None:
        return False
    # Accuracies are paired by seed: a further round without its counterpart tells nothing.
    return old > new if comparison.metric == "accuracy" else old >= FEWEST_ROUNDS

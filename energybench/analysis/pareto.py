"""The cases that no other case beats: cheaper at no less merit, or better at no more cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float | None, float | None]
"""(cost, merit), such as joules and accuracy; None: absent"""


def front(points: Sequence[Point]) -> tuple[bool, ...]:
    """Whether each (cost, merit) lies on the Pareto front: cost is minimised, merit maximised.

    A point is off the front where another one costs no more and has no less merit, and is better in one of the two;
    of equal points all are on it. A point whose cost or merit is absent (None, or no finite number) is never on it and
    beats none.
    """
    known = [
        (cost, merit, index)
        for index, (cost, merit) in enumerate(points)
        if cost is not None and merit is not None and math.isfinite(cost) and math.isfinite(merit)
    ]
    on = [False] * len(points)
    best, best_cost = -math.inf, -math.inf
    # By rising cost, and at one cost by falling merit: a point is on the front where it beats every merit before it.
    for cost, merit, index in sorted(known, key=lambda point: (point[0], -point[1])):
        if merit > best:
            best, best_cost = merit, cost
            on[index] = True
        elif merit == best and cost == best_cost:
            on[index] = True
    return tuple(on)

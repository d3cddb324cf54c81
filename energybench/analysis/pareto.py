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
    known = [(c, m, i) for i, (c, m) in enumerate(points) if _is_known(c) and _is_known(m)]
    on = [False] * len(points)
    best, best_cost = -math.inf, -math.inf
    # By rising cost, and at one cost by falling merit: a point is on the front where it beats every merit before it.
    for cost, merit, index in sorted(known, key=lambda point: (point[0], -(point[1] or 0.0))):
        if merit > best:
            best, best_cost = merit, cost
            on[index] = True
        elif merit == best and cost == best_cost:
            on[index] = True
    return tuple(on)


def _is_known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)

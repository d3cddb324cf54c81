"""What a difference in energy is made of: epochs x seconds per epoch x mean power.

    ln(E_c / E_b) = ln(N_c / N_b) + ln(t_c / t_b) + ln(P_c / P_b)

with E, N, t and P as geometric means over the rounds, so that the three terms add up to the difference exactly.
Seconds per epoch are the whole round's seconds over its epochs: evaluation counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from energybench.model import Case, Round

TERMS = ("epochs", "seconds_per_epoch", "power")


def epochs(round: Round) -> float:
    """Epochs of a round: its laps named `epoch`, else what it recorded as `epochs`, else 1."""
    laps = len(round.window.laps_named("epoch"))
    if laps:
        return float(laps)
    recorded = round.metrics.get("epochs")
    return float(recorded) if recorded and recorded > 0 else 1.0


def has_epochs(case: Case) -> bool:
    """Whether any round marked or recorded epochs."""
    return any(round.window.laps_named("epoch") or round.metrics.get("epochs") for round in case.rounds)


def split(baseline: Case, candidate: Case) -> dict[str, float]:
    """The three terms in natural logarithms, over the verdict domains; empty where a side has no usable reading."""
    sides = [_log_means(case) for case in (baseline, candidate)]
    if sides[0] is None or sides[1] is None:
        return {}
    return {name: new - old for name, old, new in zip(TERMS, sides[0], sides[1], strict=True)}


def is_fewer_epochs(terms: dict[str, float]) -> bool:
    """Whether most of a saving comes from running fewer epochs."""
    total = sum(terms.values())
    return bool(terms) and total < 0 and terms["epochs"] < 0.5 * total


def _log_means(case: Case) -> tuple[float, float, float] | None:
    logs: list[tuple[float, float, float]] = []
    for round, joules in zip(case.rounds, case.joules(case.verdict_domains), strict=True):
        seconds, count = round.window.seconds, epochs(round)
        if joules is not None and joules > 0 and seconds > 0:
            n, s, j = math.log(count), math.log(seconds), math.log(joules)
            logs.append((n, s - n, j - s))
    if not logs:
        return None
    first, second, third = (_mean([row[index] for row in logs]) for index in range(3))
    return first, second, third


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

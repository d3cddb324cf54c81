"""What a difference in energy is made of: epochs x seconds per epoch x mean power.

    ln(E_c / E_b) = ln(N_c / N_b) + ln(t_c / t_b) + ln(P_c / P_b)

with E, N, t and P as geometric means over the rounds, so that the three terms add up to the difference exactly.
Seconds per epoch are the whole round's seconds over its epochs: evaluation counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from energybench.analysis.stats import sample_variance, welch
from energybench.model import Case

TERMS = ("epochs", "seconds_per_epoch", "power")

SAVING_LABELS = dict(zip(TERMS, ("fewer epochs", "faster epochs", "lower power"), strict=True))
GROWTH_LABELS = dict(zip(TERMS, ("more epochs", "slower epochs", "higher power"), strict=True))

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Decomposition:
    """One difference in energy and its three terms, in natural logarithms, over the verdict domains."""

    terms: Mapping[str, float]
    """by the names of TERMS; their sum is `total`"""
    total: float
    """ln(E_c / E_b)"""
    intervals: Mapping[str, Interval | None] = field(default_factory=dict)
    """two-sided 95 % interval of each term by Welch; None where a side has one round. Rounds without any spread,
    as epochs often are, give an interval of no width."""
    interval: Interval | None = None
    """of the total: not the sum of the terms' intervals, since the terms of one round are correlated"""
    rounds: tuple[int, int] = (0, 0)
    """rounds with a usable reading: baseline, candidate"""

    @property
    def label(self) -> str:
        """The name of the term that holds most of the difference, such as `fewer epochs`; empty where none does."""
        return label(self.terms)


def has_epochs(case: Case) -> bool:
    """Whether any round marked or recorded epochs."""
    return any(case.epochs)


def decompose(baseline: Case, candidate: Case) -> Decomposition | None:
    """The three terms with their intervals; None where they cannot be told.

    That is where a side has no usable reading, or where only one side has epochs: a case that trained zero epochs has
    no logarithm of them.
    """
    old, new = _logs(baseline), _logs(candidate)
    if not old or not new or has_epochs(baseline) != has_epochs(candidate):
        return None
    columns = {name: ([row[i] for row in old], [row[i] for row in new]) for i, name in enumerate(TERMS)}
    terms = {name: _mean(after) - _mean(before) for name, (before, after) in columns.items()}
    return Decomposition(
        terms=terms,
        total=math.fsum(terms.values()),
        intervals={name: log_interval(*sides) for name, sides in columns.items()},
        interval=log_interval([math.fsum(row) for row in old], [math.fsum(row) for row in new]),
        rounds=(len(old), len(new)),
    )


def label(terms: Mapping[str, float]) -> str:
    """The largest term in the direction of the sum, by name, where it holds more than half of it; else empty."""
    total = math.fsum(terms.values())
    if not terms or total == 0:
        return ""
    name = min(terms, key=terms.__getitem__) if total < 0 else max(terms, key=terms.__getitem__)
    if abs(terms[name]) <= 0.5 * abs(total):
        return ""
    return (SAVING_LABELS if total < 0 else GROWTH_LABELS)[name]


def log_interval(baseline: Sequence[float], candidate: Sequence[float]) -> Interval | None:
    """Two-sided 95 % interval of mean(candidate) - mean(baseline) by Welch's test; None where a side has one value.

    Values without spread on both sides have an interval of no width: nothing else was seen.
    """
    if min(len(baseline), len(candidate)) < 2:
        return None
    value = _mean(candidate) - _mean(baseline)
    if sample_variance(baseline) + sample_variance(candidate) == 0:
        return value, value
    difference = welch(baseline, candidate)
    return (value, value) if difference is None else difference.interval()


def split(baseline: Case, candidate: Case) -> dict[str, float]:
    """The three terms in natural logarithms, over the verdict domains; empty where a side has no usable reading."""
    old, new = _logs(baseline), _logs(candidate)
    if not old or not new:
        return {}
    means = ([_mean(column) for column in zip(*rows, strict=True)] for rows in (old, new))
    return {name: after - before for name, before, after in zip(TERMS, *means, strict=True)}


def is_fewer_epochs(terms: Mapping[str, float]) -> bool:
    """Whether most of a saving comes from running fewer epochs."""
    return label(terms) == SAVING_LABELS["epochs"]


def _logs(case: Case) -> list[tuple[float, float, float]]:
    """ln of epochs (1 where it has none), of seconds per epoch and of watts of each round with a usable reading."""
    logs: list[tuple[float, float, float]] = []
    for joules, seconds, epochs in zip(case.verdict_joules, case.seconds, case.epochs, strict=True):
        if joules is not None and joules > 0 and seconds > 0:
            n, s, j = math.log(epochs or 1.0), math.log(seconds), math.log(joules)
            logs.append((n, s - n, j - s))
    return logs


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

"""What a difference in energy is made of: epochs x seconds per epoch x mean power.

    ln(E_c / E_b) = ln(N_c / N_b) + ln(t_c / t_b) + ln(P_c / P_b)

with E, N, t and P as geometric means over the rounds, so that the three terms add up to the difference exactly.
Seconds per epoch are the whole round's seconds over its epochs: evaluation counts.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress

from energybench.analysis.metrics import positive
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
    terms = split(baseline, candidate)
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
    old, new = (_usable(case) for case in (baseline, candidate))
    if not old[0] or not new[0]:
        return {}
    before, after = ([_log_mean(column) for column in columns] for columns in (old, new))
    epochs, seconds, joules = map(operator.sub, after, before)
    return dict(zip(TERMS, (epochs, seconds - epochs, joules - seconds), strict=True))


def is_fewer_epochs(terms: Mapping[str, float]) -> bool:
    """Whether most of a saving comes from running fewer epochs."""
    return label(terms) == SAVING_LABELS["epochs"]


def _logs(case: Case) -> list[tuple[float, float, float]]:
    """ln of epochs, of seconds per epoch and of watts of each round with a usable reading."""
    logs = (map(math.log, column) for column in _usable(case))
    return [(n, s - n, j - s) for n, s, j in zip(*logs, strict=True)]


def _usable(case: Case) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    """Epochs (1 where a round has none), seconds and joules of the rounds with a usable reading."""
    seconds, joules = case.seconds, positive(case.verdict_joules)
    epochs = [e or 1.0 for e in case.epochs]
    if len(joules) == len(seconds) and min(seconds, default=0.0) > 0:  # nearly always
        return epochs, seconds, joules
    usable = [j is not None and j > 0 and s > 0 for s, j in zip(seconds, case.verdict_joules, strict=True)]
    epochs, seconds = list(compress(epochs, usable)), tuple(compress(seconds, usable))
    return epochs, seconds, positive(compress(case.verdict_joules, usable))


def _log_mean(values: Sequence[float]) -> float:
    if values.count(values[0]) == len(values):  # as epochs often are
        return math.log(values[0])
    return _mean(list(map(math.log, values)))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

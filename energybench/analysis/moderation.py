"""Variances of few rounds each, moderated by one another: what makes three rounds of many cases usable.

The empirical Bayes estimate of G. K. Smyth, Statistical Applications in Genetics and Molecular Biology 3 (2004),
article 3 (the R package limma): true variances are taken as drawn from a scaled inverse chi-square distribution, whose
two parameters are had from the mean and the variance of the logarithms of the sample variances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from energybench.analysis.stats import digamma, trigamma, trigamma_inverse

FEWEST = 6
"""variances; fewer cannot say how they scatter, and stay as they are"""


@dataclass(frozen=True, slots=True)
class Spread:
    """A variance and its degrees of freedom."""

    variance: float
    df: float


@dataclass(frozen=True, slots=True)
class Prior:
    """What the variances have in common."""

    variance: float
    """s0^2"""
    df: float
    """d0, the degrees of freedom that it is worth; those of all together where they scatter no more than by chance"""

    def moderate(self, spread: Spread) -> Spread:
        """(d0 s0^2 + d s^2) / (d0 + d), with d0 + d degrees of freedom."""
        df = self.df + spread.df
        return Spread((self.df * self.variance + spread.df * spread.variance) / df, df)


def prior(spreads: Sequence[Spread]) -> Prior | None:
    """The prior of variances that are above zero; None where fewer than FEWEST are."""
    positive = [spread for spread in spreads if spread.variance > 0]
    if len(positive) < FEWEST:
        return None
    # E[ln s^2] = ln sigma^2 + psi(d/2) - ln(d/2): each logarithm without what its own degrees of freedom add.
    logs = [math.log(s.variance) - digamma(s.df / 2) + math.log(s.df / 2) for s in positive]
    centre = math.fsum(logs) / len(logs)
    scatter = math.fsum((value - centre) ** 2 for value in logs) / (len(logs) - 1)
    excess = scatter - math.fsum(trigamma(s.df / 2) for s in positive) / len(positive)
    if excess <= 0:
        # No scatter of their own: one variance for all. The mean of the variances by degrees of freedom is its best
        # estimate, and is worth them all.
        df = math.fsum(s.df for s in positive)
        return Prior(math.fsum(s.df * s.variance for s in positive) / df, df)
    df = 2 * trigamma_inverse(excess)
    return Prior(math.exp(centre + digamma(df / 2) - math.log(df / 2)), df)


def moderated(spreads: Sequence[Spread]) -> list[Spread]:
    """Each variance moderated by all; as they are where there are too few."""
    common = prior(spreads)
    return list(spreads) if common is None else [common.moderate(spread) for spread in spreads]

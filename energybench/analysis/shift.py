"""Two levels of change: what all cases of a session share, and what each has beside it.

A session's temperature, drivers or neighbours move all cases alike; so does a slower framework. The global shift is the
median change over the cases, held against the noise that whole sessions have; a case's residual is its change less the
shift, held against its rounds and the noise of one case between sessions. Each is a claim of its own: taking the shift
away in silence would hide a regression of all, leaving it in would blame each case for a warm machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from energybench.analysis.effects import Effect
from energybench.analysis.moderation import Spread, moderated, prior
from energybench.analysis.report import SessionNoise
from energybench.analysis.stats import INFINITE, Difference, combined

FEWEST = 5
"""cases with energy on both sides, from which a median is taken for what they share"""
MEDIAN_VARIANCE = math.pi / 2
"""of the median of a normal sample, in variances of its mean"""


@dataclass(frozen=True, slots=True)
class TwoLevels:
    """The effects with the noise between sessions in their tests, and what they have in common."""

    effects: tuple[Effect, ...]
    shift: Difference | None
    """None where fewer than FEWEST cases were measured, or nothing varies"""


def two_levels(effects: Sequence[Effect], noise: SessionNoise, round_noise: float) -> TwoLevels:
    """Give every effect on joules the variance of all levels, and part the shift from the residuals.

    Within-case variances are moderated over the cases (see `moderation`) where there are enough of them, else Welch's
    test of the effect stands. `round_noise` is the declared standard deviation of ln J of one round, for cases that
    have a single one on a side.
    """
    spreads = iter(_moderated(effects))
    within = [None if effect.spread is None else next(spreads) for effect in effects]
    parts = [_rounds(effect, spread) for effect, spread in zip(effects, within, strict=True)]
    case_part = (2 * noise.case**2, INFINITE)
    common_part = (2 * noise.common**2, INFINITE if noise.common_df is None else float(noise.common_df))
    between = math.sqrt(case_part[0] + common_part[0])
    centre = median(effect.worse for effect in effects) if len(effects) >= FEWEST else None
    judged = []
    for effect, spread, part in zip(effects, within, parts, strict=True):
        if effect.test is None:
            judged.append(replace(effect, between=between))
            continue
        residual = None if centre is None else combined(effect.worse - centre, (part, case_part))
        judged.append(
            Effect(
                effect.worse,
                combined(effect.worse, (part, case_part, common_part)),
                effect.sd if spread is None else math.sqrt(spread.variance),
                effect.rounds,
                effect.identical,
                effect.spread,
                effect.share,
                residual,
                between,
            )
        )
    if centre is None:
        return TwoLevels(tuple(judged), None)
    declared = 2 * round_noise**2
    scatter = math.fsum(
        (declared * effect.share / 2 if effect.test is None and not effect.identical else part[0]) + case_part[0]
        for effect, part in zip(effects, parts, strict=True)
    )
    own = (MEDIAN_VARIANCE * scatter / len(effects) ** 2, INFINITE)
    return TwoLevels(tuple(judged), combined(centre, (own, common_part)))


def _moderated(effects: Sequence[Effect]) -> list[Spread]:
    spreads = [effect.spread for effect in effects if effect.spread is not None]
    return moderated(spreads) if prior(spreads) is not None else spreads


def _rounds(effect: Effect, spread: Spread | None) -> tuple[float, float]:
    """Variance of the change from the rounds alone, with its degrees of freedom."""
    if effect.test is None:
        return 0.0, INFINITE
    if spread is None or spread is effect.spread:  # not moderated: the two sides may differ in variance
        return effect.test.se**2, effect.test.df
    return spread.variance * effect.share, spread.df

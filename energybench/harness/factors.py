"""Carbon intensity and price of a session, as its record and its reports take them. Factors on output only."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

from energybench.harness.options import EnergyOptions
from energybench.model import Case, Round


def factors_between(options: EnergyOptions, begin_s: float, end_s: float) -> dict[str, Any]:
    """What holds on average between two moments of Unix time: `carbon_g_per_kwh`, `price_per_kwh`, `currency`."""
    grams = options.carbon_g_per_kwh
    if options.carbon_series is not None:
        grams = options.carbon_series.mean(begin_s, end_s)
    return _stated(options, grams)


def stated_factors(options: EnergyOptions) -> dict[str, Any]:
    """What was given, before anything ran; an intensity that changes over time has only its source."""
    return _stated(options, options.carbon_g_per_kwh)


def session_factors(options: EnergyOptions, cases: Sequence[Case]) -> dict[str, Any]:
    """What is stored of the session's factors; empty where nobody gave any.

    An intensity that changes over time is averaged over the time of each round, and these means over the rounds by
    their energy: kWh x `carbon_g_per_kwh` is then what all rounds emitted. `carbon_rounds` has case -> the intensity of
    each round, null where the series does not cover it; one such round leaves the session without an intensity.
    """
    if options.carbon_series is None:
        return _stated(options, options.carbon_g_per_kwh)
    by_case = {case.id: [_of_round(options, round) for round in case.rounds] for case in cases}
    weights = [
        (joules, grams)
        for case in cases
        for joules, grams in zip(case.joules(), by_case[case.id], strict=True)
        if joules is not None
    ]
    known = [(joules, grams) for joules, grams in weights if grams is not None]
    total_j = math.fsum(joules for joules, _ in known)
    whole = len(known) == len(weights) and total_j > 0
    mean = math.fsum(joules * grams for joules, grams in known) / total_j if whole else None
    return {**_stated(options, mean), "carbon_rounds": by_case}


def factor_notes(options: EnergyOptions, cases: Sequence[Case]) -> list[str]:
    """What a reader must know: rounds that the series of intensities does not cover."""
    series = options.carbon_series
    if series is None:
        return []
    found = [_of_round(options, round) for case in cases for round in case.rounds]
    if None not in found:
        return []
    first, last = (
        datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="minutes")
        for moment in (series.times_s[0], series.times_s[-1])
    )
    return [
        f"carbon: {found.count(None)} of {len(found)} rounds lie outside {series.source} ({first} to {last}), so that "
        "what the rounds emitted is not known"
    ]


def _stated(options: EnergyOptions, grams: float | None) -> dict[str, Any]:
    stated: dict[str, Any] = {}
    if options.carbon_source:
        stated |= {"carbon_g_per_kwh": grams, "carbon_source": options.carbon_source}
    if options.price_per_kwh is not None:
        stated |= {"price_per_kwh": options.price_per_kwh, "currency": options.currency}
    return stated


def _of_round(options: EnergyOptions, round: Round) -> float | None:
    """The mean over the time from the round's start to its end, None where that is not covered."""
    assert options.carbon_series is not None
    try:
        begin_s = datetime.datetime.fromisoformat(round.started).timestamp()
    except ValueError:
        return None
    return options.carbon_series.mean(begin_s, begin_s + round.window.seconds * round.iterations)

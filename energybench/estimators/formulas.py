"""What calculators say of a training's energy without a meter: rated power times time, and its refinements.

They stand beside every prediction so that it can be held against them. None of them knows how far a device is from its
rated power: on the public runs of del Rey et al. (see `pre`) the first misses by 61 % on average, the second by 34 %.
Joules are IT energy, before PUE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from energybench.errors import UsageError

RAM_W_PER_GB = 0.3725
"""Watts per gigabyte of memory in Green Algorithms."""


@dataclass(frozen=True, slots=True)
class Formula:
    """One calculator's answer."""

    name: str
    joules: float | None
    """None where something it needs is not known"""
    takes: str
    """what went into it; what is missing where there is no answer"""


def tdp_time(rated_w: float, seconds: float) -> float:
    """Joules at rated power: P_max x t, in W and s. Strubell et al. 2019 (arXiv 1906.02243) and many calculators."""
    return _positive("rated power", rated_w) * _positive("seconds", seconds)


def tdp_utilisation_time(rated_w: float, utilisation: float, seconds: float) -> float:
    """Joules at the utilised share of rated power: P_max x u x t with u in [0, 1]."""
    return tdp_time(rated_w, seconds) * _share(utilisation)


def green_algorithms(rated_w: float, utilisation: float, memory_gb: float, seconds: float) -> float:
    """Joules by Green Algorithms at a PUE of 1: (P_max x u + 0.3725 W/GB x GB) x t.

    Lannelongue, Grealey, Inouye, Advanced Science 2021 (doi 10.1002/advs.202100707); `memory_gb` is what the job may
    use. The calculator itself takes u = 1 where the utilisation is not known.
    """
    if not 0 <= memory_gb < math.inf:
        raise UsageError(f"memory is a number of gigabytes of at least 0, not {memory_gb!r}")
    return tdp_utilisation_time(rated_w, utilisation, seconds) + RAM_W_PER_GB * memory_gb * seconds


def ml_co2_impact(rated_w: float, seconds: float) -> float:
    """Joules by ML CO2 Impact: P_max x t of the accelerator alone.

    Lacoste, Luccioni, Schmidt, Dandres 2019 (arXiv 1910.09700). The tool multiplies by a region's carbon intensity.
    """
    return tdp_time(rated_w, seconds)


def beside(
    rated_w: float | None, seconds: float, utilisation: float | None = None, memory_gb: float | None = None
) -> tuple[Formula, ...]:
    """All of them for one training of `seconds`; what is not known makes a formula say so instead of guessing."""
    if rated_w is None:
        missing = "the device's rated power is not known; give it with --device-w"
        return tuple(Formula(name, None, missing) for name in NAMES)
    rated = f"{rated_w:g} W"
    no_share = "needs the mean utilisation: --utilisation"
    found = [Formula(NAMES[0], tdp_time(rated_w, seconds), rated)]
    if utilisation is None:
        found.append(Formula(NAMES[1], None, no_share))
    else:
        joules = tdp_utilisation_time(rated_w, utilisation, seconds)
        found.append(Formula(NAMES[1], joules, f"{rated} x {utilisation:.0%}"))
    if memory_gb is None:
        found.append(Formula(NAMES[2], None, "needs the memory in GB: --memory-gb"))
    else:
        share = 1.0 if utilisation is None else utilisation
        takes = f"{rated} x {share:.0%} + {RAM_W_PER_GB} W/GB x {memory_gb:g} GB"
        found.append(Formula(NAMES[2], green_algorithms(rated_w, share, memory_gb, seconds), takes))
    found.append(Formula(NAMES[3], ml_co2_impact(rated_w, seconds), rated))
    return tuple(found)


NAMES = ("TDP x t", "TDP x utilisation x t", "Green Algorithms", "ML CO2 Impact")


def _positive(what: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise UsageError(f"{what} must be a positive number, not {value!r}")
    return value


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"a utilisation is a share between 0 and 1, not {value!r}")
    return value

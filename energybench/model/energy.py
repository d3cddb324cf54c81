"""Where joules come from, what they were counted in, and how far they may be off."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Provenance(StrEnum):
    """Where a joule comes from, best first. Two classes are never compared with one another without being told to."""

    MEASURED = "measured"
    """a hardware energy counter"""
    INTEGRATED = "integrated"
    """power samples, integrated over time"""
    ESTIMATED = "estimated"
    """a model of utilisation and rated power; no counter was read"""
    REPLAYED = "replayed"
    """recorded values, for tests and demonstrations"""

    @property
    def rank(self) -> int:
        """0 for the best class, growing with weakness."""
        return _RANKS[self]


_RANKS = {provenance: rank for rank, provenance in enumerate(Provenance)}


def weakest(provenances: Iterable[Provenance]) -> Provenance | None:
    """The weakest class among `provenances`, None where there is none."""
    return max(provenances, key=lambda provenance: provenance.rank, default=None)


@dataclass(frozen=True, slots=True)
class Domain:
    """One place in which energy is counted: a GPU, a CPU package, DRAM, a whole platform."""

    name: str
    """`gpu:0`, `package:0`, `dram:0`, `psys:0`, `cpu`, `ram`; unique within a run"""
    meter: str
    """the meter that reads it: `nvml`, `amdsmi`, `apple`, `rapl`, `pyrapl`, `hwmon`, `estimate`, `replay`"""
    provenance: Provenance
    in_total: bool = True
    """False for a domain that contains or lies inside another (psys, core): reported, never added"""
    gain_rel: float | None = None
    """stated relative gain error of the sensor or model; cancels between runs on one device"""
    device: str = ""
    """what the counter sits in, such as a GPU's name and UUID or the CPU's model name"""
    note: str = ""
    """a restriction in words, such as `whole board, not the MIG slice`"""
    host: str = field(default="", compare=False)
    """the machine that it was read on: two ranks on one host must not count one device twice"""
    tick_s: float | None = field(default=None, compare=False)
    """seconds between two updates of the counter, measured where that is cheap; None: read on demand"""

    @property
    def identity(self) -> tuple[str, str]:
        """(host, device): domains of two files or ranks with one identity are the same joules."""
        return self.host, self.device if self.name.startswith("gpu:") and self.device else self.name


@dataclass(frozen=True, slots=True)
class Quantity:
    """Joules with their error and their source."""

    joules: float
    random_j: float | None
    """one standard deviation from when and how finely the counters are updated; None where none is stated"""
    gain_j: float | None
    """stated gain error in joules, the same share of every value of one sensor; None where none is stated"""
    source: Provenance

    @property
    def bound_j(self) -> float | None:
        """Two random standard deviations plus the whole gain error; None where neither is stated."""
        if self.random_j is None and self.gain_j is None:
            return None
        return 2 * (self.random_j or 0.0) + (self.gain_j or 0.0)


def total(quantities: Iterable[Quantity]) -> Quantity | None:
    """The sum; None of nothing. Random errors are independent and add in quadrature.

    Gain errors add linearly: two sensors of one kind may be wrong in the same direction. A part that states no error
    of a kind contributes none, and the weakest source is the sum's.
    """
    parts = tuple(quantities)
    if not parts:
        return None
    randoms = [part.random_j for part in parts if part.random_j is not None]
    gains = [part.gain_j for part in parts if part.gain_j is not None]
    return Quantity(
        joules=math.fsum(part.joules for part in parts),
        random_j=math.hypot(*randoms) if randoms else None,
        gain_j=math.fsum(gains) if gains else None,
        source=max((part.source for part in parts), key=lambda source: source.rank),
    )


def mean(values: Iterable[float | None]) -> float | None:
    """Arithmetic mean of the values that are there; None where there is none."""
    if type(values) is tuple and values:
        try:
            return sum(values) / len(values)  # nearly all columns of rounds lack nothing
        except TypeError:
            pass
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

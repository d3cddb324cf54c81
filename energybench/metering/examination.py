"""The machine's counters, watched for a second: what `energybench doctor` looks at before it says anything."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from energybench.errors import MeterError, UsageError
from energybench.metering import open_meters
from energybench.metering.difference import MAY_REST, SHORTEST_TICKS
from energybench.metering.machine import Machine, examine_machine
from energybench.metering.meter import Diagnosis, MeterOptions
from energybench.metering.powercap import SYSTEM_ROOT, powercap_root
from energybench.metering.window import Meters
from energybench.model import Domain, Provenance, Window

Verdict = Literal["measured", "estimated", "none"]

LONGEST_S = 3600.0
_AGREEMENT = 0.05
"""Two readers of one register differ only by when they read it: more than this is a finding."""
_STILL_TICKS = 5
_STILL_S = 0.5
"""A counter is called still after this long and this many ticks without a step: idle memory moves within both."""


@dataclass(frozen=True, slots=True)
class DomainState:
    """What one domain did in the examined time."""

    domain: Domain
    seconds: float
    joules: float | None
    """None: it could not be read"""
    random_j: float | None
    range_j: float | None
    """joules after which its counter wraps around; None: never, or not stated"""

    @property
    def watts(self) -> float | None:
        """Mean power over the examined time."""
        return None if self.joules is None else self.joules / self.seconds

    @property
    def wrap_s(self) -> float | None:
        """Seconds between two wraps at the present power; None where it draws nothing or never wraps."""
        return self.range_j / self.watts if self.range_j is not None and self.watts else None

    @property
    def shortest_s(self) -> float | None:
        """The shortest window that is sound: 20 ticks; None where the domain is read on demand."""
        return None if self.domain.tick_s is None else SHORTEST_TICKS * self.domain.tick_s

    @property
    def stands_still(self) -> bool:
        """Whether this is a counter that did not move, although it was watched for long enough."""
        measured = self.domain.provenance is Provenance.MEASURED and not self.domain.name.startswith(MAY_REST)
        long_s = max(_STILL_S, _STILL_TICKS * (self.domain.tick_s or 0.0))
        return measured and self.joules == 0 and self.seconds >= long_s


@dataclass(frozen=True, slots=True)
class Crossing:
    """One counter through two readers over nearly the same time."""

    name: str
    joules: float | None
    """through our reader"""
    other_j: float | None
    """through pyRAPL"""
    apart_rel: float | None
    """difference of the two powers over ours; None where one is absent, or ours is 0 and the other's is not"""
    agree: bool | None
    """None where one is absent"""


@dataclass(frozen=True, slots=True)
class Examination:
    """What the doctor saw."""

    machine: Machine
    diagnoses: tuple[Diagnosis, ...]
    domains: tuple[Domain, ...]
    live: Window
    """one window over the examined time"""
    second: Window | None = None
    """the same time through pyRAPL, where both readers of RAPL work"""

    @property
    def states(self) -> tuple[DomainState, ...]:
        """What each domain did, in the order of `domains`."""
        ranges = {(d.meter, d.device): d.facts.get("range_j") for d in self.diagnoses if d.state == "ok"}
        return tuple(
            DomainState(
                domain,
                self.live.seconds,
                self.live.joules.get(domain.name),
                self.live.error_j.get(domain.name),
                ranges.get((domain.meter, domain.name)),
            )
            for domain in self.domains
        )

    @property
    def measures(self) -> bool:
        """Whether at least one domain was read from a counter or a power sensor."""
        return any(_is_measured(state) for state in self.states)

    @property
    def verdict(self) -> Verdict:
        """What the joules of a run on this machine would be."""
        if self.measures:
            return "measured"
        return "estimated" if any(domain.provenance is Provenance.ESTIMATED for domain in self.domains) else "none"

    @property
    def exit_code(self) -> int:
        """0 where energy is measured, 3 where only estimates or nothing are left."""
        return 0 if self.measures else 3

    @property
    def crossings(self) -> tuple[Crossing, ...]:
        """Every counter that pyRAPL read too."""
        if self.second is None:
            return ()
        return tuple(_cross(name, self.live, self.second) for name in self.second.joules)


def examine(options: MeterOptions | None = None, seconds: float = 1.0) -> Examination:
    """Open what `options` name, measure how often the counters tick, and watch them for `seconds`.

    A meter that was asked for by name and cannot be opened is a diagnosis here, not an error. UsageError as in
    `open_meters`, for `seconds` outside (0, 3600], and for recorded values, which say nothing of this machine.
    """
    options = options or MeterOptions()
    if not (math.isfinite(seconds) and 0 < seconds <= LONGEST_S):
        raise UsageError(f"the doctor watches for more than 0 s and at most {LONGEST_S:g} s, not {seconds:g}.")
    if any(name.startswith("replay:") for name in options.names):
        raise UsageError("replay:FILE holds recorded values, nothing of this machine: examine another meter.")
    machine = examine_machine()  # first: the load of a machine that is not busy being examined
    meters = open_meters(options, strict=False)
    second: Meters | None = None
    try:
        second = _second_reader(meters.domains, options)
        meters.calibrate()
        window = meters.open_window("doctor")
        other = None if second is None else second.open_window("doctor")
        time.sleep(seconds)
        crossed = None if other is None else other.close()
        return Examination(machine, meters.diagnoses, meters.domains, window.close(), crossed)
    finally:
        meters.close()
        if second is not None:
            second.close()


def _is_measured(state: DomainState) -> bool:
    return state.domain.provenance in (Provenance.MEASURED, Provenance.INTEGRATED) and state.joules is not None


def _second_reader(domains: Sequence[Domain], options: MeterOptions) -> Meters | None:
    """pyRAPL, where it reads the tree that our reader reads: it knows the system's only."""
    if powercap_root(options) != SYSTEM_ROOT or not any(domain.meter == "rapl" for domain in domains):
        return None
    try:
        return open_meters(MeterOptions(names=("pyrapl",)))
    except MeterError:
        return None


def _cross(name: str, ours: Window, theirs: Window) -> Crossing:
    """Two windows on one counter, one inside the other: their powers agree within 5 % and both random errors."""
    joules, other_j = ours.joules.get(name), theirs.joules[name]
    if joules is None or other_j is None:
        return Crossing(name, joules, other_j, None, None)
    watts, other_w = joules / ours.seconds, other_j / theirs.seconds
    random_w = math.hypot(
        (ours.error_j.get(name) or 0.0) / ours.seconds, (theirs.error_j[name] or 0.0) / theirs.seconds
    )
    apart_w = abs(watts - other_w)
    apart_rel = apart_w / watts if watts else (0.0 if not other_w else None)
    return Crossing(name, joules, other_j, apart_rel, apart_w <= _AGREEMENT * watts + 2 * random_w)

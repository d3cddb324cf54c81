"""What can be metered here, what cannot, and the one thing to do about each: for `energybench doctor`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

from energybench.errors import MeterError
from energybench.metering import open_meters
from energybench.metering.meter import Diagnosis, MeterOptions
from energybench.metering.rapl import SYSTEM_ROOT, powercap_root
from energybench.metering.window import Meters, cpu_model
from energybench.model import Domain, Provenance, Window

_AGREEMENT = 0.05
"""Two readers of one register differ only by when they read it: more than this is a finding."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What the doctor saw."""

    diagnoses: tuple[Diagnosis, ...]
    domains: tuple[Domain, ...]
    live: Window
    """one window over the examined time"""
    second: Window | None = None
    """the same time through pyRAPL, where both readers of RAPL work"""

    @property
    def measures(self) -> bool:
        """Whether at least one domain comes from a counter or a power sensor."""
        return any(d.provenance in (Provenance.MEASURED, Provenance.INTEGRATED) for d in self.domains)


def diagnose(options: MeterOptions | None = None, seconds: float = 1.0) -> Examination:
    """Open what `options` name, and watch it for `seconds`.

    A meter that was asked for by name and cannot be opened is a diagnosis here, not an error. UsageError as in
    `open_meters`.
    """
    meters = open_meters(options, strict=False)
    second = _second_reader(meters, options or MeterOptions())
    try:
        window = meters.open_window("doctor")
        other = None if second is None else second.open_window("doctor")
        time.sleep(seconds)
        crossed = None if other is None else other.close()
        return Examination(meters.diagnoses, meters.domains, window.close(), crossed)
    finally:
        meters.close()
        if second is not None:
            second.close()


def doctor_report(options: MeterOptions | None = None, seconds: float = 1.0) -> str:
    """The examination as text: every device with its state, the power of each domain now, and what to do."""
    seen = diagnose(options, seconds)
    parts = [f"Machine: {cpu_model()}, {os.cpu_count() or 1} logical CPUs", _states(seen.diagnoses)]
    if seen.domains:
        parts.append(_powers(seen))
    parts.extend(seen.live.warnings)
    if seen.second is not None:
        parts.append(_crossed(seen.live, seen.second))
    remedies = list(dict.fromkeys(f"- {d.device} ({d.meter}): {d.remedy}" for d in seen.diagnoses if d.remedy))
    if remedies:
        parts.append("\n".join(["What to do:", *remedies]))
    parts.append(_conclusion(seen))
    return "\n\n".join(parts)


def _states(diagnoses: Sequence[Diagnosis]) -> str:
    rows = [(d.device, d.meter, d.state, d.reason) for d in diagnoses]
    return tabulate(rows, headers=("device", "meter", "state", "what"), maxcolwidths=[None, None, None, 78])


def _powers(seen: Examination) -> str:
    live = seen.live
    rows = []
    for domain in seen.domains:
        joules = live.joules.get(domain.name)
        watts = None if joules is None else joules / live.seconds
        added = "yes" if domain.in_total else "no"
        rows.append(
            (domain.name, domain.provenance.value, "-" if watts is None else f"{watts:.2f}", added, domain.device)
        )
    return tabulate(rows, headers=("domain", "provenance", "W now", "in total", "where"), disable_numparse=True)


def _crossed(ours: Window, theirs: Window) -> str:
    lines = ["Cross-check with pyRAPL over the same time:"]
    for name, other in theirs.joules.items():
        own = ours.joules.get(name)
        if own is None or other is None:
            lines.append(f"- {name}: not read by both")
            continue
        apart = abs(own - other) / own if own else 0.0
        lines.append(
            f"- {name}: {own:.2f} J and {other:.2f} J, {'they agree' if apart <= _AGREEMENT else 'THEY DISAGREE'}"
        )
    return "\n".join(lines)


def _conclusion(seen: Examination) -> str:
    if seen.measures:
        return "Energy is measured here."
    if seen.domains:
        return "Only estimates are left here: verdicts on them hold between runs of this machine alone."
    return "Nothing can be metered here: runs would carry seconds only."


def _second_reader(meters: Meters, options: MeterOptions) -> Meters | None:
    if powercap_root(options) != SYSTEM_ROOT or not any(domain.meter == "rapl" for domain in meters.domains):
        return None
    try:
        return open_meters(MeterOptions(names=("pyrapl",)))
    except MeterError:
        return None

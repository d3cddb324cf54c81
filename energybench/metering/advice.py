"""What to do about what the doctor saw, the most important first. Advice only: no setting is ever changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from energybench.metering.examination import DomainState, Examination
from energybench.metering.meter import Diagnosis
from energybench.model import Mark, Provenance

BUSY_LOAD_PER_CPU = 0.2
"""Load per logical CPU above which other work is worth naming: a fifth of the machine."""
_FEW_TICKS = 5
"""Power over fewer ticks may be off by a fifth: enough for a glance, and too little to be shown without a word."""
_REFUSED = ("no-permission", "driver-error", "unsupported")


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to do."""

    topic: str
    """`device`, `still`, `readers`, `shared`, `load`, `gpu-processes`, `seconds`, `governor`, `persistence`"""
    text: str


def advise(seen: Examination) -> tuple[Advice, ...]:
    """First what keeps joules from being read, then what makes them wrong, then what makes runs differ."""
    refused = [d for d in seen.diagnoses if d.state in _REFUSED]
    others = [d for d in seen.diagnoses if d.state not in _REFUSED]
    return (
        *_remedies(refused),
        *(() if seen.measures else _remedies(others)),
        *_still(seen),
        *_readers(seen),
        *_other_work(seen),
        *_seconds(seen),
        *_repeatability(seen),
        *(_remedies(others) if seen.measures else ()),
    )


def _remedies(diagnoses: Iterable[Diagnosis]) -> Iterator[Advice]:
    """Each remedy once, with every device that it mends."""
    mends: dict[tuple[str, str], list[str]] = {}
    for diagnosis in diagnoses:
        if diagnosis.remedy:
            mends.setdefault((diagnosis.meter, diagnosis.remedy), []).append(diagnosis.device)
    for (meter, remedy), devices in mends.items():
        yield Advice("device", f"{', '.join(dict.fromkeys(devices))} ({meter}): {remedy}")


def _still(seen: Examination) -> Iterator[Advice]:
    still = _names(state for state in seen.states if state.stands_still)
    if still:
        blame = "does this hypervisor fake it?" if seen.machine.virtual_machine else "does its driver count at all?"
        yield Advice("still", f"{still} stands still, not one step in {seen.live.seconds:.2g} s: {blame}")


def _readers(seen: Examination) -> Iterator[Advice]:
    apart = ", ".join(crossing.name for crossing in seen.crossings if crossing.agree is False)
    if apart:
        yield Advice("readers", f"{apart}: two readers of one counter disagree; trust neither until it is known why")


def _other_work(seen: Examination) -> Iterator[Advice]:
    if Mark.SHARED in seen.live.marks:
        yield Advice("shared", "another energybench process meters the same devices now: let it end first")
    load = seen.machine.load_per_cpu
    if load is not None and load > BUSY_LOAD_PER_CPU:
        whole = any(d.provenance is not Provenance.ESTIMATED and not d.name.startswith("gpu:") for d in seen.domains)
        so = (
            "other work is counted too; let it end, or use --energy-scope process"
            if whole
            else "other work slows the runs down; let it end"
        )
        yield Advice("load", f"the load is {load:.2f} per CPU: {so}")
    for diagnosis in seen.diagnoses:
        count = len(diagnosis.facts.get("other_processes") or ())
        if count:
            work = "another process computes" if count == 1 else f"{count} other processes compute"
            yield Advice("gpu-processes", f"{work} on {diagnosis.device}: that is counted too; let it end")


def _seconds(seen: Examination) -> Iterator[Advice]:
    short = [s for s in seen.states if s.domain.tick_s is not None and s.seconds < _FEW_TICKS * s.domain.tick_s]
    if short:
        enough_s = math.ceil(max(state.shortest_s or 0.0 for state in short))
        text = f"{_names(short)}: {seen.live.seconds:.2g} s are few ticks; look again with --seconds {enough_s}"
        yield Advice("seconds", text)


def _repeatability(seen: Examination) -> Iterator[Advice]:
    governors = seen.machine.governors
    if governors and governors != ("performance",):
        yield Advice(
            "governor",
            f"the frequency governor is {', '.join(governors)}: sudo cpupower frequency-set -g performance makes runs "
            "repeat better",
        )
    # Where the meter has a remedy of its own, persistence mode is what it mends, or not the first thing to mend.
    off = [d.device for d in seen.diagnoses if d.facts.get("persistence_mode") is False and not d.remedy]
    if off:
        so = "sudo nvidia-smi -pm 1 keeps the driver loaded between runs"
        yield Advice("persistence", f"persistence mode of {', '.join(off)} is off: {so}")


def _names(states: Iterable[DomainState]) -> str:
    return ", ".join(state.domain.name for state in states)

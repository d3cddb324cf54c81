"""What the doctor's examination means for somebody who wants to measure, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from energybench.metering.examination import DomainState, Examination
from energybench.metering.meter import Diagnosis
from energybench.model import Domain, Provenance
from energybench.units import duration

_KINDS = {
    "package": "CPU",
    "cpu": "CPU",
    "dram": "memory",
    "ram": "memory",
    "gpu": "GPU",
    "psys": "whole platform",
}
_REFUSED = ("absent", "no-permission", "unsupported", "driver-error")
"""states of a device that is not read through any door"""

_BEGIN = (
    "to begin: give a test the argument `energy`, call energy(function, ...) in it, run pytest, and then "
    "`energybench show latest`"
)


def verdict_text(seen: Examination) -> str:
    """What this machine can measure, what it only estimates, and what it cannot measure and why."""
    measured = [state for state in _read(seen) if not _is_estimated(state.domain)]
    estimated = [state for state in _read(seen) if _is_estimated(state.domain)]
    if measured:
        parts = [f"This machine can measure: {_places(measured)}."]
        parts += [f"It can only estimate: {_places(estimated)}."] if estimated else []
    elif estimated:
        parts = [f"This machine can measure nothing; it can only estimate: {_places(estimated)}."]
    else:
        parts = ["This machine can measure nothing, and nothing is estimated: runs would carry seconds only."]
    missing = [f"{_device(found)}, because {found.reason}" for found in _missing(seen.diagnoses, measured)]
    if missing:
        parts.append(f"It cannot measure: {'; '.join(missing)}.")
    return " ".join(parts)


def first_run(seen: Examination) -> tuple[str, ...]:
    """What a run here would hold, what that is good for, and how to begin."""
    domains = [state.domain for state in _read(seen)]
    total = [domain for domain in domains if domain.in_total]
    beside = [domain for domain in domains if not domain.in_total]
    held = f"seconds, and the joules of {_listed(total)}" if total else "seconds, and no joules"
    lines = [f"of each round: {held}, beside what it records itself, such as accuracy and epochs"]
    if beside:
        lines.append(f"outside the total, since it holds others or lies inside one: {_listed(beside)}")
    return (*lines, *_worth(total), *_shortest(seen), _BEGIN)


def _worth(total: Sequence[Domain]) -> Iterator[str]:
    estimated = [domain for domain in total if _is_estimated(domain)]
    if not total:
        yield "comparisons would judge seconds and accuracy only"
    elif len(estimated) == len(total):
        yield (
            "its energy is called estimated: verdicts hold between runs of this machine alone, and no budget (max_kwh) "
            "can be met"
        )
    elif estimated:
        said = f"{_names(estimated)} {'is' if len(estimated) == 1 else 'are'}"
        yield (
            f"its energy is called estimated, since {said}: verdicts rest on the measured part alone, and a "
            "budget (max_kwh) can be met with --energy-no-estimate only"
        )
    else:
        weakest = max(total, key=lambda domain: domain.provenance.rank).provenance
        yield f"its energy is called {weakest}: verdicts and budgets (max_kwh) rest on all of it"


def _shortest(seen: Examination) -> Iterator[str]:
    slow = max(seen.states, key=lambda state: state.shortest_s or 0.0, default=None)
    if slow is not None and slow.shortest_s is not None:
        enough = duration(slow.shortest_s)
        yield f"a round should last {enough} at least, 20 ticks of {slow.domain.name}; a shorter one is marked"


def _missing(diagnoses: Iterable[Diagnosis], measured: Sequence[DomainState]) -> list[Diagnosis]:
    """Devices that nothing reads: a whole kind that is measured through another door is not missing."""
    kinds = {state.domain.name.partition(":")[0] for state in measured}
    return [
        found
        for found in diagnoses
        if found.state in _REFUSED and not all(name in kinds for name in _device_names(found))
    ]


def _device(found: Diagnosis) -> str:
    """`CPU and memory (package, dram)`."""
    kinds = dict.fromkeys(_kind(name) for name in _device_names(found))
    return f"{' and '.join(kinds)} ({found.device})"


def _device_names(found: Diagnosis) -> list[str]:
    return [name.strip() for name in (found.device or found.meter).split(",")]


def _places(states: Sequence[DomainState]) -> str:
    """`CPU (package:0, package:1), memory (dram:0)`."""
    kinds: dict[str, list[str]] = {}
    for state in states:
        kinds.setdefault(_kind(state.domain.name), []).append(state.domain.name)
    return ", ".join(f"{kind} ({', '.join(names)})" for kind, names in kinds.items())


def _kind(name: str) -> str:
    kind = name.partition(":")[0]
    return _KINDS.get(kind, kind)


def _listed(domains: Sequence[Domain]) -> str:
    """`package:0 (measured, 5 %), ram (estimated, 50 %)`: with the gain error, where it is stated."""
    return ", ".join(
        f"{d.name} ({d.provenance.value}{'' if d.gain_rel is None else f', within {d.gain_rel:.0%}'})" for d in domains
    )


def _names(domains: Iterable[Domain]) -> str:
    return ", ".join(domain.name for domain in domains)


def _read(seen: Examination) -> list[DomainState]:
    return [state for state in seen.states if state.joules is not None]


def _is_estimated(domain: Domain) -> bool:
    return domain.provenance is Provenance.ESTIMATED

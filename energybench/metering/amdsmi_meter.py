"""The meter `amdsmi`: what opens the cards that this process may use, reads them and closes them again.

`amdsmi` is handed in by whoever opened it (`metering.amdsmi`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from energybench.metering.amdsmi_cards import Card, Gpu, find_cards, find_gpus, visible_gpus
from energybench.metering.amdsmi_gpu import (
    UNIT_J,
    Trial,
    energy_reader,
    gpu_conditions,
    gpu_facts,
    power_reader,
    shut_down,
    try_counters,
)
from energybench.metering.counter import Counter, Reading
from energybench.metering.hwmon_chips import find_chips, find_sensors, hwmon_root
from energybench.metering.integral import PowerIntegral
from energybench.metering.meter import Diagnosis, MeterOptions, Opened, Resolution
from energybench.metering.tick import measure_tick_s
from energybench.model import Domain, Provenance

_COUNTER_TICK_S = 0.1  # no document states it: the longest seen of any GPU is assumed until it is watched
_WATCH_S, _WATCH_PAUSE_S = 1.5, 0.0005
_SAMPLE_PERIOD_S = 0.1
_POWER_STEP_W = 1.0
_GAIN_REL = 0.1  # AMD states none, neither of the counter nor of the power: our assumption, as in hwmon


@dataclass(frozen=True, slots=True)
class _Source:
    domain: Domain
    card: Card
    value: Counter | PowerIntegral


class AmdSmi:
    """The meter `amdsmi`: one domain `gpu:amdN` per card, and `gpu:amdN/integral` beside a counter to be checked."""

    name = "amdsmi"

    def __init__(self, amdsmi: Any, sources: Sequence[_Source]) -> None:
        self._amdsmi = amdsmi
        self._sources = tuple(sources)
        self._tellers = {source.card.domain: source.card.teller for source in sources}
        self.domains = tuple(source.domain for source in sources)
        self.resolution: Mapping[str, Resolution] = _resolution(self.domains)
        beats = (_SAMPLE_PERIOD_S if isinstance(s.value, PowerIntegral) else s.value.heartbeat_s for s in sources)
        self.heartbeat_s: float | None = min((beat for beat in beats if beat is not None), default=None)

    def read(self) -> dict[str, Reading]:
        """Every card's counter, or a power sample of one that has none."""
        return {source.domain.name: source.value.read() for source in self._sources}

    def calibrate(self) -> None:
        """Watch one energy counter per kind of card for up to 1.5 s; fewer than four ticks leave 0.1 s assumed."""
        seen: dict[str, float | None] = {}
        domains: list[Domain] = []
        for source in self._sources:
            kind, domain = source.card.teller.name, source.domain
            if isinstance(source.value, Counter):
                if kind not in seen:
                    seen[kind] = measure_tick_s(source.value.read_raw, _WATCH_S, _WATCH_PAUSE_S)
                domain = replace(domain, tick_s=seen[kind] or domain.tick_s)
            domains.append(domain)
        self.domains = tuple(domains)
        self.resolution = _resolution(self.domains)

    def conditions(self) -> dict[str, float]:
        """Temperature (degrees C), clock (MHz) and power limit (W) of every card that tells."""
        return {
            f"{name}_{key}": value
            for name, gpu in self._tellers.items()
            for key, value in gpu_conditions(self._amdsmi, gpu).items()
        }

    def comparability(self) -> dict[str, Any]:
        """Name and power limit of each card, in order."""
        limits = self.conditions()
        cards = [
            {"name": gpu.name, "power_limit_w": limits.get(f"{name}_power_limit_w")}
            for name, gpu in self._tellers.items()
        ]
        return {"amd_gpus": cards}

    def close(self) -> None:
        """Give the library back."""
        shut_down(self._amdsmi)


def open_cards(amdsmi: Any, local_rank: int | None, options: MeterOptions, covered: frozenset[str]) -> Opened:
    """Open every card of which this process, or its rank, may use a GPU; the library is closed where there is none.

    Raises AmdSmiException where the GPUs cannot be listed.
    """
    gpus = find_gpus(amdsmi)
    trials = {gpu.number: trial for gpu, trial in zip(gpus, try_counters(amdsmi, gpus), strict=True)}
    sensors = find_sensors(find_chips(hwmon_root(options)))
    shown, problems = visible_gpus(gpus, os.environ, local_rank)
    diagnoses = [Diagnosis("amdsmi", "gpu", problem.state, problem.reason) for problem in problems]
    sources: list[_Source] = []
    covers: frozenset[str] = frozenset()
    for card in find_cards(gpus, lambda gpu: trials[gpu.number].tells, sensors):
        own = [gpu for gpu in card.gpus if gpu in shown]
        if not own:
            covers |= card.names
            continue
        opened, diagnosis = _open(amdsmi, card, trials[card.teller.number], options, covered)
        diagnoses.append(diagnosis)
        if opened:
            sources.extend(opened)
            covers |= card.names | _inside(card, opened[0].domain)
            diagnoses.extend(_shadowed(card, gpu) for gpu in own if gpu is not card.teller)
    if sources:
        return Opened(AmdSmi(amdsmi, sources), tuple(diagnoses), covers)
    shut_down(amdsmi)
    if not diagnoses:
        diagnoses.append(Diagnosis("amdsmi", "gpu", "absent", "amdsmi shows no GPU"))
    return Opened(None, tuple(diagnoses), covers)


def _open(
    amdsmi: Any, card: Card, trial: Trial, options: MeterOptions, covered: frozenset[str]
) -> tuple[list[_Source], Diagnosis]:
    gpu = card.teller
    facts = gpu_facts(amdsmi, gpu)
    if not trial.tells:
        reason = f"{gpu.label} tells neither energy ({trial.trouble}) nor power ({trial.last.power_trouble or '0 W'})"
        state = "driver-error" if trial.last.failed else "unsupported"
        return [], Diagnosis("amdsmi", card.domain, state, reason, facts=facts)
    integral = PowerIntegral(power_reader(amdsmi, gpu))
    if trial.trouble:
        domain = _domain(card, Provenance.INTEGRATED, covered)
        reason = f"{gpu.label} has no energy counter that counts ({trial.trouble}): its power is integrated"
        return [_Source(domain, card, integral)], Diagnosis("amdsmi", card.domain, "ok", reason, facts=facts)
    domain = _domain(card, Provenance.MEASURED, covered)
    counter = Counter(energy_reader(amdsmi, gpu), trial.last.unit_j, gpu.counter_modulus, tick_s=_COUNTER_TICK_S)
    sources = [_Source(domain, card, counter)]
    if options.check_integral and trial.power_w > 0:
        sources.append(_Source(_checking(domain), card, integral))
    return sources, Diagnosis("amdsmi", card.domain, "ok", f"energy counter of {gpu.label}", facts=facts)


def _domain(card: Card, provenance: Provenance, covered: frozenset[str]) -> Domain:
    """A processor's GPU tells the power of the whole socket: it is added where nothing else reads that."""
    notes = [card.note]
    twice = card.is_apu and any(name.partition(":")[0] == "package" for name in covered)
    if card.is_apu:
        notes.append("a processor's GPU: the whole socket, its CPU too")
    if twice:
        notes.append("not added: another meter reads the package")
    return Domain(
        card.domain,
        AmdSmi.name,
        provenance,
        in_total=not twice,
        gain_rel=_GAIN_REL,
        device=card.teller.label,
        note="; ".join(note for note in notes if note),
        tick_s=_COUNTER_TICK_S if provenance is Provenance.MEASURED else _SAMPLE_PERIOD_S,
    )


def _checking(counted: Domain) -> Domain:
    """Beside a counter, its integrated power: of a device of its own, since domains of one device are one energy."""
    return replace(
        counted,
        name=f"{counted.name}/integral",
        provenance=Provenance.INTEGRATED,
        in_total=False,
        device=f"power sensor of {counted.device}",
        note="; ".join(filter(None, (f"cross-check of {counted.name} by its integrated power", counted.note))),
        tick_s=_SAMPLE_PERIOD_S,
    )


def _inside(card: Card, domain: Domain) -> frozenset[str]:
    """Kinds of energy that nothing else may add: an MI300A has its CPU's memory in its socket."""
    if not (card.is_apu and domain.in_total):
        return frozenset()
    return frozenset({"package", "dram"}) if card.has_memory_inside else frozenset({"package"})


def _shadowed(card: Card, gpu: Gpu) -> Diagnosis:
    return Diagnosis("amdsmi", gpu.address, "shadowed", f"{gpu.label} is a part of the card that {card.domain} reads")


def _resolution(domains: Iterable[Domain]) -> dict[str, Resolution]:
    return {
        domain.name: Resolution(UNIT_J, domain.tick_s or _COUNTER_TICK_S)
        if domain.provenance is Provenance.MEASURED
        else Resolution(_POWER_STEP_W * _SAMPLE_PERIOD_S, _SAMPLE_PERIOD_S)
        for domain in domains
    }

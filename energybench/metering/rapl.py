"""RAPL: energy of CPU packages and memory, from Linux's powercap tree or through perf_event.

Packages and their `dram` children are added up (memory is a child directory, but no part of package energy); `core` and
`uncore` lie inside the package and are left out; `psys`, the whole platform, is reported and never added. One package
shown by both intel-rapl (model-specific register) and intel-rapl-mmio is one counter, and so are dies that repeat one
another. Where the tree is for root only, perf_event may show the same counters to everybody.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from energybench.metering.counter import PLAUSIBLE_MAX_W, Counter, Reading, SysfsRegister
from energybench.metering.meter import Diagnosis, MeterOptions, Opened, Resolution
from energybench.metering.mirrored import mirrors
from energybench.metering.perf import (
    EVENTS_VARIABLE,
    REGISTER_RANGE_J,
    SYSTEM_EVENTS,
    Event,
    EventRegister,
    find_events,
    paranoid,
)
from energybench.metering.perf import permission_remedy as event_remedy
from energybench.metering.powercap import (
    SYSTEM_ROOT,
    Zone,
    absence,
    domain_order,
    find_zones,
    permission_remedy,
    powercap_root,
)
from energybench.metering.tick import measure_tick_s
from energybench.metering.window import cpu_model
from energybench.model import Domain, Provenance

_UNIT_J = 1e-6
UPDATE_S = 1e-3  # Intel SDM volume 3B, "RAPL interfaces": energy status is updated about every millisecond
_STEP_J = 6.1e-5  # 2^-14 J, the unit of most parts; taken where the range does not tell, as perf_event never does
_WATCH_S = 0.03
_GAIN_REL = 0.05
_PLATFORM_MAX_W = 10_000.0  # psys covers every socket and more


Register = SysfsRegister | EventRegister


@dataclass(frozen=True, slots=True)
class Source:
    """One counter and the door through which it is read."""

    register: Register
    unit_j: float
    modulus: int | None
    door: str
    """`intel-rapl:0`, `perf_event power/energy-pkg/ on CPU 0`"""

    @property
    def step_j(self) -> float:
        """Smallest step in joules."""
        return rapl_step_j(self.modulus)


class Rapl:
    """The meter `rapl`: one kept descriptor and one unwrapping counter per domain."""

    name = "rapl"

    def __init__(self, sources: Mapping[str, Source]) -> None:
        """`sources` by domain name."""
        self._sources = dict(sources)
        self._counters = {
            domain: Counter(
                source.register,
                source.unit_j,
                source.modulus,
                max_power_w=_most_w(domain),
                tick_s=UPDATE_S,
                alive=source.register.alive,
            )
            for domain, source in sources.items()
        }
        self.resolution = {domain: Resolution(source.step_j, UPDATE_S) for domain, source in sources.items()}
        self.domains = tuple(rapl_domain(domain, self.name, source.door) for domain, source in sources.items())
        beats = [self._counters[domain].heartbeat_s or _kernel_beat_s(domain, sources[domain]) for domain in sources]
        self.heartbeat_s = min((beat for beat in beats if beat is not None), default=None)

    def read(self) -> dict[str, Reading]:
        """One pread per domain."""
        return {name: counter.read() for name, counter in self._counters.items()}

    def calibrate(self) -> None:
        """Watch the counters for some 10 ms each; one that hardly moves keeps the documented millisecond."""
        for domain, source in self._sources.items():
            tick_s = measure_tick_s(source.register, _WATCH_S)
            if tick_s is not None:
                self.resolution[domain] = Resolution(source.step_j, tick_s)

    def conditions(self) -> dict[str, float]:
        return {}

    def comparability(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        for source in self._sources.values():
            source.register.close()


def _most_w(domain: str) -> float:
    return _PLATFORM_MAX_W if domain.startswith("psys") else PLAUSIBLE_MAX_W


def _kernel_beat_s(domain: str, source: Source) -> float | None:
    """How often an event must be read: its 64 bits do not wrap, but the kernel looks at the register behind it too
    rarely for the strongest packages, unless somebody asks."""
    return REGISTER_RANGE_J / (2 * _most_w(domain)) if isinstance(source.register, EventRegister) else None


def rapl_domain(name: str, meter: str, door: str) -> Domain:
    """The domain `package:0`, `dram:0` or `psys:0`, read by `meter` through `door`."""
    psys = name.startswith("psys")
    note = "the whole platform; contains the packages" if psys else f"through {door}"
    return Domain(name, meter, Provenance.MEASURED, not psys, _GAIN_REL, cpu_model(), note)


def rapl_step_j(range_uj: int | None) -> float:
    """Smallest step of a counter: the register behind the kernel's value has 32 bits, so it is the range / 2^32."""
    return _STEP_J if range_uj is None else range_uj * _UNIT_J / 2**32


def open_meter(options: MeterOptions, covered: frozenset[str] = frozenset()) -> Opened:
    """Open every domain through the first door that lets us in: the register, mmio, perf_event.

    What was tried in vain is a diagnosis, and so is a door that shows a counter which is read through another.
    """
    root = powercap_root(options)
    zones, events = find_zones(root), _events(options, root)
    names = sorted({*zones, *events}, key=domain_order)
    if not names:
        return Opened(None, (absence(root),))
    sources: dict[str, Source] = {}
    found: dict[str, list[Diagnosis]] = {}
    for domain in names:
        source, found[domain] = _open_domain(domain, zones.get(domain, []), events.get(domain))
        if source is not None:
            sources[domain] = source
    for domain, of in _mirrored(sources).items():
        reason = f"repeats {of}: their steps agreed within 0.1 % over at least 5 J, twice"
        found[domain] = [Diagnosis("rapl", domain, "shadowed", reason)]
        sources.pop(domain).register.close()
    diagnoses = [diagnosis for domain in names for diagnosis in found[domain]]
    return Opened(Rapl(sources) if sources else None, tuple(diagnoses))


def _open_domain(domain: str, doors: list[Zone], event: Event | None) -> tuple[Source | None, list[Diagnosis]]:
    """The first door that opens; where none does, what each of them said."""
    source: Source | None = None
    failures: list[Diagnosis] = []
    diagnoses: list[Diagnosis] = []
    for zone in doors:
        if source is not None:
            diagnoses.append(Diagnosis("rapl", domain, "shadowed", f"{zone.id} shows the counter of {source.door}"))
            continue
        try:
            source = Source(_open(zone), _UNIT_J, zone.range_uj, zone.id)
        except (OSError, ValueError) as error:
            failures.append(_failure(domain, zone, error))
    if source is None and event is not None:
        try:
            source = Source(_open_event(event), event.unit_j, None, event.door)
        except (OSError, ValueError) as error:
            failures.append(_event_failure(domain, event, error))
    if source is None:
        return None, failures
    return source, [_opened(domain, source), *diagnoses]


def _opened(domain: str, source: Source) -> Diagnosis:
    reason = f"energy counter {source.door}"
    facts: dict[str, Any] = {"door": source.door}
    if source.modulus is not None:
        facts["range_j"] = source.modulus * source.unit_j
    elif isinstance(source.register, SysfsRegister):
        reason += "; its range is not stated, so a window in which it wraps around will have no value"
    return Diagnosis("rapl", domain, "ok", reason, facts=facts)


def _mirrored(sources: Mapping[str, Source]) -> dict[str, str]:
    """Dies of one package that repeat one another. Machines without dies spend no time on this."""
    found: dict[str, str] = {}
    packages: dict[str, dict[str, Source]] = {}
    for domain, source in sources.items():
        if domain.startswith("package:") and "-die-" in domain:
            packages.setdefault(domain.partition("-die-")[0], {})[domain] = source
    for dies in packages.values():
        if len(dies) > 1:
            registers = {domain: (source.register, source.modulus) for domain, source in dies.items()}
            found |= mirrors(registers, next(iter(dies.values())).unit_j)
    return found


def _events(options: MeterOptions, root: Path) -> dict[str, Event]:
    """perf_event counts the machine's own packages: with a powercap tree from elsewhere it has no part in."""
    given = options.events_root or os.environ.get(EVENTS_VARIABLE)
    if given is None and root != SYSTEM_ROOT:
        return {}
    return find_events(Path(given) if given else SYSTEM_EVENTS)


def _open(zone: Zone) -> SysfsRegister:
    register = SysfsRegister(zone.path / "energy_uj")
    return _tried(register)


def _open_event(event: Event) -> EventRegister:
    return _tried(EventRegister(event))


_R = TypeVar("_R", SysfsRegister, EventRegister)


def _tried(register: _R) -> _R:
    """`register` after a first look. Raises what that raises."""
    try:
        register()
    except BaseException:
        register.close()
        raise
    return register


def _failure(domain: str, zone: Zone, error: Exception) -> Diagnosis:
    path = zone.path / "energy_uj"
    if isinstance(error, PermissionError):
        reason = f"{path} is readable by root only, as in every Linux since 5.10 (CVE-2020-8694)"
        return Diagnosis("rapl", domain, "no-permission", reason, permission_remedy(path))
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Diagnosis("rapl", domain, "driver-error", f"{path} cannot be read: {reason}")


def _event_failure(domain: str, event: Event, error: Exception) -> Diagnosis:
    if isinstance(error, PermissionError):
        reason = f"{event.door} is refused (kernel.perf_event_paranoid is {paranoid()})"
        return Diagnosis("rapl", domain, "no-permission", reason, event_remedy())
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Diagnosis("rapl", domain, "driver-error", f"{event.door} cannot be read: {reason}")

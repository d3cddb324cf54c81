"""Meters of a user's own: checked once, before anything is spent, and kept from being added twice."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from energybench.errors import MeterError, UsageError
from energybench.metering.counter import Reading
from energybench.metering.meter import Diagnosis, Meter, Opened, Resolution
from energybench.model import Domain, Provenance

_METHODS = ("read", "calibrate", "conditions", "comparability", "close")
_VALUES = ("name", "domains", "resolution", "heartbeat_s")
_OF_THE_SESSION = {"cpu", "cpu_count", "scope"}
"""comparability keys that no meter gives"""
_SAME = {"cpu": "package", "ram": "dram"}
"""a domain of the estimate -> the kind of counter that reads the same"""
_WHERE = "energybench.metering.Meter says what a meter must have"


def as_opened(offered: object) -> Opened:
    """`offered` as what opening a meter gives; MeterError where it is neither a meter nor an Opened."""
    opened = offered if isinstance(offered, Opened) else Opened(offered, ())  # type: ignore[arg-type]
    if opened.meter is None:
        if not opened.diagnoses:
            raise MeterError("a plugin gave Opened(None, ()): add a Diagnosis that says why there is no meter.")
        return opened
    if isinstance(opened.meter, type):
        raise MeterError(f"a plugin gave the class {opened.meter.__qualname__} as a meter: give an instance of it.")
    missing = [name for name in _VALUES if not hasattr(opened.meter, name)]
    missing += [f"{name}()" for name in _METHODS if not callable(getattr(opened.meter, name, None))]
    if missing:
        raise MeterError(f"{_called(opened.meter)}, given by a plugin, has no {', no '.join(missing)}: {_WHERE}.")
    return opened


def left_out(given: Iterable[Opened], names: Sequence[str], built_in: Sequence[str]) -> list[Opened]:
    """Those of `given` that `--energy-meters` leaves out: none with `auto`, else those that it does not name.

    Raises UsageError for a name that is neither `built_in` nor given.
    """
    each = [(opened, _names(opened)) for opened in given]
    offered = [name for _, own in each for name in own]
    for name in names:
        if name not in (*built_in, *offered):
            more = f"; plugins give {', '.join(map(str, offered))}" if offered else ""
            raise UsageError(f"there is no meter {name!r}: choose among {', '.join(built_in)}{more}.")
    return [] if "auto" in names else [opened for opened, own in each if not any(name in names for name in own)]


def _names(opened: Opened) -> list[str]:
    """Of the meter, or of those that could not be opened."""
    if opened.meter is not None:
        return [opened.meter.name]
    return list(dict.fromkeys(diagnosis.meter for diagnosis in opened.diagnoses))


def admit(opened: Opened, others: Collection[Meter], covered: Collection[str], reserved: Collection[str]) -> Opened:
    """A meter that a plugin gave, fit to stand beside `others`, which are open; with a diagnosis for each domain.

    Where it covers what another meter's total holds already (a kind of its domains, or one in `covered`), its domains
    are taken out of the total. `reserved` are names that it may not have.

    Raises MeterError for what no session could store or add up: a name or domain that is there already, values of the
    wrong kind, a first reading that fails.
    """
    meter = opened.meter
    assert meter is not None
    _check_name(meter, others, reserved)
    _check_domains(meter, others)
    _check_resolution(meter)
    _check_comparability(meter, others)
    _check_readings(meter)
    read = {domain.name.partition(":")[0] for other in others for domain in other.domains if domain.in_total}
    covers = frozenset(_SAME.get(kind, kind) for kind in (name.partition(":")[0] for name in opened.covers))
    twice = sorted(read.union(covered) & covers)
    if twice and any(domain.in_total for domain in meter.domains):
        meter = _Beside(meter, f"not added: other meters read {', '.join(twice)} in it")
    told = {diagnosis.device for diagnosis in opened.diagnoses}
    told_here = tuple(
        Diagnosis(meter.name, domain.name, "ok", domain.note or "given by a plugin")
        for domain in meter.domains
        if domain.name not in told
    )
    return Opened(meter, (*opened.diagnoses, *told_here), frozenset() if twice else covers)


class _Beside:
    """A meter whose domains are reported and not added."""

    def __init__(self, meter: Meter, reason: str) -> None:
        self._meter, self._reason = meter, reason

    def __getattr__(self, name: str) -> Any:
        return getattr(self._meter, name)

    @property
    def domains(self) -> tuple[Domain, ...]:
        return tuple(
            replace(domain, in_total=False, note=f"{domain.note}; {self._reason}" if domain.note else self._reason)
            for domain in self._meter.domains
        )


def _check_name(meter: Meter, others: Collection[Meter], reserved: Collection[str]) -> None:
    name = meter.name
    if not isinstance(name, str) or not name or not name.isprintable() or set(name) & set(",: "):
        raise MeterError(f"{_called(meter)} is named {name!r}: a meter's name is one word without commas and colons.")
    if name in (*reserved, "replay") or any(other.name == name for other in others):
        raise MeterError(f"{_called(meter)} is named {name!r}, as another meter is: give it a name of its own.")
    heartbeat_s = meter.heartbeat_s
    if heartbeat_s is not None and not (_is_number(heartbeat_s) and heartbeat_s > 0):
        raise MeterError(f"the meter {name!r}: heartbeat_s is seconds above 0, or None, not {heartbeat_s!r}.")


def _check_domains(meter: Meter, others: Collection[Meter]) -> None:
    domains = meter.domains
    if not isinstance(domains, tuple) or not domains or not all(isinstance(domain, Domain) for domain in domains):
        raise MeterError(f"the meter {meter.name!r}: domains is a tuple of energybench.model.Domain, not {domains!r}.")
    of_whom = dict.fromkeys(_SAME, "estimate")
    of_whom |= {domain.name: other.name for other in others for domain in other.domains}
    for domain in domains:
        if not isinstance(domain.name, str) or not domain.name or not isinstance(domain.provenance, Provenance):
            raise MeterError(f"the meter {meter.name!r}: {domain!r} needs a name, and a Provenance.")
        if domain.name in of_whom:
            raise MeterError(
                f"the meter {meter.name!r} reads a domain {domain.name!r}, and so does {of_whom[domain.name]!r}: name "
                "it after what it is attached to, such as `wall`."
            )
        of_whom[domain.name] = meter.name
        if domain.meter != meter.name:
            raise MeterError(f"the domain {domain.name!r} says that {domain.meter!r} reads it, not {meter.name!r}.")


def _check_resolution(meter: Meter) -> None:
    names = {domain.name for domain in meter.domains}
    resolution = meter.resolution
    if not isinstance(resolution, Mapping) or not all(isinstance(value, Resolution) for value in resolution.values()):
        raise MeterError(
            f"the meter {meter.name!r}: resolution is a mapping of domain names to energybench.metering.Resolution, "
            f"not {resolution!r}."
        )
    if unknown := set(resolution) - names:
        raise MeterError(f"the meter {meter.name!r}: it has a resolution of {min(unknown)!r}, which it does not read.")
    if any(not _is_number(each) or each < 0 for value in resolution.values() for each in value):
        raise MeterError(f"the meter {meter.name!r}: steps and periods are numbers from 0 on, not {resolution!r}.")


def _check_comparability(meter: Meter, others: Collection[Meter]) -> None:
    keys: Any = meter.comparability()
    try:
        json.dumps(keys, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MeterError(f"the meter {meter.name!r}: comparability() is not plain JSON ({error}).") from None
    if not isinstance(keys, dict):
        raise MeterError(f"the meter {meter.name!r}: comparability() is a dict, not {keys!r}.")
    taken = _OF_THE_SESSION.union(*(other.comparability() for other in others))
    if twice := taken & keys.keys():
        raise MeterError(
            f"the meter {meter.name!r}: the comparability key {min(twice)!r} is another's; call it "
            f"'meter_{meter.name}_{min(twice)}'."
        )
    conditions: Any = meter.conditions()
    if not isinstance(conditions, dict) or not all(_is_number(value) for value in conditions.values()):
        raise MeterError(f"the meter {meter.name!r}: conditions() is a dict of numbers, not {conditions!r}.")


def _check_readings(meter: Meter) -> None:
    names = {domain.name for domain in meter.domains}
    try:
        readings: Any = meter.read()
    except Exception as error:
        raise MeterError(
            f"the meter {meter.name!r}: read() raised {type(error).__name__} ({error}); what cannot be read is a "
            "Reading(None, ...)."
        ) from error
    if not isinstance(readings, dict) or not all(isinstance(reading, Reading) for reading in readings.values()):
        raise MeterError(
            f"the meter {meter.name!r}: read() is a dict of domain names to energybench.metering.Reading, "
            f"not {readings!r}."
        )
    if readings.keys() != names:
        raise MeterError(
            f"the meter {meter.name!r}: read() gives {', '.join(sorted(readings)) or 'nothing'}, but its domains are "
            f"{', '.join(sorted(names))}."
        )
    for name, reading in readings.items():
        if reading.joules is None:
            raise MeterError(
                f"the meter {meter.name!r} cannot read {name!r}: {reading.trouble or 'no reason given'}. Where a "
                "device may be absent, return Opened(None, diagnoses)."
            )
        if not _is_number(reading.joules):
            raise MeterError(f"the meter {meter.name!r}: {name!r} reads {reading.joules!r}, which is no joules.")


def _called(meter: object) -> str:
    return f"the meter {type(meter).__module__}.{type(meter).__qualname__}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

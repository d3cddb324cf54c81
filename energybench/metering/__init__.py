"""Joules: meters, windows, and what became of every counter.

`open_meters(options)` opens the meters that are there and hands back `Meters`; `meters.open_window(label)` starts
metering, `window.close()` gives a `Window` of joules per domain. Each kind of counter is one module and one row of
`_METERS`; its library is imported when it is opened, nowhere else. A plugin's own meters come as `further`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import get_args

from energybench.errors import MeterError, UsageError
from energybench.metering.counter import Reading
from energybench.metering.integral import PowerIntegral
from energybench.metering.meter import Diagnosis, Meter, MeterOptions, Opened, Resolution, Scope
from energybench.metering.ranks import Rank, find_rank
from energybench.metering.scope import ProcessShare
from energybench.metering.window import Meters, OpenWindow

__all__ = [
    "Diagnosis",
    "Meter",
    "MeterOptions",
    "Meters",
    "OpenWindow",
    "Opened",
    "PowerIntegral",
    "Reading",
    "Resolution",
    "meter_names",
    "open_meters",
]

# name -> module with open_meter(options, covered) -> Opened; from the cheapest to read to the dearest, and the
# estimate last, since it needs to know what the others cover
_METERS = {
    "rapl": "energybench.metering.rapl",
    "pyrapl": "energybench.metering.pyrapl",
    "nvml": "energybench.metering.nvml",
    "amdsmi": "energybench.metering.amdsmi",
    "apple": "energybench.metering.apple",
    "hwmon": "energybench.metering.hwmon",
    "estimate": "energybench.metering.estimate",
}
_OF_THE_HOST = ("rapl", "pyrapl", "apple", "hwmon")
"""Meters of what a host has once, however many ranks run on it."""
_REPLAY = "replay:"


def meter_names() -> tuple[str, ...]:
    """What `MeterOptions.names` may hold, for help texts."""
    return ("auto", *_METERS, "replay:FILE")


def open_meters(
    options: MeterOptions | None = None,
    *,
    strict: bool = True,
    further: Callable[[], Iterable[object]] | None = None,
) -> Meters:
    """Open the meters that `options` names.

    `auto` opens NVML, AMD SMI or Apple's counters where there are such GPUs, RAPL where it is readable, hwmon's sensors
    of known chips, and estimates the CPU and the memory where no counter covers them (unless `options.estimate` is
    False); what it does not find is a diagnosis. Under torchrun or MPI each rank reads its own GPU, and the lowest rank
    of each host what the host has once. `further` gives meters (or Opened) of a user's own, which `auto` takes in and
    other names only where they are among them; it is called when the counters are open and before the estimate, and not
    where `replay:FILE` stands for all meters.

    Raises UsageError for an unknown name or an impossible combination, MeterError where a meter asked for by name
    cannot be opened (with `strict` False, as for the doctor, that too is only a diagnosis) and where a further one is
    not fit.
    """
    options = options or MeterOptions()
    _check(options, with_further=further is not None)
    rank = find_rank(os.environ)
    first = options.names[0]
    if first.startswith(_REPLAY):
        from energybench.metering.replay import open_replay

        return open_replay(Path(first.removeprefix(_REPLAY)))
    meters: list[Meter] = []
    diagnoses: list[Diagnosis] = []
    own: list[Meter] = []
    covered: frozenset[str] = frozenset()
    try:
        for name in _METERS:
            if name == "estimate" and further is not None:
                covered |= _open_further(further, own, meters, diagnoses, rank, options, strict=strict)
            if not _wanted(name, options):
                continue
            if name == "estimate" and not options.estimate:
                reason = "switched off by --energy-no-estimate"
                diagnoses.append(Diagnosis("estimate", "cpu, ram", "off", reason))
                continue
            opened: Opened = import_module(_METERS[name]).open_meter(options, covered)
            covered |= opened.covers
            if opened.meter is not None:
                covered |= {domain.name for domain in opened.meter.domains}
            if rank is not None and not rank.is_lowest and name in _OF_THE_HOST and opened.meter is not None:
                diagnoses.extend(_left_to_lowest(opened.meter, rank))
                opened.meter.close()
                continue
            diagnoses.extend(opened.diagnoses)
            if opened.meter is not None:
                meters.append(opened.meter)
            elif strict and name in options.names and name != "estimate":
                raise MeterError(_refusal(name, opened.diagnoses))
    except BaseException:
        for meter in [*meters, *own]:
            meter.close()
        raise
    # A user's own stand last, farthest from the measured code: nobody knows how slowly they are read.
    return Meters([*meters, *own], diagnoses, process_share=_process_share(options))


def _open_further(
    further: Callable[[], Iterable[object]],
    own: list[Meter],
    meters: Sequence[Meter],
    diagnoses: list[Diagnosis],
    rank: Rank | None,
    options: MeterOptions,
    *,
    strict: bool,
) -> frozenset[str]:
    """Take in a user's meters: what they cover. Each that was given is in `own` from then on, to be closed."""
    from energybench.metering.offered import admit, as_opened, left_out

    given: list[Opened] = []
    for each in further():
        given.append(as_opened(each))
        own.extend(opened.meter for opened in given[-1:] if opened.meter is not None)
    for opened in left_out(given, options.names, meter_names()):
        given.remove(opened)
        if opened.meter is not None:
            own.remove(opened.meter)
            opened.meter.close()
            diagnoses.append(Diagnosis(opened.meter.name, opened.meter.name, "off", "not among --energy-meters"))
    before: list[Meter] = list(meters)
    covers: frozenset[str] = frozenset()
    for opened in given:
        if opened.meter is None:
            named = [d.meter for d in opened.diagnoses if d.meter in options.names]
            if strict and named:
                raise MeterError(_refusal(named[0], opened.diagnoses))
            diagnoses.extend(opened.diagnoses)
            continue
        place = own.index(opened.meter)
        fit = admit(opened, before, covers, meter_names())
        assert fit.meter is not None
        own[place] = fit.meter
        before.append(fit.meter)
        covers |= fit.covers
        if rank is not None and not rank.is_lowest and not all(d.name.startswith("gpu:") for d in fit.meter.domains):
            diagnoses.extend(_left_to_lowest(fit.meter, rank))
            own.pop(place).close()
            continue
        diagnoses.extend(fit.diagnoses)
    return covers.union(domain.name for meter in before for domain in meter.domains)


def _left_to_lowest(meter: Meter, rank: Rank) -> list[Diagnosis]:
    reason = f"local rank 0 of this host reads it; this is local rank {rank.local_rank} ({rank.launcher})"
    return [Diagnosis(meter.name, domain.name, "off", reason) for domain in meter.domains]


def _process_share(options: MeterOptions) -> ProcessShare | None:
    if options.scope == "machine":
        return None
    try:
        return ProcessShare()
    except (OSError, ValueError) as error:
        raise MeterError(
            f"the scope `process` needs the CPU times in /proc/stat, which cannot be read ({error}): meter with "
            "--energy-scope machine."
        ) from error


def _wanted(name: str, options: MeterOptions) -> bool:
    if name in options.names:
        return True
    # Naming pyrapl chooses the reader of the same counters: `auto` then leaves them to it.
    return "auto" in options.names and name != "pyrapl" and not (name == "rapl" and "pyrapl" in options.names)


def _check(options: MeterOptions, *, with_further: bool) -> None:
    if not options.names:
        raise UsageError(f"no meter is named: choose among {', '.join(meter_names())}.")
    for name in options.names:
        is_known = name in ("auto", *_METERS) or (name.startswith(_REPLAY) and name != _REPLAY)
        if not is_known and not with_further:  # else the further ones may hold it
            raise UsageError(f"there is no meter {name!r}: choose among {', '.join(meter_names())}.")
    if len(set(options.names)) > 1 and any(name.startswith(_REPLAY) for name in options.names):
        raise UsageError("replay:FILE answers every window from its file: name it alone, without other meters.")
    if {"rapl", "pyrapl"} <= set(options.names):
        raise UsageError("rapl and pyrapl read the same counters: name one of them.")
    if "estimate" in options.names and not options.estimate:
        raise UsageError("the meter 'estimate' is named and switched off at once: drop one of the two.")
    if options.scope not in get_args(Scope):
        raise UsageError(f"there is no scope {options.scope!r}: choose machine or process.")
    tdp_w = options.cpu_tdp_w
    if tdp_w is not None and not (math.isfinite(tdp_w) and tdp_w > 0):
        raise UsageError(f"the CPU's rated power must be above 0 W, not {tdp_w:g}.")


def _refusal(name: str, diagnoses: tuple[Diagnosis, ...]) -> str:
    said = [f"{d.device}: {d.reason}{f' ({d.remedy})' if d.remedy else ''}" for d in diagnoses if d.state != "ok"]
    return f"the meter {name!r} cannot be opened. {'; '.join(dict.fromkeys(said))}."

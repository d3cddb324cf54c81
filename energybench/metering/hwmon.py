"""hwmon: energy counters and power sensors of boards and servers, in Linux's tree /sys/class/hwmon.

What a sensor is, is decided by a table of known chips (`hwmon_chips`); any other is named and not read. Energy counters
are unwrapped like every counter. Power is sampled by the heartbeat and integrated by the trapezoid rule; every reading
samples too, so the integral reaches both edges of a window.

Tested on fake trees only; not run on hardware. AMD and Intel GPUs are read whether or not this process may use them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from energybench.metering.counter import Counter, Reading, SysfsRegister
from energybench.metering.hwmon_chips import (
    HWMON_VARIABLE,
    SAMPLE_PERIOD_S,
    SYSTEM_ROOT,
    Chip,
    Sensor,
    find_chips,
    find_sensors,
    hwmon_root,
    unknown_labels,
)
from energybench.metering.integral import PowerIntegral
from energybench.metering.meter import Diagnosis, MeterOptions, Opened, Resolution
from energybench.metering.mirrored import mirrors
from energybench.metering.tick import measure_tick_s
from energybench.metering.window import cpu_model
from energybench.model import Domain, Provenance

_UNIT = 1e-6  # microjoules, microwatts, millivolts times milliamperes
_WATCH_S = 0.05
_COUNTER_BEAT_S = 30.0
"""How often energy counters are read at the latest.

The kernel keeps 64 bits, but only while somebody reads: i915 and xe see one wrap-around of 2^32 x 2^-14 J between two
reads, and amd_energy shows 2^32 x 2^-16 J = 65 kJ, without more, on processors whose register it takes for 64 bits. The
fall is then seen, and its window marked, up to 2 kW.
"""
_CONDITIONS = (
    ("temp1_input", "temperature_c", 1e-3),
    ("freq1_input", "graphics_clock_mhz", 1e-6),
    ("power1_cap", "power_limit_w", 1e-6),
)


@dataclass(frozen=True, slots=True)
class _Source:
    sensor: Sensor
    registers: tuple[SysfsRegister, ...]
    value: Counter | PowerIntegral

    def close(self) -> None:
        for register in self.registers:
            register.close()


class Hwmon:
    """The meter `hwmon`: one domain per sensor, one kept descriptor per file."""

    name = "hwmon"

    def __init__(self, sources: Sequence[_Source]) -> None:
        self._sources = {source.sensor.domain: source for source in sources}
        self.domains = tuple(_domain(source) for source in sources)
        self.resolution = {name: _resolution(source.sensor) for name, source in self._sources.items()}
        beats = (
            _COUNTER_BEAT_S if isinstance(source.value, Counter) else max(SAMPLE_PERIOD_S, source.sensor.period_s)
            for source in sources
        )
        self.heartbeat_s: float | None = min(beats, default=None)

    def read(self) -> dict[str, Reading]:
        """One pread per file: a look at every counter, a sample of every power sensor."""
        return {name: source.value.read() for name, source in self._sources.items()}

    def calibrate(self) -> None:
        """Watch the energy counters for 50 ms in all; one that moves too rarely keeps its documented period."""
        counters = {name: s.value for name, s in self._sources.items() if isinstance(s.value, Counter)}
        for name, counter in counters.items():
            tick_s = measure_tick_s(counter.read_raw, _WATCH_S / len(counters))
            if tick_s is not None:
                self.resolution[name] = self.resolution[name]._replace(period_s=tick_s)
                self.domains = tuple(replace(d, tick_s=tick_s) if d.name == name else d for d in self.domains)

    def conditions(self) -> dict[str, float]:
        """Temperature (degrees C), clock (MHz) and power limit (W) of every GPU that tells."""
        found: dict[str, float] = {}
        for name, chip in self._gpus():
            for file, key, scale in _CONDITIONS:
                try:
                    found[f"{name}_{key}"] = int(chip.text(file)) * scale
                except ValueError:
                    continue
        return found

    def comparability(self) -> dict[str, Any]:
        """Kind and power limit of each AMD and Intel GPU, in order."""
        limits = self.conditions()
        gpus = [
            {"name": _kind(chip), "power_limit_w": limits.get(f"{name}_power_limit_w")} for name, chip in self._gpus()
        ]
        return {"hwmon_gpus": gpus} if gpus else {}

    def close(self) -> None:
        for source in self._sources.values():
            source.close()

    def _gpus(self) -> Iterable[tuple[str, Chip]]:
        return ((name, s.sensor.chip) for name, s in self._sources.items() if name.startswith("gpu:"))


def open_meter(options: MeterOptions, covered: frozenset[str] = frozenset()) -> Opened:
    """Open every sensor of a known chip; one that cannot be read is a diagnosis and leaves the others.

    Where there is no sensor, nothing is said of it, unless the meter was asked for by name.
    """
    root = hwmon_root(options)
    chips = find_chips(root)
    sources: dict[str, _Source] = {}
    diagnoses: list[Diagnosis] = []
    for sensor in find_sensors(chips):
        found = _shadow(sensor, covered, sources)
        if found is None:
            source, found = _open(_in_context(sensor, covered))
            if source is not None:
                sources[sensor.domain] = source
        diagnoses.append(found)
    for domain, of in _mirrored(sources).items():
        sources.pop(domain).close()
        reason = f"repeats {of}: their steps agreed within 0.1 % over at least 5 J, twice"
        repeated = (domain, "ok")
        diagnoses = [
            replace(d, state="shadowed", reason=reason) if (d.device, d.state) == repeated else d for d in diagnoses
        ]
    diagnoses.extend(_unknown(chip, labels) for chip in chips if (labels := unknown_labels(chip)))
    if not sources:
        if not diagnoses and "hwmon" in options.names:
            reason = f"no energy or power sensor under {root}" if root.is_dir() else f"{root} is not a folder"
            remedy = "" if root == SYSTEM_ROOT else f"{HWMON_VARIABLE} names a folder that holds hwmon0"
            diagnoses.append(Diagnosis("hwmon", "sensors", "absent", reason, remedy))
        return Opened(None, tuple(diagnoses))
    held = (source.sensor.row.holds for source in sources.values() if source.sensor.in_total)
    return Opened(Hwmon(tuple(sources.values())), tuple(diagnoses), frozenset().union(*held))


def _shadow(sensor: Sensor, covered: frozenset[str], sources: dict[str, _Source]) -> Diagnosis | None:
    """Not None where a better meter, or an earlier sensor, reads the domain already. Dies are parts of a package."""
    if sensor.domain in sources:
        first = sources[sensor.domain].sensor
        reason = f"{_place(sensor)} shows what is read through {_place(first)}"
    elif any(name == sensor.domain or name.startswith(f"{sensor.domain}-die-") for name in covered):
        reason = f"another meter reads it; {_place(sensor)} is left alone"
    else:
        return None
    return Diagnosis("hwmon", sensor.domain, "shadowed", reason, facts=_facts(sensor))


def _in_context(sensor: Sensor, covered: frozenset[str]) -> Sensor:
    """`sensor`, out of the total where another meter's total has a part of its energy already."""
    kind = sensor.domain.partition(":")[0]
    kinds = {name.partition(":")[0] for name in covered}
    if not sensor.in_total:
        return sensor
    if kind in ("package", "sysio") and "package" in covered:
        reason = "not added: a GPU's counter spans the whole module"
    elif kind in covered or sensor.row.holds & kinds:
        reason = f"not added: other meters read {', '.join(sorted(sensor.row.holds & kinds | {kind} & covered))} in it"
    else:
        return sensor
    return replace(sensor, in_total=False, note=f"{sensor.note}; {reason}" if sensor.note else reason)


def _open(sensor: Sensor) -> tuple[_Source | None, Diagnosis]:
    registers: list[SysfsRegister] = []
    path = sensor.files[0]
    try:
        for path in sensor.files:
            registers.append(SysfsRegister(path))
    except OSError as error:
        for register in registers:
            register.close()
        if isinstance(error, PermissionError):
            reason = f"{path} is not readable for this user"
            remedy = _permission_remedy(sensor)
            return None, Diagnosis("hwmon", sensor.domain, "no-permission", reason, remedy, _facts(sensor))
        return None, _failure(sensor, error.strerror or str(error))
    source = _Source(sensor, tuple(registers), _value(sensor, registers))
    first = source.value.read()
    if first.joules is None:
        source.close()
        return None, _failure(sensor, first.trouble)
    how = "energy counter" if sensor.row.kind == "energy" else "integrated power"
    return source, Diagnosis("hwmon", sensor.domain, "ok", f"{how} {_place(sensor)}", facts=_facts(sensor))


def _value(sensor: Sensor, registers: Sequence[SysfsRegister]) -> Counter | PowerIntegral:
    if sensor.row.kind == "energy":
        return Counter(registers[0], _UNIT, tick_s=sensor.period_s, alive=registers[0].alive)
    return PowerIntegral(_watts(registers))


def _watts(registers: Sequence[SysfsRegister]) -> Callable[[], float]:
    def read() -> float:
        value = _UNIT
        for register in registers:
            register.alive()  # a file that is gone would be sampled for ever: unlike a counter, power may stand still
            value *= register()
        return value

    return read


def _mirrored(sources: dict[str, _Source]) -> dict[str, str]:
    """AMD's drivers read one CPU of each NUMA node: where a socket has several, its counter appears several times."""
    counters = {
        name: (source.registers[0], None)
        for name, source in sources.items()
        if source.sensor.row.kind == "energy" and name.startswith("package:")
    }
    return mirrors(counters, _UNIT) if len(counters) > 1 else {}


def _domain(source: _Source) -> Domain:
    sensor = source.sensor
    on_cpu = sensor.domain.startswith(("package:", "core:", "sysio:"))
    return Domain(
        sensor.domain,
        Hwmon.name,
        Provenance.MEASURED if isinstance(source.value, Counter) else Provenance.INTEGRATED,
        in_total=sensor.in_total,
        gain_rel=sensor.gain_rel,
        device=cpu_model() if on_cpu else f"{_kind(sensor.chip)} at {sensor.chip.slot}",
        note=sensor.note or f"through {_place(sensor)}",
    )


def _resolution(sensor: Sensor) -> Resolution:
    step_j = sensor.row.step if sensor.row.kind == "energy" else sensor.row.step * sensor.period_s
    return Resolution(step_j, sensor.period_s)


def _kind(chip: Chip) -> str:
    return f"{chip.name} {chip.pci_id}" if chip.pci_id else chip.name


def _place(sensor: Sensor) -> str:
    label = f" ({sensor.label})" if sensor.label else ""
    names = " x ".join(file.name for file in sensor.files)
    return f"{names}{label} of {sensor.chip.path.name}, {sensor.chip.name}"


def _facts(sensor: Sensor) -> dict[str, Any]:
    return {"chip": sensor.chip.name, "file": str(sensor.files[0])}


def _failure(sensor: Sensor, reason: str) -> Diagnosis:
    text = f"{' or '.join(str(file) for file in sensor.files)} cannot be read: {reason}"
    return Diagnosis("hwmon", sensor.domain, "driver-error", text, facts=_facts(sensor))


def _permission_remedy(sensor: Sensor) -> str:
    files = " ".join(str(file) for file in sensor.files)
    below = " ".join(f"/sys%p/{file.relative_to(sensor.chip.path)}" for file in sensor.files)
    return (
        f"sudo chmod a+r {files} (until the next start); for good, a file in /etc/udev/rules.d with the line "
        f'SUBSYSTEM=="hwmon", ATTR{{name}}=="{sensor.chip.name}", RUN+="/bin/chmod a+r {below}"'
    )


def _unknown(chip: Chip, labels: tuple[str, ...]) -> Diagnosis:
    shown = ", ".join(labels[:4]) + (f" and {len(labels) - 4} more" if len(labels) > 4 else "")
    reason = f"what the sensors of the chip {chip.name!r} stand for is not known ({shown}): they are not read"
    return Diagnosis("hwmon", chip.name, "unsupported", reason, facts={"chip": chip.name, "file": str(chip.path)})

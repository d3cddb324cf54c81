"""Which sensors of Linux's hwmon tree stand for which energy: a table of known chips, and the walk that applies it.

A sensor whose meaning is not known is not read: what it shows may contain, or lie inside, what another one counts.
The labels and meanings are those of the kernel's drivers and of the makers' documents named beside each row; nothing
here was run on hardware.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from energybench.metering.meter import MeterOptions
from energybench.metering.sysfs import entries_of, text_of

HWMON_VARIABLE = "ENERGYBENCH_HWMON_ROOT"
SYSTEM_ROOT = Path("/sys/class/hwmon")
SAMPLE_PERIOD_S = 0.1
"""How often power is sampled, where a sensor does not average over longer than that."""

_HWMON = re.compile(r"hwmon(\d+)")
_CHANNEL = {
    "energy": re.compile(r"energy(\d+)_input"),
    "power": re.compile(r"power(\d+)_(?:average|input)"),
    "shunt": re.compile(r"in([123])_input"),
}
_COUNTER_GAIN = 0.05  # the counters are RAPL's, or their like in a GPU: as there
_SHUNT_GAIN = 0.05  # the INA3221 itself is better than 1 % (TI, SBOS576); its resistors are not documented: assumed
_POWER_GAIN = 0.1  # no figure is documented: our assumption


@dataclass(frozen=True, slots=True)
class Chip:
    """One folder hwmonN."""

    path: Path
    name: str
    """what its file `name` says"""
    files: Mapping[str, Path]
    """its own files and, below them, its device's: older drivers, and ACPI's power meter, keep the sensors there"""

    def text(self, file: str) -> str:
        """What `file` holds, stripped; empty where there is none, or it cannot be read."""
        return text_of(self.files[file]) if file in self.files else ""

    @property
    def slot(self) -> str:
        """Name of the device that it belongs to, such as its PCI address; the folder's name where there is none."""
        link = self.path / "device"
        return link.resolve().name if link.is_symlink() else self.path.name

    @property
    def pci_id(self) -> str:
        """`0x1002:0x744c`, vendor and device; empty where its device is not on PCI."""
        vendor, device = self.text("vendor"), text_of(self.path / "device" / "device")
        return f"{vendor}:{device}" if vendor and device else ""


@dataclass(frozen=True, slots=True)
class Row:
    """What the sensors of a chip with a certain label are."""

    kind: Literal["energy", "power", "shunt"]
    """an energy counter, a power sensor, or voltage times current"""
    label: str
    """regular expression for the whole label; a group in it is the sensor's number"""
    domain: str
    """`package:{}`; where the label has no number, chips with such a sensor are counted from 0"""
    in_total: bool = True
    note: str = ""
    holds: frozenset[str] = frozenset()
    """kinds of energy in it beside its own"""
    gain_rel: float = _POWER_GAIN
    step: float = 1e-3
    """smallest step, in joules or watts; most power sensors work in milliwatts"""
    period_s: float = SAMPLE_PERIOD_S
    """time between two updates, where the chip does not state one"""
    files: tuple[str, ...] = ("average", "input")
    """which file of a power sensor, best first"""
    when: Callable[[Chip], bool] | None = None


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor of a known chip."""

    domain: str
    chip: Chip
    row: Row
    files: tuple[Path, ...]
    """one file, or voltage and current"""
    label: str
    period_s: float
    gain_rel: float
    in_total: bool
    note: str


def _is_apu(chip: Chip) -> bool:
    """Only processors with a GPU have the voltage `vddnb`, save the MI300A, which is known by its PCI id."""
    return chip.text("in1_label") == "vddnb" or chip.pci_id == "0x1002:0x74a0"


def _amd(period_s: float) -> Row:
    # A register of 32 bits in units of 2^-16 J, updated every millisecond (Documentation/hwmon/amd_energy.rst).
    return Row("energy", r"Esocket(\d+)", "package:{}", gain_rel=_COUNTER_GAIN, step=2**-16, period_s=period_s)


def _intel(label: str) -> Row:
    # Units of 2^-14 J (i915_hwmon.c, xe_hwmon.c). The kernel states no update period: the longest of GPUs is assumed.
    return Row("energy", label, "gpu:intel{}", gain_rel=_COUNTER_GAIN, step=2**-14)


_PPT = r"(?:PPT|slowPPT|)"  # fastPPT is the same power over a shorter mean; older kernels have no label
_GRACE = r" Power Socket (\d+)"
_SHUNT_W = 0.04  # 40 uV over the 5 mOhm of a Jetson's input, at 5 V
_JETSON = frozenset({"package", "dram", "gpu"})

# Labels that no row takes are left out silently: they lie inside what is read (Ecore of amd_energy).
KNOWN: Mapping[str, tuple[Row, ...]] = {
    "amd_energy": (_amd(1e-3),),
    # For everybody to read, hence meant to be refreshed at a random moment within a second only.
    "zenergy": (_amd(1.0),),
    # Documentation/hwmon/acpi_power_meter.rst; the texts: NVIDIA Grace Performance Tuning Guide, "Power Telemetry".
    # The Grace socket draws far more than its two rails together: its memory and its regulators are in it.
    "power_meter": (
        Row("power", "Grace" + _GRACE, "package:{}", holds=frozenset({"dram"}), note="with its memory"),
        Row("power", "CPU" + _GRACE, "core:{}", in_total=False, note="the cores' rail; inside the package"),
        Row("power", "SysIO" + _GRACE, "sysio:{}", in_total=False, note="the rest of the chip; inside the package"),
        Row("power", "Module" + _GRACE, "module:{}", in_total=False, note="contains the package and its GPU, if any"),
        Row("power", r".*", "platform:{}", in_total=False, note="as a rule the whole server; contains all other"),
    ),
    # drivers/hwmon/xgene-hwmon.c, for X-Gene and Ampere Altra: "CPU total power" and "IO total power" come from a
    # register each, of the processor modules and of the rest of the chip. Altra at rest shows 15 W and 31 W (Ampere's
    # kernel wiki, "hwmon drivers"): CPU does not contain IO, so the chip draws both, and both are added.
    "apm_xgene": (
        Row("power", "CPU power", "package:{}", note="the cores' rail; the rest of the chip is sysio"),
        Row("power", "IO power", "sysio:{}", note="the chip beside its cores"),
    ),
    # Documentation/hwmon/fam15h_power.rst. Never power1_average: reading that sleeps for its interval.
    "fam15h_power": (Row("power", r".*", "package:{}", files=("input",)),),
    # Documentation/gpu/amdgpu/thermal.rst: power of the chip or board, "on APUs this includes the CPU".
    "amdgpu": (
        Row("power", _PPT, "gpu:amd{}", in_total=False, note="a processor's GPU: contains the CPU", when=_is_apu),
        Row("power", _PPT, "gpu:amd{}"),
    ),
    # Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon and -xe-hwmon: discrete GPUs only; i915_gtN is a part of
    # one. Where xe shows both, `card` contains `pkg`.
    "i915": (_intel(r".*"),),
    **{f"i915_gt{tile}": () for tile in range(4)},
    "xe": (_intel("card"), _intel("pkg"), _intel("")),
    # Documentation/hwmon/ina3221.rst; the rails: NVIDIA Jetson Linux Developer Guide (NC: not connected).
    "ina3221": (
        Row("shunt", "VDD_IN", "module:0", note="the whole module", holds=_JETSON, gain_rel=_SHUNT_GAIN, step=_SHUNT_W),
        Row(
            "shunt",
            r"(?!NC$)(\w.*)",
            "rail:{}",
            in_total=False,
            note="a rail; inside the module",
            gain_rel=_SHUNT_GAIN,
            step=_SHUNT_W,
        ),
    ),
}


def hwmon_root(options: MeterOptions) -> Path:
    """The folder that stands for /sys/class/hwmon."""
    return options.hwmon_root or Path(os.environ.get(HWMON_VARIABLE) or SYSTEM_ROOT)


def find_chips(root: Path) -> list[Chip]:
    """Every chip with a name, by its device's address where it has one: hwmon's numbers change from start to start."""
    folders = [(int(match[1]), path) for path in entries_of(root) if (match := _HWMON.fullmatch(path.name))]
    chips: list[Chip] = []
    for _, path in sorted(folders):
        files = {file.name: file for folder in (path / "device", path) for file in entries_of(folder)}
        name = text_of(files["name"]) if "name" in files else ""
        if name:
            chips.append(Chip(path, name, files))
    return sorted(chips, key=lambda chip: chip.slot if chip.slot != chip.path.name else "")


def find_sensors(chips: Iterable[Chip]) -> list[Sensor]:
    """The sensors of known chips; two may ask for one domain, and then the first should have it."""
    found: list[Sensor] = []
    counted: dict[str, list[Chip]] = {}
    for chip in chips:
        taken: set[str] = set()
        names: set[str] = set()
        for row in KNOWN.get(chip.name, ()):
            if row.when is not None and not row.when(chip):
                continue
            for channel, files, label in _channels(chip, row):
                match = re.fullmatch(row.label, label, re.IGNORECASE)
                if match is None or channel in taken:
                    continue
                taken.add(channel)
                if match.re.groups:
                    number = match[1].strip().lower().replace(" ", "_")
                else:
                    of_kind = counted.setdefault(row.domain, [])
                    if chip not in of_kind:
                        of_kind.append(chip)
                    number = str(of_kind.index(chip))
                name = row.domain.format(number)
                if name not in names:  # a chip's further sensors of the same energy lie inside the first
                    names.add(name)
                    found.append(_sensor(name, chip, row, channel, files, label))
    return found


def unknown_labels(chip: Chip) -> tuple[str, ...]:
    """Labels of the energy and power sensors of a chip that the table does not know; the file where there is none."""
    if chip.name in KNOWN:
        return ()
    rows = (Row("energy", "", ""), Row("power", "", ""))
    return tuple(label or files[0].name for row in rows for _, files, label in _channels(chip, row))


def _channels(chip: Chip, row: Row) -> Iterator[tuple[str, tuple[Path, ...], str]]:
    """(number, files, label) of every channel that has the files which `row` needs."""
    matches = [match for name in chip.files if (match := _CHANNEL[row.kind].fullmatch(name))]
    for channel in sorted({match[1] for match in matches}, key=int):
        if row.kind == "shunt":
            names = [f"in{channel}_input", f"curr{channel}_input"]
            label = chip.text(f"in{channel}_label")
            if chip.text(f"in{channel}_enable") == "0":
                continue
        elif row.kind == "energy":
            names = [f"energy{channel}_input"]
            label = chip.text(f"energy{channel}_label")
        else:
            names = [name for of in row.files if (name := f"power{channel}_{of}") in chip.files][:1]
            label = chip.text(f"power{channel}_label") or chip.text(f"power{channel}_oem_info")
        if names and all(name in chip.files for name in names):
            yield channel, tuple(chip.files[name] for name in names), label


def _sensor(name: str, chip: Chip, row: Row, channel: str, files: tuple[Path, ...], label: str) -> Sensor:
    averaged = files[0].name.endswith("_average")
    stated_ms = _number(chip.text(f"power{channel}_average_interval" if averaged else "update_interval"))
    period_s = row.period_s if row.kind == "energy" else max(row.period_s, (stated_ms or 0.0) / 1000)
    note = f"{row.note} ({label!r})" if row.domain.startswith("platform") and label else row.note
    return Sensor(name, chip, row, files, label, period_s, _gain_rel(chip, row, channel), row.in_total, note)


def _gain_rel(chip: Chip, row: Row, channel: str) -> float:
    """ACPI's power meters may state their accuracy, such as `98.0%`; firmware that claims 100 % is not believed."""
    stated = _number(chip.text(f"power{channel}_accuracy").removesuffix("%")) if row.kind == "power" else None
    return round(1 - stated / 100, 6) if stated is not None and 0 < stated < 100 else row.gain_rel


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

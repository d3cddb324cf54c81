"""Which AMD GPUs `amdsmi` lists, which of them this process may use, and which of them share one power sensor.

`amdsmi` is handed in by whoever opened it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from energybench.metering.hwmon_chips import Sensor
from energybench.metering.visible import Problem

_MI300A = "0x74a0"
_TWO_DIES = ("0x7408", "0x740c")  # Instinct MI250X and MI250 in the PCI ID database
_UUID = re.compile(r"GPU-[0-9A-F]{1,16}", re.IGNORECASE)
_ROCR = "ROCR_VISIBLE_DEVICES"
_HIP = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One processor as amdsmi lists it: a card, one of a card's two dies, or a partition of a card."""

    handle: Any
    name: str
    number: int
    """its place in amdsmi's list"""
    address: str
    """on PCI, such as `0000:c1:00.0`; `processor N` where it is not told"""
    uuid: str = ""
    """`GPU-` and 16 digits, as ROCR_VISIBLE_DEVICES takes it; empty where the GPU has none"""
    hip_index: int | None = None
    """its place among all GPUs in HIP's order; None where it is not told"""
    device_id: str = ""
    """on PCI, such as `0x74a1`"""
    architecture: str = ""
    """such as `gfx942`"""

    @property
    def label(self) -> str:
        """Its kind, and what tells it from every other GPU of its host."""
        return f"{self.name} ({self.uuid or self.address})"

    @property
    def counter_modulus(self) -> int | None:
        """What its energy counter wraps around at; None where it has 64 bits.

        `uint32_t EnergyAccumulator` in what RDNA's firmware tells (the kernel's smu11_driver_if_sienna_cichlid.h,
        smu13_driver_if_v13_0_0.h); CDNA's has 64 bits. gfx10 to gfx12 are RDNA.
        """
        return 2**32 if re.match(r"gfx1[0-2]\d\d", self.architecture) else None


@dataclass(frozen=True, slots=True)
class Card:
    """GPUs whose power one sensor tells."""

    domain: str
    """`gpu:amdN`, the name that the meter hwmon has for it"""
    teller: Gpu
    """the one that tells"""
    gpus: tuple[Gpu, ...]
    names: frozenset[str]
    """every name that hwmon may have for it: a silent second die has one of its own there"""
    is_apu: bool = False

    @property
    def has_memory_inside(self) -> bool:
        """Whether the memory of the CPU lies in it too."""
        return self.teller.device_id == _MI300A

    @property
    def note(self) -> str:
        """What it is beside one GPU; empty where it is just that."""
        if len(self.gpus) == 1:
            return ""
        return "the whole card, not the partition" if _one_slot(*self.gpus[:2]) else "the whole card with both its dies"


def find_gpus(amdsmi: Any) -> list[Gpu]:
    """Every AMD GPU, in HIP's order as far as that is told. Raises AmdSmiException where they cannot be listed."""
    gpus = [_gpu(amdsmi, handle, number) for number, handle in enumerate(amdsmi.amdsmi_get_processor_handles())]
    uuids = [gpu.uuid for gpu in gpus]
    gpus = [replace(gpu, uuid="") if uuids.count(gpu.uuid) > 1 else gpu for gpu in gpus]
    # HIP numbers GPUs as the kernel's compute driver does, not by address; packages before ROCm 6.4 do not tell it.
    told = {gpu.hip_index for gpu in gpus} - {None}
    return sorted(gpus, key=lambda gpu: gpu.hip_index or 0) if len(told) == len(gpus) else gpus


def _gpu(amdsmi: Any, handle: Any, number: int) -> Gpu:
    def ask(question: str, absent: Any) -> Any:
        try:
            return getattr(amdsmi, question)(handle)
        except (AttributeError, ValueError, amdsmi.AmdSmiException):
            return absent

    asic = {key: "" if value == "N/A" else value for key, value in ask("amdsmi_get_gpu_asic_info", {}).items()}
    device_id = str(asic.get("device_id", ""))
    serial = str(asic.get("asic_serial", "")).removeprefix("0x").lower()
    hip_index = ask("amdsmi_get_gpu_enumeration_info", {}).get("hip_id")
    return Gpu(
        handle,
        asic.get("market_name") or " ".join(("AMD GPU", device_id)).strip(),
        number,
        ask("amdsmi_get_gpu_device_bdf", f"processor {number}").lower(),
        # 0 stands for a GPU without a number of its own.
        f"GPU-{serial}" if re.fullmatch(r"[0-9a-f]{16}", serial) and serial.strip("0") else "",
        hip_index if isinstance(hip_index, int) else None,
        device_id,
        str(asic.get("target_graphics_version", "")),
    )


def find_cards(gpus: Iterable[Gpu], tells: Callable[[Gpu], bool], sensors: Iterable[Sensor]) -> list[Card]:
    """The cards that `gpus` make up, by PCI address; `tells`: whether a GPU answers with energy or power.

    - Partitions of one GPU (MI300) differ in the last digit of their address only, and repeat one sensor or are silent.
    - Of the two dies of an MI250 the first alone tells the card's power: the driver shows 0 for the second (Linux
      076f55a45e9e, "Only primary die supports power data"), newer libraries nothing
      (https://github.com/LLNL/variorum/issues/553). A first and a second die alternate in PCI order: 89, 0, 93, 0, 88,
      0, 88, 0 W were seen (https://github.com/ml-energy/zeus/pull/203).

    A card has the name that hwmon's `sensors` give the same address, and the next free number where they give none.
    """
    groups: list[list[Gpu]] = []
    for gpu in sorted(gpus, key=lambda gpu: gpu.address):
        last = groups[-1] if groups else []
        second_die = len(last) == 1 and gpu.device_id in _TWO_DIES and last[0].device_id == gpu.device_id
        if last and (_one_slot(last[0], gpu) or (second_die and tells(last[0]) and not tells(gpu))):
            last.append(gpu)
        else:
            groups.append([gpu])
    known = {sensor.chip.slot: sensor for sensor in sensors if sensor.chip.name == "amdgpu"}
    free = len({sensor.domain for sensor in known.values()})
    cards: list[Card] = []
    for group in groups:
        own = [known[gpu.address] for gpu in group if gpu.address in known]
        domain = own[0].domain if own else f"gpu:amd{free}"
        free += not own
        teller = next((gpu for gpu in group if tells(gpu)), group[0])
        is_apu = teller.device_id == _MI300A or any(not sensor.in_total for sensor in own)
        names = frozenset({domain, *(sensor.domain for sensor in own)})
        cards.append(Card(domain, teller, tuple(group), names, is_apu))
    return cards


def _one_slot(gpu: Gpu, other: Gpu) -> bool:
    slot, dot, _ = gpu.address.rpartition(".")
    return bool(dot) and slot == other.address.rpartition(".")[0]


def visible_gpus(
    gpus: Sequence[Gpu], environment: Mapping[str, str], local_rank: int | None = None
) -> tuple[list[Gpu], list[Problem]]:
    """Those of `gpus` (all, in HIP's order) that HIP shows to this process, in its order, and what was not followed.

    ROCR_VISIBLE_DEVICES comes first; of what it leaves HIP_VISIBLE_DEVICES chooses, or CUDA_VISIBLE_DEVICES where that
    is empty. Both take ordinals and beginnings of UUIDs and end at the first entry that names nothing, `-1` among
    them. An empty ROCR_VISIBLE_DEVICES shows no GPU, the others then count as not set; what comes again ends the first
    list and is skipped in the others (ROCR-Runtime, amd_filter_device.cpp; clr, rocdevice.cpp). With `local_rank`,
    only that rank's own GPU is kept, as in `visible_boards`.
    """
    shown = list(gpus)
    problems: list[Problem] = []
    if _ROCR in environment:
        shown, problems = _chosen(shown, _ROCR, environment[_ROCR], again_ends=True)
    variable = next((name for name in _HIP if environment.get(name)), None)
    if variable is not None and shown:
        shown, more = _chosen(shown, variable, environment[variable], again_ends=False)
        problems = [*problems, *more]
    if local_rank is None or len(shown) < 2:
        return shown, problems
    own = local_rank % len(shown)
    if local_rank >= len(shown):
        reason = (
            f"local rank {local_rank} is beyond the {len(shown)} visible AMD GPUs: it reads that of local rank {own}"
        )
        problems = [*problems, Problem("shared", reason)]
    return [shown[own]], problems


def _chosen(gpus: Sequence[Gpu], variable: str, text: str, *, again_ends: bool) -> tuple[list[Gpu], list[Problem]]:
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in text.split(",")):
        gpu = _named(gpus, entry)
        if gpu is None and entry not in ("", "-1"):
            reason = f"{variable} names {entry!r}, which is none of the {len(gpus)} AMD GPUs here"
            return chosen, [Problem("absent", reason)]
        if gpu is None or (again_ends and gpu in chosen):
            break
        if gpu not in chosen:
            chosen.append(gpu)
    return chosen, [] if chosen else [Problem("absent", f"{variable}={text!r} hides every AMD GPU")]


def _named(gpus: Sequence[Gpu], entry: str) -> Gpu | None:
    if re.fullmatch(r"\d+", entry):
        return gpus[int(entry)] if int(entry) < len(gpus) else None
    beginning = f"GPU-{entry[4:].lower()}" if _UUID.fullmatch(entry) else None
    fitting = [gpu for gpu in gpus if beginning is not None and gpu.uuid.startswith(beginning)]
    return fitting[0] if len(fitting) == 1 else None

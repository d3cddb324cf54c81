"""Questions to `amdsmi` about one GPU: its energy, its power, whether its counter counts, conditions and facts.

`amdsmi` is handed in by whoever opened it; what it raises is AmdSmiException, what leaves a reader here is OSError.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from energybench.metering.amdsmi_cards import Gpu

UNIT_J = 2**-16
"""What the kernel counts in ("15.259uJ (2^-16) units", smu_v13_0_6_ppt.c); the library rounds it to 15.3 uJ."""
_NOT_SUPPORTED = 2  # AMDSMI_STATUS_NOT_SUPPORTED
_ROUNDED_UJ = (15.2, 15.4)
_UNTOLD_W = 0xFFFF  # the driver's "not told" has 16 bits; the library hands on that, or 32 bits, or "N/A"
_TRIAL_S = 0.25
_FACTOR, _SLACK_W = 4.0, 10.0
"""How far counted and sensed power may be apart in a trial: the sensor tells a mean over a past that is not stated."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a GPU told at one moment."""

    when: float
    raw: int | None
    """its energy counter, in units of `unit_j`; None where it refused"""
    unit_j: float
    power_w: float | None
    energy_trouble: str
    power_trouble: str
    failed: bool
    """a refusal was no plain "not supported" """


@dataclass(frozen=True, slots=True)
class Trial:
    """Two looks at a GPU, a quarter of a second apart."""

    first: Look
    last: Look
    modulus: int | None = None

    @property
    def trouble(self) -> str:
        """Why the energy counter is not to be read; empty where it counts.

        It must move, and by what the power sensor tells, where that tells anything. An MI100's stands still until the
        machine is started anew (https://github.com/ROCm/amdsmi/issues/38), a second die's shows 0, and a newer
        Radeon's, which has none, 2^32 - 1.
        """
        if self.first.raw is None or self.last.raw is None:
            return self.last.energy_trouble or self.first.energy_trouble
        seconds = self.last.when - self.first.when
        step = self.last.raw - self.first.raw
        if step < 0 and self.modulus is not None:
            step += self.modulus
        counted_w = step * self.last.unit_j / seconds
        if counted_w == 0:
            return "it stands still"
        told_w = self.power_w
        low_w, high_w = told_w / _FACTOR - _SLACK_W, told_w * _FACTOR + _SLACK_W
        if counted_w > 0 and (told_w == 0 or low_w <= counted_w <= high_w):
            return ""
        return f"it counts {counted_w:.3g} W where the power sensor tells {told_w:.3g} W"

    @property
    def power_w(self) -> float:
        """The highest power told; 0 where none was."""
        return max(self.first.power_w or 0.0, self.last.power_w or 0.0)

    @property
    def tells(self) -> bool:
        """Whether there is something to read: a counter that stands still beside 0 W is nothing."""
        return not self.trouble or self.power_w > 0


def try_counters(amdsmi: Any, gpus: Iterable[Gpu]) -> list[Trial]:
    """Look twice at every GPU, at all of them in the same quarter of a second."""
    first = [(gpu, _look(amdsmi, gpu)) for gpu in gpus]
    if any(look.raw is not None for _, look in first):
        time.sleep(_TRIAL_S)
    return [Trial(look, _look(amdsmi, gpu), gpu.counter_modulus) for gpu, look in first]


def _look(amdsmi: Any, gpu: Gpu) -> Look:
    when = time.monotonic()
    raw, power_w, unit_j = None, None, UNIT_J
    energy_trouble = power_trouble = ""
    failed = False
    try:
        raw, unit_j = _energy(amdsmi, gpu)
    except amdsmi.AmdSmiException as error:
        energy_trouble, failed = said(error), error_code(error) != _NOT_SUPPORTED
    try:
        power_w = _power_w(amdsmi, gpu)
    except ValueError as error:
        power_trouble = str(error)
    except amdsmi.AmdSmiException as error:
        power_trouble, failed = said(error), failed or error_code(error) != _NOT_SUPPORTED
    return Look(when, raw, unit_j, power_w, energy_trouble, power_trouble, failed)


def energy_reader(amdsmi: Any, gpu: Gpu) -> Callable[[], int]:
    """A function that gives its energy counter. It raises OSError where amdsmi refuses."""

    def read() -> int:
        try:
            return _energy(amdsmi, gpu)[0]
        except amdsmi.AmdSmiException as error:
            raise OSError(said(error)) from error

    return read


def power_reader(amdsmi: Any, gpu: Gpu) -> Callable[[], float]:
    """A function that gives watts: the present ones (MI300 and later), else a mean. It raises OSError or ValueError."""

    def read_w() -> float:
        try:
            return _power_w(amdsmi, gpu)
        except amdsmi.AmdSmiException as error:
            raise OSError(said(error)) from error

    return read_w


def _energy(amdsmi: Any, gpu: Gpu) -> tuple[int, float]:
    """The counter and its unit in joules. Until ROCm 6.3 its name was `power`."""
    told = amdsmi.amdsmi_get_energy_count(gpu.handle)
    raw: int = told["energy_accumulator"] if "energy_accumulator" in told else told["power"]
    unit_uj: float = told["counter_resolution"]
    return raw, UNIT_J if _ROUNDED_UJ[0] < unit_uj < _ROUNDED_UJ[1] else unit_uj * 1e-6


def _power_w(amdsmi: Any, gpu: Gpu) -> float:
    told = amdsmi.amdsmi_get_power_info(gpu.handle)
    for key in ("current_socket_power", "average_socket_power"):
        watts = told.get(key)
        if isinstance(watts, int) and watts < _UNTOLD_W:
            return float(watts)
    raise ValueError("its power is not told")


def gpu_conditions(amdsmi: Any, gpu: Gpu) -> dict[str, float]:
    """Temperature (degrees C), graphics clock (MHz) and power limit (W); what is not told is absent."""
    # MI300 tells its hottest place only, older Radeons only the chip's edge; where both are told the hottest stands.
    now, kinds = amdsmi.AmdSmiTemperatureMetric.CURRENT, amdsmi.AmdSmiTemperatureType
    questions: tuple[tuple[str, Callable[[], Any], float], ...] = (
        ("temperature_c", lambda: amdsmi.amdsmi_get_temp_metric(gpu.handle, kinds.EDGE, now), 1),
        ("temperature_c", lambda: amdsmi.amdsmi_get_temp_metric(gpu.handle, kinds.HOTSPOT, now), 1),
        ("graphics_clock_mhz", lambda: amdsmi.amdsmi_get_clock_info(gpu.handle, amdsmi.AmdSmiClkType.GFX)["clk"], 1),
        ("power_limit_w", lambda: amdsmi.amdsmi_get_power_cap_info(gpu.handle)["power_cap"], 1e-6),
    )
    found: dict[str, float] = {}
    for key, ask, scale in questions:
        value = _answer(amdsmi, ask)
        if isinstance(value, int):
            found[key] = float(value) * scale
    return found


def gpu_facts(amdsmi: Any, gpu: Gpu) -> dict[str, Any]:
    """What the doctor tells of a GPU, JSON types only; what amdsmi refuses to tell is absent.

    `other_processes` are those that use the GPU now, without this one.
    """
    questions: Mapping[str, Callable[[], Any]] = {
        "driver_version": lambda: amdsmi.amdsmi_get_gpu_driver_info(gpu.handle)["driver_version"],
        "power_limit_w": lambda: gpu_conditions(amdsmi, gpu).get("power_limit_w"),
        "other_processes": lambda: [
            {"pid": process["pid"], "used_memory_mb": round(process["memory_usage"]["vram_mem"] / 1e6)}
            for process in amdsmi.amdsmi_get_gpu_process_list(gpu.handle)
            if process["pid"] != os.getpid()
        ],
    }
    told = {key: _answer(amdsmi, ask) for key, ask in questions.items()}
    facts = {"name": gpu.name, "uuid": gpu.uuid, "pci_address": gpu.address, **told}
    return {key: value for key, value in facts.items() if value is not None and value != ""}


def _answer(amdsmi: Any, ask: Callable[[], Any]) -> Any:
    try:
        value = ask()
    except (amdsmi.AmdSmiException, KeyError, ValueError):  # ValueError: its text was no UTF-8, or no number
        return None
    return None if value == "N/A" else value


def said(error: BaseException) -> str:
    """What amdsmi's exception says, in one line."""
    text = str(getattr(error, "err_info", error)) or type(error).__name__
    return " ".join(text.split())


def error_code(error: BaseException) -> int | None:
    """The value of amdsmi_status_t that amdsmi's exception carries."""
    code = getattr(error, "err_code", None)
    return code if isinstance(code, int) else None


def shut_down(amdsmi: Any) -> None:
    """Give the library back."""
    with contextlib.suppress(amdsmi.AmdSmiException):
        amdsmi.amdsmi_shut_down()

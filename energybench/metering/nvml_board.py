"""Questions to NVML about one board: its energy, power, module, conditions and facts.

`pynvml` is handed in by whoever opened it; what it raises is NVMLError, what leaves a reader here is OSError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from energybench.metering.visible import as_text

SCOPE_GPU = 0
"""NVML_POWER_SCOPE_GPU: the board"""
SCOPE_MODULE = 1
"""NVML_POWER_SCOPE_MODULE: a superchip with its CPU and memory"""
_SCOPE_OF_NOTHING = 255  # no driver knows it
_POWER_INSTANT = 186  # NVML_FI_DEV_POWER_INSTANT

_THROTTLE_WORDS = {
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "held to the clock of another GPU (sync boost)",
    0x020: "too hot (slowed by the driver)",
    0x040: "too hot (slowed by the hardware)",
    0x080: "external power brake",
    0x100: "display clock setting",
    0x200: "board limit",
    0x400: "reliability voltage",
}
_NO_LIMITS = 0x001 | 0x002  # idle, clocks that were set by the user
_KNOWN = _NO_LIMITS | sum(_THROTTLE_WORDS)


def energy_reader(pynvml: Any, handle: Any) -> Callable[[], int]:
    """A function that gives millijoules since the driver was loaded. It raises OSError where NVML refuses."""
    ask, refused = pynvml.nvmlDeviceGetTotalEnergyConsumption, pynvml.NVMLError

    def read_mj() -> int:
        try:
            millijoules: int = ask(handle)
        except refused as error:
            raise OSError(str(error)) from error
        return millijoules

    return read_mj


def power_reader(pynvml: Any, handle: Any, scope: int = SCOPE_GPU) -> Callable[[], float]:
    """A function that gives watts now. It raises OSError where NVML refuses.

    The instantaneous field where the board offers it; for a GPU without one the power that NVML averages over 1 s.
    """

    def instant() -> float:
        return _instant_mw(pynvml, handle, scope) / 1000

    def average() -> float:
        return int(pynvml.nvmlDeviceGetPowerUsage(handle)) / 1000

    ask = instant
    if scope == SCOPE_GPU:
        try:
            instant()
        except pynvml.NVMLError:
            ask = average

    def read_w() -> float:
        try:
            return ask()
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from error

    return read_w


def covers_module(pynvml: Any, handle: Any) -> bool:
    """Whether the board's energy counter holds a whole superchip: GPU, CPU and its memory.

    It does where NVML tells a module's power, as seen on Grace Hopper (https://github.com/ml-energy/zeus/pull/172).
    0 W is no answer, and a driver that answers for a scope that does not exist does not look at scopes: it told the
    GPU's power.
    """
    try:
        if _instant_mw(pynvml, handle, SCOPE_MODULE) == 0:
            return False
    except pynvml.NVMLError:
        return False
    try:
        _instant_mw(pynvml, handle, _SCOPE_OF_NOTHING)
    except pynvml.NVMLError:
        return True
    return False


def cpu_affinity(pynvml: Any, handle: Any) -> tuple[int, ...] | None:
    """The CPUs nearest to the board, 64 bits a number: equal for two GPUs of one superchip. None where untold."""
    try:
        return tuple(pynvml.nvmlDeviceGetCpuAffinity(handle, ((os.cpu_count() or 1) + 63) // 64))
    except pynvml.NVMLError:
        return None


def board_conditions(pynvml: Any, handle: Any) -> dict[str, float]:
    """Temperature (degrees C), SM clock (MHz), power limit (W) and the bit mask of what holds the clocks down now.

    What the board does not tell is absent.
    """
    questions: dict[str, Callable[[], float]] = {
        "temperature_c": lambda: float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
        "sm_clock_mhz": lambda: float(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
        "power_limit_w": lambda: float(pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / 1000,
        "throttle_reasons": lambda: float(_throttle_mask(pynvml, handle)),
    }
    return _answers(pynvml, questions)


def throttle_words(mask: float) -> list[str]:
    """What a mask of `throttle_reasons` says, one text per limit that slowed the GPU down; empty where none did.

    Idleness and clocks that the user set are no limits. The bits are nvmlClocksEventReasons of the NVML reference.
    """
    bits = int(mask)
    words = [word for bit, word in _THROTTLE_WORDS.items() if bits & bit]
    unknown = bits & ~_KNOWN
    return [*words, f"reason {unknown:#x}, unknown to this version"] if unknown else words


def board_facts(pynvml: Any, handle: Any) -> dict[str, Any]:
    """What the doctor tells of a board, JSON types only; what NVML refuses to tell is absent.

    `other_processes` are those that compute on the board now, without this one. In a container NVML gives the process
    numbers of the host, so this process may then be among them.
    """
    questions: dict[str, Callable[[], Any]] = {
        "name": lambda: as_text(pynvml.nvmlDeviceGetName(handle)),
        "uuid": lambda: as_text(pynvml.nvmlDeviceGetUUID(handle)),
        "driver_version": lambda: as_text(pynvml.nvmlSystemGetDriverVersion()),
        "persistence_mode": lambda: pynvml.nvmlDeviceGetPersistenceMode(handle) == pynvml.NVML_FEATURE_ENABLED,
        "power_limit_w": lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
        "default_power_limit_w": lambda: pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle) / 1000,
        "ecc": lambda: pynvml.nvmlDeviceGetEccMode(handle)[0] == pynvml.NVML_FEATURE_ENABLED,
        "mig": lambda: pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE,
        "other_processes": lambda: _other_processes(pynvml, handle),
    }
    return _answers(pynvml, questions)


def _answers(pynvml: Any, questions: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, ask in questions.items():
        try:
            found[key] = ask()
        except pynvml.NVMLError:
            continue
    return found


def _instant_mw(pynvml: Any, handle: Any, scope: int) -> int:
    value = pynvml.nvmlDeviceGetFieldValues(handle, [(_POWER_INSTANT, scope)])[0]
    if value.nvmlReturn != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(value.nvmlReturn)
    return int(value.value.uiVal)


def _throttle_mask(pynvml: Any, handle: Any) -> int:
    # The second is the first one's name before driver 535; bindings will drop it some day.
    for name in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
        ask = getattr(pynvml, name, None)
        try:
            if ask is not None:
                return int(ask(handle))
        except pynvml.NVMLError_FunctionNotFound:
            continue
    raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)


def _other_processes(pynvml: Any, handle: Any) -> list[dict[str, int | None]]:
    # By its version: where the driver is too old, the unversioned function raises what is no NVMLError.
    own, ask = os.getpid(), pynvml.nvmlDeviceGetComputeRunningProcesses_v3
    return [
        {
            "pid": process.pid,
            "used_memory_mb": None if process.usedGpuMemory is None else round(process.usedGpuMemory / 1e6),
        }
        for process in ask(handle)
        if process.pid != own
    ]

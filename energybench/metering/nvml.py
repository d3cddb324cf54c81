"""NVML: energy of NVIDIA GPUs through `pynvml` (package nvidia-ml-py), imported when the meter is opened.

The energy counter (millijoules since the driver was loaded) is tried, not guessed from the architecture. Where a GPU
has none, its power is sampled and integrated by the trapezoid rule; every reading samples too, so the integral reaches
both edges of a window. Only the GPUs that the process may use are read, in the order in which CUDA shows them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from energybench.metering.counter import Counter, Reading
from energybench.metering.meter import Diagnosis, MeterOptions, Opened, Resolution
from energybench.metering.visible import Board, visible_boards
from energybench.model import Domain, Provenance

_T = TypeVar("_T")
_UNIT_J = 1e-3
_COUNTER_PERIOD_S = 0.1  # data-centre GPUs tick about every 100 ms, others faster: the longest seen is assumed
_SAMPLE_PERIOD_S = 0.1
_GAIN_REL = 0.05
_POWER_STEP_W = 1e-3
_POWER_INSTANT = 186  # NVML_FI_DEV_POWER_INSTANT, which old versions of the binding do not name
_DRIVER_REMEDY = "load the NVIDIA driver; `nvidia-smi` must work for this user"
_NO_DRIVER_REMEDY = "where there is an NVIDIA GPU, install its driver or start the container with --gpus all"


class PowerIntegral:
    """Joules from power samples: the trapezoid between every two of them, whoever took them."""

    def __init__(self, read_w: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._read_w = read_w
        self._clock = clock
        self._lock = threading.Lock()
        self._last: tuple[float, float] | None = None
        self._joules = 0.0
        self._breaks = 0
        self._trouble = ""

    def read(self) -> Reading:
        """Take a sample now and integrate up to it. A failed sample breaks continuity: what was drawn is unknown."""
        with self._lock:
            try:
                power_w = self._read_w()
            except OSError as error:
                if self._last is not None:
                    self._last, self._trouble = None, f"a power sample failed: {error}"
                    self._breaks += 1
                return Reading(None, self._breaks, str(error))
            now = self._clock()
            if self._last is not None:
                when, last_w = self._last
                self._joules += (last_w + power_w) / 2 * (now - when)
            self._last = now, power_w
            return Reading(self._joules, self._breaks, self._trouble)


@dataclass(frozen=True, slots=True)
class _Gpu:
    board: Board
    source: Counter | PowerIntegral


class Nvml:
    """The meter `nvml`: one domain `gpu:N` per board."""

    name = "nvml"

    def __init__(self, pynvml: Any, gpus: Mapping[str, _Gpu]) -> None:
        self._pynvml = pynvml
        self._gpus = dict(gpus)
        integrals = {name for name, gpu in gpus.items() if isinstance(gpu.source, PowerIntegral)}
        self.domains = tuple(
            Domain(
                name,
                self.name,
                Provenance.INTEGRATED if name in integrals else Provenance.MEASURED,
                gain_rel=_GAIN_REL,
                device=f"{gpu.board.name} ({gpu.board.uuid})",
                note=gpu.board.note,
            )
            for name, gpu in gpus.items()
        )
        self.resolution = {
            name: Resolution(_POWER_STEP_W * _SAMPLE_PERIOD_S, _SAMPLE_PERIOD_S)
            if name in integrals
            else Resolution(_UNIT_J, _COUNTER_PERIOD_S)
            for name in gpus
        }
        self.heartbeat_s = _SAMPLE_PERIOD_S if integrals else None

    def read(self) -> dict[str, Reading]:
        """Every GPU's counter, or a power sample of one that has none."""
        return {name: gpu.source.read() for name, gpu in self._gpus.items()}

    def conditions(self) -> dict[str, float]:
        """Temperature (degrees C), SM clock (MHz) and power limit (W) of every GPU that tells."""
        found: dict[str, float] = {}
        for name, gpu in self._gpus.items():
            for key, ask in _questions(self._pynvml, gpu.board.handle).items():
                try:
                    found[f"{name}_{key}"] = ask()
                except self._pynvml.NVMLError:
                    continue
        return found

    def comparability(self) -> dict[str, Any]:
        """Name and power limit of each GPU, in order."""
        limits = self.conditions()
        return {
            "gpus": [
                {"name": gpu.board.name, "power_limit_w": limits.get(f"{name}_power_limit_w")}
                for name, gpu in self._gpus.items()
            ]
        }

    def close(self) -> None:
        _shut_down(self._pynvml)


def open_meter(options: MeterOptions, covered: frozenset[str] = frozenset()) -> Opened:
    """Open every GPU that this process may use; one that cannot be read is a diagnosis and leaves the others."""
    try:
        import pynvml
    except ImportError:
        return _refused("absent", "the package nvidia-ml-py is not installed", "pip install nvidia-ml-py")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return _no_library(pynvml, error)
    try:
        boards, problems = visible_boards(pynvml, os.environ.get("CUDA_VISIBLE_DEVICES"))
    except pynvml.NVMLError as error:
        _shut_down(pynvml)
        return _refused("driver-error", f"NVML cannot list the GPUs: {error}", _DRIVER_REMEDY)
    gpus: dict[str, _Gpu] = {}
    diagnoses = [Diagnosis("nvml", "gpu", "absent", problem) for problem in problems]
    for index, board in enumerate(boards):
        name = f"gpu:{index}"
        gpu, diagnosis = _open_gpu(pynvml, name, board)
        diagnoses.append(diagnosis)
        if gpu is not None:
            gpus[name] = gpu
    if gpus:
        return Opened(Nvml(pynvml, gpus), tuple(diagnoses))
    _shut_down(pynvml)
    if not diagnoses:
        diagnoses.append(Diagnosis("nvml", "gpu", "absent", "NVML shows no GPU"))
    return Opened(None, tuple(diagnoses))


def _questions(nvml: Any, handle: Any) -> dict[str, Callable[[], float]]:
    return {
        "temperature_c": lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        "sm_clock_mhz": lambda: float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
        "power_limit_w": lambda: float(nvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / 1000,
    }


def _open_gpu(pynvml: Any, name: str, board: Board) -> tuple[_Gpu | None, Diagnosis]:
    if board.handle is None:
        return None, Diagnosis("nvml", name, "driver-error", board.note)
    counter = Counter(_asking(pynvml, lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(board.handle)), _UNIT_J)
    device = f"{board.name} ({board.uuid})"
    first = counter.read()
    if first.joules is not None:
        return _Gpu(board, counter), Diagnosis("nvml", name, "ok", f"energy counter of {device}")
    integral = PowerIntegral(_power_reader(pynvml, board))
    second = integral.read()
    if second.joules is not None:
        reason = f"{device} has no energy counter ({first.trouble}): its power is integrated"
        return _Gpu(board, integral), Diagnosis("nvml", name, "ok", reason)
    reason = f"{device} tells neither energy ({first.trouble}) nor power ({second.trouble})"
    state = (
        "unsupported" if second.trouble == str(pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)) else "driver-error"
    )
    return None, Diagnosis("nvml", name, state, reason)


def _power_reader(pynvml: Any, board: Board) -> Callable[[], float]:
    """Watts now: the instantaneous field where the GPU offers it, else the power that NVML may average over 1 s."""

    def instant() -> float:
        value = pynvml.nvmlDeviceGetFieldValues(board.handle, [_POWER_INSTANT])[0]
        if value.nvmlReturn != pynvml.NVML_SUCCESS:
            raise pynvml.NVMLError(value.nvmlReturn)
        return int(value.value.uiVal) / 1000

    def average() -> float:
        return int(pynvml.nvmlDeviceGetPowerUsage(board.handle)) / 1000

    try:
        instant()
    except pynvml.NVMLError:
        return _asking(pynvml, average)
    return _asking(pynvml, instant)


def _asking(pynvml: Any, ask: Callable[[], _T]) -> Callable[[], _T]:
    def asked() -> _T:
        try:
            return ask()
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from error

    return asked


def _no_library(pynvml: Any, error: Exception) -> Opened:
    code = getattr(error, "value", None)
    if code == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return _refused("absent", "no NVIDIA driver: its library libnvidia-ml.so.1 is not found", _NO_DRIVER_REMEDY)
    if code == pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return _refused("driver-error", "the NVIDIA driver is not loaded", _DRIVER_REMEDY)
    if code == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        reason = "the NVIDIA library and the loaded driver have different versions"
        return _refused("driver-error", reason, "restart the machine, or reload the driver")
    if code == pynvml.NVML_ERROR_NO_PERMISSION:
        return _refused("no-permission", "this user may not talk to the NVIDIA driver", _DRIVER_REMEDY)
    return _refused("driver-error", f"NVML cannot be started: {error}", _DRIVER_REMEDY)


def _refused(state: str, reason: str, remedy: str = "") -> Opened:
    return Opened(None, (Diagnosis("nvml", "gpu", state, reason, remedy),))


def _shut_down(pynvml: Any) -> None:
    try:
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return

"""NVML: energy of NVIDIA GPUs through `pynvml` (package nvidia-ml-py), imported when the meter is opened.

The energy counter (millijoules since the driver was loaded) is tried, not guessed from the architecture. Where a GPU
has none, its power is sampled and integrated by the trapezoid rule; every reading samples too, so the integral reaches
both edges of a window. Only the GPUs that the process may use are read, in the order in which CUDA shows them; a rank
of a launcher reads its own alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from energybench.metering.counter import Counter, Reading
from energybench.metering.difference import CHECK_SUFFIX
from energybench.metering.integral import PowerIntegral
from energybench.metering.meter import Diagnosis, MeterOptions, Opened, Resolution
from energybench.metering.nvml_board import (
    SCOPE_GPU,
    SCOPE_MODULE,
    board_conditions,
    board_facts,
    covers_module,
    cpu_affinity,
    energy_reader,
    power_reader,
    throttle_words,
)
from energybench.metering.ranks import find_rank
from energybench.metering.tick import measure_tick_s
from energybench.metering.visible import Board, visible_boards
from energybench.model import Domain, Provenance

__all__ = ["Nvml", "open_meter", "throttle_words"]

_UNIT_J = 1e-3
_COUNTER_TICK_S = 0.1  # data-centre GPUs tick about every 100 ms, others faster: the longest seen is assumed
_WATCH_S, _WATCH_PAUSE_S = 1.5, 0.0005
_SAMPLE_PERIOD_S = 0.1
_GAIN_REL = 0.05
_POWER_STEP_W = 1e-3
_MODULE_NOTE = "the whole module: GPU, CPU and its memory"
_MODULE_COVERS = frozenset({"package", "dram"})
_DRIVER_REMEDY = "load the NVIDIA driver; `nvidia-smi` must work for this user"
_NO_LIBRARY = "no NVIDIA driver: its library libnvidia-ml.so.1 is not found"
_NO_DRIVER_REMEDY = "where there is an NVIDIA GPU, install its driver or start the container with --gpus all"
_PERSISTENCE_REMEDY = "sudo nvidia-smi -pm 1 (keeps the driver loaded, so that its energy counter is not reset)"


@dataclass(frozen=True, slots=True)
class _Sensor:
    domain: Domain
    board: Board
    source: Counter | PowerIntegral


class _Tried(NamedTuple):
    """What opening one board gave."""

    sensors: tuple[_Sensor, ...]
    diagnoses: tuple[Diagnosis, ...]
    module: bool = False
    """its counter holds the whole module"""


class Nvml:
    """The meter `nvml`: one domain `gpu:N` per board, and `gpu:N/integral` where its counter is to be checked."""

    name = "nvml"

    def __init__(self, pynvml: Any, sensors: Sequence[_Sensor]) -> None:
        self._pynvml = pynvml
        self._sensors = tuple(sensors)
        self._reads = [(sensor.domain.name, sensor.source.read) for sensor in sensors]
        self._boards = {f"gpu:{sensor.board.index}": sensor.board for sensor in sensors}
        self.domains = tuple(sensor.domain for sensor in sensors)
        self.resolution: Mapping[str, Resolution] = _resolution(self.domains)
        integrates = any(isinstance(sensor.source, PowerIntegral) for sensor in sensors)
        self.heartbeat_s = _SAMPLE_PERIOD_S if integrates else None

    def read(self) -> dict[str, Reading]:
        """Every GPU's counter, or a power sample of one that has none."""
        return {name: read() for name, read in self._reads}

    def calibrate(self) -> None:
        """Watch one energy counter per kind of board for up to 1.5 s: boards of one name tick alike.

        Where fewer than four ticks are seen, the documented 0.1 s stays.
        """
        seen: dict[str, float | None] = {}
        for sensor in self._sensors:
            if isinstance(sensor.source, Counter) and sensor.board.name not in seen:
                seen[sensor.board.name] = measure_tick_s(sensor.source.read_raw, _WATCH_S, _WATCH_PAUSE_S)
        self.domains = tuple(
            replace(sensor.domain, tick_s=tick_s)
            if isinstance(sensor.source, Counter) and (tick_s := seen[sensor.board.name]) is not None
            else sensor.domain
            for sensor in self._sensors
        )
        self.resolution = _resolution(self.domains)

    def conditions(self) -> dict[str, float]:
        """Temperature (degrees C), SM clock (MHz), power limit (W) and throttle reasons of every GPU that tells."""
        return {
            f"{name}_{key}": value
            for name, board in self._boards.items()
            for key, value in board_conditions(self._pynvml, board.handle).items()
        }

    def comparability(self) -> dict[str, Any]:
        """Name and power limit of each GPU, in order."""
        limits = self.conditions()
        return {
            "gpus": [
                {"name": board.name, "power_limit_w": limits.get(f"{name}_power_limit_w")}
                for name, board in self._boards.items()
            ]
        }

    def close(self) -> None:
        """Give the library back."""
        _shut_down(self._pynvml)


def open_meter(options: MeterOptions, covered: frozenset[str] = frozenset()) -> Opened:
    """Open every GPU that this process may use; one that cannot be read is a diagnosis and leaves the others.

    Raises UsageError where the environment's rank cannot be understood.
    """
    rank = find_rank(os.environ)
    if not _has_library():
        return _refused("absent", _NO_LIBRARY, _NO_DRIVER_REMEDY)
    try:
        import pynvml
    except ImportError:
        return _refused("absent", "the package nvidia-ml-py is not installed", "pip install nvidia-ml-py")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return _no_library(pynvml, error)
    try:
        boards, problems = visible_boards(
            pynvml, os.environ.get("CUDA_VISIBLE_DEVICES"), None if rank is None else rank.local_rank
        )
    except pynvml.NVMLError as error:
        _shut_down(pynvml)
        return _refused("driver-error", f"NVML cannot list the GPUs: {error}", _DRIVER_REMEDY)
    diagnoses = [Diagnosis("nvml", "gpu", problem.state, problem.reason) for problem in problems]
    tried = [_open_board(pynvml, board, options.check_integral) for board in boards]
    diagnoses.extend(diagnosis for one in tried for diagnosis in one.diagnoses)
    sensors = _doubted(pynvml, tried)
    if sensors:
        covers = _MODULE_COVERS if any(one.module for one in tried) else frozenset()
        return Opened(Nvml(pynvml, sensors), tuple(diagnoses), covers)
    _shut_down(pynvml)
    if not diagnoses:
        diagnoses.append(Diagnosis("nvml", "gpu", "absent", "NVML shows no GPU"))
    return Opened(None, tuple(diagnoses))


def _resolution(domains: Iterable[Domain]) -> dict[str, Resolution]:
    return {
        domain.name: Resolution(_UNIT_J, domain.tick_s or _COUNTER_TICK_S)
        if domain.provenance is Provenance.MEASURED
        else Resolution(_POWER_STEP_W * _SAMPLE_PERIOD_S, _SAMPLE_PERIOD_S)
        for domain in domains
    }


def _open_board(pynvml: Any, board: Board, check_integral: bool) -> _Tried:
    name = f"gpu:{board.index}"
    if board.handle is None:
        return _Tried((), (Diagnosis("nvml", name, "driver-error", board.note),))
    facts = board_facts(pynvml, board.handle)
    module = covers_module(pynvml, board.handle)
    counter = Counter(energy_reader(pynvml, board.handle), _UNIT_J, tick_s=_COUNTER_TICK_S)
    first = counter.read()
    if first.joules is None:
        return _open_sampled(pynvml, board, module, first.trouble, facts)
    note = _notes(board.note, _MODULE_NOTE if module else "")
    domain = _domain(board, name, Provenance.MEASURED, note)
    remedy = _PERSISTENCE_REMEDY if facts.get("persistence_mode") is False else ""
    reason = f"energy counter of {_device(board)}"
    diagnosis = Diagnosis("nvml", name, "ok", f"{reason}: {_MODULE_NOTE}" if module else reason, remedy, facts)
    opened = _Tried((_Sensor(domain, board, counter),), (diagnosis,), module)
    return _with_check(pynvml, board, opened) if check_integral else opened


def _open_sampled(pynvml: Any, board: Board, module: bool, trouble: str, facts: Mapping[str, Any]) -> _Tried:
    """A board without an energy counter: its power is integrated."""
    name = f"gpu:{board.index}"
    integral = PowerIntegral(power_reader(pynvml, board.handle, SCOPE_GPU))
    first = integral.read()
    if first.joules is None:
        reason = f"{_device(board)} tells neither energy ({trouble}) nor power ({first.trouble})"
        unsupported = first.trouble == str(pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED))
        state = "unsupported" if unsupported else "driver-error"
        return _Tried((), (Diagnosis("nvml", name, state, reason, facts=facts),))
    note = _notes(board.note, "the GPU alone, without the CPU of its module" if module else "")
    domain = _domain(board, name, Provenance.INTEGRATED, note)
    reason = f"{_device(board)} has no energy counter ({trouble}): its power is integrated"
    return _Tried((_Sensor(domain, board, integral),), (Diagnosis("nvml", name, "ok", reason, facts=facts),))


def _with_check(pynvml: Any, board: Board, opened: _Tried) -> _Tried:
    """Beside the counter, the integral of the power that covers the same parts."""
    name = f"gpu:{board.index}"
    integral = PowerIntegral(power_reader(pynvml, board.handle, SCOPE_MODULE if opened.module else SCOPE_GPU))
    first = integral.read()
    checking = name + CHECK_SUFFIX
    if first.joules is None:
        reason = f"the counter of {name} cannot be checked: it does not tell its power ({first.trouble})"
        return opened._replace(diagnoses=(*opened.diagnoses, Diagnosis("nvml", checking, "unsupported", reason)))
    note = _notes(f"cross-check of {name} by its integrated power", *(sensor.domain.note for sensor in opened.sensors))
    # A device of its own: domains of one device are the same joules, and these stand beside the counter's.
    domain = replace(
        _domain(board, checking, Provenance.INTEGRATED, note),
        in_total=False,
        device=f"power sensor of {_device(board)}",
    )
    return opened._replace(sensors=(*opened.sensors, _Sensor(domain, board, integral)))


def _doubted(pynvml: Any, tried: Sequence[_Tried]) -> list[_Sensor]:
    """All sensors; a counter that may hold the module of an earlier one as well says so.

    A Grace Blackwell superchip has two GPUs and one CPU, and NVML tells its module's power through both of them.
    Whether both counters hold the module too has not been seen: neither is left out of the total.
    """
    sensors: list[_Sensor] = []
    first: dict[tuple[int, ...], str] = {}
    for one in tried:
        found = one.sensors
        near = cpu_affinity(pynvml, found[0].board.handle) if one.module else None
        if near is not None and (other := first.setdefault(near, found[0].domain.name)) != found[0].domain.name:
            doubt = f"on one module with {other}, which may be counted in both"
            found = tuple(_noted(sensor, doubt) for sensor in found)
        sensors.extend(found)
    return sensors


def _noted(sensor: _Sensor, note: str) -> _Sensor:
    return replace(sensor, domain=replace(sensor.domain, note=_notes(sensor.domain.note, note)))


def _domain(board: Board, name: str, provenance: Provenance, note: str) -> Domain:
    tick_s = _COUNTER_TICK_S if provenance is Provenance.MEASURED else _SAMPLE_PERIOD_S
    return Domain(name, "nvml", provenance, gain_rel=_GAIN_REL, device=_device(board), note=note, tick_s=tick_s)


def _device(board: Board) -> str:
    return f"{board.name} ({board.uuid})"


def _notes(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _has_library() -> bool:
    """Whether the library that pynvml would load is there: without it, importing pynvml (10 ms) is spared."""
    if sys.platform != "linux":
        return True
    import ctypes

    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def _no_library(pynvml: Any, error: Exception) -> Opened:
    code = getattr(error, "value", None)
    if code == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return _refused("absent", _NO_LIBRARY, _NO_DRIVER_REMEDY)
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

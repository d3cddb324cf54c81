"""Which boards NVML may be asked about: those that CUDA shows to this process, in CUDA's order."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

_SLICE_NOTE = "whole board, not the MIG slice"


@dataclass(frozen=True, slots=True)
class Board:
    """One GPU board. `handle` is None where NVML lists it but cannot open it; `note` then says why."""

    handle: Any
    name: str
    uuid: str
    note: str = ""
    index: int = 0
    """its place in the list that CUDA shows, which names its domain"""


class Problem(NamedTuple):
    """What could not be followed."""

    state: str
    """as in Diagnosis: `absent` for a GPU that is not there, `shared` for one that two ranks take"""
    reason: str


def visible_boards(
    pynvml: Any, visible: str | None, local_rank: int | None = None
) -> tuple[list[Board], list[Problem]]:
    """The boards of CUDA_VISIBLE_DEVICES = `visible` (None: all), each once, and what could not be followed, in words.

    Follows CUDA's rules: ordinals, beginnings of UUIDs, MIG names; the list ends at its first entry that names nothing,
    `-1` among them; an empty text shows no GPU. Ordinals are counted in PCI order as NVML does, which is CUDA's order
    for equal GPUs and for CUDA_DEVICE_ORDER=PCI_BUS_ID. With `local_rank`, only that rank's own board is kept: the one
    at its place, or the only one where the launcher shows each rank its own. Raises NVMLError where NVML cannot list
    the GPUs at all.
    """
    boards, problems = _shown(pynvml, visible)
    boards = [replace(board, index=index) for index, board in enumerate(boards)]
    if local_rank is None or len(boards) < 2:
        return boards, problems
    own = boards[local_rank % len(boards)]
    if local_rank >= len(boards):
        reason = f"local rank {local_rank} is beyond the {len(boards)} visible GPUs: it reads gpu:{own.index}"
        problems = [*problems, Problem("shared", f"{reason}, as local rank {own.index} does")]
    return [own], problems


def _shown(pynvml: Any, visible: str | None) -> tuple[list[Board], list[Problem]]:
    boards = [_board(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
    if visible is None:
        return boards, []
    chosen: list[Board] = []
    for entry in (part.strip() for part in visible.split(",")):
        board = _named(pynvml, boards, entry)
        if board is None:
            if entry not in ("", "-1"):
                reason = f"CUDA_VISIBLE_DEVICES names {entry!r}, which is none of the {len(boards)} GPUs here"
                return chosen, [Problem("absent", reason)]
            hidden = Problem("absent", f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU")
            return chosen, [] if chosen else [hidden]
        if all(other.uuid != board.uuid for other in chosen):
            chosen.append(board)
    return chosen, []


def _board(pynvml: Any, index: int) -> Board:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        name = as_text(pynvml.nvmlDeviceGetName(handle))
        uuid = as_text(pynvml.nvmlDeviceGetUUID(handle))
    except pynvml.NVMLError as error:
        return Board(None, "", f"index {index}", f"GPU {index} cannot be opened: {error}")
    try:
        sliced = pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    except pynvml.NVMLError:
        sliced = False
    return Board(handle, name, uuid, _SLICE_NOTE if sliced else "")


def _named(pynvml: Any, boards: list[Board], entry: str) -> Board | None:
    if re.fullmatch(r"\d+", entry):
        return boards[int(entry)] if int(entry) < len(boards) else None
    if entry.startswith("MIG-"):
        uuid = _parent_uuid(pynvml, entry)
        return next((board for board in boards if board.uuid == uuid), None)
    fitting = [board for board in boards if board.uuid.startswith(entry)] if entry.startswith("GPU-") else []
    return fitting[0] if len(fitting) == 1 else None


def _parent_uuid(pynvml: Any, entry: str) -> str | None:
    """UUID of the board that a MIG slice lies on: `MIG-GPU-<board>/<gi>/<ci>` (old) or `MIG-<slice>`."""
    if entry.startswith("MIG-GPU-"):
        return entry.removeprefix("MIG-").partition("/")[0]
    try:
        slice_handle = pynvml.nvmlDeviceGetHandleByUUID(entry.encode())
        return as_text(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(slice_handle)))
    except pynvml.NVMLError:
        return None


def as_text(value: str | bytes) -> str:
    """Text as older versions of the binding hand it out too."""
    return value.decode() if isinstance(value, bytes) else value

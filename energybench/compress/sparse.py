"""Weights with the pattern 2:4 as torch stores them for sparse tensor cores."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.sparse import to_sparse_semi_structured

from energybench.compress.arithmetic import run_in
from energybench.compress.lowbit import stored_tensors
from energybench.compress.report import Size, size_of

PRECISIONS: Mapping[str, torch.dtype] = MappingProxyType({"bfloat16": torch.bfloat16, "float16": torch.float16})
"""what the products can be computed in"""
CAPABILITY = (8, 0)
"""first CUDA compute capability with sparse tensor cores (NVIDIA A100 Tensor Core GPU Architecture, 2020)"""


def why_not(device: torch.device, precision: str) -> str | None:
    """Why `device` has no 2:4 products in `precision`, as a clause; None where it has. Looked at once per process."""
    return _why_not(device.type, device.index, precision)


@cache
def _why_not(kind: str, index: int | None, precision: str) -> str | None:
    if kind != "cuda":
        return f"they exist on CUDA GPUs of compute capability 8.0 and above, not on {kind}"
    device = torch.device(kind, torch.cuda.current_device() if index is None else index)
    have = torch.cuda.get_device_capability(device)
    if have < CAPABILITY:
        return f"{torch.cuda.get_device_name(device)} has compute capability {have[0]}.{have[1]}, and 8.0 is needed"
    # Whether this build of torch has the kernels for this GPU is seen by running one.
    dtype = PRECISIONS[precision]
    pattern = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=dtype, device=device).tile((128, 32))
    rows = torch.ones(128, 128, dtype=dtype, device=device)
    try:
        with torch.no_grad():
            result = nn.functional.linear(rows, _sparse(pattern))
        torch.cuda.synchronize(device)
    except (RuntimeError, NotImplementedError) as error:
        return f"this torch cannot run them on {torch.cuda.get_device_name(device)} ({_first_line(error)})"
    if not torch.equal(result, torch.full_like(result, 64)):
        return f"a 2:4 product on {torch.cuda.get_device_name(device)} is wrong"
    return None


def to_sparse(model: nn.Module, names: Iterable[str], precision: str) -> tuple[list[str], dict[str, list[str]]]:
    """Store the weights `names` of `model` as 2:4, in place, and run its forward pass under autocast to `precision`.

    Only plain Linear layers can be; sizes must suit the kernels. Returns the layers reached, and the layers that stay
    as they were by the reason. Where none is reached the model is unchanged; stored weights do not train.
    """
    reached: list[str] = []
    reasons: dict[str, list[str]] = {}
    for name in names:
        path = name.rpartition(".")[0]
        layer = model.get_submodule(path)
        if type(layer) is not nn.Linear:
            reasons.setdefault("torch stores plain Linear layers only", []).append(path)
            continue
        try:
            stored = _sparse(layer.weight.detach().to(PRECISIONS[precision]).contiguous())
        except (RuntimeError, NotImplementedError) as error:
            reasons.setdefault(_first_line(error), []).append(path)
            continue
        if not reached:
            run_in(model, precision)
        layer.weight = nn.Parameter(stored, requires_grad=False)
        reached.append(path)
    return reached, reasons


def stored_size(model: nn.Module, dense: Size) -> Size:
    """The size of a model with 2:4 weights, where `dense` is its size before they were stored so.

    Parameters, non-zero ones and FLOPs are those of the dense model: they count values, not places in memory.
    """
    memory, disk = nn.Module(), nn.Module()
    for holder, tensors in (
        (memory, [*model.parameters(), *model.buffers()]),
        (disk, [tensor for tensor in model.state_dict(keep_vars=True).values() if isinstance(tensor, Tensor)]),
    ):
        plain = (part for tensor in tensors for part in stored_tensors(tensor.detach()))
        for number, part in enumerate(plain):
            holder.register_buffer(str(number), part)
    on_disk = size_of(disk)
    return replace(
        dense,
        bytes_memory=size_of(memory).bytes_memory,
        bytes_disk=on_disk.bytes_disk,
        bytes_zlib=on_disk.bytes_zlib,
    )


def _sparse(weight: Tensor) -> Tensor:
    with warnings.catch_warnings():
        # Once per process torch says that this interface is a prototype.
        warnings.simplefilter("ignore", UserWarning)
        return to_sparse_semi_structured(weight)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__

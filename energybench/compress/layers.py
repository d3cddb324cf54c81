"""Which tensors a compressor may change, and flat views on them that work at memory speed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from energybench.errors import CompressionError

CHUNK = 32_000
"""Elements worked on at a time on a CPU: temporaries stay in the cache and memory does not grow. Just below the 32,768
from which torch splits an operation over threads: thousands of short parallel regions cost nothing on an idle machine
but, where another process holds a core, a scheduler's time slice each (seen: 7 s instead of 0.2 s)."""
CHUNK_ACCELERATOR = 1 << 24
"""the same on a GPU, where few large kernels are faster"""


def covered_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of all Conv2d and Linear layers by name, in the order of the modules; biases and norms are left out.

    Raises CompressionError where there is none, or where one is not float32, re-parametrised, tied to another
    parameter, not initialised yet, or laid out with gaps: changing it would do something else than was asked.
    """
    weights: dict[str, nn.Parameter] = {}
    for path, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            name = f"{path}.weight" if path else "weight"
            weights[name] = _checked(name, dict(module.named_parameters(recurse=False)).get("weight"))
    if not weights:
        raise CompressionError("the model has no Conv2d or Linear layer, so there is nothing to compress")
    _refuse_tied(model, weights)
    return weights


def flat(weight: Tensor) -> Tensor:
    """A one-dimensional view of all elements in memory order (so any dense layout will do), cut off from autograd."""
    return weight.detach().as_strided((weight.numel(),), (1,))


def chunks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Pieces of the flat views of `tensors`, which share one layout and device, side by side."""
    size = CHUNK if tensors[0].device.type == "cpu" else CHUNK_ACCELERATOR
    return zip(*(flat(tensor).split(size) for tensor in tensors), strict=True)


def _checked(name: str, weight: nn.Parameter | None) -> nn.Parameter:
    if weight is None:
        raise CompressionError(
            f"{name} is re-parametrised (torch.nn.utils.prune or parametrize): make it permanent before compressing"
        )
    if isinstance(weight, nn.parameter.UninitializedParameter) or weight.device.type == "meta":
        raise CompressionError(f"{name} has no values yet: load or initialise the model before compressing")
    if weight.dtype != torch.float32:
        raise CompressionError(f"{name} is {weight.dtype}, and compressors work on float32: call model.float() first")
    # empty_like keeps the strides exactly where the elements fill one block of memory without gaps or overlaps.
    if torch.empty_like(weight, device="meta").stride() != weight.stride():
        raise CompressionError(f"{name} is not dense in memory: replace it by weight.contiguous() before compressing")
    return weight


def _refuse_tied(model: nn.Module, weights: dict[str, nn.Parameter]) -> None:
    """Raise where the memory of a covered weight is also reached under another name."""
    spans = sorted(
        (parameter.data_ptr(), parameter.data_ptr() + parameter.nbytes, name)
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if not isinstance(parameter, nn.parameter.UninitializedParameter) and parameter.numel()
    )
    for (_, end, name), (begin, _, other) in pairwise(spans):
        if begin < end and (name in weights or other in weights):
            raise CompressionError(f"{name} and {other} share their memory (tied weights): untie them first")

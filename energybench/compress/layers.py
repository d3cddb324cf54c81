"""Which tensors a compressor may change, and flat views on them that work at memory speed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from energybench.errors import CompressionError, UsageError

CHUNK = 32_000
"""Elements worked on at a time on a CPU: temporaries stay in the cache and memory does not grow. Just below the 32,768
from which torch splits an operation over threads: thousands of short parallel regions cost nothing on an idle machine
but, where another process holds a core, a scheduler's time slice each (seen: 7 s instead of 0.2 s)."""
CHUNK_ACCELERATOR = 1 << 24
"""the same on a GPU, where few large kernels are faster"""
COVERS = {
    "weights": "weights of convolutions and linear layers",
    "biases": "biases of convolutions and linear layers",
    "norms": "parameters of normalisation layers",
    "embeddings": "embedding tables",
}
"""what `cover` may hold, and what is meant"""
_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_ATTENTION_WEIGHTS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


def covered_weights(model: nn.Module, cover: Sequence[str] = ("weights",)) -> dict[str, nn.Parameter]:
    """The parameters by name that `cover` names, in the order of the modules.

    - `weights`: of every convolution (1d to 3d, transposed too) and linear layer, the input projections of
      MultiheadAttention among them, and those of transformers' Conv1D, a linear layer by another name;
    - `biases`: of the same layers;
    - `norms`: weights and biases of normalisation layers: torch's, and classes whose name ends in `Norm`;
    - `embeddings`: the tables of Embedding and EmbeddingBag.

    Parameters that stand in other modules (a position embedding, a layer scale) and buffers are never covered.
    Raises CompressionError where there is none, or where one is not float32, re-parametrised, tied to another
    parameter, not initialised yet, or laid out with gaps: changing it would do something else than was asked.
    """
    weights: dict[str, nn.Parameter] = {}
    for path, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        for name in _names(module, cover):
            full = f"{path}.{name}" if path else name
            weights[full] = _checked(full, own.get(name))
    if not weights:
        words = " and no ".join(COVERS[name] for name in cover)
        raise CompressionError(f"the model has no {words}, so there is nothing to compress")
    _refuse_tied(model, weights)
    return weights


def check_cover(owner: str, cover: object) -> None:
    """UsageError where `cover` is no sequence of distinct names of COVERS."""
    names = list(cover) if isinstance(cover, (tuple, list)) else []
    if not names or len(set(names)) < len(names) or any(name not in COVERS for name in names):
        raise UsageError(f"{owner}: cover must be a tuple of names among {', '.join(COVERS)}, not {cover!r}")


def layer_of(name: str) -> str:
    """The layer that a parameter belongs to: its path, or the parameter's own name where the model is one layer."""
    return name.rpartition(".")[0] or name


def flat(weight: Tensor) -> Tensor:
    """A one-dimensional view of all elements in memory order (so any dense layout will do), cut off from autograd."""
    return weight.detach().as_strided((weight.numel(),), (1,))


def chunks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Pieces of the flat views of `tensors`, which share one layout and device, side by side."""
    size = CHUNK if tensors[0].device.type == "cpu" else CHUNK_ACCELERATOR
    return zip(*(flat(tensor).split(size) for tensor in tensors), strict=True)


def _names(module: nn.Module, cover: Sequence[str]) -> list[str]:
    """Names of the module's own parameters that `cover` names; a weight stands there even if it is not a parameter."""
    kind = type(module)
    names: list[str] = []
    if isinstance(module, (_ConvNd, nn.Linear)) or (
        kind.__name__ == "Conv1D" and kind.__module__.startswith("transformers.")
    ):
        names += ["weight"] if "weights" in cover else []
        names += ["bias"] if "biases" in cover and getattr(module, "bias", None) is not None else []
    elif isinstance(module, nn.MultiheadAttention):
        wanted = [*_ATTENTION_WEIGHTS] if "weights" in cover else []
        wanted += ["in_proj_bias"] if "biases" in cover else []
        names += [name for name in wanted if getattr(module, name, None) is not None]
    elif "norms" in cover and (isinstance(module, _NORMS) or kind.__name__.endswith("Norm")):
        names += [name for name in ("weight", "bias") if isinstance(getattr(module, name, None), Tensor)]
    elif "embeddings" in cover and isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        names += ["weight"]
    return names


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

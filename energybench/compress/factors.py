"""Which layers may be replaced by two, and how one becomes two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from energybench.compress.layers import covered_weights
from energybench.compress.snapshot import looking
from energybench.errors import CompressionError

# These read the weights of their layers instead of calling them.
_READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def factorable(model: nn.Module) -> tuple[dict[str, nn.Conv2d | nn.Linear], tuple[str, ...]]:
    """The layers that may be replaced by two, by name, and a note on those that may not and why.

    CompressionError where there is none, or where `covered_weights` finds a weight that no compressor can work on.
    """
    covered_weights(model)
    layers: dict[str, nn.Conv2d | nn.Linear] = {}
    reasons: dict[str, list[str]] = {}
    readers = tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, _READERS))
    for path, module in model.named_modules():
        if not isinstance(module, (nn.Conv2d, nn.Linear)):
            continue
        if isinstance(module, nn.Conv2d) and module.groups != 1:
            reasons.setdefault("grouped convolutions", []).append(path)
        elif type(module) not in (nn.Conv2d, nn.Linear) or path.startswith(readers) or not path:
            reasons.setdefault("layers that other modules may read instead of calling", []).append(path)
        elif module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            reasons.setdefault("layers with hooks", []).append(path)
        else:
            layers[path] = module
    if not layers:
        raise CompressionError("the model has no Conv2d or Linear layer that can be replaced by a factorised one")
    return layers, tuple(f"left alone, {reason}: {', '.join(paths)}" for reason, paths in reasons.items())


def saving_rank(weight: Tensor) -> int:
    """The highest rank at which two layers have fewer parameters than the one with `weight`; 0 where none has.

    With weights of (out, in) seen as a matrix: rank * (out + in) < out * in. The same rank saves operations, because a
    layer and its two parts are applied equally often.
    """
    rows = weight.shape[0]
    columns = weight.numel() // rows
    return max(0, -(-rows * columns // (rows + columns)) - 1)


def split(layer: nn.Conv2d | nn.Linear, first: Tensor, second: Tensor) -> nn.Sequential:
    """`layer` (Linear or Conv2d) as two with the weights `first` (r, in * k * k) and `second` (out, r), not copied."""
    rank, bias = len(first), layer.bias is not None
    inner: nn.Conv2d | nn.Linear
    outer: nn.Conv2d | nn.Linear
    # Built on the meta device: no memory, no initialisation, and no draw from the random generator.
    if isinstance(layer, nn.Conv2d):
        inner = nn.Conv2d(
            layer.in_channels,
            rank,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            bias=False,
            padding_mode=layer.padding_mode,
            device="meta",
        )
        outer = nn.Conv2d(rank, layer.out_channels, 1, bias=bias, device="meta")
        first, second = first.unflatten(1, layer.weight.shape[1:]), second[:, :, None, None]
    else:
        inner = nn.Linear(layer.in_features, rank, bias=False, device="meta")
        outer = nn.Linear(rank, layer.out_features, bias=bias, device="meta")
    trains = layer.weight.requires_grad
    inner.weight, outer.weight = nn.Parameter(first, trains), nn.Parameter(second, trains)
    outer.bias = layer.bias
    return nn.Sequential(inner, outer).train(layer.training)


def applications(
    model: nn.Module, layers: Mapping[str, nn.Conv2d | nn.Linear], example_input: Tensor
) -> dict[str, int]:
    """How often each layer's matrix is applied to a vector in one forward pass, per example; 0 where it is not run.

    A convolution is applied once for each place of its output, a Linear once for each token. The pass runs in
    evaluation mode without gradients; every module's mode is put back afterwards.
    """
    counts = dict.fromkeys(layers, 0)

    def counter(name: str) -> Any:
        def count(module: nn.Module, _: tuple[Any, ...], output: Tensor) -> None:
            counts[name] += output.numel() // len(layers[name].weight)

        return count

    handles = [layer.register_forward_hook(counter(name)) for name, layer in layers.items()]
    try:
        with looking(model):
            model(example_input)
    finally:
        for handle in handles:
            handle.remove()
    return {name: count // len(example_input) for name, count in counts.items()}

"""Linear layers in 8 bits through torchao: int8 for inference, float8 arithmetic for training."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from energybench.errors import CompressionError

FLOAT8_MULTIPLE = 16
"""float8 kernels take matrices whose sides are multiples of this"""


def to_int8(model: nn.Module, covered: Collection[str]) -> None:
    """Quantise `int8_weights(model, covered)` in place.

    int8 with a scale per output channel; activations are quantised to int8 on the fly, row by row, so that the product
    is an integer one. The weights no longer train. CompressionError where there is nothing to quantise.
    """
    names = set(int8_weights(model, covered))
    if not names:
        raise CompressionError("int8 reaches Linear layers only, and none of them is covered")
    with warnings.catch_warnings():
        # torchao's import warns about what belongs to other hardware and torch versions.
        warnings.simplefilter("ignore")
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_
    quantize_(model, Int8DynamicActivationInt8WeightConfig(), lambda module, path: _weight(path) in names)


def to_float8(model: nn.Module, covered: Collection[str]) -> nn.Module:
    """Let the layers of `float8_weights(model, covered)` multiply in float8, forward and backward.

    The weights stay float32 parameters; operands are scaled, one factor per tensor, and cast (e4m3, gradients e5m2) in
    every pass. Returns the model: another one where it is itself a Linear. CompressionError without such a layer.
    """
    names = set(float8_weights(model, covered))
    if not names:
        raise CompressionError(
            f"float8 reaches Linear layers whose sides are multiples of {FLOAT8_MULTIPLE} only, and none is covered"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchao.float8 import convert_to_float8_training
    converted: nn.Module = convert_to_float8_training(
        model, module_filter_fn=lambda module, path: _weight(path) in names
    )
    return converted


def int8_weights(model: nn.Module, covered: Collection[str]) -> tuple[str, ...]:
    """Names of the covered weights that belong to Linear layers proper.

    Derived classes are left out: what holds them (nn.MultiheadAttention) reads the weight instead of calling the layer.
    """
    wanted = set(covered)
    linear = (_weight(path) for path, module in model.named_modules() if type(module) is nn.Linear)
    return tuple(name for name in linear if name in wanted)


def float8_weights(model: nn.Module, covered: Collection[str]) -> tuple[str, ...]:
    """The same, of layers whose sides are multiples of 16."""
    linear = int8_weights(model, covered)
    return tuple(n for n in linear if not any(side % FLOAT8_MULTIPLE for side in model.get_parameter(n).shape))


def stored_tensors(tensor: Tensor) -> list[Tensor]:
    """The plain tensors that hold what `tensor` stands for: itself, unless it is a wrapper such as torchao's int8."""
    flatten: Any = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        return [tensor]
    names, _ = flatten()
    return [plain for name in names for plain in stored_tensors(getattr(tensor, name))]


def dense(tensor: Tensor) -> Tensor:
    """The values that `tensor` stands for, as a plain tensor."""
    if isinstance(tensor, torch.sparse.SparseSemiStructuredTensor):
        return tensor.to_dense()
    dequantize: Any = getattr(tensor, "dequantize", None)
    wrapped = hasattr(tensor, "__tensor_flatten__") and dequantize is not None
    return dequantize() if wrapped else tensor


def linear_share(model: nn.Module, reached: Collection[str], example_input: Tensor) -> float:
    """Share of the forward FLOPs of Conv2d and Linear layers that are in the layers of the `reached` weights.

    Counted before they are replaced, in evaluation mode.
    """
    from energybench.compress.report import forward_flops

    layers = {model.get_submodule(name.removesuffix("weight").rstrip(".")) for name in reached}
    inside = 0

    def count(module: nn.Module, _: tuple[Any, ...], output: Tensor) -> None:
        nonlocal inside
        assert isinstance(module, nn.Linear)
        inside += 2 * module.in_features * output.numel()

    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        total = forward_flops(model, example_input)
    finally:
        for handle in handles:
            handle.remove()
    return inside / len(example_input) / total


def _weight(path: str) -> str:
    return f"{path}.weight" if path else "weight"

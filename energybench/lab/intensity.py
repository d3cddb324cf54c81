"""Arithmetic intensity: operations and bytes of a training step or a forward pass, counted from the tensors' sizes.

Bytes are those that go to and from memory if every module reads its inputs and writes its outputs there. What happens
between the modules (a residual sum, a concatenation) is not seen, so an eager run moves at least that much, up to what
caches save; a compiler that fuses elementwise operations can move less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from energybench.compress import forward_flops
from energybench.compress.lowbit import stored_tensors
from energybench.errors import UsageError

STATES = {"sgd": 1, "adamw": 2}
"""tensors of a weight's size that an optimiser keeps: SGD's momentum, AdamW's two moments"""
_OMITS = "operations between modules and caches are not counted"


@dataclass(frozen=True, slots=True)
class Intensity:
    """What one image costs in a batch of `batch`."""

    flops_per_image: int
    """Conv2d and Linear layers only, two for each multiply-add"""
    bytes_per_image: int
    """the parameters' part is shared out over the batch"""
    batch: int
    covers: str
    """what was counted, in words"""

    @property
    def flops_per_byte(self) -> float:
        """Arithmetic intensity, to be held against a machine's peak operations over its memory bandwidth."""
        return self.flops_per_image / self.bytes_per_image

    def as_facts(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return {
            "flops_per_image": self.flops_per_image,
            "bytes_per_image": self.bytes_per_image,
            "flops_per_byte": self.flops_per_byte,
            "batch": self.batch,
            "covers": self.covers,
        }


@dataclass(slots=True)
class Traffic:
    """Bytes that pass through the leaf modules in one forward pass, all images together."""

    read: int = 0
    """the modules' inputs"""
    written: int = 0
    """their outputs; a module that hands its input on (Flatten, Identity, Dropout in evaluation) moves nothing"""
    differentiable: int = 0
    """the part of `read` that is not the model's own input, so that a gradient of this size flows back"""


def forward_intensity(model: nn.Module, example_input: Tensor, batch: int, *, saved_bytes: int = 0) -> Intensity:
    """A forward pass: parameters read once per batch; each leaf module's inputs read, its outputs written.

    `example_input` is batch first and of any batch: activations grow in proportion to it. `saved_bytes` are left out:
    what a quantised copy of the model reads less of its parameters. The pass runs in evaluation mode without gradients
    and leaves the model as it was.
    Raises UsageError for a batch below 1, an empty example and a model whose modules make nothing of it.
    """
    flops, traffic = _counted(model, example_input, batch)
    weights = sum(map(_bytes, model.parameters())) - saved_bytes
    return Intensity(
        flops_per_image=flops,
        bytes_per_image=round(weights / batch + (traffic.read + traffic.written) / len(example_input)),
        batch=batch,
        covers=f"forward pass: parameters once per batch, each module's inputs and outputs; {_OMITS}",
    )


def training_intensity(
    model: nn.Module, example_input: Tensor, batch: int, *, optimizer: str = "sgd", momentum: float = 0.9
) -> Intensity:
    """A training step in the recipe's fused optimiser, which passes over the weights once.

    FLOPs are three times the forward pass's: the backward pass computes the gradients of the inputs and of the weights.
    (torch's own counter gives up to 66 times for grouped convolutions; the first layer needs no gradient of its input
    and frozen weights need none at all, so three times is a little too much.)

    Bytes per step: parameters read forward and backward; where they train, gradients written and read, the parameters
    read and written by the optimiser, and its state too. Bytes per image: each leaf module's inputs read and outputs
    written forward; backward, the gradients of its outputs and its saved inputs read, the gradients of its inputs
    written, except those of the images. Parts that only train (InceptionV3's auxiliary head) are counted with their
    parameters alone, and what a compressor does after a step is not counted.
    Raises UsageError as `forward_intensity` does, and for an unknown optimiser.
    """
    if optimizer not in STATES:
        raise UsageError(f"unknown optimizer {optimizer!r}; there are {' and '.join(STATES)}")
    states = 0 if optimizer == "sgd" and momentum == 0 else STATES[optimizer]
    flops, traffic = _counted(model, example_input, batch)
    weights = sum(map(_bytes, model.parameters()))
    trained = sum(_bytes(parameter) for parameter in model.parameters() if parameter.requires_grad)
    per_step = 2 * weights + (2 + 2 + 2 * states) * trained
    forward = traffic.read + traffic.written
    backward = traffic.written + traffic.read + traffic.differentiable
    return Intensity(
        flops_per_image=3 * flops,
        bytes_per_image=round(per_step / batch + (forward + backward) / len(example_input)),
        batch=batch,
        covers=f"training step with {optimizer}: parameters, gradients, optimiser state, activations; {_OMITS}",
    )


def _counted(model: nn.Module, example_input: Tensor, batch: int) -> tuple[int, Traffic]:
    """FLOPs per image, and the traffic of the whole example."""
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise UsageError(f"a batch has at least one image, not {batch!r}")
    if example_input.ndim == 0 or len(example_input) == 0:
        raise UsageError("example_input must hold at least one image: its first dimension is the batch")
    # Copies: a module may write into its input, and tensors made in inference mode have no version to look at.
    traffic = _traffic(model, example_input.detach().clone())
    if not traffic.written:
        raise UsageError("no module of the model made a tensor from example_input, so there is nothing to count")
    return forward_flops(model, example_input.detach().clone()), traffic


def _traffic(model: nn.Module, images: Tensor) -> Traffic:
    found = Traffic()
    versions: list[int] = []  # of the inputs of the leaf module that is running: leaves do not nest

    def before(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        versions[:] = [tensor._version for tensor in _tensors_in((inputs, named))]

    def after(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        given = list(_tensors_in((inputs, named)))
        changed = versions != [tensor._version for tensor in given]
        made = [new for new in _tensors_in(output) if changed or not any(_shares(new, old) for old in given)]
        if not made:
            return
        found.written += sum(tensor.nbytes for tensor in made)
        for tensor in given:
            found.read += tensor.nbytes
            if tensor.is_floating_point() and not _shares(tensor, images):
                found.differentiable += tensor.nbytes

    leaves = _leaves(model)
    handles = [module.register_forward_pre_hook(before, with_kwargs=True) for module in leaves]
    handles += [module.register_forward_hook(after, with_kwargs=True) for module in leaves]
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return found


def _leaves(model: nn.Module) -> list[nn.Module]:
    """The modules that have no modules in them; what computes a weight of a layer belongs to the layer."""
    inside = {
        part
        for module in model.modules()
        if parametrize.is_parametrized(module)
        for part in module.get_submodule("parametrizations").modules()
    }
    return [
        module
        for module in model.modules()
        if module not in inside and all(name == "parametrizations" for name, _ in module.named_children())
    ]


def _bytes(parameter: Tensor) -> int:
    """As it lies in memory: a wrapper such as torchao's int8 claims the size of the float32 that it stands for."""
    return sum(tensor.nbytes for tensor in stored_tensors(parameter))


def _tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors of what a module takes or gives: nested tuples, lists and mappings of them, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors_in(item)


def _shares(tensor: Tensor, other: Tensor) -> bool:
    """Whether one is the other, or both look at one tensor's memory."""
    mine, theirs = (each if each._base is None else each._base for each in (tensor, other))
    return mine is theirs

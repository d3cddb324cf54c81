"""The operations that the layers of a model call, forward and backward, listed without running them.

Layers call operations: a convolution, a matrix product, a normalisation, an activation, and in the backward pass their
gradients. Running a model once on torch's meta device, where tensors have shapes and no values, lists every operation
with the shapes that it was given. `layer_costs` measures them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode  # where torch keeps it; its own flop counter is built on it

from energybench.errors import UsageError
from energybench.lab.finetune import training_loss
from energybench.lab.models import architecture, build

KINDS = ("conv", "linear", "norm", "attention", "activation", "pooling", "loss", "optimiser", "other")
_WORDS = {
    "convolution": "conv",
    "mm": "linear",
    "attention": "attention",
    "norm": "norm",
    "relu": "activation",
    "threshold": "activation",
    "gelu": "activation",
    "silu": "activation",
    "hardtanh": "activation",
    "softmax": "activation",
    "sigmoid": "activation",
    "dropout": "activation",
    "pool": "pooling",
    "nll_loss": "loss",
    "log_softmax": "loss",
}
OPTIMISER = "optimiser step"


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor without its values."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    weight: bool = False
    """a parameter of the model, or a view of one"""

    @property
    def nbytes(self) -> int:
        """Of all its elements."""
        return math.prod(self.size) * self.dtype.itemsize

    def made(self, where: torch.device) -> Tensor:
        """A tensor like it, with numbers between 0.5 and 1.5: none that a kernel would be slow on. Integers are 0."""
        # A stride of 0 repeats one element, as a mean's gradient does: only that one can be written.
        size = tuple(1 if step == 0 else length for length, step in zip(self.size, self.stride, strict=True))
        made = torch.empty_strided(size, self.stride, dtype=self.dtype, device=where)
        filled = made.uniform_(0.5, 1.5) if self.dtype.is_floating_point else made.zero_()
        return filled.expand(self.size)


@dataclass(frozen=True, slots=True)
class Call:
    """One operation with the shapes that it was given; equal calls cost the same."""

    operation: Any
    """torch's operator; OPTIMISER for a whole step"""
    given: tuple[Any, ...]
    """positional and named arguments; tensors as Shapes"""

    @property
    def name(self) -> str:
        """`convolution_backward`, ..."""
        return str(self.operation).removeprefix("aten.").partition(".")[0]

    @property
    def kind(self) -> str:
        """One of KINDS."""
        if self.operation == OPTIMISER:
            return "optimiser"
        name = self.name
        return next((kind for word, kind in sorted(_WORDS.items(), key=lambda w: -len(w[0])) if word in name), "other")


def training_step(name: str, pixels: int, batch: int, classes: int, *, optimizer_name: str = "sgd") -> Counter[Call]:
    """The calls of one training step of a named model: forward, cross entropy, backward, optimiser.

    Raises UsageError where `build` does, for language models, and for a batch below 2.
    """
    model, images = _on_meta(name, pixels, batch, classes)
    labels = torch.zeros(batch, dtype=torch.long, device="meta")
    model.train()
    with recorded(model) as calls:
        training_loss(model(images), labels).backward()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    calls[Call(OPTIMISER, (optimizer_name, parameters))] = 1
    return calls


def forward_pass(name: str, pixels: int, batch: int, classes: int) -> Counter[Call]:
    """The calls of one forward pass in evaluation mode without gradients. Raises UsageError as `training_step` does."""
    model, images = _on_meta(name, pixels, batch, classes)
    model.eval()
    with recorded(model) as calls, torch.no_grad():
        model(images)
    return calls


@contextmanager
def recorded(model: nn.Module) -> Iterator[Counter[Call]]:
    """Count the operations that run inside; those that only look at memory in another way are not counted."""
    mode = _Recorder({id_of(parameter) for parameter in model.parameters()})
    with mode:
        yield mode.calls


def id_of(tensor: Tensor) -> int:
    """The same for a tensor and its views."""
    return tensor.untyped_storage()._cdata


class _Recorder(TorchDispatchMode):
    """Writes down every operation; what it was given is turned into shapes at once, so that nothing is kept alive."""

    def __init__(self, weights: set[int]) -> None:
        super().__init__()
        self.calls: Counter[Call] = Counter()
        self._weights = weights

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if not _only_looks(func):
            shapes = (self._shapes(args), tuple((key, self._shapes(value)) for key, value in sorted(named.items())))
            self.calls[Call(func, shapes)] += 1
        return func(*args, **named)

    def _shapes(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            weight = id_of(value) in self._weights
            return Shape(tuple(value.shape), tuple(value.stride()), value.dtype, weight)
        if isinstance(value, (list, tuple)):
            return tuple(self._shapes(item) for item in value)
        return value


def _only_looks(func: Any) -> bool:
    """Whether an operation returns another view of what it was given, by torch's own schema."""
    returns = func._schema.returns
    return bool(returns) and all(each.alias_info is not None and not each.alias_info.is_write for each in returns)


def _on_meta(name: str, pixels: int, batch: int, classes: int) -> tuple[nn.Module, Tensor]:
    if architecture(name).unit == "tokens":
        raise UsageError(f"{name} reads tokens; layer by layer, models of images are predicted")
    if batch < 2:
        raise UsageError(f"a training step needs a batch of at least 2 images, not {batch}")
    with torch.device("meta"):
        return build(name, classes, pixels), torch.empty(batch, 3, pixels, pixels)


def shapes_in(value: Any) -> Iterator[Shape]:
    """The shapes in what a call was given."""
    if isinstance(value, Shape):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from shapes_in(item)

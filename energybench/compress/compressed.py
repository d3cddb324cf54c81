"""A compressed model, the hooks that keep it compressed in training, and the compressor that does nothing."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from energybench.compress.layers import chunks
from energybench.compress.report import CompressionReport, Effect, Evidence, size_of
from energybench.compress.search import Evaluate
from energybench.errors import CompressionError


class Compressor(Protocol):
    """What every compressor is: its parameters, and a call that makes a compressed model of a model.

    The model given is never changed unless `inplace`. `evaluate` is needed where a parameter is left to be found;
    `evaluation_size` is the number of examples it looks at. With `example_input` the report counts FLOPs.
    """

    kind: ClassVar[str]

    def __call__(
        self,
        model: nn.Module,
        evaluate: Evaluate | None = None,
        *,
        evaluation_size: int | None = None,
        inplace: bool = False,
        example_input: Tensor | None = None,
    ) -> Compressed: ...


@dataclass(frozen=True)
class Compressed:
    """A compressed model and the report on it."""

    model: nn.Module
    report: CompressionReport
    masks: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    """parameter name -> bool tensor of its shape, True where the value stays; empty where nothing is kept at zero"""

    def training(self, optimizer: torch.optim.Optimizer) -> TrainingHooks:
        """A context in which every step of `optimizer` is followed by what keeps the compression.

        CompressionError where there are masks and the optimiser holds no parameter of `self.model`: it would train
        another copy, and the masks would have no effect.
        """
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if self.masks and not any(id(parameter) in held for parameter in self.model.parameters()):
            raise CompressionError(
                "the optimiser holds no parameter of the compressed model: build it from compressed.model.parameters()"
            )
        return TrainingHooks(self.model, optimizer, self.masks)


class TrainingHooks:
    """Keeps pruned weights at zero while a model is trained; made by `Compressed.training`.

    Masks are applied to the values after each optimiser step. Gradients and momentum of pruned weights are left alone:
    they move the weight within the step, and the mask takes it back to 0 before the next forward pass.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, masks: Mapping[str, Tensor]) -> None:
        self._model = model
        self._optimizer = optimizer
        self._masks = masks
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._handle: RemovableHandle | None = None

    def __enter__(self) -> TrainingHooks:
        for name, mask in self._masks.items():
            weight = self._model.get_parameter(name)
            # The model may have moved to another device or memory format since: the mask takes the weight's layout.
            self._pairs.append((weight, torch.empty_like(weight, dtype=torch.bool).copy_(mask)))
        if self._pairs:
            self._handle = self._optimizer.register_step_post_hook(self._after_step)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.remove()
        self._handle = None
        self._pairs.clear()

    def epoch_end(self) -> None:
        """To be called after each epoch. No compressor of today changes anything then; the loop need not know."""

    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        for weight, mask in self._pairs:
            apply_mask(weight, mask)


def apply_mask(weight: Tensor, mask: Tensor) -> None:
    """Set `weight` (float32) to +0 where `mask` (bool, same layout) is False, whatever was there, NaN included.

    An AND on the bits in cache-sized pieces: 4 to 5 times faster than masked_fill_ or a product with a bool tensor.
    """
    for values, keep in chunks(weight, mask):
        values.view(torch.int32).bitwise_and_(keep.to(torch.int32).neg_())


@dataclass(frozen=True)
class NoCompression:
    """The baseline: the model as it is. `evaluate` is never called, so that a baseline pays for no search."""

    kind: ClassVar[str] = "none"

    def __call__(
        self,
        model: nn.Module,
        evaluate: Evaluate | None = None,
        *,
        evaluation_size: int | None = None,
        inplace: bool = False,
        example_input: Tensor | None = None,
    ) -> Compressed:
        """The model (a copy of it unless `inplace`) with a report of its size."""
        size = size_of(model, example_input)
        report = CompressionReport(
            kind=self.kind,
            given=asdict(self),
            effect=Effect.UNCHANGED,
            rate=0.0,
            rate_definition="nothing compressed",
            before=size,
            after=size,
            evidence=Evidence(),
        )
        return Compressed(model if inplace else copy.deepcopy(model), report)

"""Low bits that are cleared again while a model is trained: after each step or epoch, or at the end of it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from energybench.compress.bits import overwrite
from energybench.compress.upkeep import Attached, apply_mask
from energybench.errors import CompressionError

TIMES = ("once", "epoch", "end", "step")


@dataclass(frozen=True)
class KeepBits:
    """Overwrites the low bits of weights again: after each step, at the end of each epoch, when training is over.

    Weights that are 0 stay 0, under `random` too, so masks hold. `random` writes the same bits each time, as a payload
    would be; `stochastic` draws new ones for each step, by seed, so that a training can be repeated.
    """

    bits: Mapping[str, int]
    """parameter name -> low bits, in the order of the covered tensors"""
    when: str
    """`epoch`, `end` or `step`"""
    rule: str
    seed: int = 0

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Attached:
        """Begin. What a later compressor of a chain has replaced is left out; CompressionError where nothing is left,
        or where a weight is not float32 any more."""
        here = dict(model.named_parameters())
        weights: list[tuple[Tensor, int, int]] = [
            (here[name], bits, place) for place, (name, bits) in enumerate(self.bits.items()) if name in here and bits
        ]
        if not weights:
            raise CompressionError("the model has none of the weights whose bits are to be kept clear")
        for name in self.bits:
            if name in here and here[name].dtype != torch.float32:
                raise CompressionError(f"{name} became {here[name].dtype}: bits are kept clear of float32 weights only")
        return _BitsAttached(weights, self)


class _BitsAttached(Attached):
    def __init__(self, weights: list[tuple[Tensor, int, int]], keep: KeepBits) -> None:
        self.each_step = keep.when == "step"
        self._weights, self._keep = weights, keep
        self._times = 0

    def step(self) -> None:
        self._times += 1
        for weight, bits, place in self._weights:
            key = (self._keep.seed, place)
            if self._keep.rule == "stochastic":
                overwrite(weight, bits, "stochastic", (*key, self._times))
            elif self._keep.rule == "random":
                not_zero = weight.detach() != 0
                overwrite(weight, bits, "random", key)
                apply_mask(weight, not_zero)
            else:
                overwrite(weight, bits, self._keep.rule, key)

    def epoch(self) -> None:
        if self._keep.when != "end":
            self.step()

    def finish(self) -> None:
        # Also where it was done before: the weights in place may be those of another epoch. What is clear stays as it
        # is, under every rule.
        self.step()

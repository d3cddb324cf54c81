"""Powerpropagation: training that pushes small weights to zero, so that more of them can be pruned.

Source: Schwarz, Jayakumar, Pascanu, Latham and Teh, "Powerpropagation: A sparsity inducing weight reparameterisation",
arXiv 2110.00296.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from energybench.compress.layers import covered_weights
from energybench.errors import UsageError


def check_alpha(alpha: object) -> None:
    """UsageError where `alpha` is not a finite number from 1 on."""
    number = isinstance(alpha, (int, float)) and not isinstance(alpha, bool)
    if not (number and 1 <= alpha < float("inf")):  # type: ignore[operator]
        raise UsageError(f"powerprop must be a number from 1 (off) on, such as 2, not {alpha!r}")


@contextmanager
def powerpropagation(model: nn.Module, alpha: float) -> Iterator[nn.Module]:
    """Inside, every covered weight w of `model` is theta * |theta| ** (alpha - 1), and optimisers train theta.

    Build optimisers inside. theta starts where w is what it was, and at the end weights are plain parameters again,
    the same objects as before, with the values of w; both conversions are exact to float32's rounding (a relative 1e-6
    here), and a weight of 0 is 0 throughout. The gradient of theta is alpha * |theta| ** (alpha - 1) times that of w,
    so that what is large moves more than what is small, and what is 0 stays: masks of pruned weights hold as before.
    `alpha` = 1 does nothing at all.

    The state dict has other names inside. Raises UsageError for an `alpha` below 1, and CompressionError where a
    weight cannot be worked on (see covered_weights); the model is then what it was.
    """
    check_alpha(alpha)
    if alpha == 1:
        yield model
        return
    places = [
        (model.get_submodule(path), name) for path, _, name in (n.rpartition(".") for n in covered_weights(model))
    ]
    orders = [list(module._parameters) for module, _ in places]
    try:
        for module, name in places:
            parametrize.register_parametrization(module, name, _Power(alpha))
        yield model
    finally:
        for (module, name), order in zip(places, orders, strict=True):
            if parametrize.is_parametrized(module, name):
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
            # What comes back comes back behind the others.
            for each in order:
                module._parameters[each] = module._parameters.pop(each)


class _Power(nn.Module):
    """theta to w, and back."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, theta: Tensor) -> Tensor:
        result: Tensor = _SignedPower.apply(theta, self.alpha)
        return result

    def right_inverse(self, weight: Tensor) -> Tensor:
        # In double precision: the root alone would otherwise cost as much exactness as all the rest.
        root = weight.double().abs().pow_(1 / self.alpha).copysign_(weight)
        return root.to(weight.dtype)


class _SignedPower(torch.autograd.Function):
    """sign(x) * |x| ** alpha for alpha > 1, with the gradient that its product form has not at 0: 0 and not NaN."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, alpha: float) -> Tensor:
        slope = theta.abs().pow_(alpha - 1)
        ctx.save_for_backward(slope)
        ctx.alpha = alpha
        return theta * slope

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return gradient * slope * ctx.alpha, None

"""Stochastic rounding, and the SGD that trains weights stored in bfloat16 or float16 with it.

Rounding to nearest freezes such a weight: SGD's updates are mostly below half of its last place, and every one of them
is lost. Rounded up with the probability of the part that does not fit, they arrive on average (Gupta et al., Deep
Learning with Limited Numerical Precision, ICML 2015).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from energybench.compress.layers import flat
from energybench.errors import UsageError

ROUNDED = (torch.bfloat16, torch.float16)
"""dtypes that are stored by stochastic rounding; float32 and float64 are trained as by torch.optim.SGD"""
BUCKET = 1 << 18
"""weights updated together on a CPU: their float32 scratch stays in the cache"""
BUCKET_ACCELERATOR = 1 << 24
_SMALLEST_NORMAL = 2.0**-14  # of float16
_LARGEST = 65504.0  # of float16
_DROPPED_BITS = {torch.bfloat16: 16, torch.float16: 13}  # of float32's mantissa


def round_stochastically_(values: Tensor, dtype: torch.dtype, noise: Tensor) -> Tensor:
    """Bring float32 `values` in place to numbers that `dtype` (bfloat16 or float16) holds exactly, its neighbours.

    `noise` (int32, same shape) holds uniform integers in [0, 65536). The chance to go away from zero is the share of
    the way there, so the mean of the result is the value itself. What `dtype` holds stays; infinities and NaN too;
    float16 takes what lies beyond 65504 to +-65504.
    """
    pattern = values.view(torch.int32)
    bits = _DROPPED_BITS[dtype]
    if dtype == torch.bfloat16:
        pattern.add_(noise).bitwise_and_(-1 << bits)
        return values
    # Below float16's normal range its numbers are evenly spaced. Moved up by 2^-14, float32's upper bits are as well.
    moved = torch.zeros_like(values).masked_fill_(values.abs() < _SMALLEST_NORMAL, _SMALLEST_NORMAL).copysign_(values)
    values.copy_(values.clamp(-_LARGEST, _LARGEST).where(values.isfinite(), values))
    values.add_(moved)
    pattern.add_(noise.bitwise_and((1 << bits) - 1)).bitwise_and_(-1 << bits)
    return values.sub_(moved)


class StochasticRoundingSGD(torch.optim.Optimizer):
    """torch.optim.SGD for weights in bfloat16 and float16 too: float32 arithmetic and state, stochastic rounding.

    Per step, in float32: d = gradient + weight_decay * weight; buffer = momentum * buffer + d; weight - lr * buffer,
    rounded to the weight's dtype without bias and never by a whole unit in its last place. Parameters in float32 are
    updated by torch's own fused kernel, to the same bits as by `torch.optim.SGD(fused=True)`.

    The noise follows from `seed`, the parameter group and the number of the step alone, so a training that goes on from
    a saved state is the one that was never interrupted. Models of more than 2^18 rounded weights (2^24 on a GPU) get
    2^19 (2^25) draws per step, of which every bucket of weights uses a part that begins at random, XORed with a number
    of its own: uniform for every weight and independent for every two, and cheap.

    Raises UsageError for a parameter that is not floating point, sparse gradients, or a setting out of its range.
    """

    gradient_scale: float = 1.0
    """gradients are this many times the true ones (loss scaling); divided in float32, where nothing underflows"""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        *,
        seed: int = 0,
    ) -> None:
        for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"StochasticRoundingSGD: {name} must be a finite number from 0 up, not {value!r}")
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "seed": seed, "steps": 0}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's; UsageError for a parameter that cannot be trained here."""
        super().add_param_group(param_group)
        for parameter in self.param_groups[-1]["params"]:
            if parameter.dtype not in (*ROUNDED, torch.float32, torch.float64):
                self.param_groups.pop()
                raise UsageError(f"StochasticRoundingSGD trains no {parameter.dtype}; use float32 or bfloat16 weights")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for place, group in enumerate(self.param_groups):
            exact: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
            rounded: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None and weight.numel():
                    if weight.grad.is_sparse:
                        raise UsageError(
                            "StochasticRoundingSGD takes no sparse gradients: build Embedding without them"
                        )
                    kind = rounded if weight.dtype in ROUNDED else exact
                    kind.setdefault((weight.device, weight.dtype), []).append(weight)
            for weights in exact.values():
                gradients = [weight.grad for weight in weights if weight.grad is not None]
                self._update(group, weights, gradients, [self._buffer(group, weight) for weight in weights])
            for (device, dtype), weights in rounded.items():
                count = sum(weight.numel() for weight in weights)
                noise = _Noise(device, (group["seed"], place, group["steps"], ROUNDED.index(dtype)), count)
                self._rounded(group, weights, dtype, noise)
            group["steps"] += 1
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, except that it would bring the momentum to the weight's dtype: here it stays float32."""
        super().load_state_dict(state_dict)
        names = [name for group in state_dict["param_groups"] for name in group["params"]]
        weights = [weight for group in self.param_groups for weight in group["params"]]
        for name, weight in zip(names, weights, strict=True):
            buffer = state_dict["state"].get(name, {}).get("momentum_buffer")
            if buffer is not None and weight.dtype in ROUNDED:
                self.state[weight]["momentum_buffer"] = torch.empty_like(weight, dtype=torch.float32).copy_(buffer)

    def _update(
        self, group: dict[str, Any], weights: list[Tensor], gradients: list[Tensor], buffers: list[Tensor | None]
    ) -> None:
        """SGD's step on tensors of one dtype and device, by torch's own kernels."""
        if self.gradient_scale != 1:
            gradients = list(torch._foreach_mul(gradients, 1 / self.gradient_scale))
        # The fused kernel walks through memory and takes for granted that all three are laid out alike.
        fused = weights[0].device.type in ("cpu", "cuda") and all(map(_alike, weights, gradients, buffers))
        sgd(
            weights,
            gradients,
            buffers,
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            lr=group["lr"],
            dampening=0.0,
            nesterov=False,
            maximize=False,
            fused=fused,
            foreach=False,
        )

    def _rounded(self, group: dict[str, Any], weights: list[Tensor], dtype: torch.dtype, noise: _Noise) -> None:
        """The step in float32 scratch, bucket by bucket, each stored by stochastic rounding."""
        scratch = torch.empty((2, noise.size), dtype=torch.float32, device=weights[0].device)
        for bucket in self._buckets(group, weights, noise.size):
            sizes = [weight.numel() for weight, _, _ in bucket]
            total = sum(sizes)
            if total > noise.size:  # one weight with gaps in its memory
                scratch = scratch.new_empty((2, total))
            values, steps = scratch[0, :total], scratch[1, :total]
            stored = [weight for weight, _, _ in bucket]
            weights32 = [piece.view_as(like) for piece, like in zip(values.split(sizes), stored, strict=True)]
            gradients = [piece.view_as(like) for piece, like in zip(steps.split(sizes), stored, strict=True)]
            torch._foreach_copy_(weights32, stored)
            torch._foreach_copy_(gradients, [gradient for _, gradient, _ in bucket])
            self._update(group, weights32, gradients, [buffer for _, _, buffer in bucket])
            round_stochastically_(values, dtype, noise.draw(total))
            torch._foreach_copy_(stored, weights32)

    def _buckets(self, group: dict[str, Any], weights: list[Tensor], size: int) -> Iterator[list[_Piece]]:
        """Pieces that are together at most `size` elements, or one that is larger."""
        bucket: list[_Piece] = []
        room = size
        for weight in weights:
            gradient = weight.grad
            assert gradient is not None
            for piece in _pieces(weight, gradient, self._buffer(group, weight), size):
                if bucket and piece[0].numel() > room:
                    yield bucket
                    bucket, room = [], size
                bucket.append(piece)
                room -= piece[0].numel()
        if bucket:
            yield bucket

    def _buffer(self, group: dict[str, Any], weight: Tensor) -> Tensor | None:
        """The momentum of a weight, zeros at first: the first step leaves its d there, as in torch's SGD."""
        if not group["momentum"]:
            return None
        state = self.state[weight]
        buffer: Tensor | None = state.get("momentum_buffer")
        # The model may have moved to another memory format.
        if buffer is None or (buffer.stride() != weight.stride() and buffer.stride() != _strides(weight)):
            kept = torch.float32 if weight.dtype in ROUNDED else weight.dtype
            fresh = torch.zeros_like(weight, dtype=kept)
            state["momentum_buffer"] = buffer = fresh if buffer is None else fresh.copy_(buffer)
        return buffer


class _Noise:
    """Uniform 16-bit integers for one step on one device."""

    def __init__(self, device: torch.device, key: tuple[int, ...], weights: int) -> None:
        self.size = min(BUCKET if device.type == "cpu" else BUCKET_ACCELERATOR, weights)
        self._choice = random.Random(repr(key))
        self._generator = torch.Generator(device).manual_seed(self._choice.getrandbits(63))
        self._device = device
        self._pool = self._fresh(self.size if weights == self.size else 2 * self.size)

    def draw(self, size: int) -> Tensor:
        """`size` numbers in [0, 65536), int32; above `self.size` each has a draw of its own."""
        if size > self.size:
            return self._fresh(size)
        start = self._choice.randint(0, len(self._pool) - self.size)
        return self._pool[start : start + size].bitwise_xor(self._choice.getrandbits(16))

    def _fresh(self, size: int) -> Tensor:
        # Four from a 64-bit draw: a CPU's generator is serial, and this is a quarter of its draws.
        drawn = torch.empty(-(-size // 4), dtype=torch.int64, device=self._device)
        drawn.random_(-(1 << 63), None, generator=self._generator)
        return drawn.view(torch.int16)[:size].to(torch.int32).bitwise_and_(0xFFFF)


_Piece = tuple[Tensor, Tensor, Tensor | None]
"""(weight, gradient, momentum): the same elements of each, in one order"""


def _pieces(weight: Tensor, gradient: Tensor, buffer: Tensor | None, size: int) -> Iterator[_Piece]:
    """Contiguous pieces of at most `size` elements; a weight with gaps in its memory is one piece."""
    small = weight.numel() <= size and weight.is_contiguous() and gradient.is_contiguous()
    if small or weight.stride() != _strides(weight):
        yield weight, gradient, buffer
    else:
        if gradient.stride() != weight.stride():
            gradient = torch.empty_like(weight, dtype=gradient.dtype).copy_(gradient)
        pieces = flat(weight).split(size)
        buffers = [None] * len(pieces) if buffer is None else flat(buffer).split(size)
        yield from zip(pieces, flat(gradient).split(size), buffers, strict=True)


def _alike(weight: Tensor, gradient: Tensor, buffer: Tensor | None) -> bool:
    strides = weight.stride()
    if gradient.stride() != strides or (buffer is not None and buffer.stride() != strides):
        return False
    return weight.is_contiguous() or strides == _strides(weight)


def _strides(weight: Tensor) -> tuple[int, ...]:
    """The strides of a dense copy: the weight's own, unless there are gaps in its memory."""
    return torch.empty_like(weight, device="meta").stride()

"""A model whose forward pass runs in a lower precision, whoever calls it, and what its training needs beside."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from energybench.compress.stochastic import ROUNDED, StochasticRoundingSGD
from energybench.compress.upkeep import Attached
from energybench.errors import CompressionError

ARITHMETIC = ("bfloat16", "float16", "tf32")
INITIAL_SCALE = 2.0**16
GROWTH_STEPS = 2000
"""steps without an infinite gradient after which the scale is doubled (as in Micikevicius et al., Mixed Precision
Training, ICLR 2018, and torch.amp.GradScaler)"""


def run_in(model: nn.Module, arithmetic: str) -> None:
    """Make `model`'s forward pass run in `arithmetic`: autocast to bfloat16 or float16, or `tf32` multiplications.

    Outputs in that dtype, also inside tuples, lists and dicts, are cast to float32. Inputs are left alone: autocast
    brings what goes into a product to its dtype, and token ids stay integers.

    The model's class becomes a derived one, as in torch.nn.utils.parametrize: the names of modules and parameters, and
    so the state dict, are what they were (a module around it would put a prefix before each), isinstance holds, and
    copies, pickles, train(), to() and torch.compile work as before. CompressionError where the instance has a forward
    of its own (set from outside, or a compiled or scripted module) or copies itself in its own way (torch.fx): such a
    class would not reach it.
    """
    own = "forward" in vars(model) or isinstance(model, torch.jit.ScriptModule)
    if own or hasattr(type(model), "__deepcopy__"):
        raise CompressionError(
            f"the {type(model).__name__} has a forward of its own (compiled, scripted, traced, or set from outside): "
            "compress the plain model, and compile it afterwards"
        )
    model.__class__ = _derived(type(model), arithmetic)


_CLASSES: dict[tuple[type[nn.Module], str], type[nn.Module]] = {}


def _derived(base: type[nn.Module], arithmetic: str) -> type[nn.Module]:
    """The class of such models, one for each base and arithmetic, so that copies have the same."""
    if (base, arithmetic) in _CLASSES:
        return _CLASSES[base, arithmetic]
    plain: Callable[..., Any] = base.forward

    @functools.wraps(plain)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with _context(self, arithmetic):
            output = plain(self, *args, **kwargs)
        return output if arithmetic == "tf32" else in_float32(output)

    def reduce(self: nn.Module) -> tuple[Any, ...]:
        return _restore, (base, arithmetic), self.__getstate__()

    members = {"forward": forward, "__reduce__": reduce, "__module__": base.__module__}
    return _CLASSES.setdefault((base, arithmetic), type(f"{base.__name__}_{arithmetic}", (base,), members))


def _restore(base: type[nn.Module], arithmetic: str) -> nn.Module:
    """The empty object that copy and pickle fill: the derived class cannot be imported by its name."""
    cls = _derived(base, arithmetic)
    return cls.__new__(cls)


def _context(model: nn.Module, arithmetic: str) -> AbstractContextManager[Any]:
    if arithmetic == "tf32":
        return tf32_products()
    dtype = torch.bfloat16 if arithmetic == "bfloat16" else torch.float16
    # No cache of cast weights: inside a caller's autocast around several steps it would outlive the weights' update.
    return torch.autocast(next(model.parameters()).device.type, dtype, cache_enabled=False)


def in_float32(output: Any) -> Any:
    """`output` with every bfloat16 or float16 tensor in it cast; (named) tuples, lists and dicts are rebuilt."""
    if isinstance(output, Tensor):
        return output.float() if output.dtype in ROUNDED else output
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*map(in_float32, output))
    if type(output) in (tuple, list):
        return type(output)(map(in_float32, output))
    if isinstance(output, dict):
        for key, value in output.items():
            if isinstance(value, Tensor | tuple | list | dict):
                output[key] = in_float32(value)
    return output


@contextmanager
def tf32_products() -> Iterator[None]:
    """Matrix products and convolutions of float32 in TF32 on GPUs that have it; undone at the end."""
    places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = True
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value


@dataclass(frozen=True)
class TF32Training:
    """TF32 from the start to the end of training: the backward pass runs outside the model's forward."""

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Attached:
        return _TF32Attached()


class _TF32Attached(Attached):
    def __init__(self) -> None:
        self._products = tf32_products()
        self._products.__enter__()

    def detach(self) -> None:
        self._products.__exit__(None, None, None)


@dataclass(frozen=True)
class RoundedWeights:
    """Warns where weights stored in a half type are trained by an optimiser that rounds to nearest."""

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Attached:
        halves = {p.dtype for group in optimizer.param_groups for p in group["params"]} & set(ROUNDED)
        if halves and type(optimizer).__module__.startswith("torch.optim"):
            names = " and ".join(sorted(str(half).removeprefix("torch.") for half in halves))
            warnings.warn(
                f"{type(optimizer).__name__} rounds {names} weights to the nearest value, which loses small updates; "
                "use energybench.compress.stochastic.StochasticRoundingSGD",
                stacklevel=4,
            )
        return Attached()


@dataclass(frozen=True)
class InferenceOnly:
    """Refuses training: part of the model no longer learns."""

    reason: str

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Attached:
        raise CompressionError(self.reason)


@dataclass(frozen=True)
class LossScaling:
    """Scales the loss so that float16 gradients do not vanish, and leaves out steps whose gradients are not finite.

    `hooks.scale(loss).backward()` multiplies by the scale; before each step gradients are divided by it, or set to None
    where one of them is infinite or NaN: the step then moves nothing, and the scale is halved. It is doubled after
    `growth_steps` good steps. (torch.amp.GradScaler refuses float16 weights, and would want to call the step itself.)
    """

    initial: float = INITIAL_SCALE
    growth_steps: int = GROWTH_STEPS

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> LossScaler:
        return LossScaler(optimizer, self.initial, self.growth_steps)


class LossScaler(Attached):
    """The scale of one training."""

    def __init__(self, optimizer: torch.optim.Optimizer, initial: float, growth_steps: int) -> None:
        self.value = initial
        self.skipped = 0
        """steps left out so far"""
        self._growth_steps = growth_steps
        self._good = 0
        self._scaled = False
        self._optimizer = optimizer
        self._handle = optimizer.register_step_pre_hook(self._before_step)

    def scale(self, loss: Tensor) -> Tensor:
        self._scaled = True
        return loss * self.value

    def detach(self) -> None:
        self._handle.remove()
        if isinstance(self._optimizer, StochasticRoundingSGD):
            self._optimizer.gradient_scale = 1.0

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if not self._scaled:
            raise CompressionError(
                "training in float16 needs a scaled loss: call hooks.scale(loss).backward() instead of loss.backward()"
            )
        weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not _finite([weight.grad for weight in weights]):
            for weight in weights:
                weight.grad = None
            self.value /= 2
            self.skipped += 1
            self._good = 0
            return
        if isinstance(optimizer, StochasticRoundingSGD):
            optimizer.gradient_scale = self.value
        else:
            for weight in weights:
                weight.grad.mul_(1 / self.value)
        self._good += 1
        if self._good == self._growth_steps:
            self.value *= 2
            self._good = 0


def _finite(gradients: list[Tensor]) -> bool:
    """Whether all are; one look per device."""
    bad: dict[torch.device, Tensor] = {}
    for gradient in gradients:
        # The sum of x * 0 is 0 or NaN, exactly.
        bad[gradient.device] = bad.get(gradient.device, 0) + gradient.sum(dtype=torch.float32) * 0
    return not any(bool(value.isnan()) for value in bad.values())

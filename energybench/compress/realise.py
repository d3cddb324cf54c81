"""Capacity realised: a model whose low bits are cleared is moved to arithmetic that needs no more than those left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from energybench.compress.arithmetic import InferenceOnly, LossScaling, RoundedWeights, TF32Training, run_in
from energybench.compress.layers import chunks
from energybench.compress.precision import TARGETS, UnavailableError, probe
from energybench.compress.upkeep import Upkeep
from energybench.errors import CompressionError, UsageError

__all__ = ["TARGETS", "Realised", "UnavailableError", "realise", "required_bits"]

_REQUIRED_BITS: Mapping[str, int] = MappingProxyType(
    {"bfloat16": 16, "autocast": 16, "tf32": 13, "float16": 13, "float8": 20, "int8": 20}
)
_FLOAT16_MAX = 65504.0
SIMULATED = "float32"
"""`Realised.dtype` where nothing could be realised"""


@dataclass(frozen=True)
class Realised:
    """A model after `realise`, and what its training and its report have to know."""

    model: nn.Module
    upkeep: tuple[Upkeep, ...]
    dtype: str
    """what the weights or their arithmetic became: `bfloat16`, `autocast bfloat16` (float32 weights), `tf32`,
    `float16`, `autocast float16`, `float8_e4m3fn`, `int8`; `float32` where the model had to stay as it was"""
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was realised."""
        return self.dtype != SIMULATED


def required_bits(target: str) -> int:
    """How many low bits of every float32 weight must be cleared before `target` (of TARGETS) may take over.

    bfloat16 keeps the upper 16 bits; TF32 and float16 keep 10 bits of the mantissa, so 13 go (float16's range is
    checked apart). float8 (e4m3) keeps 3 mantissa bits, which is what 20 cleared bits leave; int8 with a scale per
    output channel is finer than that for weights above an eighth of the channel's largest, and coarser below it:
    both are lossy beyond the bits cleared, and their results say so. UsageError for an unknown target.
    """
    if target not in TARGETS:
        raise UsageError(f"unknown precision {target!r} to realise; there are {', '.join(TARGETS)}")
    return _REQUIRED_BITS[target]


def realise(
    model: nn.Module,
    target: str,
    bits: int,
    covered: Sequence[str],
    *,
    slow: bool = False,
    example_input: Tensor | None = None,
) -> Realised:
    """Move `model`, in place, to the arithmetic `target`; `bits` low bits of its `covered` parameters are cleared.

    - `bfloat16`: covered weights become bfloat16 parameters without a loss; forward passes run under autocast. They
      train with `stochastic.StochasticRoundingSGD`. Biases, norms and what is not covered stay float32.
    - `autocast`: bfloat16 products from float32 weights.
    - `tf32`: TF32 products in forward passes and, through the upkeep, in all of training.
    - `float16`: as `bfloat16`, with loss scaling through the upkeep. Where a value lies between float16's numbers
      (below 2^-14 they are 2^-24 apart) weights stay float32 and only the products are float16; where one is beyond
      its range, nothing is changed. Notes say so.
    - `float8`, `int8`: covered Linear layers only, by torchao (extra `lowbit`); float8 trains, int8 is for inference.
      With `example_input` (batch first) the notes tell the share of the FLOPs that they hold.

    `slow` runs what this machine has no fast path for, with a warning among the notes. Modules, parameters and the
    state dict keep their names. Raises UnavailableError with the probe's reason, CompressionError for too few bits
    or a covered tensor that is not what was said, UsageError for a bad argument; the model is then as it was.
    """
    need = required_bits(target)
    if isinstance(bits, bool) or not isinstance(bits, int) or not 0 <= bits <= 32:
        raise UsageError(f"realise: bits must be a whole number from 0 to 32, not {bits!r}")
    if bits < need:
        raise CompressionError(f"{target} needs {need} cleared bits, and only {bits} are: the result stays simulated")
    weights = _weights(model, covered)
    found = probe(target, next(iter(weights.values())).device)
    if not found.possible:
        raise UnavailableError(f"{target} cannot run here: {found.reason}")
    if not (found.fast or slow):
        raise UnavailableError(f"{target} has no fast path: {found.reason}; pass slow=True to run it all the same")
    before = _bytes(model)
    done = {
        "bfloat16": _bfloat16,
        "autocast": _autocast,
        "tf32": _tf32,
        "float16": _float16,
        "float8": _float8,
        "int8": _int8,
    }[target](model, weights, example_input)
    notes = done.notes
    if done.changed:
        after = _bytes(done.model)
        notes = (f"{before:,} bytes of parameters and buffers before, {after:,} after ({done.dtype})", *notes)
    if not found.fast:
        notes += (f"slow: {target} has no fast path ({found.reason})",)
    return replace(done, notes=notes)


_Weights = Mapping[str, nn.Parameter]


def _bfloat16(model: nn.Module, weights: _Weights, example_input: Tensor | None) -> Realised:
    chosen, notes = _storable(model, weights)
    for name, weight in chosen.items():
        lost = _lost(weight, torch.bfloat16)
        if lost:
            raise CompressionError(
                f"{name} holds {lost:,} values that are no bfloat16 numbers: clear 16 bits of it by truncating or "
                "rounding before it is realised"
            )
    run_in(model, "bfloat16")
    _store(chosen, torch.bfloat16)
    return Realised(model, (RoundedWeights(),), "bfloat16", notes)


def _autocast(model: nn.Module, weights: _Weights, example_input: Tensor | None) -> Realised:
    run_in(model, "bfloat16")
    return Realised(model, (), "autocast bfloat16", ("weights stay float32; their products are bfloat16",))


def _tf32(model: nn.Module, weights: _Weights, example_input: Tensor | None) -> Realised:
    run_in(model, "tf32")
    return Realised(model, (TF32Training(),), "tf32", ("weights stay float32; their products are TF32",))


def _float16(model: nn.Module, weights: _Weights, example_input: Tensor | None) -> Realised:
    chosen, notes = _storable(model, weights)
    for name, weight in weights.items():
        if not bool((weight.detach().abs() <= _FLOAT16_MAX).all()):
            said = f"not realised: {name} holds values beyond float16's range (+-{_FLOAT16_MAX:.0f}), or NaN"
            return Realised(model, (), SIMULATED, (said,))
    lost = {name: count for name, weight in chosen.items() if (count := _lost(weight, torch.float16))}
    run_in(model, "float16")
    if lost:
        total = sum(weight.numel() for weight in chosen.values())
        said = (
            f"weights stay float32, only their products are float16: {sum(lost.values()):,} of {total:,} values in "
            f"{len(lost)} tensors ({next(iter(lost))} first) lie between float16's numbers, 2^-24 apart below 2^-14"
        )
        return Realised(model, (LossScaling(),), "autocast float16", (*notes, said))
    _store(chosen, torch.float16)
    return Realised(model, (RoundedWeights(), LossScaling()), "float16", notes)


def _float8(model: nn.Module, weights: _Weights, example_input: Tensor | None) -> Realised:
    from energybench.compress.lowbit import float8_weights, to_float8

    said = _reached(model, weights, float8_weights(model, weights), example_input)
    model = to_float8(model, weights)
    lossy = (
        "weights stay float32; e4m3 operands with a factor per tensor: small weights are lost beyond the bits cleared"
    )
    return Realised(model, (), "float8_e4m3fn", (said, lossy))


def _int8(model: nn.Module, weights: _Weights, example_input: Tensor | None) -> Realised:
    from energybench.compress.lowbit import int8_weights, to_int8

    said = _reached(model, weights, int8_weights(model, weights), example_input)
    to_int8(model, weights)
    lossy = "int8 steps of 1/127 of each output channel's largest weight: lossy beyond the bits cleared"
    upkeep = InferenceOnly("int8 weights are for inference and do not train: realise int8 after the training")
    return Realised(model, (upkeep,), "int8", (said, lossy, "for inference: these layers no longer train"))


def _weights(model: nn.Module, covered: Sequence[str]) -> dict[str, nn.Parameter]:
    """The covered parameters by name, all float32."""
    if not covered:
        raise UsageError("realise: covered names no tensor")
    weights: dict[str, nn.Parameter] = {}
    own = dict(model.named_parameters())
    for name in covered:
        if name not in own:
            raise CompressionError(f"the model has no parameter {name} to realise")
        if own[name].dtype != torch.float32:
            raise CompressionError(f"{name} is {own[name].dtype}, and only float32 is realised in another precision")
        weights[name] = own[name]
    return weights


def _storable(model: nn.Module, weights: _Weights) -> tuple[dict[str, nn.Parameter], tuple[str, ...]]:
    """Those that may be stored in a half type: matrices and filters. Biases and norms work with sums, in float32."""
    chosen = {}
    for name, weight in weights.items():
        owner = model.get_submodule(name.rpartition(".")[0])
        if weight.dim() > 1 and not isinstance(owner, nn.LayerNorm | nn.RMSNorm):
            chosen[name] = weight
    if not chosen:
        raise CompressionError("none of the covered tensors is a matrix or filter: biases and norms stay float32")
    left = len(weights) - len(chosen)
    return chosen, (f"{left} covered biases and norms stay float32",) if left else ()


def _lost(weight: Tensor, dtype: torch.dtype) -> int:
    """How many values `dtype` does not hold exactly, NaN among them."""
    return sum(int((values.to(dtype).float() != values).sum()) for (values,) in chunks(weight))


def _store(weights: _Weights, dtype: torch.dtype) -> None:
    for weight in weights.values():
        # As nn.Module.to does: the parameter stays the same object, so whoever holds it sees the change.
        weight.data = weight.data.to(dtype)
        weight.grad = None


def _reached(model: nn.Module, weights: _Weights, reached: Sequence[str], example_input: Tensor | None) -> str:
    """How much of the model an 8-bit path takes, counted before it does."""
    from energybench.compress.lowbit import linear_share

    inside, total = (sum(weights[name].numel() for name in names) for names in (reached, weights))
    said = f"reached: {len(reached)} of {len(weights)} covered tensors, {inside / total:.1%} of their values"
    if example_input is not None and reached:
        said += f", {linear_share(model, reached, example_input):.1%} of the forward FLOPs"
    return f"{said}; the rest stays float32"


def _bytes(model: nn.Module) -> int:
    from energybench.compress.lowbit import stored_tensors

    return sum(plain.nbytes for t in (*model.parameters(), *model.buffers()) for plain in stored_tensors(t.detach()))

"""How a trained model is run: eagerly, compiled by torch.compile, or with dynamically quantised Linear layers."""

from __future__ import annotations

import atexit
import copy
import importlib.util
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from energybench.compress import CompressionReport, Effect, Evidence, size_of
from energybench.compress.lowbit import int8_weights, linear_share, stored_tensors, to_int8
from energybench.compress.precision import UnavailableError
from energybench.errors import UsageError

WAYS = ("eager", "compile", "int8_dynamic")
"""how a model is run; the last two stand in a compressor's place in the ids of test_inference.py"""


def unavailable(way: str, device: torch.device) -> str:
    """Why a way of WAYS cannot be taken on `device` with what is installed; empty where it can. UsageError if unknown.

    `compile` needs a C++ compiler for a CPU and Triton for a GPU; `int8_dynamic` torch's own quantised layers on a CPU
    and torchao on a GPU.
    """
    if way not in WAYS:
        raise UsageError(f"unknown way {way!r} to run a model; there are {', '.join(WAYS)}")
    if way == "compile" and device.type == "cpu":
        compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
        if shutil.which(compiler) is None:
            return f"torch.compile on a CPU needs a C++ compiler, and there is no {compiler}: install it or set CXX"
    if way == "compile" and device.type != "cpu" and importlib.util.find_spec("triton") is None:
        return f"torch.compile on {device.type} needs Triton, which is not installed: pip install triton"
    if way == "int8_dynamic" and device.type == "cpu":
        if torch.backends.quantized.engine in (None, "none"):
            return "this build of torch has no engine for quantised layers on a CPU"
        if _quantizer() is None:
            return "this torch no longer has torch.ao.quantization, and torchao's int8 is slower than float32 on a CPU"
    if way == "int8_dynamic" and device.type != "cpu" and importlib.util.find_spec("torchao") is None:
        return f"int8 on {device.type} needs torchao, which is not installed: pip install 'energybench[lowbit]'"
    return ""


def prepared(model: nn.Module, way: str, example: Tensor) -> nn.Module:
    """A copy of `model` in evaluation mode, to be run (`run`) in one of WAYS on inputs like `example`, batch first.

    - `eager`: as it is.
    - `compile`: torch.compile for exactly this shape, as one graph, from empty caches on the disk: compiled here, so
      that a later process's saving from those caches is not counted. `start_compiler` beforehand keeps what is done
      once per process out of it.
    - `int8_dynamic`: the weights of Linear layers in int8 with a scale per output channel, activations quantised in
      every call; other layers stay float32. `quantisation_report` says what that came to.

    Raises UnavailableError with the reason where this machine cannot, UsageError for an unknown way.
    """
    reason = unavailable(way, example.device)
    if reason:
        raise UnavailableError(reason)
    work = copy.deepcopy(model).eval()
    if way == "compile":
        return _compiled(work, example)
    if way == "int8_dynamic":
        return _quantised(work, example.device.type)
    return work


@cache
def start_compiler(kind: str) -> None:
    """Load torch's compiler and its precompiled headers, once per process, by compiling a sum on `cpu` or `cuda`.

    Raises UnavailableError with the compiler's words where it does not work.
    """
    with _compiling():
        torch.compile(_one_more)(torch.zeros(8, device=kind))


def _one_more(values: Tensor) -> Tensor:
    return values + 1


def run(model: nn.Module, images: Tensor) -> Tensor:
    """One forward pass in inference mode."""
    with torch.inference_mode():
        output: Tensor = model(images)
    return output


def _compiled(model: nn.Module, example: Tensor) -> nn.Module:
    with _compiling():
        compiled = torch.compile(model, dynamic=False, fullgraph=True)
        assert isinstance(compiled, nn.Module)
        run(compiled, example)
    return compiled


@contextmanager
def _compiling() -> Iterator[None]:
    """Compile into a folder of this process instead of the user's cache, in which an earlier run may have left all.

    The compiler's failures (RuntimeErrors of many kinds) become UnavailableError; warnings are torch's own
    deprecations, met while it imports its compiler.
    """
    before = {name: os.environ.get(name) for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")}
    os.environ.update({name: f"{_folder()}/{name.lower()}" for name in before})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except RuntimeError as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UnavailableError(f"torch.compile failed here: {said}") from error
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@cache
def _folder() -> str:
    """One for the whole process, since the compiler remembers where in it the precompiled headers are."""
    folder = tempfile.mkdtemp(prefix="energybench-compile-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def quantisation_report(plain: nn.Module, quantised: nn.Module, example: Tensor) -> CompressionReport:
    """What `int8_dynamic` made of `plain`: bytes before and after, and the share of the FLOPs that it reaches."""
    covered = _linear_weights(plain)
    before, share = size_of(plain, example[:1]), linear_share(plain, covered, example[:1])
    # The operations are those of before, on integers.
    after = replace(size_of(_AsStored(quantised)), parameters=before.parameters, flops=before.flops)
    backend = f"torch.ao.quantization, {torch.backends.quantized.engine}" if example.device.type == "cpu" else "torchao"
    return CompressionReport(
        kind="int8_dynamic",
        given={"layers": "Linear", "weights": "int8 per output channel", "activations": "int8, scaled in every call"},
        effect=Effect.REALISED,
        rate=1 - after.bytes_memory / before.bytes_memory,
        rate_definition="1 - bytes in memory after / before",
        before=before,
        after=after,
        evidence=Evidence(),
        covered=covered,
        dtype="int8",
        notes=(f"{share:.1%} of the forward FLOPs are in the layers reached", f"by {backend}, without torch.compile"),
    )


def _linear_weights(model: nn.Module) -> tuple[str, ...]:
    return int8_weights(model, [name for name, _ in model.named_parameters()])


def _quantised(model: nn.Module, device: str) -> nn.Module:
    covered = _linear_weights(model)
    if not covered:
        raise UnavailableError("dynamic quantisation reaches Linear layers only, and the model has none")
    if device != "cpu":
        to_int8(model, covered)
        return model
    quantize = _quantizer()
    assert quantize is not None  # else the way was unavailable
    return quantize(model)


@cache
def _quantizer() -> Callable[[nn.Module], nn.Module] | None:
    """torch's own dynamic quantisation for CPUs, in place; None where this torch has dropped it.

    It is deprecated in favour of torchao, but on a CPU and without torch.compile torchao's int8 was seen at 1.4 to 10
    times the float32 layer's time, and this one at a fifth of it (Linear, 4096 x 4096, batch 64 and 1).
    """
    try:
        from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic
    except ImportError:
        return None

    def quantize(model: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the function and the packed weights both say that they are deprecated
            quantized: nn.Module = quantize_dynamic(model, {nn.Linear: per_channel_dynamic_qconfig}, inplace=True)
        return quantized

    return quantize


class _AsStored(nn.Module):
    """The tensors that a quantised model really holds, as plain ones that can be counted; scales are buffers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for number, tensor in enumerate(_held(model)):
            first, *scales = stored_tensors(tensor) if isinstance(tensor, nn.Parameter) else (tensor,)
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(f"parameter{number}", nn.Parameter(first.detach(), requires_grad=False))
            else:
                self.register_buffer(f"buffer{number}", first)
            for part, scale in enumerate(scales):
                self.register_buffer(f"scale{number}_{part}", scale)


def _held(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
    for module in model.modules():
        if type(module).__module__.startswith("torch.ao.nn.quantized.dynamic"):
            packed: Any = module
            weight, bias = packed.weight(), packed.bias()
            yield nn.Parameter(weight.int_repr(), requires_grad=False)
            yield weight.q_per_channel_scales()
            yield weight.q_per_channel_zero_points()
            if bias is not None:
                yield nn.Parameter(bias, requires_grad=False)

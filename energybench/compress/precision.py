"""Whether a machine computes in a low precision, or only emulates it.

A CPU without bfloat16 instructions runs bfloat16 all the same, 8 to 40 times slower than float32, and oneDNN reports
some that emulate it as capable. So a CPU is asked by a measurement; a GPU by its compute capability.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from energybench.errors import CompressionError, UsageError

TARGETS = ("bfloat16", "autocast", "tf32", "float16", "float8", "int8")
"""what weights or their arithmetic can become"""

SLOWER = 1.25
"""a precision that takes longer than this, relative to float32, has no fast path; real ones were seen at 0.3 to 0.9,
emulated ones from 2 up"""
MEASURED_S = 0.05
"""a measurement ends after this time, or seven repetitions"""

_CAPABILITY = {
    "bfloat16": (8, 0),
    "autocast": (8, 0),
    "tf32": (8, 0),
    "float16": (7, 0),
    "float8": (8, 9),
    "int8": (7, 5),
}
"""first CUDA compute capability whose tensor cores multiply the type (NVIDIA, CUDA C++ Programming Guide, section on
compute capabilities)"""


class UnavailableError(CompressionError):
    """A precision that this machine cannot run, or runs slower than float32; the text says why."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a machine does with a precision."""

    fast: bool
    """whether it is at least about as fast as float32"""
    reason: str
    """the finding as a clause, such as `this CPU takes 14.9 times as long as in float32`"""
    possible: bool = True
    """whether it can be run at all, fast or not"""


def probe(target: str, device: torch.device | str = "cpu") -> Probe:
    """Find out how `target` (of TARGETS) fares on `device`; each is looked at once per process.

    On a CPU a small convolution and a linear layer are timed forward and backward (int8: a linear layer forward), for
    less than 0.1 s of CPU time beside the import of torchao. Raises UsageError for an unknown target.
    """
    if target not in TARGETS:
        raise UsageError(f"unknown precision {target!r}; there are {', '.join(TARGETS)}")
    where = torch.device(device)
    if where.type == "cuda" and where.index is None:
        where = torch.device("cuda", torch.cuda.current_device())
    return _probe(target, where.type, where.index)


@cache
def _probe(target: str, kind: str, index: int | None) -> Probe:
    if target in ("float8", "int8") and importlib.util.find_spec("torchao") is None:
        return Probe(False, "torchao is not installed: pip install 'energybench[lowbit]'", possible=False)
    if kind == "cuda":
        return _cuda(target, torch.device(kind, index or 0))
    if target == "tf32":
        return Probe(False, f"TF32 exists on CUDA GPUs of compute capability 8.0 and above, not on {kind}", False)
    if kind != "cpu":
        return Probe(False, f"nothing is known here about its speed on {kind}")
    if target == "float8":
        return Probe(False, "this CPU has no float8 arithmetic, which CUDA GPUs have from compute capability 8.9 on")
    if target == "int8":
        return _judge(_int8_ratio(), "int8 as torchao runs it without torch.compile")
    half = torch.float16 if target == "float16" else torch.bfloat16
    return _judge(_half_ratio(half), f"oneDNN {_onednn(half)}")


def _cuda(target: str, device: torch.device) -> Probe:
    need = _CAPABILITY[target]
    have = torch.cuda.get_device_capability(device)
    name = torch.cuda.get_device_name(device)
    said = f"{name} has compute capability {have[0]}.{have[1]}; {target} is fast from {need[0]}.{need[1]} on"
    # Below it, TF32 is ignored, and float8 has no kernel. The others run, on ordinary cores.
    return Probe(have >= need, said, possible=have >= need or target not in ("tf32", "float8"))


def _judge(ratio: float, detail: str) -> Probe:
    return Probe(ratio <= SLOWER, f"this CPU takes {ratio:.2g} times as long as in float32 ({detail})")


def _onednn(half: torch.dtype) -> str:
    """What oneDNN says of itself; the operator is torch's own and may go."""
    name = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}[half]
    supported = getattr(torch.ops.mkldnn, name, None)
    if supported is None:
        return "does not say whether it supports it"
    return "says it supports it" if supported() else "says it does not support it"


@cache
def _half_ratio(half: torch.dtype) -> float:
    """Time in `half` / time in float32 of a small convolution and a linear layer, forward and backward."""

    def work(dtype: torch.dtype) -> Callable[[], object]:
        conv = nn.Conv2d(16, 32, 3, padding=1, dtype=dtype)
        linear = nn.Linear(256, 256, dtype=dtype)
        images, rows = torch.randn(8, 16, 16, 16).to(dtype), torch.randn(64, 256).to(dtype)

        def run() -> None:
            (conv(images).sum() + linear(rows).sum()).backward()

        return run

    return _ratio(lambda: (work(half), work(torch.float32)))


def _int8_ratio() -> float:
    """Time in int8 / time in float32 of a linear layer's forward pass, as torchao runs it."""
    from energybench.compress.lowbit import to_int8

    def build() -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
        plain = nn.Linear(1024, 1024)
        low = nn.Sequential(nn.Linear(1024, 1024))
        to_int8(low, ("0.weight",))
        rows = torch.randn(8, 1024)
        return (lambda: low(rows)), (lambda: plain(rows))

    return _ratio(build)


def _ratio(build: Callable[[], tuple[Callable[[], object], Callable[[], object]]]) -> float:
    """Shortest time of the first / of the second, run in turn; torch's threads and generator are left as they were.

    In CPU seconds of one thread: on a machine that others keep busy, wall time would judge them.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            pair = build()
            for run in pair:
                run()
            best = [float("inf")] * 2
            end = time.thread_time() + MEASURED_S
            for _ in range(7):
                for side, run in enumerate(pair):
                    start = time.thread_time()
                    run()
                    best[side] = min(best[side], time.thread_time() - start)
                if time.thread_time() > end:
                    break
    finally:
        torch.set_num_threads(threads)
    return best[0] / best[1]

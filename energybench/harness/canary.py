"""The canary: a fixed load that no code under test touches, metered before the first case and after the last one.

Where the canary takes 3 % more joules than it took in the baseline's session, the machine has drifted by as much; where
it does not and all cases do, the code has. The load is the standard library's: a hash and a compression of the same
bytes, and arithmetic in Python itself. Where the process uses CUDA at both ends, a product of matrices on the GPU is
metered beside it, in a window of its own.

The number of calls is fixed at the first look, as many as take about half a second, and is the same at the last one;
what counts is joules per call. Nothing of it touches the random numbers of the cases.
"""

from __future__ import annotations

import hashlib
import math
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from energybench.harness.options import EnergyOptions
from energybench.model import Provenance

if TYPE_CHECKING:
    from energybench.metering import Meters

LABEL = "canary"
TAKES_S = 0.5
TRIAL_S = 0.1
"""the calls that are counted to learn how many are needed take at least this long; they warm it up, too"""
_BYTES = bytes(range(256)) * 1024
_SIZE = 1024

When = Literal["first", "last"]


@dataclass(frozen=True, slots=True)
class Load:
    """One metered window of a load."""

    joules: Mapping[str, float | None]
    """domain -> IT joules of the domains that add up"""
    seconds: float
    calls: int

    def record(self) -> dict[str, Any]:
        """As it is stored."""
        return {"joules": dict(self.joules), "seconds": self.seconds, "calls": self.calls}


@dataclass(frozen=True, slots=True)
class Look:
    """The canary at one end of the session."""

    when: When
    cpu: Load
    gpu: Load | None = None
    """None where the process did not use CUDA at the first look"""

    def record(self) -> dict[str, Any]:
        """As it is stored: the CPU's load, the GPU's under `gpu`."""
        gpu = {} if self.gpu is None else {"gpu": self.gpu.record()}
        return {"when": self.when, **self.cpu.record(), **gpu}


def is_wanted(options: EnergyOptions, meters: Meters) -> bool:
    """Whether the session has a canary: as asked, else where there is a gate; replayed joules are spent by no load."""
    if options.canary is not None:
        return options.canary
    replayed = all(domain.provenance is Provenance.REPLAYED for domain in meters.domains)
    return options.compare is not None and not (replayed and meters.domains)


def look(meters: Meters, when: When, first: Look | None = None) -> Look:
    """Meter the load now; with `first`, exactly as often as then.

    Raises MeterError where the meters have no window for it, and whatever torch raises.
    """
    cpu = _metered(meters, _work, first.cpu.calls if first else _calls(_work))
    on_gpu = _cuda() if first is None or first.gpu is not None else None
    if on_gpu is None:
        return Look(when, cpu)
    return Look(when, cpu, _metered(meters, on_gpu, first.gpu.calls if first and first.gpu else _calls(on_gpu)))


def _metered(meters: Meters, work: Callable[[], object], calls: int) -> Load:
    window = meters.open_window(LABEL)
    for _ in range(calls):
        work()
    closed = window.close()
    added = [domain.name for domain in meters.domains if domain.in_total]
    return Load({name: closed.joules.get(name) for name in added}, closed.seconds, calls)


def _calls(work: Callable[[], object]) -> int:
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < TRIAL_S:
        work()
        calls += 1
    return max(1, math.ceil(calls * TAKES_S / (time.perf_counter() - started)))


def _work() -> float:
    """About 5 ms: memory, integer and floating-point work in C, and the interpreter itself."""
    digest = hashlib.sha256(_BYTES).digest()
    packed = zlib.compress(digest + _BYTES, 6)
    total = float(len(packed))
    for number in range(1, 20_000):
        total += 1.0 / number
    return total


def _cuda() -> Callable[[], object] | None:
    """A product of two matrices on the current GPU, where this process has used CUDA already; torch is not loaded.

    In float64: precision modes that code under test may set (TF32, reduced float16 sums) do not bear on it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not getattr(torch, "cuda", None) or not torch.cuda.is_initialized():
        return None
    ones = torch.ones((_SIZE, _SIZE), dtype=torch.float64, device="cuda")
    out = torch.empty_like(ones)

    def product() -> object:
        with torch.no_grad():
            torch.mm(ones, ones, out=out)
            torch.cuda.synchronize()
        return out

    return product

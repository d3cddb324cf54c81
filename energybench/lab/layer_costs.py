"""Layer-wise prediction: what each operation of a model costs on this machine, measured alone, and their sum.

`Costs` measures each distinct operation (see `layer_calls`) on tensors of its shapes and keeps what it found, so that
models share what they have in common. Nothing of the model is trained.

    costs = Costs(watts=8.0)
    predicted = costs.of(training_step("resnet18", pixels=32, batch=32, classes=10))

The idea of a sum over layers: Getzner, Charpentier, Guennemann (arXiv 2304.00897). What a sum cannot know: whether an
operation finds its inputs still in the cache, and work that overlaps. Weights are taken from memory, as in a model that
is larger than the cache, and all else from wherever the last call left it, as what the operation before has written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from energybench.errors import UsageError
from energybench.lab.layer_calls import KINDS, OPTIMISER, Call, Shape, shapes_in
from energybench.lab.optimizer import optimizer

CACHE_BYTES = 64 << 20
"""weights of a step add up to more than a cache holds, so that each is read from memory: copies of this many bytes in
all stand in for the others"""
_COPIES = 8
_PARAMETERS = 8 << 20  # of the optimiser's own measurement; its cost per parameter is the same for more


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call took, or several of them."""

    seconds: float
    joules: float


@dataclass(frozen=True)
class Layerwise:
    """A sum over calls."""

    cost: Cost
    by_kind: Mapping[str, Cost]
    calls: int
    left_out: Mapping[str, str] = field(default_factory=dict)
    """operation -> why it could not be measured alone; its cost is missing from the sum"""


class Costs:
    """What calls cost on this machine; each distinct one is measured when it is first asked for."""

    def __init__(
        self,
        *,
        watts: float | None = None,
        joules: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        fence: Callable[[], None] = lambda: None,
        where: torch.device | str = "cpu",
        batch_s: float = 5e-3,
        batches: int = 5,
    ) -> None:
        """Energy is `watts` times seconds, or what `joules`, a reading of cumulative joules, says; exactly one of them.

        A call is repeated until a batch of it takes `batch_s`, which must span some updates of the counter where
        `joules` is one; of `batches` batches the median counts. `fence` waits for the device.
        """
        if (watts is None) == (joules is None):
            raise UsageError("a cost in joules needs either watts, to be multiplied by seconds, or a meter")
        if watts is not None and not 0 < watts < math.inf:
            raise UsageError(f"watts must be a positive number, not {watts!r}")
        if batches < 1 or not batch_s > 0:
            raise UsageError("at least one batch of calls, longer than 0 s, is measured")
        self._watts, self._joules = watts, joules
        self._clock, self._fence = clock, fence
        self._where = torch.device(where)
        self._batch_s, self._batches = batch_s, batches
        self.known: dict[Call, Cost] = {}
        """every call that was measured"""
        self.failed: dict[Call, str] = {}
        """every call that cannot run alone, with torch's reason"""

    def of(self, calls: Mapping[Call, int]) -> Layerwise:
        """The sum over `calls`, what is not known measured first."""
        found: dict[str, list[Cost]] = {}
        left_out: dict[str, str] = {}
        for call, count in calls.items():
            if self.learn(call):
                cost = self.known[call]
                found.setdefault(call.kind, []).append(Cost(count * cost.seconds, count * cost.joules))
            else:
                left_out[call.name] = self.failed[call]
        by_kind = {kind: _sum(found[kind]) for kind in KINDS if kind in found}
        return Layerwise(_sum(by_kind.values()), by_kind, sum(calls.values()), left_out)

    def learn(self, call: Call) -> bool:
        """Measure `call` unless it is known; False where it cannot run alone."""
        if call not in self.known and call not in self.failed:
            try:
                run, share = self._runnable(call)
                cost = self._measured(run)
            except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
                self.failed[call] = str(error).partition("\n")[0]
            else:
                self.known[call] = Cost(cost.seconds * share, cost.joules * share)
        return call in self.known

    def _runnable(self, call: Call) -> tuple[Callable[[], object], float]:
        """Something that runs the call once, and how many times its cost the call's is."""
        if call.operation == OPTIMISER:
            name, parameters = call.given
            held = nn.Linear(min(parameters, _PARAMETERS), 1, bias=False, device=self._where)
            held.weight.grad = torch.ones_like(held.weight)
            # A rate of 0 keeps the weights as they are however often the step is repeated.
            return optimizer(held, name, 0.0, 0.0).step, parameters / held.weight.numel()
        positional, named = call.given
        weights = sum(shape.nbytes for shape in shapes_in(call.given) if shape.weight)
        copies = 1 if weights < CACHE_BYTES // 64 else min(_COPIES, math.ceil(CACHE_BYTES / weights))
        data: dict[Any, Tensor] = {}
        sets = [
            (_real(positional, self._where, data, ()), dict(_real(named, self._where, data, ("named",))))
            for _ in range(copies)
        ]
        turn = iter(_forever(sets))

        def run() -> object:
            args, kwargs = next(turn)
            return call.operation(*args, **kwargs)

        return run, 1.0

    def _measured(self, run: Callable[[], object]) -> Cost:
        with torch.no_grad():
            run()
            once = self._batch(run, 1).seconds
            times = max(1, math.ceil(self._batch_s / once)) if once > 0 else 1
            taken = [self._batch(run, times) for _ in range(self._batches)]
        return Cost(median(cost.seconds for cost in taken) / times, median(cost.joules for cost in taken) / times)

    def _batch(self, run: Callable[[], object], times: int) -> Cost:
        self._fence()
        before_j, before = self._read(), self._clock()
        for _ in range(times):
            run()
        self._fence()
        seconds, after_j = self._clock() - before, self._read()
        return Cost(seconds, after_j - before_j if self._watts is None else seconds * self._watts)

    def _read(self) -> float:
        return 0.0 if self._joules is None else self._joules()


def _real(value: Any, where: torch.device, data: dict[Any, Tensor], at: tuple[Any, ...]) -> Any:
    """Shapes made tensors. What is no weight is made once, and kept in `data` by its place among the arguments."""
    if isinstance(value, Shape):
        if value.weight:
            return value.made(where)
        if at not in data:
            data[at] = value.made(where)
        return data[at]
    if isinstance(value, tuple):
        return tuple(_real(item, where, data, (*at, place)) for place, item in enumerate(value))
    if isinstance(value, torch.device):
        return where
    return value


def _forever(items: list[Any]) -> Iterator[Any]:
    while True:
        yield from items


def _sum(costs: Iterable[Cost]) -> Cost:
    parts = tuple(costs)
    return Cost(math.fsum(cost.seconds for cost in parts), math.fsum(cost.joules for cost in parts))

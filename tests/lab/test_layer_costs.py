from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import torch

from energybench.errors import UsageError
from energybench.lab.layer_calls import OPTIMISER, Call, Shape, forward_pass, training_step
from energybench.lab.layer_costs import Costs


class Machine:
    """A clock and a counter of joules that move only when an operation runs: so much for each call."""

    def __init__(self, seconds: float = 1e-3, watts: float = 50.0) -> None:
        self.now, self.spent_j = 0.0, 0.0
        self.seconds, self.watts = seconds, watts
        self.calls = 0

    def work(self, *_: Any, **__: Any) -> None:
        self.calls += 1
        self.now += self.seconds
        self.spent_j += self.seconds * self.watts

    def clock(self) -> float:
        return self.now

    def joules(self) -> float:
        return self.spent_j


def call(operation: Callable[..., Any], *shapes: Shape) -> Call:
    return Call(operation, (shapes, ()))


def shape(*size: int, dtype: torch.dtype = torch.float32, weight: bool = False) -> Shape:
    return Shape(size, tuple(torch.empty(size, device="meta").stride()), dtype, weight)


def test_seconds_times_watts_are_the_joules_of_a_call() -> None:
    machine = Machine(seconds=2e-3)
    costs = Costs(watts=8.0, clock=machine.clock, batch_s=0.1, batches=3)
    found = costs.of({call(machine.work): 5})
    assert found.cost.seconds == pytest.approx(5 * 2e-3)
    assert found.cost.joules == pytest.approx(5 * 2e-3 * 8.0)
    assert found.calls == 5
    # one to warm up, one to see how long it takes, three batches of 50
    assert machine.calls == 2 + 3 * 50


def test_a_counter_of_joules_is_read_around_each_batch() -> None:
    machine = Machine(watts=50.0)
    found = Costs(joules=machine.joules, clock=machine.clock, batch_s=0.01).of({call(machine.work): 4})
    assert found.cost.joules == pytest.approx(4 * 1e-3 * 50.0)


def test_the_median_of_the_batches_counts() -> None:
    """One batch in three is ten times slower, as when something else ran."""
    machine, seen = Machine(), [0]

    def disturbed(*_: Any) -> None:
        seen[0] += 1
        machine.seconds = 1e-2 if seen[0] == 4 else 1e-3
        machine.work()

    found = Costs(watts=1.0, clock=machine.clock, batch_s=1e-3, batches=3).of({call(disturbed): 1})
    assert found.cost.seconds == pytest.approx(1e-3)


def test_a_distinct_call_is_measured_once_for_all_models() -> None:
    machine = Machine()
    costs = Costs(watts=1.0, clock=machine.clock, batch_s=0.01)
    same = call(machine.work, shape(2, 3))
    costs.of({same: 1})
    before = machine.calls
    assert costs.of({call(machine.work, shape(2, 3)): 7}).cost.seconds == pytest.approx(7e-3)
    assert machine.calls == before
    costs.of({call(machine.work, shape(2, 4)): 1})
    assert machine.calls > before


def test_the_device_is_waited_for_before_and_after_each_batch() -> None:
    machine, waits = Machine(), []
    Costs(watts=1.0, clock=machine.clock, fence=lambda: waits.append(machine.calls), batch_s=1e-3, batches=2).of(
        {call(machine.work): 1}
    )
    assert waits == [1, 2, 2, 3, 3, 4]


def test_what_cannot_run_alone_is_left_out_by_name_and_reason() -> None:
    machine = Machine()

    def broken(*_: Any) -> None:
        raise RuntimeError("no kernel\nand a long trace")

    found = Costs(watts=1.0, clock=machine.clock).of({call(machine.work): 1, call(broken): 3})
    assert found.cost.seconds == pytest.approx(1e-3)
    assert list(found.left_out.values()) == ["no kernel"]


def test_large_weights_come_from_memory_each_time_and_small_ones_do_not() -> None:
    seen: list[int] = []
    machine = Machine()

    def look(data: torch.Tensor, weight: torch.Tensor) -> None:
        seen.append(weight.data_ptr())
        machine.work()

    def distinct(size: int) -> int:
        seen.clear()
        Costs(watts=1.0, clock=machine.clock, batch_s=0.02, batches=1).of(
            {call(look, shape(4), shape(size, weight=True)): 1}
        )
        return len(set(seen))

    assert distinct(16) == 1
    assert distinct(1 << 20) == 8  # 4 MiB each


def test_the_optimisers_cost_grows_with_the_parameters() -> None:
    """By a clock that moves a millisecond whenever it is read: one step of at most 8 Mi parameters is measured."""
    ticks = count()
    costs = Costs(watts=1.0, clock=lambda: 1e-3 * next(ticks), batch_s=1e-9, batches=1)
    few, many = (costs.of({Call(OPTIMISER, ("sgd", parameters)): 1}) for parameters in (100, 80 << 20))
    assert few.cost.seconds == pytest.approx(1e-3)
    assert many.cost.seconds == pytest.approx(1e-2)


def test_a_whole_small_step_can_be_measured_alone() -> None:
    """Every operation of a real model runs on tensors of its shapes; nothing is left out."""
    costs = Costs(watts=8.0, batch_s=1e-6, batches=1)
    for calls in (training_step("tiny", 16, 2, 10), forward_pass("tiny", 16, 2, 10)):
        found = costs.of(calls)
        assert found.left_out == {}
        assert found.cost.seconds > 0
        assert found.cost.joules == pytest.approx(8.0 * found.cost.seconds)
        assert found.cost.seconds == pytest.approx(sum(cost.seconds for cost in found.by_kind.values()))


def test_impossible_measurements_are_refused() -> None:
    with pytest.raises(UsageError, match="either watts"):
        Costs()
    with pytest.raises(UsageError, match="either watts"):
        Costs(watts=1.0, joules=lambda: 0.0)
    with pytest.raises(UsageError, match="watts must be a positive number"):
        Costs(watts=-1.0)
    with pytest.raises(UsageError, match="at least one batch"):
        Costs(watts=1.0, batches=0)

"""`laps`: a plain loop whose iterations are metered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from energybench.integrations import laps


def test_each_iteration_is_a_lap_and_their_number_is_recorded(energy: Any) -> None:
    assert [item for item in laps("abc", energy)] == ["a", "b", "c"]  # noqa: C416
    assert energy.events == ["+epoch", "-epoch"] * 3
    assert energy.metrics == {"epochs": 3}


def test_no_iteration_is_no_lap_and_zero_epochs(energy: Any) -> None:
    assert list(laps([], energy)) == []
    assert (energy.events, energy.metrics) == ([], {"epochs": 0})


def test_fetching_the_next_item_lies_in_the_lap_before_it(energy: Any) -> None:
    def batches() -> Iterator[int]:
        for number in range(2):
            energy.events.append(f"load {number}")
            yield number

    for number in laps(batches(), energy, "batch"):
        energy.events.append(f"train {number}")
    assert energy.events == ["load 0", "+batch", "train 0", "load 1", "-batch", "+batch", "train 1", "-batch"]
    assert energy.metrics == {}  # batches are no epochs


def test_a_break_ends_its_lap_and_counts(energy: Any) -> None:
    for epoch in laps(range(5), energy):
        if epoch == 1:
            break
    assert energy.events == ["+epoch", "-epoch", "+epoch", "!epoch GeneratorExit"]
    assert energy.metrics == {"epochs": 2}


def test_an_error_of_the_body_is_not_swallowed(energy: Any) -> None:
    def train() -> None:
        for _ in laps(range(5), energy):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert energy.events[0] == "+epoch"
    assert energy.events[-1] != "+epoch"  # the lap is over


def test_a_data_loader_is_an_iterable_like_any_other(energy: Any) -> None:
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(torch.arange(6), batch_size=2)
    assert sum(int(batch.sum()) for batch in laps(loader, energy, "batch")) == 15
    assert energy.events == ["+batch", "-batch"] * 3

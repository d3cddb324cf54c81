"""Ranks under a budget against all combinations of ranks, and against the bound that a price on cost gives."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energybench.compress.allocation import Choice, allocate, smallest_budget
from energybench.errors import CompressionError


def made(rows: int, columns: int, values: list[float], applied: int = 1) -> Choice:
    """A layer with these singular values, of which those below break-even may be chosen."""
    squares = torch.tensor(values, dtype=torch.float64).sort(descending=True).values ** 2
    highest = -(-rows * columns // (rows + columns)) - 1
    return Choice(applied * rows * columns, applied * (rows + columns), (squares / squares.sum())[: max(0, highest)])


def spent(choices: dict[str, Choice], ranks: dict[str, int]) -> float:
    return sum(c.per_rank * ranks[name] if name in ranks else c.dense for name, c in choices.items())


def kept(choices: dict[str, Choice], ranks: dict[str, int]) -> float:
    return sum(float(c.shares[: ranks[name]].sum()) if name in ranks else 1.0 for name, c in choices.items())


def best_of_all(choices: dict[str, Choice], cost: float) -> float:
    best = -1.0
    for ranks in itertools.product(*(range(len(choice.shares) + 1) for choice in choices.values())):
        chosen = {name: rank for name, rank in zip(choices, ranks, strict=True) if rank}
        if spent(choices, chosen) <= cost * (1 + 1e-9):
            best = max(best, kept(choices, chosen))
    return best


def upper_bound(choices: dict[str, Choice], cost: float) -> float:
    """No allocation keeps more: what is kept, less a price times the cost, plus the price times what may be spent."""
    bound = float("inf")
    for price in torch.logspace(-14, 0, 300, dtype=torch.float64).tolist():
        value = price * cost
        for choice in choices.values():
            ranks = torch.arange(1, len(choice.shares) + 1, dtype=torch.float64)
            factorised = (choice.shares.cumsum(0) - price * choice.per_rank * ranks).tolist()
            value += max([*factorised, 1 - price * choice.dense])
        bound = min(bound, value)
    return bound


@st.composite
def layers(draw: st.DrawFn, number: int = 3) -> dict[str, Choice]:
    choices = {}
    for index in range(number):
        rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 12))
        side = min(rows, columns)
        values = draw(st.lists(st.floats(0.01, 1), min_size=side, max_size=side))
        choices[f"layer{index}"] = made(rows, columns, values, draw(st.sampled_from([1, 1, 4, 50])))
    return choices


@given(layers(), st.floats(0.05, 1))
def test_the_budget_is_kept_and_nothing_that_fits_is_left_out(choices: dict[str, Choice], budget: float) -> None:
    total = sum(choice.dense for choice in choices.values())
    if budget < smallest_budget(choices):
        with pytest.raises(CompressionError, match="too small: rank 1 in every layer that shrinks still keeps"):
            allocate(choices, budget)
        return
    ranks = allocate(choices, budget)
    cost = spent(choices, ranks)
    assert cost <= budget * total * (1 + 1e-9)
    for name, rank in ranks.items():
        assert 1 <= rank <= len(choices[name].shares)
        further = choices[name].per_rank if rank < len(choices[name].shares) else choices[name].dense - rank
        assert rank == len(choices[name].shares) or cost + further > budget * total * (1 - 1e-9)


def largest_step(choice: Choice) -> float:
    """The most that one step on the way from rank 1 to dense gains, along the concave hull of what ranks keep."""
    if not len(choice.shares):
        return 0.0
    lost = (1 - choice.shares.cumsum(0)).clamp_(min=0)
    ranks = torch.arange(1, len(lost) + 1, dtype=torch.float64)
    last = int((lost / (choice.dense - choice.per_rank * ranks)).argmin())
    return max([float(lost[last]), *choice.shares[1 : last + 1].tolist()])


@settings(max_examples=50)
@given(layers(), st.floats(0.1, 1))
def test_what_is_kept_is_the_best_of_all_combinations_but_for_one_step(
    choices: dict[str, Choice], budget: float
) -> None:
    if budget < smallest_budget(choices):
        return
    cost = budget * sum(choice.dense for choice in choices.values())
    best = best_of_all(choices, cost)
    found = kept(choices, allocate(choices, budget))
    assert best - max(map(largest_step, choices.values())) - 1e-9 <= found <= best + 1e-9


def test_among_random_layers_most_allocations_are_the_best_of_all_combinations() -> None:
    source = random.Random(0)
    exact = 0
    for _ in range(60):
        choices = {}
        for name in "abcd":
            rows, columns = source.randint(3, 10), source.randint(3, 16)
            decay = source.choice([0.5, 0.8, 1.0])
            values = [decay**index * source.uniform(0.5, 1) for index in range(min(rows, columns))]
            choices[name] = made(rows, columns, values, source.choice([1, 1, 4, 16]))
        budget = source.uniform(max(0.2, smallest_budget(choices)), 0.95)
        best = best_of_all(choices, budget * sum(choice.dense for choice in choices.values()))
        exact += kept(choices, allocate(choices, budget)) >= best - 1e-9
    assert exact >= 50


@pytest.mark.parametrize("budget", [0.1, 0.2, 0.3, 0.5, 0.7])
def test_with_the_layers_of_a_large_network_the_bound_is_reached_to_one_percent(budget: float) -> None:
    source = random.Random(1)
    choices = {}
    for index in range(60):
        rows = source.choice([64, 128, 256, 512])
        columns = rows * source.choice([1, 4, 9])
        fall, floor = source.uniform(0.2, 1), source.uniform(0, 0.1)
        values = [rank**-fall + floor for rank in range(1, rows + 1)]
        choices[f"layer{index}"] = made(rows, columns, values, source.choice([1, 49, 196]))
    cost = budget * sum(choice.dense for choice in choices.values())
    ranks = allocate(choices, budget)
    assert spent(choices, ranks) <= cost
    lost, bound = len(choices) - kept(choices, ranks), len(choices) - upper_bound(choices, cost)
    assert bound - 1e-9 <= lost <= 1.01 * bound


def test_a_layer_between_its_last_rank_and_dense_is_one_of_both() -> None:
    # A flat spectrum: below break-even (ranks 1 and 2) a rank keeps 1/6 at 12 of 36; dense keeps all.
    flat = made(6, 6, [1.0] * 6)
    steep = made(6, 6, [1.0, 0.01, 0.01, 0.01, 0.01, 0.01])
    choices = {"flat": flat, "steep": steep}
    assert allocate(choices, 1.0) == {}
    assert allocate(choices, 48 / 72) == {"steep": 1}
    assert allocate(choices, 47 / 72) == {"flat": 2, "steep": 1}
    assert allocate(choices, 24 / 72) == {"flat": 1, "steep": 1}


def test_the_scale_of_a_layer_moves_no_rank() -> None:
    values = [1.0, 0.7, 0.4, 0.2, 0.1, 0.1]
    choices = {"a": made(6, 12, values), "b": made(6, 12, values[::-1])}
    scaled = {"a": made(6, 12, [1000 * value for value in values]), "b": choices["b"]}
    assert allocate(choices, 0.5) == allocate(scaled, 0.5)


def test_what_an_example_pays_for_more_often_gets_the_lower_rank() -> None:
    values = [0.9**index for index in range(20)]
    ranks = allocate({"early": made(20, 40, values, applied=64), "late": made(20, 40, values)}, 0.4)
    assert ranks.get("late", 20) > ranks["early"]


def test_layers_that_cannot_shrink_are_paid_for_and_stay() -> None:
    choices = {"thin": made(1, 30, [1.0]), "idle": Choice(0, 0, torch.zeros(0)), "free": made(8, 8, [1.0] + [0.1] * 7)}
    assert smallest_budget(choices) == (30 + 16) / (30 + 64)
    assert allocate(choices, 0.6) == {"free": 1}
    assert allocate({"thin": choices["thin"]}, 1.0) == {}
    with pytest.raises(CompressionError, match=r"a budget of 0\.4 is too small"):
        allocate(choices, 0.4)

"""How many epochs early stopping will leave."""

from __future__ import annotations

import math
import random

import pytest

from energybench.estimators import EstimateError
from energybench.estimators.step.stopping import EarlyStopping, length


def falling(count: int, floor: float = 0.5, rate: float = 0.3, noise: float = 0.002, seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [floor + 2 * math.exp(-rate * i) + draw.gauss(0, noise) for i in range(count)]


@pytest.mark.parametrize(
    ("losses", "ends"),
    [
        ([1.0, 0.9, 0.88, 0.87, 0.86], 5),  # 0.9 stays the reference: three epochs fell by less than 0.05
        ([1.0, 1.1, 1.2, 1.3], 4),
        ([1.0, 0.9, 0.8, 0.7], None),
        ([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], 8),  # the limit
    ],
)
def test_the_rule_ends_where_it_ends_by_hand(losses: list[float], ends: int | None) -> None:
    assert EarlyStopping(3, 0.05, 8).ends(losses) == ends


def test_losses_that_have_converged_end_after_the_patience() -> None:
    found = length([0.30, 0.31], EarlyStopping(3, 0.05, 50))
    assert found.quantile(0.5) == 4
    assert found.mean == pytest.approx(4, abs=0.3)


def test_a_steep_loss_runs_into_the_limit() -> None:
    assert length([10.0, 9.0, 8.1, 7.3], EarlyStopping(3, 0.001, 12)).quantile(0.05) == 12


def test_a_rule_that_has_ended_leaves_no_doubt() -> None:
    assert length([1.0, 1.0, 1.0, 1.0], EarlyStopping(3, 0.0, 50)).likely == ((4, 1.0),)


def test_the_prediction_covers_the_truth_and_narrows_with_every_epoch() -> None:
    rule = EarlyStopping(5, 0.005, 100)
    inside = looks = 0
    widths: dict[int, list[int]] = {5: [], 12: []}
    for seed in range(20):
        losses = falling(100, seed=seed, rate=0.15 + 0.02 * (seed % 8))
        truth = rule.ends(losses)
        assert truth is not None
        for seen in widths:
            if seen < truth:
                found = length(losses[:seen], rule)
                low, high = found.quantile(0.05), found.quantile(0.95)
                inside += low <= truth <= high
                looks += 1
                widths[seen].append(high - low)
    assert inside / looks >= 0.8
    assert sum(widths[12]) / len(widths[12]) < sum(widths[5]) / len(widths[5])


def test_the_same_losses_give_the_same_answer() -> None:
    rule = EarlyStopping(3, 0.01, 60)
    assert length(falling(6), rule) == length(falling(6), rule)


def test_a_rule_that_the_losses_contradict_is_refused() -> None:
    with pytest.raises(EstimateError, match=r"ends these losses after epoch 2, but there are 4\. Give the rule"):
        length([1.0, 1.0, 1.0, 1.0], EarlyStopping(1, 0.0, 50))


def test_one_loss_says_nothing() -> None:
    with pytest.raises(EstimateError, match="two validation losses at least; there are 1"):
        length([1.0], EarlyStopping(3, 0.0, 50))


@pytest.mark.parametrize("wrong", [(0, 0.0, 5), (3, -0.1, 5), (3, 0.0, 0)])
def test_an_impossible_rule_is_refused(wrong: tuple[int, float, int]) -> None:
    with pytest.raises(EstimateError, match="Early stopping takes a patience and a limit of 1 or more"):
        EarlyStopping(*wrong)

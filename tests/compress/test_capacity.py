"""Curves of accuracy against bits, against a scan over copies of the model, and capacities read off them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from energybench.compress import StegoReduction
from energybench.compress.bits import overwrite
from energybench.compress.capacity import capacity_curve
from energybench.compress.report import wilson_interval
from energybench.errors import CompressionError, UsageError

NAMES = ("0.weight", "3.weight", "7.weight")


class Counted:
    """An `evaluate` that keeps what it returned."""

    def __init__(self, evaluate: Any) -> None:
        self.evaluate, self.answers = evaluate, []

    def __call__(self, model: nn.Module) -> float:
        self.answers.append(self.evaluate(model))
        return self.answers[-1]


def scanned(model: nn.Module, evaluate: Any, rule: str, places: tuple[int, ...], seed: int = 0) -> list[float]:
    """The slow way: a copy of the model for each k."""
    accuracies = []
    for bits in range(33):
        trial = copy.deepcopy(model)
        for place in places:
            overwrite(trial.get_parameter(NAMES[place]), bits, rule, (seed, place))
        accuracies.append(evaluate(trial))
    return accuracies


@pytest.mark.parametrize("rule", ["truncate", "nearest", "random", "stochastic"])
def test_the_whole_curve_is_what_a_scan_over_copies_sees(network: nn.Sequential, agreement: Any, rule: str) -> None:
    counted = Counted(agreement)
    found = capacity_curve(network, counted, rule=rule, evaluation_size=64, tolerance=0.05, seed=2)
    expected = scanned(network, agreement, rule, (0, 1, 2), seed=2)
    assert found.whole is not None
    assert [point.accuracy for point in found.whole.points] == expected
    assert all(point.evaluated for point in found.whole.points)
    assert found.evaluations == len(counted.answers) == 33
    passing = [bits for bits, accuracy in enumerate(expected) if (1 - accuracy) * 64 <= 3 + 1e-9]
    assert found.largest_passing == max(passing)
    assert found.capacity == next(bits for bits in range(33) if bits + 1 not in passing)
    assert found.interval == wilson_interval(expected[found.capacity], 64)


@pytest.mark.parametrize("rule", ["truncate", "nearest", "random"])
def test_each_layer_is_looked_at_alone(network: nn.Sequential, agreement: Any, rule: str) -> None:
    found = capacity_curve(network, agreement, rule=rule, scope="layers", evaluation_size=64, tolerance=0.05)
    assert (found.whole, found.capacity, found.interval) == (None, None, None)
    assert list(found.layers) == ["0", "3", "7"]
    for place, curve in enumerate(found.layers.values()):
        expected = scanned(network, agreement, rule, (place,))
        assert [point.accuracy for point in curve.points] == expected
    assert found.evaluations == 1 + 3 * 32


def test_the_capacity_is_what_the_search_finds(network: nn.Sequential, agreement: Any) -> None:
    found = capacity_curve(network, agreement, evaluation_size=64, tolerance=0.1)
    report = StegoReduction(tolerance=0.1)(network, agreement, evaluation_size=64).report
    assert found.monotone
    assert found.capacity == report.bits
    assert report.evaluations <= 8


def by_bits(accuracies: list[float]) -> tuple[nn.Module, Any]:
    """A model of one weight whose accuracy is a given function of the bits cleared."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.detach().view(torch.int32).fill_(-1)  # a NaN with all bits set: each k leaves another pattern

    def evaluate(model: nn.Module) -> float:
        pattern = int(model.weight.detach().view(torch.int32)) & 0xFFFFFFFF
        return accuracies[32 - pattern.bit_count()]

    return model, evaluate


@given(st.lists(st.integers(0, 20), min_size=32, max_size=32))
def test_an_adaptive_curve_finds_the_capacity_of_a_falling_one_and_is_never_off_by_more_than_an_example(
    right: list[int],
) -> None:
    accuracies = [1.0, *(number / 20 for number in sorted(right, reverse=True))]
    model, evaluate = by_bits(accuracies)
    full = capacity_curve(model, evaluate, evaluation_size=20, tolerance=0.1)
    counted = Counted(evaluate)
    quick = capacity_curve(model, counted, evaluation_size=20, tolerance=0.1, adaptive=True)
    assert quick.whole is not None
    assert quick.capacity == full.capacity
    assert quick.evaluations == len(counted.answers) == sum(point.evaluated for point in quick.whole.points)
    for point, accuracy in zip(quick.whole.points, accuracies, strict=True):
        assert abs(point.accuracy - accuracy) < 1.5 / 20
        assert point.accuracy == accuracy or not point.evaluated


def test_an_adaptive_curve_of_a_sharp_threshold_takes_few_evaluations() -> None:
    for capacity in range(33):
        model, evaluate = by_bits([0.9] * (capacity + 1) + [0.1] * (32 - capacity))
        found = capacity_curve(model, evaluate, evaluation_size=100, adaptive=True)
        assert (found.capacity, found.monotone) == (capacity, True)
        assert found.evaluations <= 2 + 5


def test_both_capacities_are_named_where_accuracy_is_not_monotone() -> None:
    model, evaluate = by_bits([0.9] * 10 + [0.5] + [0.9] * 5 + [0.1] * 17)
    found = capacity_curve(model, evaluate)
    assert (found.capacity, found.largest_passing, found.monotone) == (9, 15, False)
    assert found.as_facts()["capacity"] == 9
    assert found.as_facts()["monotone"] is False


@pytest.mark.parametrize("scope", ["whole", "layers"])
@pytest.mark.parametrize("good", [0, 1, 20, 60])
def test_the_model_is_unchanged_afterwards_also_after_an_error(network: nn.Sequential, scope: str, good: int) -> None:
    before = copy.deepcopy(network.state_dict())
    answers = iter([0.9] * good + [2.0])
    if good > 33 and scope == "whole":
        capacity_curve(network, lambda model: next(answers), scope=scope)
    else:
        with pytest.raises(CompressionError, match=r"returned 2\.0"):
            capacity_curve(network, lambda model: next(answers), scope=scope)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_facts_are_plain_json(network: nn.Sequential, agreement: Any) -> None:
    for scope in ("whole", "layers"):
        found = capacity_curve(network, agreement, scope=scope, evaluation_size=64, tolerance=0.05, adaptive=True)
        facts = json.loads(json.dumps(found.as_facts(), allow_nan=False))
        assert list(facts) == [
            "rule",
            "scope",
            "evaluation_size",
            "reference",
            "tolerance",
            "relative",
            "points",
            "capacity",
            "interval",
            "monotone",
            "layers",
            "evaluations",
        ]
        curves = [facts["points"]] if scope == "whole" else [layer["points"] for layer in facts["layers"].values()]
        assert curves
        for points in curves:
            assert [point[0] for point in points] == list(range(33))
            assert points[0] == [0, 1.0, True]


def test_a_relative_tolerance_and_other_tensors(network: nn.Sequential) -> None:
    model, evaluate = by_bits([0.5] * 10 + [0.47] * 10 + [0.44] * 13)
    assert capacity_curve(model, evaluate, tolerance=0.1).capacity == 32
    assert capacity_curve(model, evaluate, tolerance=0.1, relative=True).capacity == 19
    found = capacity_curve(network, lambda model: 1.0, scope="layers", cover=("norms", "biases"), adaptive=True)
    assert list(found.layers) == ["0", "1", "3", "7"]
    assert {curve.capacity for curve in found.layers.values()} == {32}


@pytest.mark.parametrize(
    "bad",
    [{"rule": "up"}, {"scope": "layer"}, {"tolerance": 1.0}, {"tolerance": float("nan")}, {"cover": ("heads",)}],
)
def test_bad_arguments_are_refused(network: nn.Sequential, bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"capacity_curve: {next(iter(bad))}"):
        capacity_curve(network, lambda model: 1.0, **bad)


@pytest.mark.parametrize(
    ("most", "drawn"),
    [(None, ["0", "3", "7"]), (3, ["0", "3", "7"]), (9, ["0", "3", "7"]), (2, ["0", "7"]), (1, ["0"])],
)
def test_so_many_layers_are_drawn_as_asked_for(network: nn.Sequential, most: int | None, drawn: list[str]) -> None:
    found = capacity_curve(network, lambda model: 1.0, scope="layers", layers=most, adaptive=True)
    assert list(found.layers) == drawn


@pytest.mark.parametrize("most", [0, -1, 1.5, True])
def test_a_wrong_number_of_layers_is_refused(network: nn.Sequential, most: object) -> None:
    with pytest.raises(UsageError, match="layers must be a whole number from 1 on or None"):
        capacity_curve(network, lambda model: 1.0, scope="layers", layers=most)

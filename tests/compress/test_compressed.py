"""What every compressor does with what it is called with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from energybench.compress import (
    Chain,
    Compressor,
    LowRank,
    NoCompression,
    Perturbation,
    Pruning,
    StegoReduction,
)
from energybench.errors import CompressionError, UsageError

SEARCHING = (
    StegoReduction(),
    Pruning(),
    LowRank(),
    Chain((Pruning(), StegoReduction())),
    Chain((LowRank(), Pruning())),
    Perturbation(),
)


@pytest.mark.parametrize("compressor", SEARCHING, ids=lambda one: one.kind)
def test_a_search_without_evaluate_is_refused_with_what_it_looks_for(
    compressor: Compressor, network: nn.Module
) -> None:
    with pytest.raises(UsageError, match=rf"{type(compressor).__name__} without .* needs evaluate"):
        compressor(network)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_evaluation_size_must_be_a_count(size: object, network: nn.Module) -> None:
    with pytest.raises(UsageError, match="evaluation_size"):
        Pruning(0.5)(network, lambda model: 1.0, evaluation_size=size)


@pytest.mark.parametrize("calls", [0, 3, 5])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("compressor", SEARCHING, ids=lambda one: one.kind)
def test_an_evaluate_that_fails_late_leaves_the_model_as_it_was(
    compressor: Compressor, inplace: bool, calls: int, network: nn.Module
) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    answers = iter([0.9] * calls + [float("nan")])
    with pytest.raises(CompressionError, match="evaluate returned"):
        compressor(network, lambda model: next(answers), inplace=inplace)
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("compressor", SEARCHING, ids=lambda one: one.kind)
def test_a_settled_compressor_needs_no_evaluate_and_makes_the_same_model(
    compressor: Compressor, network: nn.Module, agreement: Callable[[nn.Module], float], images: Tensor
) -> None:
    compressed = compressor(network, agreement, evaluation_size=64)
    settled = compressor.settled(compressed.report)
    assert settled.sought == ""
    again = settled(network)
    with torch.no_grad():
        assert torch.equal(again.model(images), compressed.model(images))


@pytest.mark.parametrize("compressor", SEARCHING, ids=lambda one: one.kind)
def test_the_model_given_is_untouched_and_shares_no_memory_with_the_result(
    compressor: Compressor, network: nn.Module, agreement: Callable[[nn.Module], float]
) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    compressed = compressor(network, agreement, evaluation_size=64)
    with torch.no_grad():
        for parameter in compressed.model.parameters():
            parameter.zero_()
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def test_the_baseline_copies_unless_in_place_and_never_evaluates(network: nn.Module) -> None:
    def never(model: nn.Module) -> float:
        raise AssertionError("a baseline pays for no search")

    assert NoCompression()(network, never).model is not network
    assert NoCompression()(network, never, inplace=True).model is network


def test_training_another_copy_is_refused(network: nn.Module) -> None:
    compressed = Pruning(0.5)(network)
    with pytest.raises(CompressionError, match=r"compressed\.model\.parameters"):
        compressed.training(torch.optim.SGD(network.parameters(), 0.1))

"""Compressors in a row: the order, the shared tolerance, masks through later parts."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from energybench.compress import Chain, ChannelPruning, Effect, LowRank, Pruning, StegoReduction
from energybench.compress.gradual import Gradual
from energybench.errors import CompressionError, UsageError


def test_a_chain_is_its_parts_one_after_the_other(network: nn.Module) -> None:
    chained = Chain((Pruning(0.5), StegoReduction(16)))(network)
    by_hand = StegoReduction(16)(Pruning(0.5)(network).model).model
    torch.testing.assert_close(dict(chained.model.state_dict()), dict(by_hand.state_dict()), rtol=0, atol=0)
    assert [part.kind for part in chained.report.parts] == ["prune", "stego"]
    assert (chained.report.parts[0].amount, chained.report.parts[1].bits) == (0.5, 16)
    assert chained.report.effect is Effect.SIMULATED


def test_the_order_of_the_parts_is_the_order_of_work(network: nn.Module) -> None:
    there = Chain((Pruning(0.5), LowRank(rank=0.25)))(network).model
    back = Chain((LowRank(rank=0.25), Pruning(0.5)))(network).model
    zeros = [sum(int((p == 0).sum()) for p in model.parameters()) for model in (there, back)]
    assert zeros[1] > zeros[0]


def test_pruned_weights_stay_zero_through_random_bits_and_training(network: nn.Module, images: Tensor) -> None:
    compressed = Chain((Pruning(0.5), StegoReduction(20, rule="random")))(network)
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.1)
    with compressed.training(optimizer):
        compressed.model(images).square().sum().backward()
        optimizer.step()
    assert compressed.masks
    for name, mask in compressed.masks.items():
        weight = compressed.model.get_parameter(name)
        assert not weight[~mask].any()
        assert weight[mask].all()


def test_masks_of_a_replaced_layer_end_there_and_a_note_says_so(network: nn.Module) -> None:
    compressed = Chain((Pruning(0.5), LowRank(rank=0.25)))(network)
    replaced = compressed.report.parts[1].ranks
    assert replaced
    assert not {f"{name}.weight" for name in replaced} & compressed.masks.keys()
    assert any("masks end where lowrank replaced" in note for note in compressed.report.notes)


def test_growing_masks_go_on_in_the_layers_that_are_left(network: nn.Module, images: Tensor) -> None:
    growing = Pruning(0.5, schedule=Gradual(epochs=1))
    compressed = Chain((growing, LowRank(rank={"3": 4})))(network)
    assert any("0.weight" not in note and "3.weight" in note for note in compressed.report.notes)
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.01)
    with compressed.training(optimizer) as hooks:
        compressed.model(images).square().sum().backward()
        optimizer.step()
        hooks.epoch_end()
    left = [compressed.model.get_parameter(name) for name in ("0.weight", "7.weight")]
    pruned = sum(int((weight == 0).sum()) for weight in left)
    assert pruned == round(0.5 * sum(weight.numel() for weight in left))


def test_masks_end_where_channels_are_taken_out(network: nn.Module, images: Tensor) -> None:
    chain = Chain((Pruning(0.5), ChannelPruning(0.5, round_to=1)))
    compressed = chain(network, example_input=images[:1])
    assert compressed.model(images).shape == (64, 10)
    parameters = dict(compressed.model.named_parameters())
    assert all(parameters[name].shape == mask.shape for name, mask in compressed.masks.items())
    assert any("masks end where channels replaced" in note for note in compressed.report.notes)


def test_the_whole_chain_stays_within_one_tolerance_that_its_parts_share(
    network: nn.Module, agreement: Callable[[nn.Module], float]
) -> None:
    tolerance = 6 / 64
    compressed = Chain((Pruning(tolerance=tolerance), StegoReduction(tolerance=tolerance)))(
        network, agreement, evaluation_size=64
    )
    first, second = compressed.report.parts
    assert first.accuracy_compressed is not None
    assert second.accuracy_compressed is not None
    assert 1 - first.accuracy_compressed <= 3 / 64  # half of it
    assert 1 - second.accuracy_compressed <= 6 / 64
    assert compressed.report.accuracy_reference == 1.0
    assert compressed.report.accuracy_compressed == second.accuracy_compressed == agreement(compressed.model)


def test_the_evaluations_of_a_chain_are_those_of_its_parts_and_the_reference(
    network: nn.Module, agreement: Callable[[nn.Module], float]
) -> None:
    calls = 0

    def counted(model: nn.Module) -> float:
        nonlocal calls
        calls += 1
        return agreement(model)

    report = Chain((Pruning(), StegoReduction()))(network, counted, evaluation_size=64).report
    assert report.evaluations == calls


def test_the_rate_is_what_the_parts_leave_together(network: nn.Module) -> None:
    report = Chain((Pruning(0.5), StegoReduction(16)))(network).report
    left = (1 - report.parts[0].rate) * (1 - report.parts[1].rate)
    assert report.rate == pytest.approx(1 - left)
    facts = report.as_facts()
    assert [part["kind"] for part in facts["parts"]] == ["prune", "stego"]
    assert [part["kind"] for part in facts["given"]["parts"]] == ["prune", "stego"]


@pytest.mark.parametrize("evaluated", [True, False])
def test_a_part_that_fails_gives_the_model_back_as_it_was(network: nn.Sequential, evaluated: bool) -> None:
    before, kind = copy.deepcopy(network.state_dict()), type(network)
    held = {name: id(parameter) for name, parameter in network.named_parameters()}
    seen: list[int] = []

    def failing(model: nn.Module) -> float:
        seen.append(1)
        if type(model) is not kind:
            raise ZeroDivisionError
        return 1.0

    realised = StegoReduction(16, realise="bfloat16", slow=True)
    if evaluated:
        with pytest.raises(ZeroDivisionError):
            Chain((LowRank(rank=0.25), realised))(network, failing, inplace=True)
        assert seen
    else:
        with pytest.raises(CompressionError, match="compressors work on float32"):
            Chain((realised, LowRank(rank={"3": 999})))(network, inplace=True)
    assert type(network) is kind
    assert {name: id(parameter) for name, parameter in network.named_parameters()} == held
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("parts", [(), (Pruning(0.5),), (Pruning(0.5), "stego")])
def test_a_chain_needs_two_compressors(parts: tuple[object, ...]) -> None:
    with pytest.raises(UsageError, match="Chain"):
        Chain(parts)

"""Exact counts against torch.nn.utils.prune, ties, masks in training."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from energybench.compress import Effect, Pruning
from energybench.compress.prune import Magnitudes, zero_below
from energybench.errors import CompressionError, UsageError

few_values = st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, -2.0, 3e38]), min_size=1, max_size=60)
many_values = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=60)


@given(st.lists(few_values | many_values, min_size=1, max_size=4), st.data())
def test_exactly_the_smallest_are_zeroed_and_ties_go_by_position(lists: list[list[float]], data: st.DataObject) -> None:
    tensors = [torch.tensor(values, dtype=torch.float32) for values in lists]
    together = torch.cat(tensors)
    count = data.draw(st.integers(0, len(together)))
    kept = [torch.empty_like(tensor, dtype=torch.bool) for tensor in tensors]
    outputs = [tensor.clone() for tensor in tensors]
    zero_below(Magnitudes(tensors).threshold(count), tensors, outputs, kept)
    order = torch.sort(together.abs(), stable=True).indices
    expected = torch.ones(len(together), dtype=torch.bool)
    expected[order[:count]] = False
    assert torch.equal(torch.cat(kept), expected)
    assert torch.equal(torch.cat(outputs), torch.where(expected, together, 0.0))


def test_tensors_longer_than_a_piece_are_cut_at_the_same_places() -> None:
    values = torch.randint(-40, 40, (100_003,), generator=torch.Generator().manual_seed(0)).float()
    target = values.clone()
    zero_below(Magnitudes([values]).threshold(61_000), [values], [target])
    order = torch.sort(values.abs(), stable=True).indices
    expected = values.clone()
    expected[order[:61_000]] = 0
    assert torch.equal(target, expected)


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.37, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("inplace", [False, True])
def test_global_pruning_takes_the_weights_that_torch_takes(
    network: nn.Sequential, amount: float, inplace: bool
) -> None:
    oracle = copy.deepcopy(network)
    before = copy.deepcopy(network.state_dict())
    pairs = [(oracle[place], "weight") for place in (0, 3, 7)]
    torch_prune.global_unstructured(pairs, torch_prune.L1Unstructured, amount=amount)
    compressed = Pruning(amount)(network, inplace=inplace)
    for place in (0, 3, 7):
        assert torch.equal(compressed.model[place].weight, oracle[place].weight)
        if amount > 0:
            mask = oracle[place].weight_mask.bool()
            assert torch.equal(compressed.masks[f"{place}.weight"], mask)
    report = compressed.report
    assert report.amount == amount
    assert report.rate == round(amount * 5360) / 5360
    assert report.effect is (Effect.SIMULATED if amount else Effect.UNCHANGED)
    assert list(compressed.model.state_dict()) == list(before)
    assert inplace or all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_layer_scope_takes_the_same_share_of_every_layer(network: nn.Sequential) -> None:
    oracle = copy.deepcopy(network)
    for place in (0, 3, 7):
        torch_prune.l1_unstructured(oracle[place], "weight", amount=0.3)
    compressed = Pruning(0.3, scope="layer")(network)
    for place in (0, 3, 7):
        assert torch.equal(compressed.model[place].weight, oracle[place].weight)


def test_zeros_that_were_not_pruned_may_grow(network: nn.Sequential) -> None:
    with torch.no_grad():
        network[7].weight.zero_()
    mask = Pruning(0.25, scope="layer")(network).masks["7.weight"]
    assert int((~mask).sum()) == 80
    assert not mask.flatten()[:80].any()


def _train(compressed: Any, images: Tensor, steps: int = 5) -> None:
    model = compressed.model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    with compressed.training(optimizer) as hooks:
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), torch.arange(64) % 10).backward()
            optimizer.step()
        hooks.epoch_end()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_kept_masks_hold_through_training_and_are_gone_after_it(
    network: nn.Sequential, images: Tensor, memory_format: torch.memory_format
) -> None:
    compressed = Pruning(0.5)(network)
    compressed.model.to(memory_format=memory_format)
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.05, momentum=0.9)
    start = compressed.model[3].weight.detach().clone()
    with compressed.training(optimizer):
        for _ in range(4):
            optimizer.zero_grad()
            nn.functional.cross_entropy(compressed.model(images), torch.arange(64) % 10).backward()
            optimizer.step()
    for name, mask in compressed.masks.items():
        weight = compressed.model.get_parameter(name)
        assert not weight[~mask].any()
        assert weight[mask].all()
    assert not torch.equal(compressed.model[3].weight, start)
    optimizer.step()
    assert compressed.model[3].weight[~compressed.masks["3.weight"]].any()


def test_released_weights_grow_back(network: nn.Sequential, images: Tensor) -> None:
    compressed = Pruning(0.5, masks="release")(network)
    zeros = (compressed.model[3].weight == 0).sum()
    _train(compressed, images)
    assert compressed.masks == {}
    assert (compressed.model[3].weight == 0).sum() < zeros


def test_an_optimiser_of_another_model_is_refused(network: nn.Sequential) -> None:
    compressed = Pruning(0.5)(network)
    with pytest.raises(CompressionError, match=r"compressed\.model\.parameters"):
        compressed.training(torch.optim.SGD(network.parameters(), lr=0.1))


def test_the_search_gives_the_largest_of_64_steps_in_at_most_7_evaluations(network: nn.Sequential) -> None:
    def evaluate(model: nn.Module) -> float:
        weights = torch.cat([model[place].weight.flatten() for place in (0, 3, 7)])
        return 1 - float((weights == 0).double().mean()) / 10

    report = Pruning(tolerance=0.033)(network, evaluate).report
    assert report.amount == 21 / 64
    assert report.evaluations == 7
    assert (0.0, 1.0) in report.curve


def test_an_inplace_search_ends_at_the_amount_reported(network: nn.Sequential, agreement: Any) -> None:
    compressed = Pruning(tolerance=0.1)(network, agreement, evaluation_size=64, inplace=True)
    report = compressed.report
    assert compressed.model is network
    assert report.amount
    assert report.accuracy_compressed == agreement(network)
    pruned = sum(int((network[place].weight == 0).sum()) for place in (0, 3, 7))
    assert pruned == round(report.amount * 5360) == 5360 - sum(int(mask.sum()) for mask in compressed.masks.values())


@pytest.mark.parametrize(
    "bad",
    [
        {"amount": 1.1},
        {"amount": -0.1},
        {"amount": float("nan")},
        {"amount": "half"},
        {"scope": "all"},
        {"masks": "drop"},
        {"tolerance": -1},
    ],
)
def test_bad_parameters_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"Pruning: {next(iter(bad))}"):
        Pruning(**bad)

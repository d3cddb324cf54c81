"""Exact counts against torch.nn.utils.prune, masks in training, and pruning that grows while the model trains."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from energybench.compress import Effect, Pruning
from energybench.compress.gradual import Gradual
from energybench.errors import CompressionError, UsageError


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


def zeros(model: Any) -> int:
    return sum(int((model[place].weight == 0).sum()) for place in (0, 3, 7))


def step(compressed: Any, optimizer: torch.optim.Optimizer, images: Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(compressed.model(images), torch.arange(64) % 10).backward()
    optimizer.step()


def test_the_cubic_law_is_that_of_its_source() -> None:
    amounts = [Gradual(4, 0.1).amount(0.9, epoch) for epoch in range(6)]
    assert amounts == pytest.approx([0.1, 0.9 - 0.8 * 27 / 64, 0.9 - 0.8 / 8, 0.9 - 0.8 / 64, 0.9, 0.9])
    assert Gradual(3, 0.5).amount(0.2, 0) == 0.2


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("inplace", [False, True])
def test_a_growing_amount_is_exact_after_every_epoch_and_held_in_between(
    network: nn.Sequential, images: Tensor, scope: str, inplace: bool
) -> None:
    schedule = Gradual(3, start=0.25)
    compressed = Pruning(0.8, scope=scope, schedule=schedule)(network, inplace=inplace)
    sizes = [432, 4608, 320]
    expected = [
        round(schedule.amount(0.8, epoch) * 5360)
        if scope == "global"
        else sum(round(schedule.amount(0.8, epoch) * size) for size in sizes)
        for epoch in range(5)
    ]
    assert zeros(compressed.model) == expected[0]
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.05, momentum=0.9)
    with compressed.training(optimizer) as hooks:
        for epoch in range(5):
            before = [compressed.model[place].weight == 0 for place in (0, 3, 7)]
            for _ in range(2):
                step(compressed, optimizer, images)
                after = [compressed.model[place].weight == 0 for place in (0, 3, 7)]
                assert not any((was & ~now).any() for was, now in zip(before, after, strict=True))
            assert zeros(compressed.model) == expected[epoch]
            # The smallest as they are now, not as they were when training began.
            weights = torch.cat([compressed.model[place].weight.detach().flatten() for place in (0, 3, 7)])
            hooks.epoch_end()
            assert zeros(compressed.model) == expected[min(epoch + 1, 4)]
            if scope == "global":
                smallest = weights.abs().sort(stable=True).indices[: expected[min(epoch + 1, 4)]]
                pruned = torch.cat([compressed.model[place].weight.detach().flatten() for place in (0, 3, 7)])
                assert not pruned[smallest].any()


def test_training_that_ends_early_or_goes_back_still_reaches_the_full_amount(
    network: nn.Sequential, images: Tensor
) -> None:
    compressed = Pruning(0.8, schedule=Gradual(10), masks="epoch")(network)
    assert zeros(compressed.model) == 0
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.05, momentum=0.9)
    with compressed.training(optimizer) as hooks:
        step(compressed, optimizer, images)
        best = copy.deepcopy(compressed.model.state_dict())
        hooks.epoch_end()
        step(compressed, optimizer, images)
        assert zeros(compressed.model) == 0
        hooks.epoch_end()
        compressed.model.load_state_dict(best)
        hooks.finish()
        kept = compressed.model[3].weight != 0
        assert torch.equal(compressed.model[3].weight[kept], best["3.weight"][kept])
        assert zeros(compressed.model) == round(0.8 * 5360)
    assert zeros(compressed.model) == round(0.8 * 5360)


def test_a_search_with_a_schedule_finds_the_amount_and_hands_out_its_start(
    network: nn.Sequential, agreement: Any
) -> None:
    before = copy.deepcopy(network.state_dict())
    plain = Pruning(tolerance=0.1)(network, agreement).report
    compressed = Pruning(tolerance=0.1, schedule=Gradual(2))(network, agreement, inplace=True)
    report = compressed.report
    assert plain.amount
    assert (report.amount, report.rate, report.accuracy_compressed) == (
        plain.amount,
        plain.rate,
        plain.accuracy_compressed,
    )
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert report.given["schedule"] == {"epochs": 2, "start": 0.0}
    assert "by epoch 2" in report.notes[-1]
    assert Pruning(tolerance=0.1, schedule=Gradual(2)).settled(report) == Pruning(
        plain.amount, tolerance=0.1, schedule=Gradual(2)
    )


def test_a_growing_mask_says_which_weight_is_gone(network: nn.Sequential) -> None:
    compressed = Pruning(0.5, schedule=Gradual(2))(network)
    compressed.model[7] = nn.Identity()
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.1)
    with pytest.raises(CompressionError, match=r"7\.weight is gone"), compressed.training(optimizer):
        pass


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"epochs": 1.5}, {"epochs": 2, "start": 1.0}, {"epochs": True}])
def test_a_bad_schedule_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"Gradual: {list(bad)[-1]}"):
        Gradual(**bad)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"schedule": 3}, "schedule must be a Gradual"),
        ({"schedule": Gradual(2), "masks": "release"}, "masks must be keep or epoch with a schedule"),
        ({"schedule": Gradual(2, 0.6), "amount": 0.5}, r"starts at 0\.6, above amount=0\.5"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Pruning(**bad)

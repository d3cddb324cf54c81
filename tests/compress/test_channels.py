"""Channels that are really taken out: which ones, from which models, and what is left as it was."""

from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from energybench.compress import Compressed, Effect
from energybench.compress.channels import ChannelPruning
from energybench.errors import CompressionError, UsageError
from energybench.lab.models import NINE, architecture, build


@pytest.fixture
def example(images: Tensor) -> Tensor:
    return images[:1]


def kept_rows(scores: np.ndarray, count: int) -> list[int]:
    return sorted(np.argsort(-scores, kind="stable")[:count].tolist())


@pytest.mark.parametrize(("importance", "norm"), [("l1", 1), ("l2", 2)])
def test_the_least_important_channels_go_with_all_that_belongs_to_them(
    network: nn.Sequential, images: Tensor, importance: str, norm: int
) -> None:
    with torch.no_grad():
        for parameter in network[1].parameters():
            parameter.uniform_(-1, 1)
    given = {name: value.clone() for name, value in network.state_dict().items()}
    first, scale, second, head = (
        np.abs(given[name].double().numpy()) ** norm for name in ("0.weight", "1.weight", "3.weight", "7.weight")
    )
    inner = kept_rows((first.sum((1, 2, 3)) + scale + second.sum((0, 2, 3))) / 3, 8)
    outer = kept_rows((second.sum((1, 2, 3)) + head.sum(0)) / 2, 16)
    compressed = ChannelPruning(0.5, importance=importance)(network, example_input=images[:1])
    state = compressed.model.state_dict()
    for name in ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
        assert torch.equal(state[name], given[name][inner])
    assert torch.equal(state["3.weight"], given["3.weight"][outer][:, inner])
    assert torch.equal(state["3.bias"], given["3.bias"][outer])
    assert torch.equal(state["7.weight"], given["7.weight"][:, outer])
    assert torch.equal(state["7.bias"], given["7.bias"])
    # The small model computes what the large one does when nobody reads the channels that went.
    with torch.no_grad():
        network[3].weight[:, [i for i in range(16) if i not in inner]] = 0
        network[7].weight[:, [i for i in range(32) if i not in outer]] = 0
        torch.testing.assert_close(compressed.model(images), network(images))


def test_the_given_model_is_unchanged_and_modes_and_frozen_layers_are_kept(
    network: nn.Sequential, example: Tensor
) -> None:
    network.train()
    network[1].eval()
    network[3].requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    compressed = ChannelPruning(0.5)(network, example_input=example)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for model in (network, compressed.model):
        assert [module.training for module in model.modules()] == [True, True, False, *[True] * 6]
        assert [parameter.requires_grad for parameter in model.parameters()] == [True] * 4 + [False] * 2 + [True] * 2
    report = compressed.report
    assert (report.effect, report.structure, report.amount) == (Effect.REALISED, "channels", 0.5)
    assert report.before.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert report.after.parameters == sum(parameter.numel() for parameter in compressed.model.parameters())
    assert report.rate == 1 - report.after.parameters / report.before.parameters
    assert report.notes == ("left alone, outputs of the model: 7",)


def test_in_place_the_modules_stay_and_get_new_parameters(network: nn.Sequential, example: Tensor) -> None:
    modules = list(network.modules())
    compressed = ChannelPruning(0.5)(network, example_input=example, inplace=True)
    assert compressed.model is network
    assert list(network.modules()) == modules
    assert network[0].weight.shape == (8, 3, 3, 3)


@pytest.mark.parametrize(("round_to", "left"), [(1, 11), (2, 10), (4, 8), (8, 8), (16, 16)])
def test_what_is_left_is_rounded_down_and_a_layer_never_vanishes(
    network: nn.Sequential, example: Tensor, round_to: int, left: int
) -> None:
    compressed = ChannelPruning(0.3, round_to=round_to)(network, example_input=example)
    assert compressed.model[0].out_channels == left


def test_nothing_to_spare_is_said(network: nn.Sequential, example: Tensor) -> None:
    report = ChannelPruning(0.5, round_to=32)(network, example_input=example).report
    assert (report.effect, report.rate) == (Effect.UNCHANGED, 0.0)
    assert "no layer has channels to spare" in report.notes[0]
    assert ChannelPruning(0.0)(network, example_input=example).report.effect is Effect.UNCHANGED


def train_once(compressed: Compressed, inputs: Tensor) -> Any:
    model = compressed.model.train()
    output = model(inputs)
    logits = output[0] if isinstance(output, tuple) else output
    nn.functional.cross_entropy(logits, torch.zeros(logits.shape[0], *logits.shape[2:], dtype=torch.int64)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    return logits


@pytest.mark.parametrize("name", NINE)
def test_half_the_channels_of_every_model_are_three_quarters_of_its_cost(name: str) -> None:
    torch.manual_seed(0)
    pixels = max(32, architecture(name).minimum_pixels)
    model = build(name, 10, pixels)
    images = torch.randn(2, 3, pixels, pixels)
    compressed = ChannelPruning(0.5)(model, example_input=images[:1], inplace=True)
    report = compressed.report
    assert report.before.flops is not None
    assert report.after.flops is not None
    assert 0.7 < report.rate < 0.8
    assert 0.2 < report.after.flops / report.before.flops < 0.3
    assert train_once(compressed, images).shape == (2, 10)
    assert all(
        layer.out_channels % 8 == 0 for layer in model.modules() if isinstance(layer, nn.Conv2d) and layer.groups == 1
    )


@pytest.mark.parametrize("name", ["causal_lm", "vit"])
def test_of_a_transformer_only_the_hidden_layers_are_pruned(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, 256 if name == "causal_lm" else 10, 32)
    inputs = torch.randint(0, 256, (2, 16)) if name == "causal_lm" else torch.randn(2, 3, 32, 32)
    before = {path: layer.weight.shape for path, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    compressed = ChannelPruning(0.5)(model, example_input=inputs[:1])
    layers = {path: layer for path, layer in compressed.model.named_modules() if isinstance(layer, nn.Linear)}
    for path, (outside, inside) in before.items():
        shape = layers[path].weight.shape
        if path.endswith(("up_proj", "gate_proj", "fc1")):
            assert shape == (outside // 2, inside)
        elif path.endswith(("down_proj", "fc2")):
            assert shape == (outside, inside // 2)
        else:
            assert shape == (outside, inside)
    assert {note.partition(":")[0] for note in compressed.report.notes} == {
        "left alone, outputs of the model",
        "left alone, heads of attention",
        "left alone, width around attention",
    }
    train_once(compressed, inputs)


class Auxiliary(nn.Module):
    """A branch that only training takes, as InceptionV3 has one."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU())
        self.head = nn.Linear(32, 4)
        self.auxiliary = nn.Sequential(nn.Linear(32, 16), nn.Linear(16, 4))

    def forward(self, x: Tensor) -> Any:
        x = self.trunk(x).mean((2, 3))
        return (self.head(x), self.auxiliary(x)) if self.training else self.head(x)


def test_a_branch_that_only_training_takes_is_pruned_with_the_rest(images: Tensor) -> None:
    model = Auxiliary()
    statistics = model.trunk[1].running_mean.clone()
    compressed = ChannelPruning(0.5)(model, example_input=images[:1], inplace=True)
    assert model.auxiliary[0].weight.shape == (8, 16)
    assert model.auxiliary[1].weight.shape == (4, 8)
    assert torch.equal(model.trunk[1].running_mean, statistics[:16])
    main, auxiliary = compressed.model(images)
    assert main.shape == auxiliary.shape == (64, 4)


class Reshaping(nn.Module):
    """Knows its number of channels, which no graph tells."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x).reshape(-1, 32, 6, 6)).mean((2, 3)))


class Exposing(nn.Module):
    """Gives its features away beside its decision."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(192, 32), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.body(x.flatten(1))
        return {"features": features, "logits": self.head(features)}


class Untraceable(nn.Sequential):
    """Runs, but not under autograd, which the groups are read from."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 32, 8), nn.Flatten(), nn.Linear(32, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        if torch.is_grad_enabled():
            raise RuntimeError("out of order")
        return x


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Reshaping(), "torch-pruning cannot take channels out of this model: RuntimeError"),
        (Exposing(), r"the model gives \[\(1, 16\), .* where it gave \[\(1, 32\)"),
        (Untraceable(), "RuntimeError: out of order"),
    ],
)
@pytest.mark.parametrize("inplace", [False, True])
def test_a_model_that_cannot_lose_channels_is_refused_and_unchanged(
    model: nn.Module, said: str, inplace: bool, example: Tensor
) -> None:
    before = copy.deepcopy(model.state_dict())
    parameters = list(model.parameters())
    with pytest.raises(CompressionError, match=said):
        ChannelPruning(0.5)(model, example_input=example, inplace=inplace)
    assert all(now is then for now, then in zip(model.parameters(), parameters, strict=True))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training and not module._forward_hooks for module in model.modules())
    assert all(parameter.requires_grad for parameter in parameters)


def test_weights_that_are_no_numbers_are_refused(network: nn.Sequential, example: Tensor) -> None:
    with torch.no_grad():
        network[3].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(CompressionError, match="infinite or NaN"):
        ChannelPruning(0.5)(network, example_input=example)


def by_size(model: nn.Module) -> float:
    """An accuracy that falls with the channels of the second convolution: 0.99 with all 32."""
    return 0.99 - (32 - model[3].out_channels) / 100  # type: ignore[index]


@pytest.mark.parametrize("inplace", [False, True])
def test_the_search_finds_the_largest_of_16_steps_in_at_most_5_evaluations(
    network: nn.Sequential, example: Tensor, inplace: bool
) -> None:
    compressor = ChannelPruning(round_to=1, tolerance=0.105)
    compressed = compressor(network, by_size, example_input=example, inplace=inplace)
    report = compressed.report
    assert report.amount == 5 / 16
    assert report.evaluations <= 5
    assert (0.0, 0.99) in report.curve
    assert report.accuracy_compressed == by_size(compressed.model) == 0.99 - 0.10
    assert compressed.model[0].out_channels == 11
    assert (compressed.model is network) == inplace
    again = compressor.settled(report)(network if not inplace else build_again(), example_input=example)
    assert again.model[3].out_channels == 22


def build_again() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3)),
        *(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)),
    )


def test_where_no_amount_passes_or_evaluate_fails_the_model_is_what_it_was(
    network: nn.Sequential, example: Tensor
) -> None:
    parameters = list(network.parameters())
    report = ChannelPruning(tolerance=0.01)(network, by_size, example_input=example, inplace=True).report
    assert (report.amount, report.effect) == (0.0, Effect.UNCHANGED)
    calls = 0

    def fails(model: nn.Module) -> float:
        nonlocal calls
        calls += 1
        return 0.9 if calls < 3 else float("nan")

    with pytest.raises(CompressionError, match="accuracy in"):
        ChannelPruning(tolerance=0.5)(network, fails, example_input=example, inplace=True)
    assert calls == 3
    assert all(now is then for now, then in zip(network.parameters(), parameters, strict=True))
    assert network[0].out_channels == 16


def test_it_needs_an_example_and_its_library(
    network: nn.Sequential, example: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="pass example_input"):
        ChannelPruning(0.5)(network)
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(UsageError, match=r"pip install 'energybench\[prune\]'"):
        ChannelPruning(0.5)(network, example_input=example)


@pytest.mark.parametrize(
    "bad",
    [{"amount": 1.0}, {"amount": -0.1}, {"round_to": 0}, {"round_to": 2.0}, {"importance": "l3"}, {"tolerance": 1}],
)
def test_bad_parameters_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"ChannelPruning: {next(iter(bad))}"):
        ChannelPruning(**bad)

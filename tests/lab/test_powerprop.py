from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from energybench.compress import Pruning
from energybench.compress.gradual import Gradual
from energybench.errors import CompressionError, UsageError
from energybench.lab.models import build
from energybench.lab.powerprop import powerpropagation


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 3) -> None:
    images = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), torch.arange(16) % 4).backward()
        optimizer.step()


def test_weights_are_what_they_were_on_entry_and_on_exit_and_the_same_objects_again() -> None:
    model = build("tiny", 10, 16).eval()
    before = copy.deepcopy(model.state_dict())
    parameters = dict(model.named_parameters())
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = model(images)
    with powerpropagation(model, 3.0) as inside, torch.no_grad():
        assert inside is model
        assert model.get_submodule("fc").weight.shape == (10, 64)
        torch.testing.assert_close(model.get_submodule("fc").weight, before["fc.weight"], rtol=1e-6, atol=0)
        torch.testing.assert_close(model(images), expected)
    assert list(model.state_dict()) == list(before)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=1e-6, atol=0)
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == {
        name: id(parameter) for name, parameter in parameters.items()
    }
    assert all(type(module).__name__.find("Parametrized") < 0 for module in model.modules())


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20),
    st.floats(1.125, 5),
)
def test_the_gradient_of_theta_is_the_chain_rules(thetas: list[float], alpha: float) -> None:
    layer = nn.Linear(len(thetas), 1, bias=False)
    rows = torch.arange(1.0, len(thetas) + 1).unsqueeze(0)
    with powerpropagation(layer, alpha):
        theta = layer.get_parameter("parametrizations.weight.original")
        with torch.no_grad():
            theta.copy_(torch.tensor([thetas]))
        layer(rows).sum().backward()
        assert theta.grad is not None
        for place, value in enumerate(thetas):
            weight = math.copysign(abs(value) ** alpha, value)
            slope = alpha * abs(value) ** (alpha - 1) * (place + 1)
            assert layer.weight[0, place].item() == pytest.approx(weight, rel=1e-4, abs=1e-36)
            assert theta.grad[0, place].item() == pytest.approx(slope, rel=1e-4, abs=1e-36)


def test_a_step_is_that_of_theta_and_biases_train_as_ever() -> None:
    plain, model = network(), network()
    layer, bias = plain[4].weight.detach().double(), model[4].bias.detach().clone()
    train(plain, torch.optim.SGD(plain.parameters(), lr=0.0), 1)
    gradient = plain[4].weight.grad
    assert gradient is not None
    with powerpropagation(model, 2.0):
        train(model, torch.optim.SGD(model.parameters(), lr=0.1), 1)
    theta = layer.sign() * layer.abs().sqrt()
    theta -= 0.1 * gradient.double() * 2 * theta.abs()
    torch.testing.assert_close(model[4].weight.double(), theta * theta.abs(), rtol=1e-4, atol=1e-7)
    assert not torch.equal(model[4].bias, bias)


def test_alpha_1_does_nothing() -> None:
    model = network()
    state = copy.deepcopy(model.state_dict())
    with powerpropagation(model, 1.0):
        assert list(model.state_dict()) == list(state)
        assert type(model[0]) is nn.Conv2d
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("alpha", [0.5, 0, -1, float("nan"), float("inf"), "2", True])
def test_an_alpha_below_1_is_refused(alpha: Any) -> None:
    with pytest.raises(UsageError, match="powerprop must be a number from 1"), powerpropagation(network(), alpha):
        pass


def test_a_zero_stays_zero_under_momentum_and_weight_decay() -> None:
    model = network()
    with torch.no_grad():
        model[4].weight[:, ::2] = 0
    with powerpropagation(model, 2.0):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
        train(model, optimizer)
    assert not model[4].weight[:, ::2].any()
    assert model[4].weight[:, 1::2].all()


@pytest.mark.parametrize("compressor", [Pruning(0.6), Pruning(0.6, masks="epoch"), Pruning(0.6, schedule=Gradual(2))])
def test_pruned_weights_are_held_while_theta_trains(compressor: Pruning) -> None:
    compressed = compressor(network())
    model = compressed.model
    start = model[4].weight.detach().clone()
    with powerpropagation(model, 2.0):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        with compressed.training(optimizer) as hooks:
            for _ in range(2):
                train(model, optimizer, 2)
                hooks.epoch_end()
    weights = torch.cat([model[place].weight.flatten() for place in (0, 4)])
    assert int((weights == 0).sum()) == round(0.6 * len(weights))
    for name, mask in compressed.masks.items():
        assert torch.equal(model.get_parameter(name) != 0, mask)
    assert not torch.equal(model[4].weight, start)


def test_the_model_is_plain_again_after_an_error() -> None:
    model = network()

    def fails() -> Tensor:
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"), powerpropagation(model, 2.0):
        fails()
    assert type(model[0]) is nn.Conv2d
    assert isinstance(model[0].weight, nn.Parameter)


def test_tied_weights_are_refused_and_left_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    with pytest.raises(CompressionError, match="share their memory"), powerpropagation(model, 2.0):
        pass
    assert type(model[0]) is nn.Linear

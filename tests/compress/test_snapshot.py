"""Going back to a model's structure, values and modes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from energybench.compress.snapshot import Snapshot, kept_modes, looking


class Other(nn.Sequential):
    """A class that a model may be moved to."""


def build() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_classes_attributes_and_parameters_come_back() -> None:
    model = build()
    held = dict(model.named_parameters())
    held["0.bias"].requires_grad_(False)
    snapshot = Snapshot(model)
    model.__class__ = Other
    model.extra = 3
    model[0].weight.data = model[0].weight.data.bfloat16()
    model[0].bias.requires_grad_(True)
    model[2] = nn.Linear(4, 5)
    model[1].weight = nn.Parameter(torch.zeros(7))
    snapshot.restore()
    assert type(model) is nn.Sequential
    assert not hasattr(model, "extra")
    assert {name: id(value) for name, value in model.named_parameters()} == {k: id(v) for k, v in held.items()}
    assert model[0].weight.dtype == torch.float32
    assert not model[0].bias.requires_grad
    assert model(torch.ones(2, 3)).shape == (2, 2)


@pytest.mark.parametrize("values", [False, True])
def test_what_was_written_into_tensors_comes_back_with_values_only(values: bool) -> None:
    model = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    snapshot = Snapshot(model, values=values)
    model(torch.rand(8, 3))  # in training: moves the running statistics
    with torch.no_grad():
        model[2].weight.zero_()
    snapshot.restore()
    same = [torch.equal(value, before[name]) for name, value in model.state_dict().items()]
    assert all(same) == values


def test_modes_are_put_back_also_after_an_error() -> None:
    model = build().train()
    model[1].eval()
    with pytest.raises(ValueError, match="more than 1 value"), kept_modes(model):
        model.train()(torch.ones(1, 3))
    with looking(model):
        assert not model.training
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert [module.training for module in model.modules()] == [True, True, False, True]

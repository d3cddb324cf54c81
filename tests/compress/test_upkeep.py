"""Masks and other upkeep in a training loop: what is called when, and what is left afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from energybench.compress.upkeep import Attached, KeepMasks, TrainingHooks, apply_mask


class Recorder(Attached):
    """An upkeep that says what it was told."""

    def __init__(self, heard: list[str], *, each_step: bool) -> None:
        self.heard, self.each_step = heard, each_step

    def attach(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Attached:
        self.heard.append("attach")
        return self

    def step(self) -> None:
        self.heard.append("step")

    def epoch(self) -> None:
        self.heard.append("epoch")

    def finish(self) -> None:
        self.heard.append("finish")

    def scale(self, loss: Tensor) -> Tensor:
        return loss * 2

    def detach(self) -> None:
        self.heard.append("detach")


def layer() -> tuple[nn.Linear, torch.optim.SGD]:
    torch.manual_seed(0)
    linear = nn.Linear(8, 4)
    return linear, torch.optim.SGD(linear.parameters(), lr=0.1, momentum=0.9)


def step(linear: nn.Linear, optimizer: torch.optim.SGD) -> None:
    optimizer.zero_grad()
    linear(torch.ones(2, 8)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("each_step", [True, False])
def test_upkeep_is_told_of_steps_epochs_and_the_end_in_order(each_step: bool) -> None:
    heard: list[str] = []
    linear, optimizer = layer()
    with TrainingHooks(linear, optimizer, (Recorder(heard, each_step=each_step),)) as hooks:
        step(linear, optimizer)
        hooks.epoch_end()
    assert heard == ["attach", *(["step"] if each_step else []), "epoch", "finish", "detach"]
    step(linear, optimizer)
    assert heard[-1] == "detach"


def test_finishing_twice_is_finishing_once_and_an_error_finishes_nothing() -> None:
    heard: list[str] = []
    linear, optimizer = layer()
    with TrainingHooks(linear, optimizer, (Recorder(heard, each_step=False),)) as hooks:
        hooks.finish()
        hooks.finish()
    assert heard == ["attach", "finish", "detach"]
    heard.clear()
    with pytest.raises(KeyError), TrainingHooks(linear, optimizer, (Recorder(heard, each_step=False),)):
        raise KeyError
    assert heard == ["attach", "detach"]


def test_scales_of_several_upkeeps_multiply() -> None:
    linear, optimizer = layer()
    two = (Recorder([], each_step=False), Recorder([], each_step=False))
    with TrainingHooks(linear, optimizer, two) as hooks:
        assert hooks.scale(torch.tensor(1.5)).item() == 6.0


@pytest.mark.parametrize(("when", "zero_after"), [("keep", "step"), ("epoch", "epoch")])
def test_masks_hold_after_each_step_or_after_each_epoch(when: str, zero_after: str) -> None:
    linear, optimizer = layer()
    mask = torch.rand(4, 8, generator=torch.Generator().manual_seed(1)) > 0.5
    apply_mask(linear.weight, mask)
    with TrainingHooks(linear, optimizer, (KeepMasks({"weight": mask}, when),)) as hooks:
        step(linear, optimizer)
        assert bool(linear.weight[~mask].any()) is (zero_after == "epoch")
        hooks.epoch_end()
        assert not linear.weight[~mask].any()
        assert linear.weight[mask].all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_mask_makes_plus_zero_of_anything(dtype: torch.dtype) -> None:
    weight = torch.tensor([1.5, -2.0, float("nan"), float("-inf"), -0.0, 3.0], dtype=dtype)
    apply_mask(weight, torch.tensor([True, False, False, False, False, True]))
    assert weight.tolist() == [1.5, 0.0, 0.0, 0.0, 0.0, 3.0]
    assert not torch.signbit(weight[1:5]).any()


def test_a_mask_follows_the_weights_memory_format() -> None:
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    mask = torch.rand(4, 3, 2, 2) > 0.5
    expected = weight * mask
    linear = nn.Conv2d(3, 4, 2)
    linear.weight = nn.Parameter(weight)
    attached = KeepMasks({"weight": mask}).attach(linear, torch.optim.SGD(linear.parameters(), 0.1))
    attached.step()
    assert torch.equal(linear.weight, expected)

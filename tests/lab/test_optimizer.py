"""The optimisers of the recipes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from energybench.compress.stochastic import StochasticRoundingSGD
from energybench.errors import UsageError
from energybench.lab.optimizer import optimizer


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_a_recipes_optimiser_is_torchs_fused_one_with_its_numbers(name: str, kind: type) -> None:
    made = optimizer(nn.Linear(2, 3), name, 0.1, 1e-4)
    group = made.param_groups[0]
    assert type(made) is kind
    assert (group["lr"], group["weight_decay"], group["fused"]) == (0.1, 1e-4, True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sgd_on_half_weights_rounds_stochastically(dtype: torch.dtype) -> None:
    assert type(optimizer(nn.Linear(2, 3).to(dtype), "sgd", 0.1, 0.0)) is StochasticRoundingSGD


def test_an_unknown_optimizer_is_said() -> None:
    with pytest.raises(UsageError, match="unknown optimizer 'lion'"):
        optimizer(nn.Linear(2, 3), "lion", 0.1, 0)

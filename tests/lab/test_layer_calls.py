from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

from energybench.errors import UsageError
from energybench.lab.layer_calls import OPTIMISER, Call, Shape, forward_pass, recorded, training_step

aten = torch.ops.aten


def names(calls: Counter[Call]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each, times in calls.items():
        found[each.name] += times
    return found


def test_recording_lists_a_layer_forward_and_backward_and_leaves_views_out() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
        images = torch.empty(5, 3, 8, 8)
    with recorded(model) as calls:
        model(images).sum().backward()
    found = names(calls)
    assert found["convolution"] == found["convolution_backward"] == found["relu"] == found["addmm"] == 1
    assert found["threshold_backward"] == 1
    assert found["mm"] == 2  # the gradients of the linear layer's input and of its weight
    assert {"view", "t", "detach", "expand"}.isdisjoint(found)
    (conv,) = (each for each in calls if each.name == "convolution")
    data, weight, bias = conv.given[0][:3]
    assert (data.size, data.weight) == ((5, 3, 8, 8), False)
    assert (weight.size, weight.weight, bias.weight) == ((4, 3, 3, 3), True, True)


def test_a_training_step_has_every_layer_of_the_model_twice() -> None:
    calls = training_step("tiny", 16, 4, 10)
    found = names(calls)
    assert found["convolution"] == found["convolution_backward"] == 9
    assert found["native_batch_norm"] == found["native_batch_norm_backward"] == 9
    assert found[OPTIMISER] == 1
    kinds = {each.kind for each in calls}
    assert kinds == {"conv", "norm", "activation", "linear", "loss", "optimiser", "other"}
    forward = names(forward_pass("tiny", 16, 4, 10))
    assert forward["convolution"] == 9
    assert not any("backward" in name for name in forward)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (aten.convolution_backward.default, "conv"),
        (aten.addmm.default, "linear"),
        (aten.native_layer_norm_backward.default, "norm"),
        (aten._scaled_dot_product_flash_attention_for_cpu.default, "attention"),
        (aten.gelu_backward.default, "activation"),
        (aten._softmax.default, "activation"),
        (aten._log_softmax.default, "loss"),
        (aten.max_pool2d_with_indices.default, "pooling"),
        (aten.cat.default, "other"),
    ],
)
def test_operations_have_the_kind_of_their_layer(name: Any, kind: str) -> None:
    assert Call(name, ((), ())).kind == kind


def test_repeated_elements_are_made_without_writing_them_twice() -> None:
    made = Shape((3, 4), (0, 1), torch.float32).made(torch.device("cpu"))
    assert made.shape == (3, 4)
    assert made.stride() == (0, 1)
    assert Shape((2,), (1,), torch.int64).made(torch.device("cpu")).tolist() == [0, 0]


def test_impossible_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="tokens"):
        training_step("causal_lm", 64, 4, 256)
    with pytest.raises(UsageError, match="at least 2 images"):
        training_step("tiny", 16, 1, 10)

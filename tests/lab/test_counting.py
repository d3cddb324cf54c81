from __future__ import annotations

import pytest
import torch

from energybench.errors import UsageError
from energybench.lab.counting import count_training
from energybench.lab.intensity import training_intensity
from energybench.lab.models import build, count_parameters


@pytest.mark.parametrize(("name", "pixels"), [("tiny", 16), ("vit", 32)])
def test_without_weights_the_counts_are_those_of_the_real_model(name: str, pixels: int) -> None:
    model = build(name, 10, pixels)
    expected = training_intensity(model, torch.zeros(2, 3, pixels, pixels), 8)
    found = count_training(name, pixels, 8, classes=10)
    assert found["train_gflops_per_image"] == expected.flops_per_image / 1e9
    assert found["train_mb_per_image"] == expected.bytes_per_image / 1e6
    assert found["parameters_m"] == count_parameters(model)[0] / 1e6


def test_a_model_of_imagenet_size_is_counted_without_its_memory() -> None:
    """ResNet50 at 224 pixels: 4.089 G multiply-adds (torchvision), two operations each, three times for training."""
    found = count_training("resnet50", 224, 64)
    assert found["train_gflops_per_image"] == pytest.approx(3 * 2 * 4.089, rel=1e-3)
    assert found["parameters_m"] == 25.557032


def test_half_the_bits_are_half_the_bytes() -> None:
    whole, half = (count_training("tiny", 16, 8, bits=bits) for bits in (32.0, 16.0))
    assert half["train_mb_per_image"] == whole["train_mb_per_image"] / 2
    assert half["train_gflops_per_image"] == whole["train_gflops_per_image"]


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(UsageError, match="windows of tokens"):
        count_training("causal_lm", 64, 8)
    with pytest.raises(UsageError, match="unknown model"):
        count_training("nope", 64, 8)
    with pytest.raises(UsageError, match="at least 63 pixels"):
        count_training("alexnet", 32, 8)

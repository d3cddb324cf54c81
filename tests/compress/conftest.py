"""A small network and its inputs, for every compressor's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors here are tiny: threads would only wait for one another, on a busy machine for seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    ).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def agreement(network: nn.Sequential, images: Tensor) -> Callable[[nn.Module], float]:
    """evaluate: the share of images on which a model decides like the uncompressed network."""
    with torch.no_grad():
        labels = network(images).argmax(1)

    def evaluate(model: nn.Module) -> float:
        with torch.no_grad():
            return int((model(images).argmax(1) == labels).sum()) / len(labels)

    return evaluate

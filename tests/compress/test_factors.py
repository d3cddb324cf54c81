"""One layer as two: equal at full rank within the rounding of the arithmetic, on layers and on the study's models."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from energybench.compress.factors import applications, factorable, saving_rank, split
from energybench.compress.report import forward_flops
from energybench.compress.spectrum import Spectrum
from energybench.lab.models import NINE, architecture, build

UNIT = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}
LAYERS = [
    nn.Conv2d(6, 8, 3, stride=2, padding=1),
    nn.Conv2d(6, 8, (3, 5), padding=(2, 1), dilation=2, bias=False),
    nn.Conv2d(6, 8, (3, 1), stride=(1, 2), padding=(1, 0), dilation=(3, 1)),
    nn.Conv2d(6, 8, 3, padding="same", padding_mode="reflect"),
    nn.Conv2d(6, 8, 3, padding=1, padding_mode="circular"),
    nn.Conv2d(6, 8, 1, stride=2),
    nn.Conv2d(40, 4, 1),
    nn.Conv2d(2, 30, 2),
    nn.Linear(20, 8),
    nn.Linear(8, 20, bias=False),
]


def at_full_rank(layer: nn.Conv2d | nn.Linear) -> nn.Sequential:
    spectrum = Spectrum("layer", layer.weight.detach().flatten(1))
    return split(layer, *spectrum.factors(spectrum.side))


def rounding(layer: nn.Conv2d | nn.Linear, pair: nn.Sequential, inputs: Tensor) -> Tensor:
    """How far the pair may be from the layer, place by place.

    A sum of n products is off by at most n units of roundoff of the sum of their magnitudes (Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.1): of |W| |x| for the layer, of |second| |first| |x| for the pair,
    which adds the decomposition's own rounding, of the same size.
    """

    def of_magnitudes(module: nn.Module) -> Tensor:
        large = copy.deepcopy(module).double()
        for parameter in large.parameters():
            parameter.detach().abs_()
        return large(inputs.double().abs())

    number = layer.weight[0].numel() + min(layer.weight.flatten(1).shape) + 2
    magnitudes = of_magnitudes(layer) + 2 * of_magnitudes(pair)
    return number * UNIT[layer.weight.dtype] * magnitudes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", LAYERS, ids=str)
def test_a_layer_split_at_full_rank_is_the_layer(given: nn.Conv2d | nn.Linear, dtype: torch.dtype) -> None:
    layer = copy.deepcopy(given).to(dtype)
    shape = (3, layer.in_channels, 11, 12) if isinstance(layer, nn.Conv2d) else (5, 3, layer.in_features)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    pair = at_full_rank(layer)
    assert [type(part) for part in pair] == [type(layer)] * 2
    with torch.no_grad():
        dense, allowed = layer(inputs), rounding(layer, pair, inputs)
        difference = (pair(inputs) - dense).abs()
    assert (difference <= allowed).all()
    assert float(allowed.max()) < 3000 * UNIT[dtype] * float(dense.abs().max())  # the bound itself says something


def test_a_split_keeps_mode_gradients_and_the_bias_itself() -> None:
    layer = nn.Linear(20, 8).eval().requires_grad_(False)
    pair = at_full_rank(layer)
    assert not pair.training
    assert not any(parameter.requires_grad for parameter in pair.parameters())
    assert pair[1].bias is layer.bias


@pytest.mark.parametrize("name", NINE)
def test_the_layers_of_the_nine_models_split_at_full_rank_give_the_dense_outputs(name: str) -> None:
    pixels = max(32, architecture(name).minimum_pixels)
    torch.manual_seed(0)
    model = build(name, 10, pixels)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    # One layer of every shape. Beyond lie only the first two layers of AlexNet's and VGG16's heads, half a minute.
    shapes = {layer.weight.shape: layer for layer in factorable(model)[0].values()}
    pairs = {layer: at_full_rank(layer) for layer in shapes.values() if min(layer.weight.flatten(1).shape) <= 1024}
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        seen[layer] = (inputs[0].clone(), output.clone())  # what follows may write into them

    with torch.no_grad():
        model(torch.randn(16, 3, pixels, pixels))  # else InceptionV3's activations die out
        model.eval()
        handles = [layer.register_forward_hook(note) for layer in pairs]
        model(torch.randn(2, 3, pixels, pixels))
        for handle in handles:
            handle.remove()
        # Layer by layer, on the activations that the model gives it: deep random networks blow a difference in the last
        # bit up a thousandfold, so that equal outputs of the whole would need a tolerance that hides errors.
        for layer, (inputs, output) in seen.items():
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            assert output.abs().max() > 0
            assert ((pairs[layer](inputs) - output).abs() <= rounding(layer, pairs[layer], inputs)).all()
    assert set(seen) == set(pairs)


def test_the_saving_rank_is_the_last_that_has_fewer_parameters() -> None:
    for rows in range(1, 20):
        for columns in range(1, 20):
            rank = saving_rank(torch.empty(rows, columns))
            assert rank * (rows + columns) < rows * columns <= (rank + 1) * (rows + columns)
    assert saving_rank(torch.empty(8, 3, 3, 3)) == saving_rank(torch.empty(8, 27))


def test_applications_count_places_tokens_and_repeated_calls() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, stride=2)
            self.token = nn.Linear(4, 4)
            self.head = nn.Linear(4, 5)
            self.idle = nn.Linear(4, 5)

        def forward(self, images: Tensor) -> Tensor:
            tokens = self.token(self.conv(images).flatten(2).transpose(1, 2))
            return self.head(self.token(tokens).mean(1))

    model = Network().train()
    model.head.eval()
    images = torch.zeros(7, 3, 9, 9)
    layers, _ = factorable(model)
    counts = applications(model, layers, images)
    assert counts == {"conv": 16, "token": 32, "head": 1, "idle": 0}
    flops = sum(2 * counts[name] * layer.weight.numel() for name, layer in layers.items())
    assert flops == forward_flops(model, images)
    assert model.training
    assert not model.head.training
    assert not model.conv._forward_hooks

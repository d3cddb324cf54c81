"""Factorised layers against torch.linalg.svd and against the layer they replace."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from energybench.compress import Effect, LowRank
from energybench.compress import spectrum as spectrum_module
from energybench.compress.factors import split
from energybench.compress.lowrank import ENERGIES
from energybench.compress.spectrum import Spectrum
from energybench.errors import CompressionError, UsageError


def decaying(rows: int, columns: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    side = min(rows, columns)
    left = torch.linalg.qr(torch.randn(rows, side, generator=generator)).Q
    right = torch.linalg.qr(torch.randn(columns, side, generator=generator)).Q
    return (left * torch.logspace(0, -2, side)) @ right.T


@pytest.mark.parametrize("float64_side", [1024, 0])
@given(rows=st.integers(2, 40), columns=st.integers(2, 40), data=st.data())
def test_a_cut_is_as_good_as_the_truncated_svd(rows: int, columns: int, data: st.DataObject, float64_side: int) -> None:
    matrix = decaying(rows, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectrum_module, "FLOAT64_SIDE", float64_side)
        spectrum = Spectrum("layer", matrix)
    last = max(1, -(-rows * columns // (rows + columns)) - 1)
    rank = data.draw(st.integers(1, last))
    first, second = spectrum.factors(rank)
    assert (first.shape, second.shape) == ((rank, columns), (rows, rank))
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    best = left[:, :rank] * values[:rank] @ right[:rank]
    error = torch.linalg.norm(matrix - second @ first) / torch.linalg.norm(matrix)
    optimum = torch.linalg.norm(matrix - best) / torch.linalg.norm(matrix)
    assert float(error) == pytest.approx(float(optimum), abs=2e-6)


def test_a_rank_asked_for_later_extends_what_is_there() -> None:
    matrix = decaying(30, 60)
    spectrum, fresh = Spectrum("layer", matrix), Spectrum("layer", matrix)
    small = tuple(part.clone() for part in spectrum.factors(4))
    large = spectrum.factors(15)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(large, fresh.factors(15), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(small, spectrum.factors(4), strict=True))


@pytest.mark.parametrize("energy", [0.3, 0.9, 0.99, 0.9999])
def test_the_rank_of_an_energy_is_the_smallest_that_keeps_it(energy: float) -> None:
    matrix = decaying(25, 70)
    squares = torch.linalg.svdvals(matrix.double()) ** 2
    expected = int(((squares.cumsum(0) / squares.sum()) < energy).sum()) + 1
    assert Spectrum("layer", matrix).rank_for(energy) == expected


def test_larger_sides_in_float32_blocks_agree_with_the_svd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum_module, "FLOAT64_SIDE", 8)
    monkeypatch.setattr(spectrum_module, "_BLOCK", 7)
    matrix = decaying(40, 90)
    first, second = Spectrum("layer", matrix).factors(20)
    error = float(torch.linalg.norm(matrix - second @ first))
    values = torch.linalg.svdvals(matrix.double())
    assert error == pytest.approx(float(values[20:].square().sum().sqrt()), abs=2e-6)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        nn.Conv2d(6, 8, (3, 5), padding=(2, 1), dilation=2, bias=False),
        nn.Conv2d(6, 8, 3, padding="same", padding_mode="reflect"),
        nn.Conv2d(6, 8, 1, stride=2),
        nn.Conv2d(40, 4, 1),
    ],
)
def test_a_convolution_split_at_full_rank_is_the_convolution(layer: nn.Conv2d) -> None:
    left, values, right = torch.linalg.svd(layer.weight.detach().flatten(1), full_matrices=False)
    pair = split(layer, values[:, None] * right, left)
    inputs = torch.randn(3, layer.in_channels, 11, 12)
    torch.testing.assert_close(pair(inputs), layer(inputs), atol=1e-5, rtol=1e-5)


def test_a_linear_split_at_full_rank_is_the_linear_and_keeps_mode_and_gradients() -> None:
    layer = nn.Linear(20, 8).eval().requires_grad_(False)
    left, values, right = torch.linalg.svd(layer.weight, full_matrices=False)
    pair = split(layer, values[:, None] * right, left)
    inputs = torch.randn(5, 3, 20)
    torch.testing.assert_close(pair(inputs), layer(inputs), atol=1e-5, rtol=1e-5)
    assert not pair.training
    assert not any(parameter.requires_grad for parameter in pair.parameters())


@pytest.mark.parametrize("inplace", [False, True])
def test_layers_below_break_even_are_replaced_and_the_rest_stays(
    network: nn.Sequential, images: Tensor, inplace: bool
) -> None:
    before = copy.deepcopy(network)
    compressed = LowRank(rank=0.25)(network, inplace=inplace, example_input=images)
    model, report = compressed.model, compressed.report
    assert report.ranks == {"0": 4, "3": 8, "7": 2}
    assert report.effect is Effect.REALISED
    assert isinstance(model[3], nn.Sequential)
    assert model[3][0].stride == (2, 2)
    assert model[3][1].bias is not None
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert report.after.parameters == parameters < report.before.parameters
    assert report.rate == 1 - parameters / report.before.parameters
    assert report.before.flops is not None
    assert report.after.flops is not None
    assert report.after.flops < report.before.flops
    weight = before[3].weight.detach().flatten(1)
    approximation = model[3][1].weight.flatten(1) @ model[3][0].weight.flatten(1)
    optimum = torch.linalg.svdvals(weight)[8:].square().sum().sqrt()
    assert float(torch.linalg.norm(weight - approximation.detach())) == pytest.approx(float(optimum), rel=1e-5)
    if not inplace:
        assert all(torch.equal(value, before.state_dict()[name]) for name, value in network.state_dict().items())


def test_no_memory_is_shared_with_the_model_given_nor_kept_of_the_decomposition(network: nn.Sequential) -> None:
    compressed = LowRank(rank=0.6)(network)  # 0.6 * 10 = 6 of the head's break-even 7.6; the first layer stays at 10
    own = {parameter.untyped_storage().data_ptr() for parameter in compressed.model.parameters()}
    assert not own & {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    for parameter in compressed.model.parameters():
        assert parameter.untyped_storage().nbytes() == parameter.nbytes
        assert parameter.is_leaf


def test_a_factorised_model_trains(network: nn.Sequential, images: Tensor) -> None:
    compressed = LowRank(rank=0.25)(network)
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.05)
    with compressed.training(optimizer):
        losses = []
        for _ in range(6):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(compressed.model(images), torch.arange(64) % 10)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("inplace", [False, True])
def test_the_search_ends_at_the_energy_reported(network: nn.Sequential, inplace: bool) -> None:
    full = sum(parameter.numel() for parameter in network.parameters())
    given = copy.deepcopy(network)

    def evaluate(model: nn.Module) -> float:
        return sum(parameter.numel() for parameter in model.parameters()) / full

    compressed = LowRank(tolerance=0.4)(network, evaluate, inplace=inplace)
    report = compressed.report
    assert report.energy in ENERGIES
    assert report.evaluations <= 6
    assert report.accuracy_compressed == evaluate(compressed.model) >= 0.6
    stronger = LowRank(energy=ENERGIES[ENERGIES.index(report.energy) + 1])(given)
    assert stronger.report.after.parameters / full < 0.6


@pytest.mark.parametrize("inplace", [False, True])
def test_where_nothing_passes_the_model_stays(network: nn.Sequential, inplace: bool) -> None:
    keys = list(network.state_dict())
    compressed = LowRank(tolerance=0.0)(
        network,
        lambda model: float(isinstance(model[0], nn.Conv2d) and isinstance(model[3], nn.Conv2d)),
        inplace=inplace,
    )
    assert list(compressed.model.state_dict()) == keys
    assert compressed.report.ranks == {}
    assert compressed.report.effect is Effect.UNCHANGED
    assert "no compression" in compressed.report.notes[-1]


def test_layers_that_others_read_or_hook_are_left_alone_with_a_reason() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 2)
            self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
            self.hooked = nn.Linear(32, 32)
            self.hooked.register_forward_hook(lambda *_: None)
            self.free = nn.Linear(32, 32)

    report = LowRank(rank=0.25)(Attention()).report
    assert report.ranks == {"free": 8}
    notes = " ".join(report.notes)
    assert all(name in notes for name in ("attention.out_proj", "depthwise", "hooked"))


def test_the_global_generator_is_not_touched(network: nn.Sequential) -> None:
    state = torch.get_rng_state()
    LowRank(rank=0.25)(network)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_that_are_not_finite_are_refused(network: nn.Sequential) -> None:
    with torch.no_grad():
        network[3].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(CompressionError, match=r"3\.weight has infinite or NaN"):
        LowRank(rank=0.5)(network)


@pytest.mark.parametrize("bad", [{"energy": 0.0}, {"energy": 1.5}, {"rank": -0.1}, {"rank": "full"}, {"tolerance": 2}])
def test_bad_parameters_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"LowRank: {next(iter(bad))}"):
        LowRank(**bad)


def test_energy_and_rank_together_are_refused() -> None:
    with pytest.raises(UsageError, match="not both"):
        LowRank(energy=0.9, rank=0.5)

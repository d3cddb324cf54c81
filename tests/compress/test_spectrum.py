"""Decompositions by way of the Gram matrix against torch.linalg.svd in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from energybench.compress import spectrum as spectrum_module
from energybench.compress.spectrum import Spectrum
from energybench.errors import CompressionError

UNIT = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}


def decaying(rows: int, columns: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    side = min(rows, columns)
    left = torch.linalg.qr(torch.randn(rows, side, generator=generator, dtype=torch.float64)).Q
    right = torch.linalg.qr(torch.randn(columns, side, generator=generator, dtype=torch.float64)).Q
    return ((left * torch.logspace(0, -2, side, dtype=torch.float64)) @ right.T).to(dtype)


def error(matrix: Tensor, rank: int, spectrum: Spectrum) -> float:
    first, second = spectrum.factors(rank)
    return float(torch.linalg.norm(matrix.double() - second.double() @ first.double()))


def optimum(matrix: Tensor, rank: int) -> float:
    return float(torch.linalg.svdvals(matrix.double())[rank:].square().sum().sqrt())


@pytest.mark.parametrize("float64_side", [1024, 0])
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), data=st.data())
def test_a_cut_is_as_good_as_the_truncated_svd(rows: int, columns: int, data: st.DataObject, float64_side: int) -> None:
    matrix = decaying(rows, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectrum_module, "FLOAT64_SIDE", float64_side)
        spectrum = Spectrum("layer", matrix)
    rank = data.draw(st.integers(1, spectrum.side))
    first, second = spectrum.factors(rank)
    assert (first.shape, second.shape) == ((rank, columns), (rows, rank))
    # The norm is about 1. In float32 the Gram matrix is off by its rounding, and so is the energy that is kept, each by
    # up to a unit of roundoff for each row: how much of it comes about depends on the CPU's order of adding.
    beyond = max(2e-6, 2 * spectrum.side * torch.finfo(torch.float32).eps / 2)
    assert optimum(matrix, rank) - 1e-6 <= error(matrix, rank, spectrum) <= optimum(matrix, rank) + beyond


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("float64_side", [1024, 0])
@pytest.mark.parametrize("shape", [(30, 30), (17, 60), (60, 17), (1, 9), (9, 1)])
def test_all_ranks_together_give_the_matrix_back(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], float64_side: int, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(spectrum_module, "FLOAT64_SIDE", float64_side)
    matrix = decaying(*shape, dtype=dtype)
    spectrum = Spectrum("layer", matrix)
    # Each entry is a sum over the side whose vectors and products are rounded, of a matrix of norm about 1.
    assert error(matrix, spectrum.side, spectrum) <= 8 * spectrum.side * UNIT[dtype]


@pytest.mark.parametrize("float64_side", [1024, 0])
def test_a_matrix_of_low_rank_is_recovered_at_its_rank(monkeypatch: pytest.MonkeyPatch, float64_side: int) -> None:
    monkeypatch.setattr(spectrum_module, "FLOAT64_SIDE", float64_side)
    generator = torch.Generator().manual_seed(3)
    matrix = torch.randn(40, 5, generator=generator) @ torch.randn(5, 90, generator=generator)
    norm = float(torch.linalg.norm(matrix))
    spectrum = Spectrum("layer", matrix)
    assert error(matrix, 5, spectrum) <= 1e-6 * norm
    assert error(matrix, 4, spectrum) > 0.1 * norm
    assert spectrum.rank_for(1 - 1e-6) == 5


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


def test_shares_are_those_of_the_squared_singular_values_up_to_the_highest_rank() -> None:
    matrix = decaying(25, 70)
    squares = torch.linalg.svdvals(matrix.double()) ** 2
    torch.testing.assert_close(Spectrum("layer", matrix, 12).shares, (squares / squares.sum())[:12])
    assert len(Spectrum("layer", matrix, 0).shares) == 0
    assert len(Spectrum("layer", torch.zeros(4, 5)).shares) == 0


def test_a_matrix_of_zeros_has_no_rank_for_an_energy_and_factors_of_zeros() -> None:
    spectrum = Spectrum("layer", torch.zeros(4, 6))
    assert spectrum.rank_for(0.5) == 4
    first, second = spectrum.factors(2)
    assert torch.isfinite(second).all()
    assert not (second @ first).any()


def test_larger_sides_in_float32_blocks_agree_with_the_svd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum_module, "FLOAT64_SIDE", 8)
    monkeypatch.setattr(spectrum_module, "_BLOCK", 7)
    for shape in [(40, 90), (90, 40)]:
        matrix = decaying(*shape)
        assert error(matrix, 20, Spectrum("layer", matrix)) == pytest.approx(optimum(matrix, 20), abs=2e-6)


def test_where_products_are_rounded_more_coarsely_float64_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum_module, "FLOAT64_SIDE", 8)
    matrix = decaying(40, 90)
    with torch.autocast("cpu", torch.bfloat16):
        assert (matrix @ matrix.T).dtype == torch.bfloat16
        spectrum = Spectrum("layer", matrix)
        first, second = spectrum.factors(20)
    assert (first.dtype, second.dtype) == (torch.float32, torch.float32)
    assert error(matrix, 20, spectrum) == pytest.approx(optimum(matrix, 20), abs=1e-7)


@pytest.mark.parametrize("float64_side", [1024, 0])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [(0, 0), (6, 3), (2, 8)])
def test_a_value_that_is_not_finite_is_refused_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, place: tuple[int, int], value: float, float64_side: int
) -> None:
    monkeypatch.setattr(spectrum_module, "FLOAT64_SIDE", float64_side)
    matrix = torch.randn(7, 9, generator=torch.Generator().manual_seed(0))
    matrix[place] = value
    for turned in (matrix, matrix.T):
        with pytest.raises(CompressionError, match=r"head\.weight has infinite or NaN values"):
            Spectrum("head", turned)

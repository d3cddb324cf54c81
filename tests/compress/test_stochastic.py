"""Stochastic rounding against exact arithmetic, and its SGD against torch's and a float64 reference."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from energybench.compress import stochastic
from energybench.compress.stochastic import BUCKET, ROUNDED, StochasticRoundingSGD, round_stochastically_
from energybench.errors import UsageError

dtypes = pytest.mark.parametrize("dtype", ROUNDED, ids=str)


def rounded(values: Tensor, dtype: torch.dtype, noise: int | Tensor) -> Tensor:
    """A rounded copy; what it holds must be numbers of `dtype`."""
    full = torch.full_like(values, noise, dtype=torch.int32) if isinstance(noise, int) else noise
    result = round_stochastically_(values.clone(), dtype, full.clone())
    assert torch.equal(result.to(dtype).float(), result)
    return result


def neighbours(values: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The numbers of `dtype` next to each value, below and above in magnitude, by numpy in float64; equal if exact."""
    exact = values.numpy().astype(np.float64)
    mantissa, lowest = (7, -126) if dtype == torch.bfloat16 else (10, -14)
    exponent = np.maximum(np.frexp(exact)[1] - 1, lowest)
    place = np.ldexp(1.0, exponent - mantissa)
    low, high = (torch.from_numpy(edge(np.abs(exact) / place) * place) for edge in (np.floor, np.ceil))
    return low, high


@dtypes
@given(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-60000, 60000, width=32)),
    st.integers(0, 65535),
)
def test_a_value_goes_to_one_of_its_two_neighbours(dtype: torch.dtype, array: np.ndarray[Any, Any], noise: int) -> None:
    values = torch.from_numpy(array)
    low, high = neighbours(values, dtype)
    result = rounded(values, dtype, noise)
    assert ((result.double().abs() == low) | (result.double().abs() == high)).all()
    assert ((result.sign() == values.sign()) | (result == 0)).all()


@dtypes
def test_what_the_dtype_holds_stays_whatever_the_noise(dtype: torch.dtype) -> None:
    every = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16).view(dtype).float()
    finite = every[every.isfinite() & ((every.abs() >= 2.0**-126) | (every == 0))]
    for noise in (0, 1, 4097, 65535):
        assert torch.equal(rounded(finite, dtype, noise), finite)
    extremes = torch.tensor([float("inf"), -float("inf"), float("nan")])
    result = round_stochastically_(extremes.clone(), dtype, torch.full((3,), 65535, dtype=torch.int32))
    assert torch.equal(result.nan_to_num(7), extremes.nan_to_num(7))


def test_float16_goes_no_further_than_its_largest_number() -> None:
    values = torch.tensor([65504.0, 65519.0, 1e9, -1e30])
    assert rounded(values, torch.float16, 65535).tolist() == [65504.0, 65504.0, 65504.0, -65504.0]


@dtypes
@pytest.mark.parametrize("value", [1 + 2.0**-9 + 2.0**-14, -3.0001, 0.02, 2.0**-15 + 2.0**-26, 1.7e-5, 3e-8])
def test_over_every_noise_value_the_mean_is_the_value(dtype: torch.dtype, value: float) -> None:
    values = torch.full((65536,), value)
    results = rounded(values, dtype, torch.arange(65536, dtype=torch.int32)).double()
    low, high = (edge[0].item() for edge in neighbours(values[:1], dtype))
    # 16 random bits hold bfloat16's whole remainder, and 13 float16's, subnormals up to their finer grid.
    allowed = 2.0**-38 if dtype == torch.float16 and abs(value) < 2.0**-14 else 1e-12 * abs(value)
    assert abs(results.mean().item() - values[0].double().item()) <= allowed
    assert set(results.abs().unique().tolist()) == {low, high}


@dtypes
def test_steps_are_unbiased_within_what_chance_allows(dtype: torch.dtype) -> None:
    # Each of n weights goes from 1 to the neighbour below with the probability p of the step's part of the gap.
    n, gap = 600_000, {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}[dtype]
    share = 0.3
    weight = nn.Parameter(torch.ones(n, dtype=dtype))
    weight.grad = torch.ones_like(weight)
    StochasticRoundingSGD([weight], lr=share * gap, seed=3).step()
    down = (weight.detach().float() == 1 - gap).double()
    assert ((weight.detach().float() == 1) | down.bool()).all()
    assert abs(down.mean().item() - share) < 5 * (share * (1 - share) / n) ** 0.5
    # Weights beside one another, and those of two buckets, which share their draws, are not rounded alike.
    for distance in (1, 4, BUCKET):
        together = (down[distance:] * down[:-distance]).mean().item()
        assert abs(together - share**2) < 6 * (share / n) ** 0.5


@pytest.fixture
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets of 64 weights: models of a test are cut into many."""
    monkeypatch.setattr(stochastic, "BUCKET", 64)


@pytest.mark.usefixtures("small_buckets")
def test_the_errors_of_all_weights_together_vary_as_those_of_independent_draws() -> None:
    # 32 buckets live on 128 draws a step; sharing them plainly would make this variance some 16 times as large.
    n, share, trials = 2048, 0.3, 300
    counts = []
    for seed in range(trials):
        weight = nn.Parameter(torch.ones(n, dtype=torch.bfloat16))
        weight.grad = torch.ones_like(weight)
        StochasticRoundingSGD([weight], lr=share * 2.0**-8, seed=seed).step()
        counts.append((weight.detach() != 1).sum().item())
    variance = n * share * (1 - share)
    assert abs(np.mean(counts) - n * share) < 5 * (variance / trials) ** 0.5
    assert 0.6 * variance < np.var(counts) < 1.6 * variance


def matrices(dtype: torch.dtype) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The same values twice: small, large and channels_last ones."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((10, 3), (7, 5, 3, 3), (300,), (1,))
    values = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    values[1] = values[1].to(memory_format=torch.channels_last)
    return [nn.Parameter(v.clone()) for v in values], [nn.Parameter(v.clone()) for v in values]


def gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in parameters:
        parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))


settings = pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.01), (0.9, 0.01)])


@settings
def test_float32_parameters_are_trained_as_by_torch_to_the_last_bit(momentum: float, decay: float) -> None:
    ours, theirs = matrices(torch.float32)
    mine = StochasticRoundingSGD(ours, lr=0.1, momentum=momentum, weight_decay=decay)
    reference = torch.optim.SGD(theirs, lr=0.1, momentum=momentum, weight_decay=decay, fused=True)
    for step in range(5):
        gradients(ours, step)
        gradients(theirs, step)
        mine.step()
        reference.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.usefixtures("small_buckets")
@settings
@dtypes
def test_a_half_step_is_sgd_in_float64_to_one_place(dtype: torch.dtype, momentum: float, decay: float) -> None:
    ours, _ = matrices(dtype)
    optimizer = StochasticRoundingSGD(ours, lr=0.1, momentum=momentum, weight_decay=decay)
    buffers = [np.zeros(tuple(p.shape)) for p in ours]
    for step in range(6):
        gradients(ours, step)
        before = [p.detach().double().numpy() for p in ours]
        optimizer.step()
        for weight, old, buffer in zip(ours, before, buffers, strict=True):
            assert weight.grad is not None
            buffer *= momentum
            buffer += weight.grad.double().numpy() + decay * old
            exact = torch.from_numpy(old - 0.1 * buffer).float()
            low, high = neighbours(exact, dtype)
            # float32 arithmetic may bring a value over an edge of the grid by its own rounding, no further.
            place, result = high - low, weight.detach().double().abs()
            slack = 1e-6 + 1e-6 * result
            assert (result >= low - slack).all()
            assert (result <= high + slack).all()
            assert (place <= 2.0**-7 * result.clamp(min=1e-3) * 1.01).all()


def test_the_momentum_is_float32_and_equals_torchs_where_the_gradients_do() -> None:
    ours, theirs = matrices(torch.bfloat16)
    mine = StochasticRoundingSGD(ours, lr=0.1, momentum=0.9)
    wide = [nn.Parameter(p.detach().float()) for p in theirs]
    reference = torch.optim.SGD(wide, lr=0.1, momentum=0.9)
    for step in range(4):
        gradients(ours, step)
        for own, other in zip(ours, wide, strict=True):
            assert own.grad is not None
            other.grad = own.grad.float()
        mine.step()
        reference.step()
    for own, other in zip(ours, wide, strict=True):
        buffer = mine.state[own]["momentum_buffer"]
        assert buffer.dtype == torch.float32
        torch.testing.assert_close(buffer, reference.state[other]["momentum_buffer"])


@dtypes
def test_updates_below_the_last_place_arrive_on_average_where_rounding_to_nearest_loses_them(
    dtype: torch.dtype,
) -> None:
    start, lr, steps = 1.5, 2.0**-13, 400
    weights = [nn.Parameter(torch.full((5000,), start, dtype=dtype)) for _ in range(2)]
    optimizers = [StochasticRoundingSGD(weights[:1], lr=lr), torch.optim.SGD(weights[1:], lr=lr)]
    for _ in range(steps):
        for weight, optimizer in zip(weights, optimizers, strict=True):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
    moved, frozen = (start - weight.detach().double().mean().item() for weight in weights)
    assert moved == pytest.approx(steps * lr, rel=0.02)
    assert frozen == 0


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    results = []
    for seed in (1, 1, 2):
        ours, _ = matrices(torch.bfloat16)
        optimizer = StochasticRoundingSGD(ours, lr=0.1, seed=seed)
        for step in range(2):
            gradients(ours, step)
            optimizer.step()
        results.append(torch.cat([p.detach().flatten() for p in ours]))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.usefixtures("small_buckets")
@dtypes
def test_a_training_continued_from_a_saved_state_is_the_uninterrupted_one(dtype: torch.dtype) -> None:
    ours, theirs = matrices(dtype)
    mine = StochasticRoundingSGD(ours, lr=0.1, momentum=0.9, seed=5)
    for step in range(2):
        gradients(ours, step)
        mine.step()
    file = io.BytesIO()
    torch.save(mine.state_dict(), file)
    file.seek(0)
    with torch.no_grad():
        for own, other in zip(ours, theirs, strict=True):
            other.copy_(own)
    other_optimizer = StochasticRoundingSGD(theirs, lr=0.7)
    other_optimizer.load_state_dict(torch.load(file, weights_only=True))
    for step in range(2, 4):
        for parameters, optimizer in ((ours, mine), (theirs, other_optimizer)):
            gradients(parameters, step)
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert all(other_optimizer.state[p]["momentum_buffer"].dtype == torch.float32 for p in theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "layout",
    [
        lambda weight: weight.to(memory_format=torch.channels_last),
        lambda weight: weight.permute(1, 0, 2, 3),
        lambda weight: torch.cat([weight, weight])[::2],
    ],
    ids=["channels_last", "permuted", "gaps"],
)
@pytest.mark.usefixtures("small_buckets")
def test_layouts_that_differ_between_weight_and_gradient_do_not_matter(
    dtype: torch.dtype, layout: Callable[[Tensor], Tensor]
) -> None:
    # lr 1, no rounding needed: small whole numbers are exact in bfloat16, so every element can be told.
    values = torch.arange(2 * 5 * 3 * 3).reshape(2, 5, 3, 3).to(dtype)
    weight = nn.Parameter(layout(values))
    expected = layout(values).detach().clone() - 1
    weight.grad = torch.ones_like(weight).contiguous()
    weight.grad[0, 0] = 3
    expected[0, 0] -= 2
    StochasticRoundingSGD([weight], lr=1.0, momentum=0.5).step()
    assert torch.equal(weight, expected)


def test_a_model_that_changes_its_memory_format_in_between_keeps_its_momentum() -> None:
    model = nn.Conv2d(4, 3, 3, bias=False).bfloat16()
    moved = copy.deepcopy(model)
    optimizers = [StochasticRoundingSGD(m.parameters(), lr=0.1, momentum=0.9) for m in (model, moved)]
    for step in range(3):
        for one, optimizer in zip((model, moved), optimizers, strict=True):
            gradients([one.weight], step)
            optimizer.step()
        moved.to(memory_format=torch.channels_last)
    buffers = [o.state[m.weight]["momentum_buffer"] for o, m in zip(optimizers, (model, moved), strict=True)]
    torch.testing.assert_close(buffers[0], buffers[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_scaled_gradients_are_divided_in_float32(dtype: torch.dtype) -> None:
    # 2^-20 / 2^13 is no float16 number; its update of a zero weight with lr 2^10 is.
    weight = nn.Parameter(torch.zeros(4, dtype=dtype))
    weight.grad = torch.full_like(weight, 2.0**-20)
    optimizer = StochasticRoundingSGD([weight], lr=2.0**10)
    optimizer.gradient_scale = 2.0**1
    optimizer.step()
    assert torch.equal(weight.detach().float(), torch.full((4,), -(2.0**-11)))


def test_parameters_without_a_gradient_and_empty_ones_are_left_alone() -> None:
    kept, empty, moved = (nn.Parameter(torch.ones(n, dtype=torch.bfloat16)) for n in (3, 0, 3))
    empty.grad, moved.grad = torch.ones_like(empty), torch.ones_like(moved)
    StochasticRoundingSGD([kept, empty, moved], lr=1.0).step()
    assert kept.tolist() == [1.0] * 3
    assert moved.tolist() == [0.0] * 3


def test_a_closure_is_called_with_gradients_and_its_loss_returned() -> None:
    weight = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    optimizer = StochasticRoundingSGD([weight], lr=1.0)

    def closure() -> float:
        optimizer.zero_grad()
        loss = (weight.float() ** 2).sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 1.0
    assert weight.item() == -1.0


def test_settings_out_of_range_are_refused() -> None:
    weight = nn.Parameter(torch.ones(1))
    for name in ("lr", "momentum", "weight_decay"):
        for value in (-1.0, float("nan"), float("inf")):
            with pytest.raises(UsageError, match=f"{name} must be a finite number from 0 up"):
                StochasticRoundingSGD([weight], **{name: value})
    with pytest.raises(UsageError, match=r"trains no torch\.complex64"):
        StochasticRoundingSGD([nn.Parameter(torch.ones(1, dtype=torch.complex64))])
    embedding = nn.Embedding(3, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(UsageError, match="sparse gradients"):
        StochasticRoundingSGD(embedding.parameters(), lr=0.1).step()

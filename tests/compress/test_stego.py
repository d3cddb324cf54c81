"""Bits cleared, rounded and overwritten, against numpy and bfloat16, and the capacity search on a model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from energybench.compress import Effect, StegoReduction
from energybench.compress.stego import clear_bits
from energybench.errors import CompressionError, UsageError

LARGEST = float(np.finfo(np.float32).max)
finite = hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))


def cleared(values: np.ndarray[Any, Any], bits: int, rule: str, seed: int = 0) -> np.ndarray[Any, Any]:
    weight = nn.Parameter(torch.from_numpy(values.copy()))
    clear_bits([weight], bits, rule, seed)
    return weight.detach().numpy()


@given(finite, st.integers(0, 32))
def test_truncation_is_an_and_with_the_upper_bits(values: np.ndarray[Any, Any], bits: int) -> None:
    expected = values.view(np.uint32) & np.uint32((0xFFFFFFFF << bits) & 0xFFFFFFFF)
    np.testing.assert_array_equal(cleared(values, bits, "truncate").view(np.uint32), expected)


@given(finite)
def test_sixteen_truncated_bits_leave_the_upper_half_and_fit_bfloat16_exactly(values: np.ndarray[Any, Any]) -> None:
    result = torch.from_numpy(cleared(values, 16, "truncate"))
    assert torch.equal(result.bfloat16().float(), result)


@given(finite)
def test_rounding_16_bits_is_what_bfloat16_does_up_to_its_largest_value(values: np.ndarray[Any, Any]) -> None:
    rounded = torch.from_numpy(values).bfloat16().float()
    largest = torch.tensor(0x7F7F0000, dtype=torch.int32).view(torch.float32)
    np.testing.assert_array_equal(cleared(values, 16, "nearest"), rounded.clamp(-largest, largest).numpy())


@given(finite, st.integers(1, 23))
def test_rounding_is_to_the_nearest_and_to_even_on_ties(values: np.ndarray[Any, Any], bits: int) -> None:
    result = cleared(values, bits, "nearest")
    magnitude = values.view(np.uint32).astype(np.int64) & 0x7FFFFFFF
    below, rest = magnitude >> bits, magnitude & ((1 << bits) - 1)
    half = 1 << (bits - 1)
    up = (rest > half) | ((rest == half) & (below & 1 == 1))
    expected = np.minimum((below + up) << bits, 0x7F7FFFFF >> bits << bits)
    np.testing.assert_array_equal(result.view(np.uint32).astype(np.int64) & 0x7FFFFFFF, expected)
    np.testing.assert_array_equal(np.signbit(result), np.signbit(values))


@pytest.mark.parametrize("bits", range(33))
def test_rounding_never_makes_the_largest_values_infinite(bits: int) -> None:
    values = np.array([LARGEST, -LARGEST, 0.0, 1e-45], dtype=np.float32)
    result = cleared(values, bits, "nearest")
    assert np.isfinite(result).all()
    assert result[0] == -result[1]
    assert not (result.view(np.uint32) & np.uint32((1 << min(bits, 31)) - 1)).any()


@given(finite, st.integers(0, 32), st.integers(0, 3))
def test_random_bits_replace_the_low_ones_only_and_follow_the_seed(
    values: np.ndarray[Any, Any], bits: int, seed: int
) -> None:
    low = np.uint32((1 << bits) - 1)
    result = cleared(values, bits, "random", seed).view(np.uint32)
    np.testing.assert_array_equal(result & ~low, values.view(np.uint32) & ~low)
    np.testing.assert_array_equal(result, cleared(values, bits, "random", seed).view(np.uint32))
    full = cleared(values, 32, "random", seed).view(np.uint32)
    np.testing.assert_array_equal(result & low, full & low)  # one stream for every number of bits


def test_random_bits_are_even_and_differ_between_seeds_and_tensors() -> None:
    weights = [nn.Parameter(torch.zeros(50_000)) for _ in range(2)]
    clear_bits(weights, 20, "random", seed=1)
    first, second = (weight.detach().view(torch.int32) for weight in weights)
    ones = torch.stack([(first >> place) & 1 for place in range(20)]).double().mean(1)
    assert ((ones - 0.5).abs() < 5 * 0.5 / 50_000**0.5).all()
    assert not torch.equal(first, second)


def test_truncation_is_nested() -> None:
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    np.testing.assert_array_equal(
        cleared(cleared(values, 7, "truncate"), 19, "truncate"), cleared(values, 19, "truncate")
    )


def test_32_bits_give_zeros_and_a_channels_last_weight_is_covered_like_any_other() -> None:
    weight = nn.Parameter(torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last))
    other = nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format))
    clear_bits([weight], 20, "nearest")
    clear_bits([other], 20, "nearest")
    assert torch.equal(weight, other)
    clear_bits([weight], 32)
    assert not weight.any()


@pytest.mark.parametrize("rule", ["truncate", "nearest", "random"])
def test_the_search_finds_what_a_scan_finds_in_at_most_8_evaluations(network: nn.Module, rule: str) -> None:
    weights = [network[0].weight, network[3].weight, network[7].weight]
    before = [weight.detach().clone() for weight in weights]

    def evaluate(model: nn.Module) -> float:  # falls steadily with the size of the change
        moved = sum(
            float((part.weight - old).detach().abs().sum())
            for part, old in zip((model[0], model[3], model[7]), before, strict=True)
        )
        return 1 / (1 + moved / 10) if moved == moved else 0.0

    scan = []
    for bits in range(33):
        trial = copy.deepcopy(network)
        clear_bits([trial[0].weight, trial[3].weight, trial[7].weight], bits, rule)
        scan.append(evaluate(trial) >= 0.99)
    capacity = max(bits for bits, passed in enumerate(scan) if passed)
    compressed = StegoReduction(rule=rule)(network, evaluate)
    assert compressed.report.bits == capacity
    if scan == sorted(scan, reverse=True):
        assert compressed.report.evaluations <= 8
    assert compressed.report.accuracy_compressed == evaluate(compressed.model)


@pytest.mark.parametrize("inplace", [False, True])
def test_weights_change_and_nothing_else_does(network: nn.Sequential, agreement: Any, inplace: bool) -> None:
    before = copy.deepcopy(network.state_dict())
    compressed = StegoReduction(tolerance=0.05)(network, agreement, evaluation_size=64, inplace=inplace)
    report, after = compressed.report, compressed.model.state_dict()
    assert report.effect is Effect.SIMULATED
    assert report.bits
    assert report.covered == ("0.weight", "3.weight", "7.weight")
    assert list(after) == list(before)
    for name, value in before.items():
        expected = value.clone()
        if name in report.covered:
            clear_bits([expected], report.bits)
        assert torch.equal(after[name], expected)
        assert inplace or torch.equal(network.state_dict()[name], value)
    assert (compressed.model is network) == inplace
    assert report.rate == pytest.approx(report.bits / 32 * (432 + 4608 + 320) / report.before.parameters)
    assert report.after.bytes_zlib < report.before.bytes_zlib
    assert report.after.bytes_memory == report.before.bytes_memory


def test_an_inplace_search_that_fails_gives_the_weights_back(network: nn.Sequential) -> None:
    before = copy.deepcopy(network.state_dict())
    answers = iter([0.9, 0.9, float("nan")])
    with pytest.raises(CompressionError, match="nan"):
        StegoReduction()(network, lambda model: next(answers), inplace=True)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_no_capacity_is_a_result_not_an_error(network: nn.Sequential) -> None:
    weight = network[0].weight.detach().clone()
    report = StegoReduction()(network, lambda model: float(torch.equal(model[0].weight, weight))).report
    assert (report.bits, report.rate, report.effect) == (0, 0.0, Effect.UNCHANGED)
    assert report.accuracy_compressed == 1.0
    assert "no compression" in report.notes[0]


def test_given_bits_need_no_evaluate_and_draw_nothing_from_the_global_generator(network: nn.Sequential) -> None:
    state = torch.get_rng_state()
    report = StegoReduction(bits=24, rule="random")(network).report
    assert torch.equal(torch.get_rng_state(), state)
    assert (report.bits, report.evaluations, report.accuracy_compressed) == (24, 0, None)
    assert "infinite or NaN" in report.notes[0]


@pytest.mark.parametrize(
    "bad",
    [{"bits": 33}, {"bits": -1}, {"bits": 1.5}, {"bits": True}, {"rule": "up"}, {"tolerance": 1.0}, {"seed": 0.5}],
)
def test_bad_parameters_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"StegoReduction: {next(iter(bad))}"):
        StegoReduction(**bad)


def test_training_needs_no_hook(network: nn.Sequential, images: Tensor) -> None:
    compressed = StegoReduction(bits=16)(network)
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.01)
    with compressed.training(optimizer) as hooks:
        compressed.model(images).sum().backward()
        optimizer.step()
        hooks.epoch_end()
    assert (compressed.model[0].weight.detach().view(torch.int32) & 0xFFFF).any()

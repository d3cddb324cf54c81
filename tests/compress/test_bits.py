"""Bits cleared, rounded and overwritten, against a slow reference in numpy's 64-bit integers, and against bfloat16."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from energybench.compress import bits as bits_module
from energybench.compress.bits import BLOCK, Levels, clear_bits, low_bits_set, overwrite
from energybench.compress.layers import covered_weights, flat
from energybench.lab.models import NINE, build

Array = np.ndarray[Any, Any]
LARGEST = float(np.finfo(np.float32).max)
DENORMAL, NORMAL = 1.1754942e-38, 1.1754944e-38  # the largest and the smallest
FINITE_EDGES = [0.0, -0.0, 1e-45, -1e-45, DENORMAL, NORMAL, 1.0, -1.0, 1.9999999, 2.0, -3.9999998, LARGEST, -LARGEST]
EDGES = np.array([*FINITE_EDGES, np.inf, -np.inf, np.nan, -np.nan], np.float32)
finite = hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
anything = hnp.arrays(np.uint32, st.integers(1, 50), elements=st.integers(0, 2**32 - 1))


def cleared(values: Array, bits: int, rule: str, seed: int = 0) -> Array:
    weight = nn.Parameter(torch.from_numpy(values.copy()))
    clear_bits([weight], bits, rule, seed)
    return weight.detach().numpy().view(np.uint32)


def truncated(pattern: Array, bits: int) -> Array:
    return (pattern.astype(np.int64) >> bits << bits).astype(np.uint32)


def rounded(pattern: Array, bits: int) -> Array:
    """Nearest, ties to even, on the bit patterns of float32; the largest finite ones stay finite."""
    wide = pattern.astype(np.int64)
    sign, magnitude = wide & 0x80000000, wide & 0x7FFFFFFF
    if bits > 30:
        return truncated(pattern, bits)
    below, rest, half = magnitude >> bits, magnitude & ((1 << bits) - 1), 1 << (bits - 1)
    up = (rest > half) | ((rest == half) & (below & 1 == 1))
    nearest = np.minimum((below + up) << bits, 0x7F7FFFFF >> bits << bits)
    return np.where(magnitude >= 0x7F800000, wide, sign | nearest).astype(np.uint32)


def follows_the_rule(given: Array, result: Array, bits: int, rule: str) -> None:
    if rule == "truncate":
        np.testing.assert_array_equal(result, truncated(given, bits))
    elif rule == "nearest":
        np.testing.assert_array_equal(result, rounded(given, bits))
    elif rule == "random":
        np.testing.assert_array_equal(truncated(result, bits), truncated(given, bits))
    else:
        sign, magnitude = given & np.uint32(0x80000000), (given & np.uint32(0x7FFFFFFF)).astype(np.int64)
        lower = magnitude >> bits << bits
        largest = 0x7F7FFFFF >> bits << bits
        upper = np.minimum(lower + np.where(lower == magnitude, 0, 1 << bits), largest)
        got = (result & np.uint32(0x7FFFFFFF)).astype(np.int64)
        special = magnitude >= 0x7F800000
        np.testing.assert_array_equal(result[special], given[special])
        np.testing.assert_array_equal(result[~special] & np.uint32(0x80000000), sign[~special])
        assert ((got == np.minimum(lower, largest)) | (got == upper))[~special].all()


@given(anything, st.integers(0, 32))
def test_truncation_is_an_and_with_the_upper_bits(pattern: Array, bits: int) -> None:
    np.testing.assert_array_equal(cleared(pattern.view(np.float32), bits, "truncate"), truncated(pattern, bits))


@given(finite)
def test_sixteen_truncated_bits_leave_the_upper_half_and_fit_bfloat16_exactly(values: Array) -> None:
    result = torch.from_numpy(cleared(values, 16, "truncate").view(np.float32))
    assert torch.equal(result.bfloat16().float(), result)


@given(finite)
def test_rounding_16_bits_is_what_bfloat16_does_up_to_its_largest_value(values: Array) -> None:
    bfloat16 = torch.from_numpy(values).bfloat16().float()
    largest = torch.tensor(0x7F7F0000, dtype=torch.int32).view(torch.float32)
    result = cleared(values, 16, "nearest").view(np.float32)
    np.testing.assert_array_equal(result, bfloat16.clamp(-largest, largest).numpy())


@given(anything, st.integers(1, 32))
def test_rounding_is_to_the_nearest_and_to_even_on_ties(pattern: Array, bits: int) -> None:
    np.testing.assert_array_equal(cleared(pattern.view(np.float32), bits, "nearest"), rounded(pattern, bits))


@given(anything, st.integers(1, 30), st.integers(0, 3))
def test_stochastic_rounding_takes_one_of_the_two_neighbours(pattern: Array, bits: int, seed: int) -> None:
    follows_the_rule(pattern, cleared(pattern.view(np.float32), bits, "stochastic", seed), bits, "stochastic")


@pytest.mark.parametrize("rule", ["truncate", "nearest", "random", "stochastic"])
@pytest.mark.parametrize("bits", [1, 13, 16, 22, 23, 24, 27, 30])
def test_zeros_denormals_infinities_and_nan_follow_the_rule(rule: str, bits: int) -> None:
    given = EDGES.view(np.uint32)
    follows_the_rule(given, cleared(EDGES, bits, rule), bits, rule)
    small = np.array(FINITE_EDGES[:9], np.float32)  # nothing from 2 up: the shorter way through
    follows_the_rule(small.view(np.uint32), cleared(small, bits, rule), bits, rule)


@pytest.mark.parametrize("bits", range(33))
@pytest.mark.parametrize("rule", ["nearest", "stochastic"])
def test_rounding_never_makes_the_largest_values_infinite(bits: int, rule: str) -> None:
    values = np.array([LARGEST, -LARGEST, 0.0, 1e-45], dtype=np.float32)
    pattern = cleared(values, bits, rule)
    assert np.isfinite(pattern.view(np.float32)).all()
    assert pattern[0] ^ pattern[1] == (0x80000000 if bits < 32 else 0)
    assert not (pattern & np.uint32((1 << min(bits, 31)) - 1)).any()


@pytest.mark.parametrize("bits", [13, 16, 20, 23, 24, 26])
def test_stochastic_rounding_keeps_the_mean(bits: int) -> None:
    # 100 values across several exponents, 40,000 draws each: the mean of a Bernoulli share is known to 0.5 / 200.
    draws = 40_000
    values = (np.random.default_rng(bits).standard_normal(100) * 0.05).astype(np.float32)
    result = cleared(np.repeat(values, draws), bits, "stochastic", seed=5).view(np.float32).reshape(100, draws)
    wide = values.view(np.uint32).astype(np.int64)
    lower = (wide >> bits << bits).astype(np.uint32).view(np.float32).astype(np.float64)
    upper = ((wide >> bits << bits) + (1 << bits)).astype(np.uint32).view(np.float32).astype(np.float64)
    share = (values - lower) / (upper - lower)
    seen = (result == upper[:, None].astype(np.float32)).mean(1)
    error = np.sqrt(share * (1 - share) / draws)
    assert (np.abs(seen - share) < 5 * error + 1e-6).all()
    assert abs(((seen - share) / np.maximum(error, 1e-9)).mean()) < 5 / 10  # no common drift either


def test_values_on_the_grid_stay_where_they_are_however_often_they_are_rounded() -> None:
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    once = cleared(values, 18, "stochastic", seed=1)
    np.testing.assert_array_equal(cleared(once.view(np.float32), 18, "stochastic", seed=2), once)


@given(anything, st.integers(0, 32), st.integers(0, 3))
def test_random_bits_replace_the_low_ones_only_and_follow_the_seed(pattern: Array, bits: int, seed: int) -> None:
    values, low = pattern.view(np.float32), np.uint32((1 << bits) - 1)
    result = cleared(values, bits, "random", seed)
    np.testing.assert_array_equal(result & ~low, pattern & ~low)
    np.testing.assert_array_equal(result, cleared(values, bits, "random", seed))
    full = cleared(values, 32, "random", seed)
    np.testing.assert_array_equal(result & low, full & low)  # one stream for every number of bits


@pytest.mark.parametrize("seed", [1, -1])
def test_random_bits_are_even_and_differ_between_seeds_and_tensors(seed: int) -> None:
    weights = [nn.Parameter(torch.zeros(50_000)) for _ in range(2)]
    clear_bits(weights, 20, "random", seed)
    first, second = (weight.detach().view(torch.int32) for weight in weights)
    ones = torch.stack([(first >> place) & 1 for place in range(20)]).double().mean(1)
    assert ((ones - 0.5).abs() < 5 * 0.5 / 50_000**0.5).all()
    assert not torch.equal(first, second)
    other = torch.zeros(50_000)
    clear_bits([other], 20, "random", seed + 1)
    assert not torch.equal(first, other.view(torch.int32))


@pytest.mark.parametrize("rule", ["nearest", "random", "stochastic"])
def test_the_number_of_threads_changes_nothing(rule: str) -> None:
    weight = torch.randn(20 * BLOCK + 17, generator=torch.Generator().manual_seed(0))
    alone, together = weight.clone(), weight.clone()
    clear_bits([alone], 19, rule)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        clear_bits([together], 19, rule)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone, together)
    assert not torch.equal(alone, weight)


@pytest.mark.parametrize("rule", ["nearest", "random", "stochastic"])
@pytest.mark.parametrize("bits", [1, 16, 23, 24, 30])
def test_what_runs_on_an_accelerator_follows_the_same_rules(rule: str, bits: int) -> None:
    # On the CPU here: it is plain torch, and no device is at hand.
    values = np.concatenate((EDGES, np.random.default_rng(bits).standard_normal(1000).astype(np.float32)))
    weight = torch.from_numpy(values.copy())
    bits_module._on_accelerator(weight, bits, rule, (0, 0))
    result = weight.numpy().view(np.uint32)
    follows_the_rule(values.view(np.uint32), result, bits, rule)
    if rule == "nearest":
        np.testing.assert_array_equal(result, cleared(values, bits, rule))


def test_stochastic_rounding_on_an_accelerator_keeps_the_mean() -> None:
    for bits, value in ((16, 0.0123), (24, -0.7)):
        weight = torch.full((200_000,), value)
        bits_module._on_accelerator(weight, bits, "stochastic", (3,))
        values = weight.double()
        assert len(values.unique()) == 2
        assert abs(values.mean() - torch.tensor(value).double()) < 5 * values.std() / 200_000**0.5


def test_truncation_is_nested() -> None:
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    once = cleared(values, 7, "truncate").view(np.float32)
    np.testing.assert_array_equal(cleared(once, 19, "truncate"), cleared(values, 19, "truncate"))


@pytest.mark.parametrize("rule", ["truncate", "nearest", "stochastic"])
def test_32_bits_give_zeros_and_a_channels_last_weight_is_covered_like_any_other(rule: str) -> None:
    weight = nn.Parameter(torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last))
    other = nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format))
    if rule != "stochastic":  # draws go by place in memory
        clear_bits([weight], 20, rule)
        clear_bits([other], 20, rule)
        assert torch.equal(weight, other)
    clear_bits([weight], 32, rule)
    assert not weight.any()


@given(anything, st.integers(0, 32))
def test_set_low_bits_are_found(pattern: Array, bits: int) -> None:
    low = bool((pattern.astype(np.int64) & ((1 << bits) - 1)).any())
    assert low_bits_set(torch.from_numpy(pattern.view(np.float32)), bits) == low


@pytest.mark.parametrize("rule", ["truncate", "nearest", "random", "stochastic"])
def test_levels_reach_every_number_of_bits_from_every_other(rule: str) -> None:
    sources = [torch.randn(30, generator=torch.Generator().manual_seed(place)) for place in range(3)]
    weights = [source.clone() for source in sources]
    levels = Levels(weights, sources, rule, seed=4)
    for bits, places in ((5, None), (20, None), (22, [1]), (7, None), (0, [2]), (7, [2]), (32, [0]), (16, None)):
        levels.bring(bits, places)
        for place in range(3) if places is None else places:
            expected = sources[place].clone()
            overwrite(expected, bits, rule, (4, place))
            assert torch.equal(weights[place].view(torch.int32), expected.view(torch.int32))
    levels.restore()
    assert all(torch.equal(weight, source) for weight, source in zip(weights, sources, strict=True))


SAMPLE = 1500


@pytest.mark.parametrize("name", NINE)
def test_every_layer_of_the_nine_models_follows_the_rules(name: str) -> None:
    with torch.device("meta"):  # initial values take most of the time that building takes
        model = build(name, 10, 75)
    model.to_empty(device="cpu")
    weights = list(covered_weights(model).values())
    generator = torch.Generator().manual_seed(NINE.index(name))
    for rule, bits in (("truncate", 20), ("nearest", 22), ("random", 21), ("stochastic", 16 + NINE.index(name))):
        given = []
        for weight in weights:
            values = flat(weight)
            for end in (values[:SAMPLE], values[-SAMPLE:]):
                end.normal_(0, 0.05, generator=generator)
            values[: len(EDGES)] = torch.from_numpy(EDGES)[: len(values)]
            given.append(_ends(values))
        clear_bits(weights, bits, rule)
        for weight, before in zip(weights, given, strict=True):
            follows_the_rule(before, _ends(flat(weight)), bits, rule)


def _ends(values: Tensor) -> Array:
    ends = torch.cat((values[:SAMPLE], values[-SAMPLE:]))
    return ends.numpy().view(np.uint32)

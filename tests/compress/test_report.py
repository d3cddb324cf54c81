"""Sizes, FLOPs, intervals and the strict JSON of a report."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import Tensor, nn

from energybench.compress import COMPRESSORS, Effect, NoCompression, forward_flops, size_of
from energybench.compress.report import wilson_interval


@given(st.integers(1, 2000), st.data())
def test_the_interval_is_wilsons(size: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, size))
    expected = binomtest(right, size).proportion_ci(method="wilson")
    assert wilson_interval(right / size, size) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_flops_count_two_per_multiply_add_and_leave_the_modes_alone(network: nn.Sequential, images: Tensor) -> None:
    network.train()
    network[1].eval()
    mean = network[1].running_mean.clone()
    expected = 2 * (16 * 8 * 8 * 3 * 9 + 32 * 3 * 3 * 16 * 9 + 32 * 10)
    assert forward_flops(network, images) == forward_flops(network, images[:1]) == expected
    assert network.training
    assert not network[1].training
    assert torch.equal(network[1].running_mean, mean)
    assert forward_flops(nn.Conv2d(8, 8, 3, groups=8), torch.zeros(1, 8, 3, 3)) == 2 * 8 * 9


def test_sizes_count_every_tensor_once() -> None:
    model = nn.Sequential(nn.Linear(10, 10), nn.BatchNorm1d(10))
    model.append(model[0])
    with torch.no_grad():
        model[0].weight[0] = 0
    size = size_of(model)
    assert size.parameters == 110 + 20
    assert size.nonzero == 130 - 10 - 10  # ten weights, and the norm's biases
    assert size.bytes_memory == size.bytes_disk == 4 * (130 + 20) + 8
    assert size.flops is None


def test_the_estimate_of_compressed_bytes_sees_zeros_wherever_they_are() -> None:
    noise, zeros = torch.randn(3_000_000), torch.zeros(3_000_000)
    module = nn.Module()
    module.a, module.b = nn.Parameter(noise), nn.Parameter(zeros)
    assert size_of(module).bytes_zlib == pytest.approx(0.93 * 12_000_000, rel=0.05)
    assert size_of(nn.Linear(100, 100)).bytes_zlib < 4 * 10_100


@pytest.mark.parametrize("name", ["none", "stego", "prune", "lowrank"])
def test_every_report_is_strict_json(name: str, network: nn.Sequential, agreement: Any) -> None:
    compressor = COMPRESSORS[name]()
    report = compressor(network, agreement, evaluation_size=64).report
    facts = json.loads(json.dumps(report.as_facts(), allow_nan=False))
    assert facts["kind"] == compressor.kind == name
    assert facts["before"]["parameters"] == 5360 + 58 + 32
    if name != "none":
        low, high = facts["accuracy_compressed_interval"]
        assert low <= facts["accuracy_compressed"] <= high


def test_the_baseline_is_a_copy_and_never_evaluated(network: nn.Sequential) -> None:
    def evaluate(model: nn.Module) -> float:
        raise AssertionError("the baseline pays for no search")

    compressed = NoCompression()(network, evaluate)
    assert compressed.model is not network
    assert NoCompression()(network, inplace=True).model is network
    assert (compressed.report.effect, compressed.report.rate) == (Effect.UNCHANGED, 0.0)
    assert compressed.report.before == compressed.report.after
    for ours, original in zip(compressed.model.parameters(), network.parameters(), strict=True):
        assert torch.equal(ours, original)

"""Packed state dicts: they come back bit for bit, are as small as their bits, and damage is noticed."""

from __future__ import annotations

import copy
import random
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from energybench.compress import StegoReduction
from energybench.compress.bits import BLOCK, clear_bits
from energybench.compress.bitstream import pack_bits, packed_size, unpack_bits
from energybench.compress.packing import pack, packed_bytes, unpack
from energybench.errors import CompressionError, UsageError

_ZSTANDARD = pytest.mark.skipif(find_spec("zstandard") is None, reason="zstandard is not installed")
COMPRESSIONS = ["none", "zlib", pytest.param("zstd", marks=_ZSTANDARD)]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Equal bit for bit, NaN and the sign of zeros included."""
    assert list(first) == list(second)
    return all(
        a.dtype == b.dtype
        and a.shape == b.shape
        and (not a.numel() or torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8)))
        for a, b in zip(first.values(), second.values(), strict=True)
    )


@given(st.integers(0, 32), st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_values_are_laid_end_to_end_lowest_bit_first(width: int, numbers: list[int]) -> None:
    values = [number & ((1 << width) - 1) for number in numbers]
    packed = pack_bits(np.array(values, np.uint32), width)
    one = sum(value << (place * width) for place, value in enumerate(values))  # Python's integers have no end
    assert packed.tobytes() == one.to_bytes(packed_size(len(values), width), "little")
    assert unpack_bits(packed, width, len(values)).tolist() == values


@pytest.mark.parametrize("width", [5, 8, 16, 19])
def test_where_the_bytes_end_zeros_follow(width: int) -> None:
    one = int.from_bytes(b"abc", "little")
    expected = [(one >> (place * width)) & ((1 << width) - 1) for place in range(20)]
    assert unpack_bits(np.frombuffer(b"abc", np.uint8), width, 20).tolist() == expected


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("bits", [0, 1, 8, 16, 17, 23, 24, 30, 31, 32])
def test_a_model_comes_back_bit_for_bit(network: nn.Sequential, bits: int, compression: str) -> None:
    model = StegoReduction(bits=bits)(network).model
    packed = pack(model, bits, compression=compression)
    assert packed.data is not None
    assert packed.bytes_after == len(packed.data)
    assert same(unpack(packed), model.state_dict())
    assert same(unpack(packed.data), model.state_dict())


@given(hnp.arrays(np.uint32, st.integers(0, 40), elements=st.integers(0, 2**32 - 1)), st.integers(0, 32))
def test_any_pattern_comes_back(pattern: Any, bits: int) -> None:
    weight = torch.from_numpy(pattern.view(np.float32))
    clear_bits([weight], bits)
    state = {"it": weight}
    assert same(unpack(pack(state, bits, compression="none", covered=["it"])), state)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_large_tensors_of_any_layout_and_dtype_come_back_through_a_file(tmp_path: Path, compression: str) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 5, 131, BLOCK // 1000, generator=generator)
    state = {
        "conv": weight.to(memory_format=torch.channels_last),
        "half": torch.randn(7, 3, generator=generator).bfloat16(),
        "flags": torch.rand(11, generator=generator) > 0.5,
        "steps": torch.tensor(12345),
        "none": torch.empty(0, 4),
        "turned": torch.randn(6, 9, generator=generator).t(),
        "noise": torch.randn(BLOCK + 3, generator=generator),
    }
    clear_bits([state["conv"], state["turned"]], 13)
    path = tmp_path / "state.ebpack"
    packed = pack(state, 13, path, compression=compression, covered=["conv", "turned"])
    assert (packed.path, packed.data) == (path, None)
    assert path.stat().st_size == packed.bytes_after
    assert packed.bytes_before == sum(tensor.nbytes for tensor in state.values())
    assert same(unpack(path), state)
    assert same(unpack(str(path)), state)


def test_without_compression_the_size_is_the_bits_that_are_left(network: nn.Sequential) -> None:
    covered = 432 + 4608 + 320
    for bits in (0, 11, 16, 23, 25, 32):
        model = StegoReduction(bits=bits)(network).model
        packed = pack(model, bits, compression="none")
        rest = packed.bytes_before - 4 * covered
        header = packed.bytes_after - rest - covered * (32 - bits) // 8
        assert 0 < header < 1500
        assert packed_bytes(model, dict.fromkeys(("0.weight", "3.weight", "7.weight"), bits)) == packed.bytes_after


def test_the_report_says_what_packing_without_compression_comes_to(network: nn.Sequential) -> None:
    for compressor in (StegoReduction(bits=19), StegoReduction(bits={"0": 5, "7": 20}, rule="nearest")):
        compressed = compressor(network)
        bits = compressed.report.bits_by_layer or compressed.report.bits
        assert bits is not None
        packed = pack(compressed.model, bits, compression="none")
        assert packed.bytes_after == compressed.report.bytes_packed
        assert same(unpack(packed), compressed.model.state_dict())


def test_a_model_that_cannot_be_packed_is_compressed_all_the_same() -> None:
    class Counting(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"calls": 3}

        def set_extra_state(self, state: Any) -> None: ...

    compressed = StegoReduction(bits=16)(Counting(4, 4))
    assert compressed.report.bytes_packed is None
    with pytest.raises(CompressionError, match="_extra_state is no dense tensor"):
        pack(compressed.model, 16)


def test_compressing_what_is_packed_shrinks_it_further() -> None:
    torch.manual_seed(0)
    model = StegoReduction(bits=16)(nn.Linear(500, 500)).model
    sizes = [pack(model, 16, compression=compression).bytes_after for compression in ("none", "zlib")]
    assert sizes[1] < 0.75 * sizes[0] < 0.4 * 4 * 500 * 500


def test_set_bits_are_not_left_out(network: nn.Sequential, tmp_path: Path) -> None:
    model = StegoReduction(bits=16)(network).model
    with pytest.raises(CompressionError, match=r"0\.weight has bits set among the 17 lowest"):
        pack(StegoReduction(bits=15)(network).model, 17, tmp_path / "it")
    assert not list(tmp_path.iterdir())
    assert same(unpack(pack(model, 9)), model.state_dict())  # fewer may be


def test_tied_tensors_are_stored_once() -> None:
    model = nn.Module()
    model.table, model.head = nn.Embedding(50, 30), nn.Linear(30, 50, bias=False)
    model.head.weight = model.table.weight
    packed = pack(model, 0, compression="none")
    assert packed.bytes_before == 50 * 30 * 4
    assert packed.bytes_after < 50 * 30 * 4 + 500
    state = unpack(packed)
    assert same(state, model.state_dict())
    assert state["head.weight"] is state["table.weight"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_damage_is_noticed(network: nn.Sequential, compression: str) -> None:
    data = pack(StegoReduction(bits=16)(network).model, 16, compression=compression).data
    assert data is not None
    places = random.Random(0).sample(range(len(data)), 40)
    for place in (*places, 3, len(data) - 1):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(CompressionError, match=r"damaged|cut off"):
            unpack(bytes(damaged))
    for end in (0, 5, 11, 30, len(data) // 2, len(data) - 1):
        with pytest.raises(CompressionError, match=r"damaged|cut off"):
            unpack(data[:end])


def test_a_state_dict_must_say_what_was_cleared(network: nn.Sequential) -> None:
    compressed = StegoReduction(bits=16)(network)
    state = compressed.model.state_dict()
    with pytest.raises(UsageError, match="give covered"):
        pack(state, 16)
    packed = pack(state, 16, covered=compressed.report.covered, compression="none")
    assert packed.bytes_after == compressed.report.bytes_packed
    with pytest.raises(CompressionError, match="no other"):
        pack(state, 16, covered=["other"])
    with pytest.raises(CompressionError, match="left out of float32 only"):
        pack(state, 16, covered=["1.num_batches_tracked"])
    with pytest.raises(CompressionError, match="extra is no dense tensor"):
        pack({**state, "extra": "text"}, 0)
    with pytest.raises(UsageError, match="compression must be one of zstd, zlib, none"):
        pack(state, 0, compression="rar")


@pytest.mark.parametrize("bits", [-1, 33, True, 8.0, {"1": 40}])
def test_bits_that_no_float32_has_are_refused_before_anything_is_packed(network: nn.Sequential, bits: Any) -> None:
    with pytest.raises(UsageError, match="a whole number from 0 to 32"):
        pack(network, bits)


def test_without_zstandard_zlib_stands_in_and_zstd_is_refused(
    network: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert pack(network, 0).compression == "zlib"
    with pytest.raises(UsageError, match="package zstandard"):
        pack(network, 0, compression="zstd")


def test_packing_leaves_the_model_alone(network: nn.Sequential) -> None:
    model = StegoReduction(bits=16)(network).model
    before = copy.deepcopy(model.state_dict())
    pack(model, 16)
    assert same(model.state_dict(), before)

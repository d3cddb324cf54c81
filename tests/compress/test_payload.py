"""Payloads of any length in the low bits, read back bit for bit, also after a state dict went to disk and back."""

from __future__ import annotations

import copy
import io
import itertools
import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from energybench.compress import StegoReduction
from energybench.compress.bits import BLOCK
from energybench.compress.payload import HEADER_BYTES, embed, extract, room
from energybench.errors import CompressionError, UsageError
from energybench.lab.data import load
from energybench.lab.finetune import evaluate
from energybench.lab.models import build
from energybench.lab.pretrain import pretrain
from energybench.lab.profiles import recipe


def low_bits(weight: Tensor, bits: int) -> str:
    """The low bits of a tensor, row by row, lowest first, as text: a slow and separate way to look at them."""
    patterns = [int(p) & 0xFFFFFFFF for p in weight.detach().contiguous().view(-1).view(torch.int32)]
    return "".join("".join(str(p >> place & 1) for place in range(bits)) for p in patterns)


@given(st.binary(max_size=60), st.integers(1, 32))
def test_the_bits_run_end_to_end_through_the_weights_behind_a_header(payload: bytes, bits: int) -> None:
    model = nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 31), nn.Linear(31, 23))
    written = embed(model, payload, bits)
    assert extract(written, bits) == payload
    seen = b""
    for index in range(3):
        text = low_bits(written[index].weight, bits)
        whole = [text[start : start + 8] for start in range(0, len(text) - 7, 8)]
        seen += bytes(int(byte[::-1], 2) for byte in whole)
    assert seen[HEADER_BYTES:].startswith(payload)
    for index in range(3):  # above the low bits nothing changed
        kept = ~((1 << bits) - 1) & 0xFFFFFFFF
        before, after = (m[index].weight.detach().view(torch.int32) for m in (model, written))
        assert not ((before ^ after) & (kept - (1 << 32) if kept >> 31 else kept)).any()


@pytest.mark.parametrize("bits", [1, 3, 8, 13, 16, 17, 23])
def test_all_the_room_can_be_used_and_not_a_byte_more(bits: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 17, 3), nn.Conv2d(17, 40, 3), nn.Linear(40, BLOCK // 40 + 7))
    sizes = [layer.weight.numel() for layer in model]
    assert room(model, bits) == sum(size * bits // 8 for size in sizes) - HEADER_BYTES
    payload = random.Random(bits).randbytes(room(model, bits))
    assert extract(embed(model, payload, bits), bits) == payload
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CompressionError, match=f"{len(payload) + 1} bytes does not fit.* hold {len(payload)}"):
        embed(model, payload + b"!", bits, inplace=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_model_given_stays_unless_it_is_to_be_changed(network: nn.Sequential) -> None:
    before = copy.deepcopy(network.state_dict())
    copied = embed(network, b"hidden", 8)
    assert copied is not network
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert embed(network, b"hidden", 8, inplace=True) is network
    assert extract(network, 8) == b"hidden"
    assert list(network.state_dict()) == list(before)


def test_the_memory_format_does_not_matter(network: nn.Sequential) -> None:
    payload = random.Random(0).randbytes(room(network, 12))
    model = embed(network.to(memory_format=torch.channels_last), payload, 12)
    assert not model[3].weight.is_contiguous()
    assert extract(model, 12) == payload
    assert extract(model.to(memory_format=torch.contiguous_format), 12) == payload


@pytest.mark.parametrize("cover", [("weights", "biases"), ("norms", "biases")])
def test_other_tensors_carry_a_payload_too(network: nn.Sequential, cover: tuple[str, ...]) -> None:
    assert extract(embed(network, b"elsewhere", 20, cover), 20, cover) == b"elsewhere"


def test_what_was_not_embedded_is_not_found(network: nn.Sequential) -> None:
    for model, bits in (
        (network, 8),
        (embed(network, b"payload", 8), 9),
        (StegoReduction(bits=16)(network).model, 16),  # zeros are no empty payload
    ):
        with pytest.raises(CompressionError, match=f"no payload in the {bits} low bits"):
            extract(model, bits)
    with pytest.raises(CompressionError, match="no payload"):
        extract(embed(network, b"payload", 8), 8, ("biases",))
    assert extract(embed(network, b"", 8), 8) == b""


@pytest.mark.parametrize(
    ("place", "message"), [(0, "no payload"), (5, "checksum"), (15, "no payload"), (16, "checksum"), (59, "checksum")]
)
def test_one_changed_bit_is_noticed(network: nn.Sequential, place: int, message: str) -> None:
    model = embed(network, random.Random(1).randbytes(44), 8)  # with the header 60 weights
    model[0].weight.detach().view(-1).view(torch.int32)[place] ^= 1
    with pytest.raises(CompressionError, match=message):
        extract(model, 8)


def test_too_little_room_for_a_header_is_too_little(network: nn.Sequential) -> None:
    small = nn.Linear(3, 3, bias=False)
    assert room(small, 1) < 0
    with pytest.raises(CompressionError, match="hold 0"):
        embed(small, b"", 1)
    with pytest.raises(CompressionError, match="no payload"):
        extract(small, 1)


@pytest.mark.parametrize("bits", [0, 33, 1.5, True])
def test_bits_must_be_from_1_to_32(network: nn.Sequential, bits: Any) -> None:
    with pytest.raises(UsageError, match="1 to 32 bits"):
        embed(network, b"", bits)
    with pytest.raises(UsageError, match="1 to 32 bits"):
        extract(network, bits)


def test_the_capacity_found_holds_a_payload_on_a_trained_model() -> None:
    """What capacity means: that many bits of every weight carry something else, and the model still does its task."""
    chosen = recipe("quick", "tiny", search_images=500)
    data = load("digits", chosen)
    torch.manual_seed(0)
    trained = build("tiny", data.classes, data.pixels)
    pretrain(trained, data, chosen)
    size = len(data.search)

    def accuracy(model: nn.Module) -> float:
        return evaluate(model, data.search).accuracy

    report = StegoReduction(rule="random")(trained, accuracy, evaluation_size=size).report
    assert report.bits
    assert report.accuracy_reference is not None
    assert report.accuracy_reference > 0.9
    payload = random.Random(2).randbytes(room(trained, report.bits))
    assert len(payload) > 0.99 * report.bits / 8 * sum(trained.get_parameter(n).numel() for n in report.covered) - 20
    model = embed(trained, payload, report.bits)
    assert round((report.accuracy_reference - accuracy(model)) * size) <= 0.01 * size
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(trained)
    other.load_state_dict(torch.load(file))
    assert extract(other, report.bits) == payload


def test_threads_of_bits_cross_the_blocks_in_which_they_are_written() -> None:
    model = nn.Linear(2 * BLOCK + 3, 1, bias=False)
    payload = random.Random(3).randbytes(room(model, 7))
    text = low_bits(embed(model, payload, 7).weight[:, BLOCK - 8 : BLOCK + 8], 7)
    stream = b"." * HEADER_BYTES + payload
    start = (BLOCK - 8) * 7 // 8
    expected = itertools.chain.from_iterable(f"{byte:08b}"[::-1] for byte in stream[start : start + 14])
    assert text == "".join(expected)

"""A payload in the low bits of a model's weights: what steganographic capacity means, taken at its word."""

from __future__ import annotations

import copy
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from energybench.compress.bits import BLOCK
from energybench.compress.bitstream import pack_bits, packed_size, unpack_bits
from energybench.compress.layers import check_cover, covered_weights
from energybench.errors import CompressionError, UsageError

_MAGIC = b"EBP1"
_HEADER = struct.Struct("<4sIQ")  # magic, checksum, length in bytes
HEADER_BYTES = _HEADER.size


def room(model: nn.Module, bits: int, cover: Sequence[str] = ("weights",)) -> int:
    """Bytes of payload that fit into the `bits` (1 to 32) low bits of the covered weights; 0 or less: none does."""
    return sum(_room(weight, bits) for weight in _weights(model, bits, cover).values()) - HEADER_BYTES


def embed(
    model: nn.Module, payload: bytes, bits: int, cover: Sequence[str] = ("weights",), *, inplace: bool = False
) -> nn.Module:
    """A copy of `model` (or itself, `inplace`) with `payload` in the `bits` low bits of its covered weights.

    The bits run end to end through the weights in the order of the modules, of each tensor row by row whatever its
    memory format; a tensor holds whole bytes. A header of 16 bytes (length, CRC-32) goes first, so `extract` needs no
    length. What lies behind the payload's end keeps its bits, except for the rest of the last weight, which becomes 0.
    Raises CompressionError for a payload that does not fit, with the bytes that would; UsageError for bits out of range
    or another cover; the model is then what it was.
    """
    free = room(model, bits, cover)
    if len(payload) > free:
        raise CompressionError(
            f"a payload of {len(payload)} bytes does not fit: {bits} bits of the covered weights hold {max(0, free)}"
        )
    work = model if inplace else copy.deepcopy(model)
    checksum = zlib.crc32(payload, zlib.crc32(struct.pack("<Q", len(payload))))
    stream = np.frombuffer(_HEADER.pack(_MAGIC, checksum, len(payload)) + payload, np.uint8)
    for weight in _weights(work, bits, cover).values():
        size = min(_room(weight, bits), len(stream))
        if size == 0:
            continue
        pattern = _pattern(weight)
        for values, part in _blocks(pattern, stream[:size], bits):
            values &= _kept(bits)
            values |= unpack_bits(part, bits, len(values))
        if pattern.ctypes.data != weight.data_ptr():
            weight.detach().copy_(torch.from_numpy(pattern.view(np.float32)).view(weight.shape))
        stream = stream[size:]
    return work


def extract(model: nn.Module, bits: int, cover: Sequence[str] = ("weights",)) -> bytes:
    """The payload that `embed` put into the `bits` low bits of the covered weights.

    Raises CompressionError where there is none (other bits, another cover, or weights trained since) and where its
    checksum is wrong.
    """
    weights = _weights(model, bits, cover)
    total = sum(_room(weight, bits) for weight in weights.values())
    start = np.empty(0, np.uint8)
    for weight in weights.values():
        need = min(HEADER_BYTES - len(start), _room(weight, bits))
        start = np.concatenate((start, _read(weight, bits, need)))
    magic, checksum, length = _HEADER.unpack(start.tobytes()) if len(start) == HEADER_BYTES else (b"", 0, 0)
    if magic != _MAGIC or length > total - HEADER_BYTES:
        raise CompressionError(
            f"there is no payload in the {bits} low bits: it was embedded with another number of bits or another "
            "cover, or the weights have changed since"
        )
    stream = np.empty(HEADER_BYTES + length, np.uint8)
    place = 0
    for weight in weights.values():
        size = min(_room(weight, bits), len(stream) - place)
        stream[place : place + size] = _read(weight, bits, size)
        place += size
    payload = stream[HEADER_BYTES:].tobytes()
    if zlib.crc32(payload, zlib.crc32(struct.pack("<Q", length))) != checksum:
        raise CompressionError("the payload is damaged: its checksum is wrong, so the weights have changed since")
    return payload


def _weights(model: nn.Module, bits: int, cover: Sequence[str]) -> Mapping[str, nn.Parameter]:
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 32:
        raise UsageError(f"a payload goes into 1 to 32 bits of a weight, not {bits!r}")
    check_cover("payload", cover)
    return covered_weights(model, cover)


def _room(weight: Tensor, bits: int) -> int:
    return weight.numel() * bits // 8


def _kept(bits: int) -> np.uint32:
    return np.uint32(0xFFFFFFFF << bits & 0xFFFFFFFF)


def _pattern(weight: Tensor) -> NDArray[np.uint32]:
    """The bit patterns row by row: the weight's own memory where it lies so on the CPU, else a copy."""
    return weight.detach().cpu().contiguous().view(-1).view(torch.int32).numpy().view(np.uint32)


def _blocks(
    pattern: NDArray[np.uint32], stream: NDArray[np.uint8], bits: int
) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint8]]]:
    """Pieces of the weights, and the bytes that belong into each; as many weights as the bytes need."""
    count = -(-len(stream) * 8 // bits)
    for start in range(0, count, BLOCK):
        first = start * bits // 8  # whole, as BLOCK is a multiple of 8
        values = pattern[start : min(start + BLOCK, count)]
        yield values, stream[first : first + packed_size(len(values), bits)]


def _read(weight: Tensor, bits: int, size: int) -> NDArray[np.uint8]:
    found = np.empty(size, np.uint8)
    if size:
        for values, part in _blocks(_pattern(weight), found, bits):
            part[:] = pack_bits(values & ~_kept(bits), bits)[: len(part)]
    return found

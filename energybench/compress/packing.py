"""A state dict on disk without the bits that were cleared: bit-packed, then compressed, and back to the same bits.

The file: 8 bytes of magic, the header's length and CRC-32 (4 bytes each), the header (JSON: names, dtypes, shapes,
bits), the tensors end to end, compressed as one stream, and the CRC-32 of what was compressed. A tensor with k low bits
cleared is stored as 32 - k bits a value: for k <= 23 first all exponents, a byte each, which compress well, then signs
and the mantissa's rest, which do not. Numbers are little-endian.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from energybench.compress.bits import BLOCK, low_bits_set
from energybench.compress.bitstream import column, column_widths, from_column, pack_bits, packed_size, unpack_bits
from energybench.compress.layers import covered_weights, layer_of
from energybench.errors import CompressionError, UsageError

COMPRESSIONS = ("zstd", "zlib", "none")
_MAGIC = b"EBPACK1\n"
_START = struct.Struct("<8sII")  # magic, the header's length and checksum
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Packed:
    """A packed state dict, in memory or in a file."""

    compression: str
    bytes_before: int
    """the tensors of the state dict as they are"""
    bytes_after: int
    """all that was written, header included"""
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    """where there is no path"""


@dataclass(frozen=True)
class _Entry:
    """One tensor of the state dict."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bits: int | None
    """low bits that are left out; None: stored as it is"""
    same_as: str | None = None
    """name of the entry before whose memory it shares"""

    @property
    def count(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def size(self) -> int:
        """Bytes before compression."""
        if self.same_as is not None:
            return 0
        if self.bits is None:
            return self.count * _dtype(self.dtype).itemsize
        return sum(packed_size(self.count, width) for width in column_widths(self.bits))


def _check_bits(bits: int | Mapping[str, int]) -> None:
    for number in bits.values() if isinstance(bits, Mapping) else [bits]:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 32:
            raise UsageError(f"pack: bits of a float32 are a whole number from 0 to 32, not {number!r}")


def pack(
    model_or_state: nn.Module | Mapping[str, Tensor],
    bits: int | Mapping[str, int],
    path: str | Path | None = None,
    *,
    compression: str | None = None,
    cover: Sequence[str] = ("weights",),
    covered: Sequence[str] | None = None,
) -> Packed:
    """Pack a model's state dict, leaving out the `bits` low bits of its covered weights, all of which must be 0.

    `bits`: for all, or {layer: bits} as in a report's `bits_by_layer`. A state dict does not tell which of its tensors
    are covered: `covered` names them (a report has them); of a model they are `cover`'s. Everything else is stored as
    it is. `compression`: `zstd` (package zstandard; the default where it is installed), `zlib` or `none`.
    Raises CompressionError for a covered tensor that is no dense float32 or has low bits set: it would not come back.
    """
    _check_bits(bits)
    chosen = _compression(compression)
    state: Mapping[str, Any] = model_or_state.state_dict() if isinstance(model_or_state, nn.Module) else model_or_state
    if not bits:
        names: Sequence[str] = ()
    elif isinstance(model_or_state, nn.Module):
        names = list(covered_weights(model_or_state, cover))
    elif covered is None:
        raise UsageError("pack: a state dict does not tell which tensors have bits cleared: give covered, their names")
    else:
        names = covered
    by_name = {name: bits if isinstance(bits, int) else bits.get(layer_of(name), 0) for name in names}
    entries = _entries(state, by_name)
    for entry in entries:
        if entry.bits is not None and low_bits_set(_dense(state[entry.name]), entry.bits):
            raise CompressionError(
                f"{entry.name} has bits set among the {entry.bits} lowest: clear them first, or pack fewer"
            )
    target = None if path is None else Path(path)
    with io.BytesIO() if target is None else target.open("wb") as file:
        _write(file, entries, state, chosen)
        written = file.tell()
        data = file.getvalue() if isinstance(file, io.BytesIO) else None
    before = sum(state[entry.name].nbytes for entry in entries if entry.same_as is None)
    return Packed(chosen, before, written, target, data)


def unpack(source: Packed | bytes | str | Path) -> dict[str, Tensor]:
    """The state dict that was packed, bit for bit, on the CPU.

    Raises CompressionError where the data is no packed state dict, or a damaged one.
    """
    if isinstance(source, Packed):
        source = source.data if source.path is None else source.path  # type: ignore[assignment]
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), len(source))
    path = Path(source)  # type: ignore[arg-type]
    with path.open("rb") as file:
        return _read(file, path.stat().st_size)


def packed_bytes(model: nn.Module, bits: Mapping[str, int]) -> int | None:
    """Bytes of `model` packed without compression, without packing it; `bits` by the name of the covered tensor.

    None where its state dict holds what `pack` refuses.
    """
    try:
        entries = _entries(model.state_dict(), bits)
    except CompressionError:
        return None
    return sum(entry.size for entry in entries) + len(_header(entries, "none")) + 4


def _compression(asked: str | None) -> str:
    if asked not in (None, *COMPRESSIONS):
        raise UsageError(f"pack: compression must be one of {', '.join(COMPRESSIONS)}, not {asked!r}")
    if asked in (None, "zstd"):
        try:
            import zstandard  # noqa: F401
        except ModuleNotFoundError:
            if asked == "zstd":
                raise UsageError("pack: compression zstd needs the package zstandard, or use zlib") from None
            return "zlib"
        return "zstd"
    return asked


def _entries(state: Mapping[str, Any], bits: Mapping[str, int]) -> list[_Entry]:
    for name in bits:
        if name not in state:
            raise CompressionError(f"pack: the state dict has no {name}")
    entries: list[_Entry] = []
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
            raise CompressionError(f"pack: {name} is no dense tensor, and only those are packed")
        level = bits.get(name) or None
        if level is not None and tensor.dtype != torch.float32:
            raise CompressionError(f"pack: {name} is {tensor.dtype}, and bits are left out of float32 only")
        place = (tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride())
        same = seen.setdefault(place, name) if tensor.numel() else name
        dtype = str(tensor.dtype).removeprefix("torch.")
        entries.append(_Entry(name, dtype, tuple(tensor.shape), level, None if same == name else same))
    return entries


def _header(entries: Sequence[_Entry], compression: str) -> bytes:
    listed = [[entry.name, entry.dtype, entry.shape, entry.bits, entry.same_as] for entry in entries]
    text = json.dumps({"compression": compression, "tensors": listed}, separators=(",", ":")).encode()
    return _START.pack(_MAGIC, len(text), zlib.crc32(text)) + text


def _write(file: IO[bytes], entries: Sequence[_Entry], state: Mapping[str, Tensor], compression: str) -> None:
    file.write(_header(entries, compression))
    compressor: Any = None
    if compression == "zstd":
        import zstandard

        compressor = zstandard.ZstdCompressor(level=3).compressobj()
    elif compression == "zlib":
        compressor = zlib.compressobj(1)
    checksum = 0
    for entry in entries:
        for piece in () if entry.same_as is not None else _pieces(state[entry.name], entry.bits):
            checksum = zlib.crc32(piece.data, checksum)
            file.write(piece.data if compressor is None else compressor.compress(piece.data))
    if compressor is not None:
        file.write(compressor.flush())
    file.write(struct.pack("<I", checksum))


def _pieces(tensor: Tensor, bits: int | None) -> Iterator[NDArray[np.uint8]]:
    if tensor.numel() == 0:
        return
    values = _dense(tensor).view(-1)
    if bits is None:
        for part in values.split(BLOCK):
            yield part.view(torch.uint8).numpy()
        return
    pattern = values.view(torch.int32).numpy().view(np.uint32)
    for number, width in enumerate(column_widths(bits)):
        for start in range(0, len(pattern), BLOCK):
            yield pack_bits(column(pattern[start : start + BLOCK], bits, number), width)


def _read(file: IO[bytes], size: int) -> dict[str, Tensor]:
    magic, length, checksum = _START.unpack(file.read(_START.size).ljust(_START.size, b"\0"))
    text = file.read(length) if magic == _MAGIC else b""
    if not text or zlib.crc32(text) != checksum:
        raise CompressionError("this is no packed state dict, or its beginning is damaged")
    header = json.loads(text)
    stream = _Stream(file, size - file.tell() - 4, header["compression"])
    state: dict[str, Tensor] = {}
    for name, dtype, shape, bits, same in header["tensors"]:
        entry = _Entry(name, dtype, tuple(shape), bits, same)
        state[name] = state[same] if same is not None else _restored(entry, stream)
    if struct.unpack("<I", stream.rest())[0] != stream.checksum:
        raise CompressionError("the packed state dict is damaged: its checksum is wrong")
    return state


def _restored(entry: _Entry, stream: _Stream) -> Tensor:
    tensor = torch.empty(entry.shape, dtype=_dtype(entry.dtype))
    if tensor.numel() == 0:
        return tensor
    if entry.bits is None:
        into = tensor.view(-1).view(torch.uint8).numpy()
        for start in range(0, len(into), _READ_BYTES):
            part = into[start : start + _READ_BYTES]
            part[:] = stream.read(len(part))
        return tensor
    pattern = tensor.view(-1).view(torch.int32).numpy().view(np.uint32)
    pattern[:] = 0
    for number, width in enumerate(column_widths(entry.bits)):
        for start in range(0, len(pattern), BLOCK):
            block = pattern[start : start + BLOCK]
            packed = stream.read(packed_size(len(block), width))
            block |= from_column(unpack_bits(packed, width, len(block)), entry.bits, number)
    return tensor


class _Stream:
    """What was compressed, piece by piece."""

    def __init__(self, file: IO[bytes], size: int, compression: str) -> None:
        self._file, self._left = file, size
        self._decompressor: Any = None
        self._ready = bytearray()
        self.checksum = 0
        if compression == "zstd":
            try:
                import zstandard
            except ModuleNotFoundError:
                raise UsageError("unpack: this file is compressed by zstd: install the package zstandard") from None
            self._decompressor = zstandard.ZstdDecompressor().decompressobj()
        elif compression == "zlib":
            self._decompressor = zlib.decompressobj()

    def read(self, size: int) -> NDArray[np.uint8]:
        """The next `size` bytes; CompressionError where they are not there."""
        while len(self._ready) < size:
            raw = self._file.read(min(_READ_BYTES, max(0, self._left)))
            if not raw:
                raise CompressionError("the packed state dict is cut off or damaged")
            self._left -= len(raw)
            try:
                self._ready += raw if self._decompressor is None else self._decompressor.decompress(raw)
            except Exception as error:  # zlib.error, zstandard.ZstdError
                raise CompressionError(f"the packed state dict is damaged: {error}") from error
        taken = bytes(self._ready[:size])
        del self._ready[:size]
        self.checksum = zlib.crc32(taken, self.checksum)
        return np.frombuffer(taken, np.uint8)

    def rest(self) -> bytes:
        """The four bytes behind the stream."""
        self._file.seek(max(0, self._left), io.SEEK_CUR)
        return self._file.read(4).ljust(4, b"\0")


def _dense(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, row by row."""
    return tensor.detach().cpu().contiguous()


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise CompressionError(f"the packed state dict names {name!r}, which is no dtype of this torch")
    return dtype

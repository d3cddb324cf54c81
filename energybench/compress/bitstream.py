"""Values of a few bits laid end to end in bytes, and back; and what is left of a float32 as such values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Values = NDArray[np.uint32]
_MANTISSA_BITS = 23


def packed_size(count: int, width: int) -> int:
    """Bytes that `count` values of `width` bits take."""
    return -(-count * width // 8)


def pack_bits(values: Values, width: int) -> Bytes:
    """The `width` (0 to 32) low bits of each value end to end, lowest bit first; higher bits must be 0.

    The last byte is filled up with zeros. Takes about 10 bytes of scratch for each value.
    """
    count = len(values)
    if width in (0, 8, 16, 32):
        return values.astype(f"<u{width // 8}").view(np.uint8) if width else np.empty(0, np.uint8)
    # Eight values fill `width` whole bytes. In columns the eight are far apart; in rows each operation runs through
    # memory that lies together.
    groups = -(-count // 8)
    padded = values if count == 8 * groups else np.concatenate((values, np.zeros(8 * groups - count, np.uint32)))
    rows = np.ascontiguousarray(padded.reshape(groups, 8).T)
    columns = np.zeros((width, groups), np.uint8)
    for place, row in enumerate(rows):
        for byte, shift in _overlaps(place, width):
            columns[byte] |= (row << np.uint32(-shift) if shift < 0 else row >> np.uint32(shift)).astype(np.uint8)
    return np.ascontiguousarray(columns.T).reshape(-1)[: packed_size(count, width)]


def unpack_bits(packed: Bytes, width: int, count: int) -> Values:
    """The first `count` values of `width` bits; where `packed` ends before, zeros follow."""
    if width == 0:
        return np.zeros(count, np.uint32)
    groups = -(-count // 8)
    padded = packed[: groups * width]
    if len(padded) < groups * width:
        padded = np.concatenate((padded, np.zeros(groups * width - len(padded), np.uint8)))
    if width in (8, 16, 32):
        return padded.view(f"<u{width // 8}")[:count].astype(np.uint32)
    columns = np.ascontiguousarray(padded.reshape(groups, width).T)
    rows = np.zeros((8, groups), np.uint32)
    for place in range(8):
        for byte, shift in _overlaps(place, width):
            part = columns[byte].astype(np.uint32)
            rows[place] |= part >> np.uint32(-shift) if shift < 0 else part << np.uint32(shift)
    rows &= np.uint32((1 << width) - 1)
    return np.ascontiguousarray(rows.T).reshape(-1)[:count]


def _overlaps(place: int, width: int) -> list[tuple[int, int]]:
    """Bytes that value `place` of eight reaches into, and by how many bits its lowest one lies before the byte."""
    start = place * width
    return [(byte, 8 * byte - start) for byte in range(start // 8, (start + width - 1) // 8 + 1)]


def column_widths(bits: int) -> tuple[int, ...]:
    """Bits a value in each column that float32 patterns with `bits` low bits clear are split into.

    The exponent, then the sign above what is left of the mantissa; a single one where nothing is (`bits` > 23).
    """
    return (8, 1 + _MANTISSA_BITS - bits) if bits <= _MANTISSA_BITS else (32 - bits,)


def column(pattern: Values, bits: int, number: int) -> Values:
    """Column `number` of the patterns."""
    if bits > _MANTISSA_BITS:
        # numpy shifts by 32 bits as the processor likes
        return pattern >> np.uint32(bits) if bits < 32 else np.zeros_like(pattern)
    if number == 0:
        return (pattern >> np.uint32(_MANTISSA_BITS)) & np.uint32(0xFF)
    mantissa = (pattern & np.uint32((1 << _MANTISSA_BITS) - 1)) >> np.uint32(bits)
    return mantissa | (pattern >> np.uint32(31)) << np.uint32(_MANTISSA_BITS - bits)


def from_column(values: Values, bits: int, number: int) -> Values:
    """What column `number` contributes to the patterns."""
    if bits > _MANTISSA_BITS:
        return values << np.uint32(bits) if bits < 32 else np.zeros_like(values)
    if number == 0:
        return values << np.uint32(_MANTISSA_BITS)
    top = np.uint32(_MANTISSA_BITS - bits)
    return (values & ((np.uint32(1) << top) - np.uint32(1))) << np.uint32(bits) | (values >> top) << np.uint32(31)

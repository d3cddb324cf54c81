"""The low bits of float32 weights: cleared, rounded or overwritten in place, in pieces that stay in the cache."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from energybench.compress.layers import chunks, flat

RULES = {
    "truncate": "set to 0",
    "nearest": "rounded to the nearest value that has zeros there, ties to even",
    "random": "overwritten by random bits",
    "stochastic": "rounded up or down by chance, so that the mean is the value itself",
}
"""how low bits are overwritten"""
NESTED = ("truncate", "random")
"""rules by which k bits and then more bits of a weight come to the same as the more bits at once"""
BLOCK = 1 << 17
"""Weights worked on at a time on a CPU: half a MiB and as much scratch, which a core's second-level cache holds. numpy
and not torch: its integer kernels are twice as fast at this size, and never start threads of their own."""
_MAGNITUDE = 0x7FFFFFFF
_INFINITY = 0x7F800000
_LARGEST = 0x7F7FFFFF  # the bits of the largest finite float32
_FROM_TWO = 0x40000000
_MANTISSA_BITS = 23

Floats = NDArray[np.float32]
Pattern = NDArray[np.int32]


def clear_bits(weights: Sequence[Tensor], bits: int, rule: str = "truncate", seed: int = 0) -> None:
    """Overwrite the `bits` (0 to 32) low bits of dense float32 `weights` in place.

    - `truncate`: an AND on the bit pattern, whatever it means; runs at memory speed without a temporary.
    - `nearest`: rounds the bit pattern, ties to even: to the nearest value as long as only mantissa bits go (k <= 23),
      to the nearest exponent above.
    - `random`: the same bits for every k (the lower ones of one stream), so that curves are comparable along k.
    - `stochastic`: one of the two neighbours on the grid, with the chance that makes the mean the value itself.

    The last two draw from a stream of their own for each weight tensor, by `seed` and its place in `weights`; it
    depends on the kind of device, not on the number of threads. Under `nearest` and `stochastic` what would round past
    the largest finite value becomes the largest one on the grid; infinite values and NaN stay as they are; from 31 bits
    on, where no magnitude is left, zeros of the old sign remain (+0 at 32).
    """
    for place, weight in enumerate(weights):
        overwrite(weight, bits, rule, (seed, place))


def overwrite(weight: Tensor, bits: int, rule: str, key: Sequence[int]) -> None:
    """The same for one tensor; `key` names the stream of random bits."""
    if bits == 0:
        return
    if rule == "truncate" or (bits > 30 and rule != "random"):
        weight.detach().view(torch.int32).bitwise_and_(_mask(bits))
    elif weight.device.type == "cpu":
        _on_cpu(weight, bits, rule, key)
    else:
        _on_accelerator(weight, bits, rule, key)


def low_bits_set(weight: Tensor, bits: int) -> bool:
    """Whether any value of a dense float32 tensor has one of its `bits` low bits set."""
    if bits == 0:
        return False
    return any(bool((values.view(torch.int32) & ~_mask(bits)).any()) for (values,) in chunks(weight))


def _mask(bits: int) -> int:
    """Ones where a pattern is kept, as a signed 32-bit number."""
    return -(1 << bits) if bits < 32 else 0


def _largest(bits: int) -> float:
    """The largest finite float32 with zeros in the low bits."""
    value: float = struct.unpack("<f", struct.pack("<I", _LARGEST & _mask(bits)))[0]
    return value


def _entropy(key: Sequence[int]) -> np.random.SeedSequence:
    return np.random.SeedSequence([number % (1 << 64) for number in key])


def _on_cpu(weight: Tensor, bits: int, rule: str, key: Sequence[int]) -> None:
    values = flat(weight).numpy()
    blocks = -(-len(values) // BLOCK)
    change = {"nearest": _nearest, "random": _random, "stochastic": _stochastic}[rule]

    def work(numbers: range) -> None:
        scratch = np.empty(min(BLOCK, len(values)), np.int32)
        for number in numbers:
            block = values[number * BLOCK : (number + 1) * BLOCK]
            change(block, bits, scratch[: len(block)], (*key, number))

    # Large tensors only: a thread costs as much as a block. Each has one run of blocks and nothing to wait for.
    threads = min(torch.get_num_threads(), blocks // 8)
    if threads < 2:
        work(range(blocks))
        return
    share = -(-blocks // threads)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [range(start, min(start + share, blocks)) for start in range(0, blocks, share)]))


def _nearest(values: Floats, bits: int, scratch: Pattern, key: Sequence[int]) -> None:
    def round_(pattern: Pattern) -> None:
        # Half of the last kept place, less one, plus the last kept bit: carries exactly where nearest-even goes up.
        np.right_shift(pattern, np.int32(bits), out=scratch)
        np.bitwise_and(scratch, np.int32(1), out=scratch)
        np.add(scratch, np.int32((1 << (bits - 1)) - 1), out=scratch)
        np.add(pattern, scratch, out=pattern)
        np.bitwise_and(pattern, np.int32(_mask(bits)), out=pattern)

    _within(values, bits, round_)


def _random(values: Floats, bits: int, scratch: Pattern, key: Sequence[int]) -> None:
    pattern, low = values.view(np.int32), np.int32(~_mask(bits))
    np.bitwise_and(pattern, np.int32(_mask(bits)), out=pattern)
    np.bitwise_and(_drawn(len(values), key), low, out=scratch)
    np.bitwise_or(pattern, scratch, out=pattern)


def _stochastic(values: Floats, bits: int, scratch: Pattern, key: Sequence[int]) -> None:
    def round_(pattern: Pattern) -> None:
        mask = np.int32(_mask(bits))
        drawn = _drawn(len(values), key)
        if bits <= _MANTISSA_BITS:
            # Between two neighbours on the grid, across exponents too, the pattern grows in proportion to the value.
            np.bitwise_and(drawn, ~mask, out=scratch)
            np.add(pattern, scratch, out=pattern)
            np.bitwise_and(pattern, mask, out=pattern)
            return
        np.bitwise_and(pattern, mask, out=scratch)  # the neighbour towards zero
        lower, value = scratch.view(np.float32).astype(np.float64), values.astype(np.float64)
        # Beyond the last place of the grid there is no upper one, and nothing lies there: the chance comes out as 0.
        upper = (scratch + np.int32(1 << bits)).view(np.float32).astype(np.float64)
        up = drawn.view(np.uint32) < (value - lower) / (upper - lower) * 2.0**32
        np.add(scratch, up.astype(np.int32) << np.int32(bits), out=pattern)

    _within(values, bits, round_)


def _within(values: Floats, bits: int, round_: Callable[[Pattern], None]) -> None:
    """Round what is finite, clamped to where nothing becomes infinite; the rest keeps its pattern."""
    limit, pattern = _largest(bits), values.view(np.int32)
    # One pass tells that all magnitudes are below 2, as weights mostly are: none has the exponent's highest bit.
    small = not np.bitwise_or.reduce(pattern) & _FROM_TWO
    if small or (-limit <= values.min() and values.max() <= limit):  # both False where there is a NaN
        round_(pattern)
        return
    special = (pattern & _MAGNITUDE) >= _INFINITY
    kept = pattern[special]
    pattern[special] = 0
    np.clip(values, -limit, limit, out=values)
    round_(pattern)
    pattern[special] = kept


def _drawn(size: int, key: Sequence[int]) -> Pattern:
    generator = np.random.Generator(np.random.SFC64(_entropy(key)))
    words = generator.integers(0, (1 << 64) - 1, -(-size // 2), dtype=np.uint64, endpoint=True)
    return words.view(np.int32)[:size]


def _on_accelerator(weight: Tensor, bits: int, rule: str, key: Sequence[int]) -> None:
    """The same rules in torch, without anything that the host would have to wait for."""
    generator = torch.Generator(weight.device)
    generator.manual_seed(int(_entropy(key).generate_state(1, np.uint64)[0]) >> 1)
    mask, limit = _mask(bits), _largest(bits)
    for (values,) in chunks(weight):
        pattern = values.view(torch.int32)
        drawn: Any = None
        if rule != "nearest":
            drawn = torch.empty_like(pattern).random_(-(1 << 31), 1 << 31, generator=generator)
        if rule == "random":
            pattern.bitwise_and_(mask).bitwise_or_(drawn.bitwise_and_(~mask))
            continue
        special = pattern.bitwise_and(_MAGNITUDE) >= _INFINITY
        kept = pattern.clone()
        pattern.masked_fill_(special, 0)
        values.clamp_(-limit, limit)
        if rule == "nearest":
            carry = pattern.bitwise_right_shift(bits).bitwise_and_(1).add_((1 << (bits - 1)) - 1)
            pattern.add_(carry).bitwise_and_(mask)
        elif bits <= _MANTISSA_BITS:
            pattern.add_(drawn.bitwise_and_(~mask)).bitwise_and_(mask)
        else:
            lower = pattern.bitwise_and(mask)
            upper = (lower + (1 << bits)).view(torch.float32)
            # In float32, which MPS has no other of: the chance is right to one part in 2^23.
            share = (values - lower.view(torch.float32)) / (upper - lower.view(torch.float32))
            up = drawn.bitwise_right_shift_(8).bitwise_and_(0xFFFFFF).to(torch.float32) < share * 2.0**24
            pattern.copy_(lower.add_(up.to(torch.int32) << bits))
        pattern.copy_(torch.where(special, kept, pattern))


class Levels:
    """Weights that can be brought to any number of cleared bits and back."""

    def __init__(self, weights: Sequence[Tensor], sources: Sequence[Tensor], rule: str, seed: int) -> None:
        """`sources` are what `weights` are at 0 bits, in memory of their own; they are only read."""
        self._weights = [weight.detach() for weight in weights]
        self._sources = [source.detach() for source in sources]
        self._rule, self._seed = rule, seed
        self._bits = [0] * len(self._weights)

    def bring(self, bits: int, places: Sequence[int] | None = None) -> None:
        """Bring the tensors at `places` (all of them where None) to `bits`, whatever they are at."""
        for place in range(len(self._weights)) if places is None else places:
            now = self._bits[place]
            if bits < now or (bits > now > 0 and self._rule not in NESTED):
                self._weights[place].copy_(self._sources[place])
                now = 0
            if bits != now:
                overwrite(self._weights[place], bits, self._rule, (self._seed, place))
            self._bits[place] = bits

    def restore(self) -> None:
        """Bring all to 0 bits, to the values at the start."""
        for weight, source, bits in zip(self._weights, self._sources, self._bits, strict=True):
            if bits:
                weight.copy_(source)
        self._bits = [0] * len(self._bits)

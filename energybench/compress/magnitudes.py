"""The smallest magnitudes of many tensors, in an exact number, found without a sort and without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energybench.compress.layers import chunks

_MAGNITUDE = 0x7FFFFFFF


@dataclass(frozen=True)
class Threshold:
    """The smallest magnitudes of a set: all whose bits are below `bits`, and the first `ties` of those equal to it."""

    bits: int
    ties: int


class Magnitudes:
    """The magnitudes of float32 tensors, ready for exact selection of any number of the smallest.

    The bits of |w| as integers are ordered like |w| itself, which makes a radix select of 11 + 10 + 10 bits: three
    histograms, no sort and no copy. The first is made at once and serves every later question.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = list(tensors)
        self.total = sum(tensor.numel() for tensor in self._tensors)
        self._upper = self._histogram(0, 20, 11)

    def threshold(self, count: int) -> Threshold:
        """Where the `count` smallest magnitudes end; ties are broken by position, the first in order going first."""
        if count == 0:
            return Threshold(0, 0)
        upper, count = _locate(self._upper, count)
        middle, count = _locate(self._histogram(upper << 20, 10, 10), count)
        base = upper << 20 | middle << 10
        lower, count = _locate(self._histogram(base, 0, 10), count)
        return Threshold(base | lower, count)

    def _histogram(self, base: int, shift: int, bits: int) -> Tensor:
        """How many magnitudes are in each of the 2 ** bits bins of width 2 ** shift that begin at `base`."""
        bins = 1 << bits
        everything = bits + shift == 31
        counts = torch.zeros(bins + 2, dtype=torch.int64)
        for tensor in self._tensors:
            for (values,) in chunks(tensor):
                index = values.view(torch.int32).bitwise_and(_MAGNITUDE)
                if everything:
                    counts[1:-1] += torch.bincount(index.bitwise_right_shift_(shift), minlength=bins).cpu()
                    continue
                # What lies outside is clamped into one bin before and one behind: cheaper than taking it out.
                index.sub_(base).bitwise_right_shift_(shift).clamp_(-1, bins).add_(1)
                counts += torch.bincount(index, minlength=bins + 2).cpu()
        return counts[1:-1]


def zero_below(
    threshold: Threshold, sources: Sequence[Tensor], targets: Sequence[Tensor], kept: Sequence[Tensor] | None = None
) -> None:
    """Copy `sources` to `targets` (maybe the same) with +0 for what the threshold selects; mark the rest in `kept`.

    The tensors of one place share their layout; those of `kept` are bool. Positions, which break ties, are those in
    memory.
    """
    ties = threshold.ties
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        marked = () if kept is None else (kept[index],)
        for values, result, *mask in chunks(source, target, *marked):
            pattern = values.view(torch.int32)
            stays = pattern.bitwise_and(_MAGNITUDE)
            equal = stays == threshold.bits if ties else None
            # All bits of what stays, none of what goes: the sign of a difference, faster than a comparison.
            stays.sub_(threshold.bits).bitwise_right_shift_(31).bitwise_not_()
            if equal is not None and equal.any():
                places = equal.nonzero().squeeze(1)[:ties]
                stays[places] = 0
                ties -= len(places)
            for keep in mask:
                keep.view(torch.int8).copy_(stays.neg())
            torch.bitwise_and(pattern, stays, out=result.view(torch.int32))


def marked_zeros(tensors: Sequence[Tensor], threshold: Threshold) -> list[Tensor]:
    """Masks of tensors that `zero_below` has just taken `threshold` from: True where the value stays."""
    masks = [torch.empty_like(tensor, dtype=torch.bool) for tensor in tensors]
    # What survived a threshold above 0 is not 0; below, zeros that were there before are told apart again.
    zero_below(Threshold(1, 0) if threshold.bits else threshold, tensors, tensors, masks)
    return masks


def _locate(counts: Tensor, count: int) -> tuple[int, int]:
    """The bin of a histogram in which the `count`-th element lies, and how many of the first `count` are in it."""
    cumulative = counts.cumsum(0)
    place = int(torch.searchsorted(cumulative, count))
    return place, count - (int(cumulative[place - 1]) if place else 0)

"""L1 unstructured pruning: the smallest weights become zero, in an exact number, found without a sort."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from energybench.compress.compressed import Compressed
from energybench.compress.layers import chunks, covered_weights
from energybench.compress.report import CompressionReport, Effect, size_of
from energybench.compress.search import Candidates, Evaluate, Tolerance, check_share, evaluation_for, fixed, search
from energybench.errors import UsageError

SCOPES = ("global", "layer")
MASKS = ("keep", "release")
STEPS = 64
"""a search tries amounts of 1/64, 2/64, ... 63/64"""
_MAGNITUDE = 0x7FFFFFFF


@dataclass(frozen=True)
class Pruning:
    """Set the share `amount` of the Conv2d and Linear weights with the smallest magnitude to zero, the head included.

    `scope`: over all layers together (`global`), or the same share in every layer (`layer`). `masks`: `keep` holds the
    zeros at zero in training (`Compressed.training`); `release` lets them grow back, which SGD does within a few steps.
    Where `amount` is None the largest multiple of 1/64 is found whose accuracy is within `tolerance` (absolute, 0.01 =
    1 point) of the model's, by bisection: at most 7 evaluations, the reference included. The result always is an
    amount that was tried and passed; it is the largest of all where accuracy falls monotonically.

    The result is simulated: zeros in dense tensors save no time. The parameters hold them themselves, so the state
    dict keeps its keys.
    """

    kind: ClassVar[str] = "prune"
    amount: float | None = None
    scope: str = "global"
    masks: str = "keep"
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        if self.amount is not None:
            check_share("Pruning", "amount", self.amount)
        if self.scope not in SCOPES:
            raise UsageError(f"Pruning: scope must be one of {', '.join(SCOPES)}, not {self.scope!r}")
        if self.masks not in MASKS:
            raise UsageError(f"Pruning: masks must be one of {', '.join(MASKS)}, not {self.masks!r}")
        check_share("Pruning", "tolerance", self.tolerance, one=False)

    def __call__(
        self,
        model: nn.Module,
        evaluate: Evaluate | None = None,
        *,
        evaluation_size: int | None = None,
        inplace: bool = False,
        example_input: Tensor | None = None,
    ) -> Compressed:
        """Compress `model`; see `Compressor` for the arguments.

        Besides the model's copy (none where `inplace`) it holds one byte per weight for kept masks, and, while it
        searches `inplace`, one copy of the covered weights; else the model given serves.
        """
        evaluation = evaluation_for("Pruning", "amount", self.amount, evaluate, evaluation_size)
        given = covered_weights(model)
        before = size_of(model, example_input)
        work = model if inplace else copy.deepcopy(model)
        weights = [work.get_parameter(name) for name in given]
        copies = inplace and self.amount is None
        sources = [weight.detach().clone() if copies else weight.detach() for weight in given.values()]
        groups = [range(len(sources))] if self.scope == "global" else [range(i, i + 1) for i in range(len(sources))]
        magnitudes = [Magnitudes([sources[i] for i in group]) for group in groups]
        thresholds = [Threshold(0, 0)] * len(groups)

        def restore() -> None:
            for weight, source in zip(weights, sources, strict=True):
                weight.detach().copy_(source)

        def apply(amount: float) -> None:
            for index, (group, magnitude) in enumerate(zip(groups, magnitudes, strict=True)):
                thresholds[index] = magnitude.threshold(round(amount * magnitude.total))
                zero_below(thresholds[index], [sources[i] for i in group], [weights[i] for i in group])

        def kept() -> dict[str, Tensor]:
            masks = {name: torch.empty_like(weight, dtype=torch.bool) for name, weight in given.items()}
            listed = list(masks.values())
            for group, threshold in zip(groups, thresholds, strict=True):
                # What survives a threshold above 0 is not 0; below, zeros that were there before are told apart again.
                again = Threshold(1, 0) if threshold.bits else threshold
                pruned = [weights[i] for i in group]
                zero_below(again, pruned, pruned, [listed[i] for i in group])
            return masks

        grid = [step / STEPS for step in range(1, STEPS)]
        candidates = Candidates(grid, 0.0, apply, restore, untouched=0.0)
        notes: tuple[str, ...] = ()
        amount: float
        if self.amount is None:
            assert evaluation is not None
            found = search(work, candidates, evaluation, Tolerance(self.tolerance, evaluation_size))
            amount, evidence, notes = found.value or 0.0, found.evidence, found.notes
        else:
            amount, evidence = self.amount, fixed(work, self.amount, candidates, evaluation)
        total = sum(weight.numel() for weight in weights)
        zeroed = sum(round(amount * magnitude.total) for magnitude in magnitudes)
        report = CompressionReport(
            kind=self.kind,
            given=asdict(self),
            effect=Effect.SIMULATED if zeroed else Effect.UNCHANGED,
            rate=zeroed / total,
            rate_definition="zeroed weights / weights of Conv2d and Linear layers",
            before=before,
            after=size_of(work, example_input) if zeroed else before,
            evidence=evidence,
            covered=tuple(given),
            amount=amount,
            notes=notes,
        )
        return Compressed(work, report, kept() if self.masks == "keep" and zeroed else {})


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
        counts = torch.zeros(bins + 2, dtype=torch.int64)
        for tensor in self._tensors:
            for (values,) in chunks(tensor):
                # What lies outside is clamped into one bin before and one behind: cheaper than taking it out.
                index = values.view(torch.int32).bitwise_and(_MAGNITUDE).sub_(base).bitwise_right_shift_(shift)
                counts += torch.bincount(index.clamp_(-1, bins).add_(1), minlength=bins + 2).cpu()
        return counts[1:-1]


def zero_below(
    threshold: Threshold, sources: Sequence[Tensor], targets: Sequence[Tensor], kept: Sequence[Tensor] | None = None
) -> None:
    """Copy `sources` to `targets` (maybe the same) with +0 for what the threshold selects; mark the rest in `kept`."""
    ties = threshold.ties
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        mask = torch.empty_like(source, dtype=torch.bool) if kept is None else kept[index]
        for values, result, keep in chunks(source, target, mask):
            pattern = values.view(torch.int32)
            magnitudes = pattern.bitwise_and(_MAGNITUDE)
            torch.ge(magnitudes, threshold.bits, out=keep)
            equal = magnitudes == threshold.bits if ties else None
            if equal is not None and equal.any():
                places = equal.nonzero().squeeze(1)[:ties]
                keep[places] = False
                ties -= len(places)
            torch.bitwise_and(pattern, keep.to(torch.int32).neg_(), out=result.view(torch.int32))


def _locate(counts: Tensor, count: int) -> tuple[int, int]:
    """The bin of a histogram in which the `count`-th element lies, and how many of the first `count` are in it."""
    cumulative = counts.cumsum(0)
    place = int(torch.searchsorted(cumulative, count))
    return place, count - (int(cumulative[place - 1]) if place else 0)

"""Steganographic capacity reduction: how many low bits of every float32 weight a model can do without."""

from __future__ import annotations

import copy
import struct
from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from energybench.compress.compressed import Compressed
from energybench.compress.layers import chunks, covered_weights
from energybench.compress.report import CompressionReport, Effect, size_of
from energybench.compress.search import (
    Candidates,
    Evaluate,
    Tolerance,
    check_share,
    evaluation_for,
    fixed,
    search,
)
from energybench.errors import UsageError

RULES = ("truncate", "nearest", "random")
_LARGEST_MAGNITUDE = 0x7F7FFFFF  # the bits of the largest finite float32


@dataclass(frozen=True)
class StegoReduction:
    """Clear the `bits` low bits of every Conv2d and Linear weight, once, before training.

    Where `bits` is None the largest number is found whose accuracy is within `tolerance` (absolute, 0.01 = 1 point) of
    the model's: the steganographic capacity (Agrawal et al., arXiv 2308.15502), which belongs to its `rule`:

    - `truncate`: zeros, as in Mei and Stamp, arXiv 2506.01311; shrinks magnitudes; 16 bits give bfloat16 values;
    - `nearest`: rounded to the nearest value with zeros there, ties to even;
    - `random`: overwritten by random bits of `seed`, the rule of the capacity's first papers.

    The result is simulated: dtype, bytes in memory and kernels stay, and the first training step fills the bits again.
    The search takes at most 8 evaluations where accuracy falls monotonically with the bits, and 33 at the very most.
    """

    kind: ClassVar[str] = "stego"
    bits: int | None = None
    rule: str = "truncate"
    tolerance: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.bits is not None and (
            isinstance(self.bits, bool) or not isinstance(self.bits, int) or not 0 <= self.bits <= 32
        ):
            raise UsageError(f"StegoReduction: bits must be a whole number from 0 to 32, not {self.bits!r}")
        if self.rule not in RULES:
            raise UsageError(f"StegoReduction: rule must be one of {', '.join(RULES)}, not {self.rule!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise UsageError(f"StegoReduction: seed must be a whole number, not {self.seed!r}")
        check_share("StegoReduction", "tolerance", self.tolerance, one=False)

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

        Besides the model's copy (none where `inplace`), a search holds one copy of the covered weights only where
        `inplace`; else the model given serves.
        """
        evaluation = evaluation_for("StegoReduction", "bits", self.bits, evaluate, evaluation_size)
        given = covered_weights(model)
        before = size_of(model, example_input)
        work = model if inplace else copy.deepcopy(model)
        weights = [work.get_parameter(name) for name in given]
        copies = inplace and self.bits is None
        sources = [weight.detach().clone() if copies else weight.detach() for weight in given.values()]

        def restore() -> None:
            for weight, source in zip(weights, sources, strict=True):
                weight.detach().copy_(source)

        def apply(bits: float) -> None:
            restore()
            clear_bits(weights, int(bits), self.rule, self.seed)

        candidates = Candidates(range(1, 33), 0.0, apply, restore, key=int, untouched=0)
        notes: tuple[str, ...] = ()
        if self.bits is None:
            assert evaluation is not None
            found = search(work, candidates, evaluation, Tolerance(self.tolerance, evaluation_size), verify=True)
            bits, evidence, notes = int(found.value or 0), found.evidence, found.notes
        else:
            bits, evidence = self.bits, fixed(work, self.bits, candidates, evaluation)
        if self.rule == "random" and bits > 23:
            notes += ("random bits above 23 reach the exponent: some weights may have become infinite or NaN",)
        share = sum(weight.numel() for weight in weights) / before.parameters
        report = CompressionReport(
            kind=self.kind,
            given=asdict(self),
            effect=Effect.SIMULATED if bits else Effect.UNCHANGED,
            rate=bits / 32 * share,
            rate_definition="cleared bits / 32, times the share of the parameters that is covered",
            before=before,
            after=size_of(work, example_input) if bits else before,
            evidence=evidence,
            covered=tuple(given),
            bits=bits,
            notes=notes,
        )
        return Compressed(work, report)


def clear_bits(weights: list[nn.Parameter], bits: int, rule: str = "truncate", seed: int = 0) -> None:
    """Clear or overwrite the `bits` (0 to 32) low bits of float32 `weights` in place; the rules are StegoReduction's.

    `truncate` runs at memory speed without a temporary. `nearest` rounds the bit pattern: to the nearest value as long
    as only mantissa bits go (k <= 23), to the nearest exponent above; a value that would round past the largest
    finite one becomes the largest finite one. `random` draws the same bits for every `bits` (the lower ones of one
    stream), so that its curves are comparable along k; the stream depends on the seed and the kind of device.
    """
    if bits == 0:
        return
    mask = -(1 << bits) if bits < 32 else 0
    if rule == "truncate":
        for weight in weights:
            weight.detach().view(torch.int32).bitwise_and_(mask)
    elif rule == "nearest":
        for weight in weights:
            _round(weight, bits, mask)
    else:
        generators: dict[torch.device, torch.Generator] = {}
        for weight in weights:
            if weight.device not in generators:
                generators[weight.device] = torch.Generator(weight.device).manual_seed(seed)
            _overwrite(weight, mask, generators[weight.device])


def _round(weight: Tensor, bits: int, mask: int) -> None:
    if bits >= 31:  # no magnitude bit is left, and rounding would carry into the sign
        weight.detach().view(torch.int32).bitwise_and_(mask)
        return
    limit = struct.unpack("<f", struct.pack("<I", _LARGEST_MAGNITUDE & mask))[0]
    for (values,) in chunks(weight):
        values.clamp_(-limit, limit)
        pattern = values.view(torch.int32)
        # Half of the last kept place, less one, plus the last kept bit: carries exactly where nearest-even goes up.
        carry = pattern.bitwise_right_shift(bits).bitwise_and_(1).add_((1 << (bits - 1)) - 1)
        pattern.add_(carry).bitwise_and_(mask)


def _overwrite(weight: Tensor, mask: int, generator: torch.Generator) -> None:
    for (values,) in chunks(weight):
        pattern = values.view(torch.int32)
        drawn = torch.empty_like(pattern).random_(-(1 << 31), 1 << 31, generator=generator)
        pattern.bitwise_and_(mask).bitwise_or_(drawn.bitwise_and_(~mask))

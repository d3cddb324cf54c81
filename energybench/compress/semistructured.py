"""2:4 semi-structured pruning: two of four neighbouring weights become zero, a pattern that GPUs multiply faster."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from energybench.compress.arithmetic import InferenceOnly
from energybench.compress.compressed import Compressed, Compressor, Request
from energybench.compress.layers import CHUNK, CHUNK_ACCELERATOR, covered_weights, layer_of
from energybench.compress.precision import UnavailableError
from energybench.compress.report import CompressionReport, Effect
from energybench.compress.search import Candidates, check_share
from energybench.compress.snapshot import Snapshot
from energybench.compress.sparse import PRECISIONS, stored_size, to_sparse, why_not
from energybench.compress.upkeep import MASK_TIMES, KeepMasks, apply_mask
from energybench.errors import CompressionError, UsageError

_MAGNITUDE = 0x7FFFFFFF
# Their weights hold inputs in the second dimension.
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention)


@dataclass(frozen=True)
class SemiStructured(Compressor):
    """Of each four consecutive weights along a layer's inputs, set the two of smallest magnitude to zero.

    The pattern is that of NVIDIA's sparse tensor cores (Mishra et al., arXiv 2104.08378). Among equal magnitudes the
    first go. Layers whose inputs are no multiple of four stay as they are.

    `amount` is the share of the layers that get the pattern, those first that lose the smallest share of their squared
    weights. Where it is None the largest number of layers is found whose accuracy is within `tolerance` (absolute, 0.01
    = 1 point) of the model's, by bisection: 8 evaluations for 100 layers. `masks` as in Pruning: `keep`, `epoch` or
    `release`.

    The result is simulated, and computes as fast as before. With `realise` (`bfloat16` or `float16`) the patterned
    Linear layers are stored in half their size and multiplied by sparse tensor cores, under autocast: CUDA from compute
    capability 8.0, for inference. What cannot be stored so stays dense and is named in the notes; UnavailableError,
    before anything is searched for, where this machine has no such products.
    """

    kind: ClassVar[str] = "semistructured"
    parameter: ClassVar[str] = "amount"
    amount: float | None = None
    masks: str = "keep"
    realise: str | None = None
    tolerance: float = 0.01
    relative: bool = False

    def __post_init__(self) -> None:
        if self.amount is not None:
            check_share("SemiStructured", "amount", self.amount)
        if self.masks not in MASK_TIMES:
            raise UsageError(f"SemiStructured: masks must be one of {', '.join(MASK_TIMES)}, not {self.masks!r}")
        if self.realise is not None and self.realise not in PRECISIONS:
            raise UsageError(
                f"SemiStructured: realise must be None or one of {', '.join(PRECISIONS)}, not {self.realise!r}"
            )
        check_share("SemiStructured", "tolerance", self.tolerance, one=False)

    def _compress(self, request: Request) -> Compressed:
        given = covered_weights(request.model)
        if self.realise is not None:
            reason = why_not(next(iter(given.values())).device, self.realise)
            if reason is not None:
                raise UnavailableError(f"2:4 products in {self.realise} cannot run here: {reason}")
        names, left = _patterned(request.model, given)
        before = request.size()
        work = request.work()
        weights = {name: work.get_parameter(name) for name in names}
        # In place, what `evaluate` sees must be undone from a copy; else the model given serves.
        copies = request.inplace and request.evaluation is not None
        sources = {name: given[name].detach().clone() if copies else given[name].detach() for name in names}
        masks, losses = {}, {}
        for name, source in sources.items():
            masks[name], losses[name] = two_of_four(source)
        order = sorted(names, key=losses.__getitem__)

        def restore() -> None:
            for name, weight in weights.items():
                weight.detach().copy_(sources[name])

        def apply(amount: float) -> None:
            restore()
            for name in order[: round(amount * len(order))]:
                apply_mask(weights[name], masks[name])

        grid = [count / len(order) for count in range(1, len(order) + 1)]
        candidates = Candidates(grid, 0.0, apply, restore, untouched=0.0)
        notes: tuple[str, ...] = (f"left alone, inputs no multiple of four: {', '.join(left)}",) if left else ()
        tolerance = request.tolerance(self.tolerance, relative=self.relative)
        found = request.bring(work, candidates, self.amount, tolerance)
        amount, notes = found.value or 0.0, notes + found.notes
        chosen = [name for name in names if name in order[: round(amount * len(order))]]
        report = CompressionReport(
            kind=self.kind,
            given=self.given(),
            effect=Effect.SIMULATED if chosen else Effect.UNCHANGED,
            rate=sum(weights[name].numel() // 2 for name in chosen) / sum(weight.numel() for weight in given.values()),
            rate_definition="zeroed weights / weights of convolutions and linear layers",
            before=before,
            after=request.size(work) if chosen else before,
            evidence=found.evidence,
            covered=tuple(names),
            amount=amount,
            structure="2:4",
            notes=notes,
        )
        keeps = self.masks != "release" and chosen
        kept = KeepMasks({name: masks[name] for name in chosen}, self.masks)
        compressed = Compressed(work, report, (kept,) if keeps else ())
        if self.realise is None or not chosen:
            return compressed
        before_realising = Snapshot(work)
        try:
            return self._realised(compressed, chosen, request)
        except BaseException:
            before_realising.restore()
            restore()
            raise

    def _realised(self, simulated: Compressed, chosen: list[str], request: Request) -> Compressed:
        assert self.realise is not None
        model, report = simulated.model, simulated.report
        reached, reasons = to_sparse(model, chosen, self.realise)
        notes = (*report.notes, *(f"stays dense, {reason}: {', '.join(names)}" for reason, names in reasons.items()))
        if not reached:
            return replace(simulated, report=replace(report, notes=(*notes, "nothing could be stored as 2:4")))
        notes += (f"stored as 2:4: {', '.join(reached)}; FLOPs are counted as if they were dense",)
        evidence = report.evidence
        if request.evaluation is not None:
            accuracy = request.evaluation(model)
            evidence = replace(evidence, evaluations=evidence.evaluations + 1, accuracy_compressed=accuracy)
        realised = replace(
            report,
            effect=Effect.REALISED,
            after=stored_size(model, report.after),
            evidence=evidence,
            dtype=self.realise,
            notes=notes,
        )
        upkeep = InferenceOnly("weights stored as 2:4 are for inference and do not train: realise them after training")
        return Compressed(model, realised, (upkeep,))


def two_of_four(weight: Tensor) -> tuple[Tensor, float]:
    """The mask of the pattern (bool, the weight's layout, True where it stays), and the share of the squares lost.

    Fours are consecutive in the second dimension, whose size must be a multiple of four. float32; NaN stays.
    """
    mask = torch.empty_like(weight, dtype=torch.bool)
    lost = total = 0.0
    rows = max(1, (CHUNK if weight.device.type == "cpu" else CHUNK_ACCELERATOR) // max(1, weight[0].numel()))
    for values, keep in zip(weight.detach().split(rows), mask.split(rows), strict=True):
        fours = values.unflatten(1, (-1, 4))
        bits = fours.view(torch.int32).bitwise_and(_MAGNITUDE)
        kept = keep.unflatten(1, (-1, 4))
        size = list(bits.unbind(2))
        # Each stays that is behind at least two others in the order by (magnitude, place).
        ranks = [torch.zeros_like(size[0], dtype=torch.int8) for _ in range(4)]
        for first in range(4):
            for second in range(first + 1, 4):
                before = size[first] <= size[second]
                ranks[second] += before
                ranks[first] += ~before
        for place, rank in enumerate(ranks):
            kept.select(2, place).copy_(rank >= 2)
        squares = values.double().square()
        total += squares.sum().item()
        lost += squares.masked_fill_(keep, 0).sum().item()
    if not total < math.inf:
        return mask, math.inf
    return mask, lost / total if total else 0.0


def _patterned(model: nn.Module, weights: dict[str, nn.Parameter]) -> tuple[list[str], list[str]]:
    """Names of the weights that can have the pattern, and of the others; CompressionError where none can."""
    names: list[str] = []
    left: list[str] = []
    for name, weight in weights.items():
        owner = model.get_submodule(name.rpartition(".")[0])
        (names if isinstance(owner, _LAYERS) and weight.shape[1] % 4 == 0 else left).append(name)
    if not names:
        raise CompressionError("no layer has a multiple of four inputs, so none can have the pattern 2:4")
    return names, [layer_of(name) for name in left]

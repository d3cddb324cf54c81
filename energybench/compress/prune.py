"""L1 unstructured pruning: the smallest weights become zero, in an exact number, found without a sort."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from energybench.compress.compressed import Compressed, Compressor, Request
from energybench.compress.gradual import Gradual, GrowMasks
from energybench.compress.layers import covered_weights
from energybench.compress.magnitudes import Magnitudes, Threshold, marked_zeros, zero_below
from energybench.compress.report import CompressionReport, Effect, Evidence
from energybench.compress.search import Candidates, Found, check_share
from energybench.compress.upkeep import MASK_TIMES, KeepMasks, Upkeep
from energybench.errors import UsageError

SCOPES = ("global", "layer")
STEPS = 64
"""a search tries amounts of 1/64, 2/64, ... 63/64"""


@dataclass(frozen=True)
class Pruning(Compressor):
    """Set the share `amount` of all covered weights to zero, those with the smallest magnitude; the head is included.

    `scope`: over all layers together (`global`), or the same share in every layer (`layer`). `masks`: `keep` holds the
    zeros at zero in training (`Compressed.training`), `epoch` sets them to zero again after each epoch; `release` lets
    them grow back, which SGD does within a few steps.
    Where `amount` is None the largest multiple of 1/64 is found whose accuracy is within `tolerance` (absolute, 0.01 =
    1 point) of the model's, by bisection: at most 7 evaluations, the reference included. The result always is an
    amount that was tried and passed; it is the largest of all where accuracy falls monotonically.

    With a `schedule` the model that is handed out is pruned to the schedule's start only, and grows to `amount` while
    it trains (`Compressed.training`); accuracies in the report are those of the full amount, pruned at once.

    The result is simulated: zeros in dense tensors save no time. The parameters hold them themselves, so the state
    dict keeps its keys. Exactly round(amount * weights) are zeroed; among equal magnitudes the first in memory go.
    """

    kind: ClassVar[str] = "prune"
    parameter: ClassVar[str] = "amount"
    amount: float | None = None
    scope: str = "global"
    masks: str = "keep"
    schedule: Gradual | None = None
    tolerance: float = 0.01
    relative: bool = False

    def __post_init__(self) -> None:
        if self.amount is not None:
            check_share("Pruning", "amount", self.amount)
        if self.scope not in SCOPES:
            raise UsageError(f"Pruning: scope must be one of {', '.join(SCOPES)}, not {self.scope!r}")
        if self.masks not in MASK_TIMES:
            raise UsageError(f"Pruning: masks must be one of {', '.join(MASK_TIMES)}, not {self.masks!r}")
        if self.schedule is not None and not isinstance(self.schedule, Gradual):
            raise UsageError(f"Pruning: schedule must be a Gradual or None, not {self.schedule!r}")
        if self.schedule is not None and self.masks == "release":
            raise UsageError("Pruning: masks must be keep or epoch with a schedule, which prunes in training")
        if self.schedule is not None and self.amount is not None and self.schedule.start > self.amount:
            raise UsageError(f"Pruning: the schedule starts at {self.schedule.start:g}, above amount={self.amount:g}")
        check_share("Pruning", "tolerance", self.tolerance, one=False)

    def _compress(self, request: Request) -> Compressed:
        given = covered_weights(request.model)
        before = request.size()
        work = request.work()
        weights = _Weights(given, work, self.scope, copies=request.inplace and request.evaluation is not None)
        grid = [step / STEPS for step in range(1, STEPS)]
        candidates = Candidates(grid, 0.0, weights.prune, weights.restore, untouched=0.0)
        if self.amount is not None and self.schedule is not None and request.evaluation is None:
            found = Found(self.amount, Evidence())  # nobody looks at the full amount, so that none is pruned yet
        else:
            tolerance = request.tolerance(self.tolerance, relative=self.relative)
            found = request.bring(work, candidates, self.amount, tolerance)
        amount, notes = found.value or 0.0, found.notes
        zeroed = weights.count(amount)
        upkeep: Upkeep | None = None
        if self.schedule is not None and zeroed:
            start = self.schedule.amount(amount, 0)
            weights.prune(start)
            upkeep = GrowMasks(tuple(given), amount, self.schedule, self.scope, self.masks)
            notes += (f"pruned to {start:g} so far: training takes it to {amount:g}, by epoch {self.schedule.epochs}",)
        elif self.masks != "release" and zeroed:
            upkeep = KeepMasks(weights.masks(), self.masks)
        report = CompressionReport(
            kind=self.kind,
            given=self.given(),
            effect=Effect.SIMULATED if zeroed else Effect.UNCHANGED,
            rate=zeroed / sum(weight.numel() for weight in given.values()),
            rate_definition="zeroed weights / weights of convolutions and linear layers",
            before=before,
            after=request.size(work) if zeroed else before,
            evidence=found.evidence,
            covered=tuple(given),
            amount=amount,
            structure="unstructured",
            notes=notes,
        )
        return Compressed(work, report, () if upkeep is None else (upkeep,))


class _Weights:
    """The covered weights of the model to change, and the values that they had."""

    def __init__(self, given: Mapping[str, nn.Parameter], work: nn.Module, scope: str, *, copies: bool) -> None:
        # In place, what `evaluate` sees must be undone from a copy; else the model given serves.
        sources = [weight.detach().clone() if copies else weight.detach() for weight in given.values()]
        weights: list[Tensor] = [work.get_parameter(name) for name in given]
        pairs = list(zip(sources, weights, strict=True))
        self._names = list(given)
        self._groups = [pairs] if scope == "global" else [[pair] for pair in pairs]
        self._magnitudes = [Magnitudes([source for source, _ in group]) for group in self._groups]
        self._thresholds = [Threshold(0, 0)] * len(self._groups)

    def count(self, amount: float) -> int:
        """Weights that are zeroed at `amount`."""
        return sum(round(amount * magnitudes.total) for magnitudes in self._magnitudes)

    def prune(self, amount: float) -> None:
        for index, (group, magnitudes) in enumerate(zip(self._groups, self._magnitudes, strict=True)):
            self._thresholds[index] = magnitudes.threshold(round(amount * magnitudes.total))
            zero_below(self._thresholds[index], *zip(*group, strict=True))

    def restore(self) -> None:
        for group in self._groups:
            for source, weight in group:
                weight.detach().copy_(source)

    def masks(self) -> dict[str, Tensor]:
        """Where the value stays, after the last `prune`."""
        masks: list[Tensor] = []
        for group, threshold in zip(self._groups, self._thresholds, strict=True):
            masks += marked_zeros([weight for _, weight in group], threshold)
        return dict(zip(self._names, masks, strict=True))

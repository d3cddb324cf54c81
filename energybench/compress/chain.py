"""Several compressors one after the other, under one tolerance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from energybench.compress.compressed import Compressed, Compressor, Request
from energybench.compress.gradual import GrowMasks
from energybench.compress.report import CompressionReport, Effect, Evidence
from energybench.compress.snapshot import Snapshot
from energybench.compress.upkeep import KeepMasks, Upkeep, apply_mask
from energybench.errors import UsageError


@dataclass(frozen=True)
class Chain(Compressor):
    """Apply `parts` in their order, each to what the one before it left.

    `Chain((Pruning(), StegoReduction()))` prunes, then clears bits of what is left. Where parts search, the tolerance
    is shared: every part counts its loss from the first model's accuracy, and part i of n may use i/n of its own
    `tolerance`. So the whole loses no more than the last part's tolerance, and no part uses up what the next needs.

    Masks of a pruned part hold through later parts and in training, except in layers that a later part replaces by
    other ones (low-rank factors): a note says which. Order matters: factors are dense, so pruning belongs after
    low-rank and clearing bits last, unless the opposite is what is studied.
    """

    kind: ClassVar[str] = "chain"
    parts: tuple[Compressor, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise UsageError(f"Chain needs at least two compressors, not {len(self.parts)}")
        for part in self.parts:
            if not isinstance(part, Compressor):
                raise UsageError(f"Chain: {part!r} is no compressor")

    @property
    def sought(self) -> str:
        return ", ".join(part.sought for part in self.parts if part.sought)

    def settled(self, report: CompressionReport) -> Compressor:
        found = zip(self.parts, report.parts, strict=True)
        return replace(self, parts=tuple(part.settled(own) for part, own in found))

    def given(self) -> dict[str, Any]:
        return {"parts": [{"kind": part.kind, **part.given()} for part in self.parts]}

    def _compress(self, request: Request) -> Compressed:
        before, work = request.size(), request.work()
        evaluation, reference = request.evaluation, request.reference
        if reference is None and evaluation is not None and self.sought:
            reference = evaluation(work)
        reports: list[CompressionReport] = []
        upkeep: list[Upkeep] = []
        notes: list[str] = []
        # Parts write into tensors and replace modules, and what a later part refuses comes after that.
        start = Snapshot(work, values=True) if request.inplace else None
        try:
            for place, part in enumerate(self.parts, 1):
                step = replace(request, model=work, inplace=True, reference=reference)
                done = _sharing(part, place / len(self.parts))._compress(step)
                work = done.model
                reports.append(replace(done.report, given=part.given()))
                kept, lost = _still_there(upkeep, done)
                upkeep = [*kept, *done.upkeep]
                notes += [f"{part.kind}: {note}" for note in done.report.notes]
                if lost:
                    notes.append(f"masks end where {part.kind} replaced the layer: {', '.join(lost)}")
        except BaseException:
            if start is not None:
                start.restore()
            raise
        after = request.size(work)
        last = reports[-1].evidence
        first = reference if reference is not None else reports[0].evidence.accuracy_reference
        calls = sum(report.evaluations for report in reports) + (1 if self.sought and request.reference is None else 0)
        report = CompressionReport(
            kind=self.kind,
            given=self.given(),
            effect=_effect(reports),
            rate=_rate(reports),
            rate_definition="1 - the product of what each part leaves by its own definition",
            before=before,
            after=after,
            evidence=Evidence(
                evaluations=calls if evaluation is not None else 0,
                evaluation_size=request.evaluation_size,
                accuracy_reference=first,
                accuracy_compressed=last.accuracy_compressed,
            ),
            covered=reports[0].covered,
            parts=tuple(reports),
            notes=tuple(notes),
        )
        return Compressed(work, report, tuple(upkeep))


def _sharing(part: Compressor, share: float) -> Compressor:
    """The part with its share of its own tolerance."""
    tolerance = getattr(part, "tolerance", None)
    return part if tolerance is None else replace(part, tolerance=tolerance * share)  # type: ignore[type-var]


def _still_there(upkeep: list[Upkeep], done: Compressed) -> tuple[list[Upkeep], list[str]]:
    """Earlier upkeep that still applies to `done`'s model, masks applied again; and masks whose layer is gone."""
    parameters = dict(done.model.named_parameters())
    kept: list[Upkeep] = []
    lost: list[str] = []
    for one in upkeep:
        if isinstance(one, GrowMasks):
            names = tuple(name for name in one.names if name in parameters)
            lost += [name for name in one.names if name not in parameters]
            kept += [replace(one, names=names)] if names else []
            continue
        if not isinstance(one, KeepMasks):
            kept.append(one)
            continue
        here = {
            name: mask
            for name, mask in one.masks.items()
            if name in parameters and parameters[name].shape == mask.shape
        }
        lost += [name for name in one.masks if name not in here]
        for name, mask in here.items():
            apply_mask(parameters[name], mask)
        if here:
            kept.append(replace(one, masks=here))
    return kept, lost


def _effect(reports: list[CompressionReport]) -> Effect:
    """The strongest effect of the parts: shapes or dtypes changed in one have changed in all."""
    effects = [report.effect for report in reports]
    return next((e for e in (Effect.REALISED, Effect.SIMULATED) if e in effects), Effect.UNCHANGED)


def _rate(reports: list[CompressionReport]) -> float:
    left = 1.0
    for report in reports:
        left *= 1 - report.rate
    return 1 - left

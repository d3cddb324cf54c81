"""A control, not a compression: random noise of the size of another compressor's change."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch

from energybench.compress.compressed import Compressed, Compressor, Request
from energybench.compress.layers import covered_weights
from energybench.compress.report import CompressionReport, Effect, Evidence
from energybench.compress.snapshot import Snapshot
from energybench.compress.stego import StegoReduction
from energybench.errors import CompressionError, UsageError


@dataclass(frozen=True)
class Perturbation(Compressor):
    """Add to every covered weight tensor Gaussian noise with the norm of what `like` changes there.

    What a fine-tune does after this has nothing to do with cleared bits: a saving that shows up here too comes from
    having been disturbed. `like` is applied to a copy of the model (its search is charged as its own), the Euclidean
    norm of its change is taken tensor by tensor, and noise of `seed` is scaled to it, so each tensor is as far from
    where it was. `like` must keep the shapes.
    """

    kind: ClassVar[str] = "perturbation"
    like: Compressor = field(default_factory=StegoReduction)
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.like, Compressor):
            raise UsageError(f"Perturbation: like must be a compressor, not {self.like!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise UsageError(f"Perturbation: seed must be a whole number, not {self.seed!r}")

    @property
    def sought(self) -> str:
        return self.like.sought

    def settled(self, report: CompressionReport) -> Compressor:
        return replace(self, like=self.like.settled(report.parts[0]))

    def given(self) -> dict[str, Any]:
        return {"like": {"kind": self.like.kind, **self.like.given()}, "seed": self.seed}

    def _compress(self, request: Request) -> Compressed:
        given = covered_weights(request.model)
        before = request.size()
        # Without the example input: only the changed values are of interest.
        changed = self.like._compress(replace(request, inplace=False, example_input=None))
        kept = dict(changed.model.named_parameters())
        for name, weight in given.items():
            if name not in kept or kept[name].shape != weight.shape or kept[name].dtype != weight.dtype:
                raise CompressionError(f"Perturbation: {self.like.kind} changes the shape or dtype of {name}")
        norms = {
            name: torch.linalg.vector_norm((kept[name].detach() - weight.detach()).double()).item()
            for name, weight in given.items()
        }
        work = request.work()
        before_noise = Snapshot(work, values=True)
        generator = torch.Generator().manual_seed(self.seed)
        try:
            for name in given:
                target = work.get_parameter(name).detach()
                noise = torch.randn(target.shape, generator=generator)
                length = torch.linalg.vector_norm(noise.double()).item()
                target.add_(noise.mul_(norms[name] / length if length else 0.0).to(target.device))
            accuracy = request.evaluation(work) if request.evaluation is not None else None
        except BaseException:
            before_noise.restore()  # `work` is the caller's own model where it is changed in place
            raise
        seen = changed.report.evidence
        report = CompressionReport(
            kind=self.kind,
            given=self.given(),
            effect=Effect.SIMULATED if any(norms.values()) else Effect.UNCHANGED,
            rate=0.0,
            rate_definition="nothing compressed",
            before=before,
            after=request.size(work),
            evidence=Evidence(
                evaluations=seen.evaluations + (accuracy is not None),
                evaluation_size=request.evaluation_size,
                accuracy_reference=seen.accuracy_reference,
                accuracy_compressed=accuracy,
            ),
            covered=tuple(given),
            parts=(changed.report,),
            notes=(f"noise of Euclidean norm {math.hypot(*norms.values()):.4g} over {len(norms)} tensors",),
        )
        return Compressed(work, report)

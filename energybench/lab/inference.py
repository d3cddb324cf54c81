"""Ready for inference: a subject's model run eagerly, compiled, or with dynamically quantised Linear layers.

Everything that happens once (the compilation, the first call, the accuracy) is over before a window opens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from energybench.compress import forward_flops
from energybench.errors import DataError, UsageError
from energybench.lab.arithmetic import arithmetic
from energybench.lab.data import Data
from energybench.lab.execution import WAYS, prepared, quantisation_report, run, start_compiler, unavailable
from energybench.lab.finetune import evaluate
from energybench.lab.intensity import forward_intensity
from energybench.lab.models import architecture, build
from energybench.lab.profiles import Recipe
from energybench.lab.study import Study, Subject

SAME = 1e-3
"""outputs that differ from the eager model's by less than this, relative to the largest, are taken for the same"""
CHECKED_IMAGES = 16
"""at least so many are run before the window, to see whether outputs are the eager model's"""
WORK_FLOPS = 1e10
"""of one metered call, about: some tenths of a second on a CPU core, which a counter can see"""

Apart = Callable[[str], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Ready:
    """All that the metered function needs, and all that is known before it runs."""

    model: nn.Module
    images: Tensor
    passes: int
    """forward passes over `images` in one call"""
    recipe: Recipe
    numbers: Mapping[str, float]
    """what every round records"""
    facts: Mapping[str, Any]

    def __call__(self) -> None:
        """Run the batch `passes` times; no output is kept."""
        with arithmetic(self.recipe.precision):
            for _ in range(self.passes):
                run(self.model, self.images)


Key = tuple[str, str, int]
"""model, compressor, batch"""


@dataclass
class Inferences:
    """Makes the models of a session ready. Holds the last one, and the compiled ones of its architecture."""

    study: Study
    _made: dict[Key, Ready] = field(default_factory=dict, repr=False)
    _charged: set[Key] = field(default_factory=set, repr=False)
    _flops: dict[str, int] = field(default_factory=dict, repr=False)

    def workload(self, model: str, compressor: str, batch: int) -> dict[str, Any]:
        """The declared inputs of a case; `compressor` may be one of WAYS, of an uncompressed model."""
        way = compressor in WAYS
        declared = self.study.workload(model, "none" if way else compressor, "inference")
        if way:
            declared |= {"compressor": compressor, "compressor_parameters": {"kind": compressor}}
        return {**declared, "batch": batch, "images": batch * self.passes(model, batch)}

    def passes(self, model: str, batch: int) -> int:
        """Forward passes of one metered call: those of the uncompressed model that come to about WORK_FLOPS.

        The same for every compressor and on every machine, so that the joules of a call can be compared.
        """
        if architecture(model).unit == "tokens":
            raise UsageError(f"{model} reads tokens; the study inference runs models of images")
        if model not in self._flops:
            data = self.study.data(model)
            with torch.device("meta"):  # shapes only: no memory and no draw from the random generator
                plain = build(model, data.classes, data.pixels)
                self._flops[model] = forward_flops(plain, torch.empty(1, 3, data.pixels, data.pixels))
        return max(1, round(WORK_FLOPS / (self._flops[model] * batch)))

    def unavailable(self, compressor: str, device: torch.device) -> str:
        """Why the case cannot run here; empty where it can."""
        return unavailable(compressor, device) if compressor in WAYS else ""

    def ready(self, model: str, compressor: str, batch: int, apart: Apart | None = None) -> Ready:
        """The case's model, run once, and its inputs: the first `batch` evaluation images.

        `apart` is entered with "search" around what makes the model ready (a compressor's search, a compilation, a
        quantisation), the first time only. Raises UnavailableError where this machine cannot run it, and DataError
        where there are fewer evaluation images than `batch`.
        """
        key = (model, compressor, batch)
        if key not in self._made:
            self._forget(model)
            way = compressor if compressor in WAYS else "eager"
            subject = self.study.subject(model, compressor if way == "eager" else "none", apart)
            images = _first(subject.data, batch, next(subject.compressed.model.parameters()).device)
            if way == "eager" or apart is None or key in self._charged:
                apart = _uncharged
            with arithmetic(subject.recipe.precision):
                self._made[key] = _ready(subject, way, images, self.passes(model, batch), apart)
            self._charged.add(key)
        return self._made[key]

    def _forget(self, model: str) -> None:
        """Make room. Compiled models of the same architecture stay: interleaved rounds would compile them again."""
        compiled = {key: ready for key, ready in self._made.items() if key[1] == "compile"}
        if any(made != model for made, _, _ in compiled):
            compiled.clear()
            # Compiled code hangs on the forward functions, which models of a family share; after eight versions of one
            # function torch compiles no more.
            torch.compiler.reset()
        self._made = compiled


def _uncharged(label: str) -> AbstractContextManager[Any]:
    return nullcontext()


def _ready(subject: Subject, way: str, images: Tensor, passes: int, apart: Apart) -> Ready:
    made = eager = prepared(subject.compressed.model, "eager", images)
    run(eager, images)  # kernels are chosen and loaded in a first call
    if way == "compile" and not unavailable(way, images.device):
        start_compiler(images.device.type)
    if way != "eager":
        with apart("search"):
            made = prepared(eager, way, images)
        run(made, images)
    report, saved = subject.compressed.report, 0
    accuracy, difference = subject.accuracy_compressed, None
    if way == "compile":
        accuracy, difference = _compiled_accuracy(subject, made, eager, len(images))
    if way == "int8_dynamic":
        # In the batches of `evaluate`, whatever the case's: activations are scaled by the largest of their batch.
        accuracy = evaluate(made, subject.data.evaluation).accuracy
        report = quantisation_report(eager, made, images)
        saved = report.before.bytes_memory - report.after.bytes_memory
    total = len(subject.data.evaluation)
    intensity = forward_intensity(eager, images[:1], len(images), saved_bytes=saved)
    return Ready(
        model=made,
        images=images,
        passes=passes,
        recipe=subject.recipe,
        numbers={
            "accuracy": accuracy,
            "accuracy_start": subject.start.accuracy,
            "accuracy_compressed": accuracy,
            "correct": round(accuracy * total),
            "total": total,
            "images": passes * len(images),
            "batch": len(images),
        },
        facts={
            **subject.facts(),
            "compression": report.as_facts(),
            "intensity": intensity.as_facts(),
            "inference": {"way": way, "batch": len(images), "difference_from_eager": difference},
        },
    )


def _compiled_accuracy(subject: Subject, compiled: nn.Module, eager: nn.Module, batch: int) -> tuple[float, float]:
    """Share of the evaluation images that are right, and how far outputs are from the eager model's, relatively.

    The weights are the eager model's: where the outputs are the same too, its accuracy is that of both. Evaluating
    again would take as many calls as there are images at batch 1.
    """
    where = next(eager.parameters()).device
    apart, largest, seen = 0.0, 0.0, 0
    for images, _ in subject.data.evaluation.batches(batch, where):
        if len(images) < batch or seen >= max(batch, CHECKED_IMAGES):
            break
        expected = run(eager, images)
        apart = max(apart, float((run(compiled, images) - expected).abs().max()))
        largest = max(largest, float(expected.abs().max()))
        seen += batch
    difference = apart / largest if largest else apart
    if difference <= SAME:
        return subject.accuracy_compressed, difference
    right = total = 0
    for images, labels in subject.data.evaluation.batches(batch, where):
        missing = batch - len(images)
        whole = torch.cat([images, images[:1].expand(missing, -1, -1, -1)]) if missing else images
        right += int((run(compiled, whole)[: len(labels)].argmax(1) == labels).sum())
        total += len(labels)
    return right / total, difference


def _first(data: Data, batch: int, device: torch.device) -> Tensor:
    part = data.evaluation
    if len(part) < batch:
        raise DataError(
            f"a batch of {batch} images needs as many evaluation images, and {data.id} has {len(part)} here"
        )
    images, _ = next(iter(part.batches(batch, device, torch.arange(batch))))
    return images

"""What one case of the study works on: data, recipe, starting weights and compressed model, each made once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import nn

from energybench.compress import COMPRESSORS, Compressed, CompressionReport, Compressor
from energybench.errors import UsageError
from energybench.lab.data import Data, check_spec, load
from energybench.lab.finetune import device, evaluate
from energybench.lab.models import architecture, build, count_parameters
from energybench.lab.pretrain import Start, check_weights, starting_weights
from energybench.lab.profiles import Recipe, recipe

Apart = Callable[[str], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Subject:
    """One model under one compressor, ready to be trained as often as there are rounds."""

    model: str
    compressor: Compressor
    recipe: Recipe
    data: Data
    start: Start
    compressed: Compressed
    """never trained itself; `fresh` hands out copies"""
    accuracy_compressed: float
    """on the evaluation images, before fine-tuning"""

    def fresh(self) -> Compressed:
        """A copy of the compressed model, where the lab trains, with its training hooks."""
        return replace(self.compressed, model=copy.deepcopy(self.compressed.model))

    def facts(self) -> dict[str, Any]:
        """What a stored case says of its subject, as JSON types."""
        main, auxiliary = count_parameters(self.compressed.model)
        return {
            "model": self.model,
            "hyper_parameters": self.recipe.as_facts(),
            "data": {
                "id": self.data.id,
                "classes": self.data.classes,
                "split": self.data.split_hash,
                **self.data.sizes,
            },
            "accuracy_resolution": self.data.resolution,
            "weights": {
                "source": self.start.source,
                "accuracy": self.start.accuracy,
                "pretraining_s": self.start.seconds,
                "cached": self.start.cached,
            },
            "parameters": main,
            "auxiliary_parameters": auxiliary,
            "device": str(next(self.compressed.model.parameters()).device),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "compression": self.compressed.report.as_facts(),
        }


@dataclass
class Study:
    """The choices of a session and what they have led to so far; holds one model's weights at a time."""

    profile: str
    data_spec: str = "auto"
    """`auto` is digits for `tiny` and mnist5k for the rest"""
    weights: str = "auto"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 0.01
    """accuracy a compressor may cost; 0.01 is one point"""
    _start: tuple[str, Start] | None = field(default=None, repr=False)
    _subject: tuple[tuple[str, str], Subject] | None = field(default=None, repr=False)
    _found: dict[tuple[str, str], tuple[Compressor, CompressionReport, float]] = field(default_factory=dict, repr=False)

    def check(self, model: str) -> None:
        """UsageError for what is wrong with these choices for a model and can be said before anything runs."""
        smallest = architecture(model).minimum_pixels
        if (pixels := self.recipe(model).pixels) < smallest:
            raise UsageError(f"{model} needs images of at least {smallest} pixels, not {pixels}")
        if self.data_spec != "auto":
            check_spec(self.data_spec)
        check_weights(self.weights)

    def recipe(self, model: str) -> Recipe:
        """The model's recipe in this study's profile, overrides applied."""
        return recipe(self.profile, model, **self.overrides)

    def data(self, model: str) -> Data:
        """The data set for a model, at its image size."""
        spec = self.data_spec
        if spec == "auto":
            spec = "digits" if model == "tiny" else "mnist5k"
        return load(spec, self.recipe(model))

    def compressor(self, name: str) -> Compressor:
        """The compressor of that name with this study's tolerance; UsageError with all names where it is unknown."""
        if name not in COMPRESSORS:
            raise UsageError(f"unknown compressor {name!r}; there are {', '.join(COMPRESSORS)}")
        made = COMPRESSORS[name]
        return made() if name == "none" else made(tolerance=self.tolerance)

    def workload(self, model: str, compressor: str, protocol: str) -> dict[str, Any]:
        """The declared inputs of a case: what must be equal in two runs that are compared."""
        chosen, data = self.recipe(model), self.data(model)
        return {
            "protocol": protocol,
            "profile": self.profile,
            "model": model,
            "compressor": compressor,
            "compressor_parameters": asdict(self.compressor(compressor)),  # type: ignore[call-overload]
            "weights": self.weights,
            "data": data.id,
            "split": data.split_hash,
            "recipe": {key: value for key, value in chosen.as_facts().items() if not key.endswith("_seed")},
        }

    def start(self, model: str, apart: Apart | None = None) -> Start:
        """The starting weights of a model; those of the model before are let go."""
        if self._start is None or self._start[0] != model:
            self._start = self._subject = None
            found = starting_weights(model, self.data(model), self.recipe(model), self.weights, apart=apart)
            self._start = (model, found)
        return self._start[1]

    def subject(self, model: str, compressor: str, apart: Apart | None = None) -> Subject:
        """Starting weights and compressed model of a case.

        `apart` is entered with "pretraining" and with "search" only where they happen: a search happens once per case,
        and a later round that finds its model displaced by another case compresses again by what was found.
        """
        key = (model, compressor)
        if self._subject is not None and self._subject[0] == key:
            return self._subject[1]
        self._subject = None
        start, chosen, data = self.start(model, apart), self.recipe(model), self.data(model)
        asked = self.compressor(compressor)
        ready = build(model, data.classes, data.pixels).to(device())
        ready.load_state_dict(start.state_dict)
        if key in self._found:
            again, report, accuracy = self._found[key]
            compressed = replace(again(ready, inplace=True), report=report)
        else:
            compressed = self._compress(asked, ready, data, apart)
            accuracy = start.accuracy if compressor == "none" else evaluate(compressed.model, data.evaluation).accuracy
            self._found[key] = (_settled(asked, compressed.report), compressed.report, accuracy)
        made = Subject(model, asked, chosen, data, start, compressed, accuracy)
        self._subject = (key, made)
        return made

    def _compress(self, compressor: Compressor, model: nn.Module, data: Data, apart: Apart | None) -> Compressed:
        example = torch.zeros(1, 3, data.pixels, data.pixels, device=next(model.parameters()).device)
        if compressor.kind == "none":
            return compressor(model, inplace=True, example_input=example)
        with (apart or (lambda label: nullcontext()))("search"):
            return compressor(
                model,
                lambda candidate: evaluate(candidate, data.search).accuracy,
                evaluation_size=len(data.search),
                inplace=True,
                example_input=example,
            )


def _settled(compressor: Compressor, report: CompressionReport) -> Compressor:
    """The compressor with what its search found for it in place of None; the baseline where it found nothing."""
    if report.kind == "none":
        return compressor
    name = {"stego": "bits", "prune": "amount", "lowrank": "energy"}[report.kind]
    value = getattr(report, name)
    if value is None:
        return COMPRESSORS["none"]()
    return replace(compressor, **{name: value})  # type: ignore[type-var]

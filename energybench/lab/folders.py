"""Images in folders, decoded when they are read: a folder per class, or ImageNet-1K as torchvision lays it out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from energybench.errors import DataError
from energybench.lab.parts import PARTS, Data, Part, cut, split_hash
from energybench.lab.profiles import Recipe
from energybench.lab.torchvision_compat import import_torchvision

FOLDERS = ("imagefolder", "imagenet")


class FolderPart:
    """Image files, decoded with Pillow, scaled and cropped to a square when they are read.

    No augmentation: every epoch sees the same pixels, so that two runs do the same work.
    """

    evaluation_batch = 100
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

    @property
    def predictions(self) -> int:
        return len(self)

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


def load_folder(kind: str, root: Path, recipe: Recipe) -> Data:
    """The images under `root`, cut as the recipe says; `kind` is one of FOLDERS.

    Where the folder has held-out images of its own (`val`), search and evaluation are taken from them. Raises DataError
    where there is nothing to train on.
    """
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
    indices = _cut(len(samples), len(held), recipe)
    every = [*samples, *held]

    def part(chosen: Tensor) -> Part:
        return FolderPart([every[index] for index in chosen.tolist()], recipe.pixels)

    return Data(
        id=f"{kind}:{root.name}",
        classes=len(classes),
        pixels=recipe.pixels,
        context=0,
        split_hash=split_hash(content.hexdigest(), indices),
        **{key: part(indices[key]) for key in PARTS},
    )


def _cut(samples: int, held: int, recipe: Recipe) -> dict[str, Tensor]:
    """Indices into samples followed by held-out images; search and evaluation come from the held-out ones if any."""
    if not held:
        return cut(samples, recipe, recipe.split_seed)
    shown = cut(samples, replace(recipe, search_images=2, evaluation_images=2), recipe.split_seed)
    hidden = cut(held, replace(recipe, validation_images=2, train_images=2, pretrain_images=0), recipe.split_seed)
    return {**shown, **{key: hidden[key] + samples for key in ("search", "evaluation")}}


def _imagefolder(root: Path, part: str) -> tuple[list[tuple[str, int]], list[str]]:
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
    import_torchvision()
    from torchvision.datasets import ImageNet

    try:
        found = ImageNet(str(root), split=part)
    except (RuntimeError, FileNotFoundError, ModuleNotFoundError) as error:
        raise DataError(f"{root} is not ImageNet-1K as torchvision lays it out: {error}") from error
    return list(found.samples), [" ".join(names) for names in found.classes]

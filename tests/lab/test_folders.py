from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from energybench.errors import DataError
from energybench.lab.data import PARTS, FolderPart, load
from energybench.lab.profiles import Recipe

CPU = torch.device("cpu")
SMALL = Recipe(pixels=16, train_images=4, validation_images=4, search_images=4, evaluation_images=4, pretrain_images=4)


def folder_of_images(root: Path, classes: int = 2, each: int = 10, size: tuple[int, int] = (24, 20)) -> Path:
    from PIL import Image

    for label in range(classes):
        (root / f"class{label}").mkdir(parents=True)
        for number in range(each):
            colour = (label * 100, number * 10, 30)
            Image.new("RGB", size, colour).save(root / f"class{label}" / f"{number}.png")
    return root


def test_an_image_folder_is_cut_into_parts_of_square_images(tmp_path: Path) -> None:
    data = load(f"imagefolder:{folder_of_images(tmp_path / 'flowers')}", SMALL)
    assert (data.id, data.classes) == ("imagefolder:flowers", 2)
    assert data.sizes == dict.fromkeys(PARTS, 4)
    x, y = next(iter(data.evaluation.batches(4, CPU)))
    assert x.shape == (4, 3, 16, 16)
    red = x[:, 0, 8, 8] * FolderPart._STD[0] + FolderPart._MEAN[0]
    torch.testing.assert_close(red, y * 100 / 255.0, atol=0.01, rtol=0)


def test_folders_train_and_val_keep_evaluation_out_of_training(tmp_path: Path) -> None:
    folder_of_images(tmp_path / "train", each=12)
    folder_of_images(tmp_path / "val", each=8)
    data = load(f"imagefolder:{tmp_path}", SMALL)
    for name in PARTS:
        part: Any = getattr(data, name)
        expected = "val" if name in ("search", "evaluation") else "train"
        assert part._samples
        assert all(Path(path).parts[-3] == expected for path, _ in part._samples)


def test_an_order_is_followed_in_every_pass_over_a_folder(tmp_path: Path) -> None:
    part: Any = load(f"imagefolder:{folder_of_images(tmp_path)}", SMALL).train
    part._workers = 0
    labels = [label for _, label in part._samples]
    for order in ([3, 1, 0, 2], [0, 1, 2, 3]):
        seen = torch.cat([y for _, y in part.batches(2, CPU, torch.tensor(order))])
        assert seen.tolist() == [labels[index] for index in order]


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    folder_of_images(tmp_path)
    for file in tmp_path.glob("class*/*.png"):
        file.write_bytes(b"not an image")
    part: Any = load(f"imagefolder:{tmp_path}", SMALL).train
    part._workers = 0
    with pytest.raises(DataError, match=r"class\d/\d\.png cannot be read as an image"):
        next(iter(part.batches(2, CPU)))


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare" / "class0").mkdir(parents=True)
    folder_of_images(tmp_path / "one", classes=1)
    folder_of_images(tmp_path / "few", each=2)
    for name, said in (
        ("absent", "is not a folder"),
        ("empty", "holds no folder per class"),
        ("bare", "holds no folder per class"),
        ("one", "holds one class, 'class0'"),
        ("few", "4 images or windows are too few"),
    ):
        with pytest.raises(DataError, match=said):
            load(f"imagefolder:{tmp_path / name}", SMALL)
    with pytest.raises(DataError, match="is not ImageNet-1K"):
        load(f"imagenet:{tmp_path / 'one'}", SMALL)

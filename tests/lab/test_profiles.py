from __future__ import annotations

import pytest

from energybench.errors import UsageError
from energybench.lab.models import ARCHITECTURES, NINE, architecture, check_model
from energybench.lab.profiles import PROFILES, parse_overrides, recipe


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("model", ARCHITECTURES)
def test_every_recipe_fits_its_model_and_its_sets_mean_something(profile: str, model: str) -> None:
    made = recipe(profile, model)
    check_model(model, made.pixels)
    assert min(made.search_images, made.evaluation_images, made.validation_images) >= 250


@pytest.mark.parametrize("model", [*NINE, "resnet152", "vit", "vit_b_16"])
def test_the_quick_profile_fits_into_the_5000_embedded_images(model: str) -> None:
    made = recipe("quick", model)
    parts = (made.pretrain_images, made.train_images, made.validation_images, made.search_images)
    assert sum(parts) + made.evaluation_images <= 5000


@pytest.mark.parametrize("model", NINE)
def test_the_paper_profile_is_the_papers(model: str) -> None:
    made = recipe("paper", model)
    assert (made.optimizer, made.momentum, made.lr, made.weight_decay) == ("sgd", 0.9, 0.01, 1e-4)
    assert (made.patience, made.min_delta) == (3, 0.05)
    assert made.pixels == architecture(model).native_pixels == (299 if model == "inception_v3" else 224)


@pytest.mark.parametrize("model", ["tiny", "vit", *(name for name in ARCHITECTURES if name.startswith("causal_lm"))])
def test_what_is_made_for_small_images_or_for_text_is_trained_alike_on_a_gpu(model: str) -> None:
    assert recipe("standard", model) == recipe("quick", model)


def test_overrides_beat_the_profile() -> None:
    assert recipe("quick", "resnet18", **parse_overrides({"lr": "0.02", "epochs": "2"})).lr == 0.02


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"learning": "1"}, "unknown hyper-parameter 'learning'; there are .*lr"),
        ({"lr": "fast"}, "lr must be a number, not 'fast'"),
        ({"epochs": "2.5"}, "epochs must be a whole number, not '2.5'"),
        ({"lr": "nan"}, "lr must be a positive number"),
        ({"lr": "-1"}, "lr must be a positive number"),
        ({"momentum": "1"}, "momentum must be in"),
        ({"batch": "0"}, "batch must be at least 1"),
        ({"optimizer": "lion"}, "optimizer is one of sgd, adamw"),
        ({"precision": "fp8"}, "precision is one of"),
        ({"min_delta": "-0.1"}, "min_delta must be zero or"),
        ({"context": "0"}, "context must be at least 1"),
        ({"powerprop": "0.9"}, "powerprop must be a number of at least 1"),
        ({"powerprop": "nan"}, "powerprop must be a number of at least 1"),
        ({"patience": "-1"}, "patience must not be negative"),
    ],
)
def test_a_bad_override_is_said(given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_overrides(given)


def test_an_unknown_profile_or_model_is_said_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown profile 'slow'; there are quick, standard, paper"):
        recipe("slow", "resnet18")
    with pytest.raises(UsageError, match="unknown model"):
        recipe("quick", "resnet")

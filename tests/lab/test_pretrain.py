from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from energybench.errors import DataError, UsageError
from energybench.lab import pretrain
from energybench.lab.data import load
from energybench.lab.finetune import evaluate
from energybench.lab.models import build
from energybench.lab.pretrain import Start, cache_folder, cache_key, starting_weights
from energybench.lab.profiles import Recipe, recipe

QUICK = recipe("quick", "tiny", pretrain_epochs=1, pretrain_images=200)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def start(chosen: Recipe = QUICK, weights: str = "auto", name: str = "tiny") -> tuple[Start, list[str]]:
    entered: list[str] = []

    @contextmanager
    def apart(label: str) -> Iterator[None]:
        entered.append(label)
        yield

    return starting_weights(name, load("digits", chosen), chosen, weights, apart=apart), entered


def test_a_pretraining_is_paid_once_and_metered_apart_only_then() -> None:
    first, entered = start()
    again, entered_again = start()
    assert entered == ["pretraining"]
    assert entered_again == []
    assert (first.cached, again.cached) == (False, True)
    assert (first.source, again.source) == ("digits", "digits")
    assert again.accuracy == first.accuracy
    assert again.seconds == first.seconds > 0
    torch.testing.assert_close(again.state_dict, first.state_dict, rtol=0, atol=0)


def test_the_accuracy_is_that_of_the_weights() -> None:
    made, _ = start()
    model = build("tiny", 10, QUICK.pixels)
    model.load_state_dict(made.state_dict)
    assert evaluate(model, load("digits", QUICK).evaluation).accuracy == made.accuracy


def test_the_global_generator_is_put_back() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    start()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("damage", ["torn", "foreign", "empty", "other key", "other shapes"])
def test_a_damaged_cache_entry_is_rebuilt(damage: str) -> None:
    made, _ = start()
    (file,) = cache_folder().glob("*.pt")
    whole = file.read_bytes()
    entry = torch.load(file, weights_only=True)
    if damage == "torn":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "foreign":
        torch.save({"something": "else"}, file)
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "other key":
        torch.save({**entry, "key": "0" * 64}, file)
    else:
        torch.save({**entry, "state": {"conv1.weight": torch.zeros(2)}}, file)
    again, entered = start()
    assert entered == ["pretraining"]
    torch.testing.assert_close(again.state_dict, made.state_dict)
    assert start()[0].cached


def test_a_cache_that_cannot_be_written_is_said_and_the_weights_are_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="could not be cached"):
        made, _ = start()
    assert made.state_dict


def test_the_key_follows_what_made_the_weights_and_nothing_else() -> None:
    def key(**overrides: object) -> str:
        chosen = recipe("quick", "tiny", **overrides)
        return cache_key("tiny", load("digits", chosen), chosen, "random")

    same = {key(), key(lr=0.5), key(epochs=2), key(patience=0), key(batch=7)}
    assert len(same) == 1
    others = {key(pretrain_lr=0.5), key(pretrain_seed=1), key(pixels=8), key(split_seed=1), key(powerprop=2.0)}
    assert len(others | same) == 6
    assert same == {key(context=7), key(powerprop=1.0)}


def test_the_key_of_a_language_model_follows_its_windows() -> None:
    made = [recipe("quick", "causal_lm", context=context, pretrain_images=8) for context in (16, 17)]
    keys = {cache_key("causal_lm", load("topics", chosen), chosen, "random") for chosen in made}
    assert len(keys) == 2


def test_a_language_model_is_pretrained_on_text_and_found_again() -> None:
    chosen = recipe("quick", "causal_lm", context=8, pretrain_images=32, pretrain_epochs=1, evaluation_images=8)
    data = load("topics", chosen)
    first, again = (starting_weights("causal_lm", data, chosen) for _ in range(2))
    assert (first.source, first.cached, again.cached) == ("topics", False, True)
    torch.testing.assert_close(again.state_dict, first.state_dict, rtol=0, atol=0)


def test_a_relative_cache_home_is_ignored_as_the_standard_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path.home() / ".cache" / "energybench" / "weights"


def test_random_weights_on_request() -> None:
    made, entered = start(weights="none")
    assert entered == []
    assert (made.source, made.seconds) == ("random", 0.0)
    assert made.accuracy < 0.4


def test_a_file_of_weights_is_loaded(tmp_path: Path) -> None:
    model = build("tiny", 10, QUICK.pixels)
    torch.save(model.state_dict(), tmp_path / "mine.pt")
    made, entered = start(weights=f"file:{tmp_path / 'mine.pt'}")
    assert entered == []
    assert made.source == "file:mine.pt"
    torch.testing.assert_close(made.state_dict, dict(model.state_dict()))


def test_a_file_that_does_not_fit_is_said(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    with pytest.raises(DataError, match="no file of weights"):
        start(weights=f"file:{file}")
    file.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="not a state dict that torch can read"):
        start(weights=f"file:{file}")
    torch.save([1, 2], file)
    with pytest.raises(DataError, match="not a state dict"):
        start(weights=f"file:{file}")
    torch.save(build("resnet18", 10, 32).state_dict(), file)
    with pytest.raises(DataError, match=r"does not fit tiny: conv1\.weight has shape"):
        start(weights=f"file:{file}")
    torch.save(build("tiny", 5, 16).state_dict(), file)
    with pytest.raises(DataError, match="head is not for the 10 classes of digits"):
        start(weights=f"file:{file}")


def test_imagenet_weights_in_the_hub_cache_are_taken_and_adapted(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build("resnet18", 1000, 32).state_dict()
    monkeypatch.setattr(pretrain, "_imagenet", lambda name, download: dict(whole))
    chosen = recipe(
        "quick", "resnet18", pretrain_epochs=1, pretrain_images=8, pretrain_batch=4, evaluation_images=8, pixels=8
    )
    made, entered = start(chosen, name="resnet18")
    assert entered == ["pretraining"]
    assert made.source == "imagenet+digits"
    assert made.state_dict["fc.weight"].shape == (10, 512)


def test_what_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown weights 'best'; there are auto, imagenet"):
        start(weights="best")
    with pytest.raises(UsageError, match="tiny has no ImageNet weights"):
        start(weights="imagenet")
    with pytest.raises(UsageError, match="vit has no ImageNet weights"):
        start(recipe("quick", "vit", pixels=8), "imagenet", "vit")
    with pytest.raises(DataError, match=r"vit has no starting weights: none are published.*Use --energy-weights file:"):
        start(recipe("quick", "vit", pixels=8, pretrain_images=0), name="vit")
    with pytest.raises(DataError, match=r"no ImageNet weights are in torch's hub cache.*does not pretrain"):
        start(recipe("quick", "resnet18", pretrain_images=0), name="resnet18")

    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(DataError, match=r"cannot be had from https://.*no route to host.*weights pretrained"):
        start(recipe("quick", "resnet18"), "imagenet", "resnet18")

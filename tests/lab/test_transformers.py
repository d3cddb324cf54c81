from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from energybench.compress import LowRank, Pruning, StegoReduction
from energybench.errors import UsageError
from energybench.lab.data import Data, example_input, load
from energybench.lab.finetune import fine_tune
from energybench.lab.models import ARCHITECTURES, architecture, build, check_model, count_parameters
from energybench.lab.profiles import Recipe
from energybench.lab.torchvision_compat import import_torchvision
from energybench.lab.transformers import SHAPES, PatchProjection

PIXELS = 8
FEW: dict[str, int] = {
    "context": 12,
    "pixels": PIXELS,
    "train_images": 12,
    "validation_images": 8,
    "search_images": 8,
    "evaluation_images": 8,
    "pretrain_images": 8,
    "batch": 6,
    "epochs": 2,
}


def model_of(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build(name, 256 if architecture(name).unit == "tokens" else 10, PIXELS)


def data_of(name: str) -> Data:
    return load("topics" if architecture(name).unit == "tokens" else "digits", Recipe(**FEW))


def batch_of(name: str) -> torch.Tensor:
    x, _ = next(iter(data_of(name).evaluation.batches(8, torch.device("cpu"))))
    return x


def test_the_package_is_loaded_when_the_first_transformer_is_built_and_not_before() -> None:
    script = (
        "import sys, energybench.lab.models, energybench.lab.data, energybench.lab.pretrain\n"
        "energybench.lab.models.build('tiny', 10, 16)\n"
        "assert not {'transformers', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.parametrize("name", SHAPES)
def test_a_transformer_has_as_many_parameters_as_its_entry_says(name: str) -> None:
    classes = 256 if architecture(name).unit == "tokens" else 10 if name == "vit" else 1000
    with torch.device("meta"):
        assert count_parameters(build(name, classes, architecture(name).native_pixels)) == (
            ARCHITECTURES[name].parameters,
            0,
        )


def test_vit_b_16_is_as_large_as_torchvisions() -> None:
    import_torchvision()
    from torchvision.models import vit_b_16

    with torch.device("meta"):
        assert sum(p.numel() for p in vit_b_16().parameters()) == ARCHITECTURES["vit_b_16"].parameters


def test_a_language_model_answers_every_token_from_those_before_it() -> None:
    model, ids = model_of("causal_lm").eval(), batch_of("causal_lm")
    with torch.no_grad():
        logits = model(ids)
        changed = ids.clone()
        changed[:, 7] = (ids[:, 7] + 1) % 256
        again = model(changed)
    assert logits.shape == (8, 256, 12)
    torch.testing.assert_close(again[..., :7], logits[..., :7])
    assert (again[..., 7:] - logits[..., 7:]).abs().amax(dim=(0, 1)).min() > 1e-4


@pytest.mark.parametrize("name", ["causal_lm", "vit"])
def test_attention_equals_the_plain_softmax_of_transformers(name: str) -> None:
    model, x = model_of(name).eval(), batch_of(name)
    network: nn.Module = model.network  # type: ignore[assignment]
    with torch.no_grad():
        fast = model(x)
        network.set_attn_implementation("eager")  # type: ignore[operator]
        torch.testing.assert_close(model(x), fast, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["causal_lm", "vit"])
def test_nothing_is_dropped_in_training_and_the_seed_decides_the_weights(name: str) -> None:
    model, x = model_of(name, seed=3), batch_of(name)
    again, other = model_of(name, seed=3), model_of(name, seed=4)
    with torch.no_grad():
        torch.testing.assert_close(model.train()(x), model.eval()(x))
        torch.testing.assert_close(again(x), model(x), rtol=0, atol=0)
        assert not torch.allclose(other(x), model(x))


@pytest.mark.parametrize("name", ["causal_lm", "vit"])
def test_the_compressors_cover_every_layer(name: str) -> None:
    model = model_of(name)
    example = example_input(model, data_of(name))
    layers = {f"{path}.weight" for path, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    assert f"{architecture(name).head}.weight" in layers
    for compressor in (StegoReduction(bits=16), Pruning(amount=0.5)):
        assert set(compressor(model).report.covered) == layers
    factorised = LowRank(rank=0.25)(model, example_input=example)
    ranks = factorised.report.ranks
    assert ranks is not None
    # The head of a ten-class model is too narrow to save anything, and the first convolution stays one layer.
    whole = {"network.vit.embeddings.patch_embeddings.projection"} if name == "vit" else set()
    assert ranks.keys() == {layer.removesuffix(".weight") for layer in layers} - whole
    before, after = factorised.report.before, factorised.report.after
    assert before.flops is not None
    assert after.flops is not None
    assert after.flops < before.flops
    with torch.no_grad():
        assert factorised.model(batch_of(name)).shape == model(batch_of(name)).shape


@pytest.mark.parametrize("name", ["causal_lm", "vit"])
def test_a_fine_tune_is_repeated_exactly_and_learns(name: str) -> None:
    data, losses = data_of(name), []
    for _ in range(2):
        done = fine_tune(model_of(name), data, Recipe(**FEW, optimizer="adamw", lr=1e-3))
        losses.append((done.train_losses, done.losses))
    assert losses[0] == losses[1]
    assert losses[0][0][1] < losses[0][0][0]


def test_the_flops_of_a_window_are_those_of_its_layers() -> None:
    model = model_of("causal_lm")
    report = StegoReduction(bits=8)(model, example_input=example_input(model, data_of("causal_lm"))).report
    layers = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    assert report.before.flops == 2 * layers * 12


def test_the_first_convolution_of_a_vit_is_a_layer_that_others_leave_whole() -> None:
    (projection,) = [module for module in model_of("vit").modules() if isinstance(module, nn.Conv2d)]
    assert type(projection) is PatchProjection
    assert projection.weight.shape == (128, 3, 4, 4)


@pytest.mark.parametrize(
    ("name", "classes", "pixels", "said"),
    [
        ("vit", 10, 2, "at least 4 pixels, not 2"),
        ("vit", 10, 30, "vit needs images whose side is a multiple of 4 pixels, not 30"),
        ("causal_lm", 1, 0, "at least two classes"),
    ],
)
def test_what_cannot_be_built_is_said(name: str, classes: int, pixels: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(name, classes, pixels)


def test_a_missing_package_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"vit needs the package transformers: pip install 'energybench\[llm\]'"):
        check_model("vit", 32)


def test_only_language_models_are_built_from_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="vit starts from a file of weights"):
        build("vit", 10, 32, tmp_path)

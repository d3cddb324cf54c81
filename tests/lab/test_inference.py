from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from energybench.analysis.efficiency import efficiency
from energybench.compress import forward_flops
from energybench.errors import DataError
from energybench.lab import inference
from energybench.lab.execution import unavailable
from energybench.lab.finetune import evaluate
from energybench.lab.inference import WORK_FLOPS, Inferences
from energybench.lab.intensity import forward_intensity
from energybench.lab.study import Study
from energybench.store import read_run

ROOT = Path(__file__).parents[2]
SMALL = {
    "pretrain_images": 256,
    "pretrain_epochs": 2,
    "train_images": 16,
    "validation_images": 16,
    "search_images": 100,
    "evaluation_images": 90,
}

needs_int8 = pytest.mark.skipif(
    bool(unavailable("int8_dynamic", torch.device("cpu"))), reason=unavailable("int8_dynamic", torch.device("cpu"))
)


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def inferences() -> Inferences:
    return Inferences(Study("quick", overrides=SMALL))


@pytest.fixture
def _compiled_as_eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch.compile hands models back unchanged; the compiler itself is tried in test_execution.py."""
    if unavailable("compile", torch.device("cpu")):
        monkeypatch.setenv("CXX", "true")  # any program will do in a compiler's place
    with torch.compiler.set_stance("force_eager"):
        yield
    inference.start_compiler.cache_clear()


class Meter:
    """Remembers what was entered."""

    def __init__(self) -> None:
        self.entered: list[str] = []

    @contextmanager
    def __call__(self, label: str) -> Iterator[None]:
        self.entered.append(label)
        yield


def test_a_case_runs_the_compressed_model_on_the_first_evaluation_images(inferences: Inferences) -> None:
    ready = inferences.ready("tiny", "prune", 4)
    subject = inferences.study.subject("tiny", "prune")
    expected, _ = next(subject.data.evaluation.batches(4, torch.device("cpu")))
    assert torch.equal(ready.images, expected)
    weights = subject.compressed.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in ready.model.state_dict().items())
    assert not any(module.training for module in ready.model.modules())
    accuracy = evaluate(ready.model, subject.data.evaluation).accuracy
    assert ready.numbers["accuracy"] == ready.numbers["accuracy_compressed"] == accuracy
    assert ready.numbers["accuracy_start"] == subject.start.accuracy
    assert ready.numbers["correct"] == round(accuracy * 90)
    assert ready.numbers["total"] == 90


def test_a_call_runs_as_many_images_as_it_says(inferences: Inferences) -> None:
    ready = inferences.ready("tiny", "none", 16)
    seen = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal seen
        assert torch.is_inference_mode_enabled()
        seen += len(output)

    handle = ready.model.register_forward_hook(count)
    ready()
    handle.remove()
    assert seen == ready.numbers["images"] == inferences.workload("tiny", "none", 16)["images"]
    assert ready.numbers["batch"] == 16


def test_a_call_is_the_same_work_for_every_compressor_and_about_as_long_at_any_batch(inferences: Inferences) -> None:
    subject = inferences.study.subject("tiny", "none")
    image = torch.zeros(1, 3, subject.data.pixels, subject.data.pixels)
    flops = forward_flops(subject.compressed.model, image)
    for batch in (1, 64):
        passes = inferences.passes("tiny", batch)
        assert abs(passes * batch * flops - WORK_FLOPS) <= batch * flops / 2
        declared = {name: inferences.workload("tiny", name, batch)["images"] for name in ("none", "prune", "compile")}
        assert set(declared.values()) == {batch * passes}


def test_a_model_too_large_for_it_runs_once() -> None:
    large = Inferences(Study("paper"))
    large._flops["vgg16"] = 30_940_000_000
    assert large.passes("vgg16", 64) == large.passes("vgg16", 1) == 1


def test_counting_the_work_draws_nothing_from_the_random_generator(inferences: Inferences) -> None:
    before = torch.get_rng_state()
    inferences.passes("tiny", 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_declared_inputs_name_the_way_in_the_compressors_place(inferences: Inferences) -> None:
    plain, compiled = (inferences.workload("tiny", name, 64) for name in ("none", "compile"))
    assert plain["protocol"] == compiled["protocol"] == "inference"
    assert plain["batch"] == 64
    assert plain["compressor_parameters"] == {"kind": "none"}
    assert compiled["compressor"] == "compile"
    assert compiled["compressor_parameters"] == {"kind": "compile"}
    changed = {"compressor", "compressor_parameters"}
    assert {key: plain[key] for key in plain if key not in changed} == {
        key: compiled[key] for key in compiled if key not in changed
    }


def test_a_model_is_made_ready_once_and_its_search_is_charged_once(inferences: Inferences) -> None:
    inferences.study.start("tiny")
    meter = Meter()
    ready = inferences.ready("tiny", "prune", 1, meter)
    assert meter.entered == ["search"]
    assert inferences.ready("tiny", "prune", 1, meter) is ready
    inferences.ready("tiny", "prune", 64, meter)
    inferences.ready("tiny", "none", 1, meter)
    again = inferences.ready("tiny", "prune", 1, meter)
    assert again is not ready
    assert again.numbers == ready.numbers
    assert meter.entered == ["search"]


@needs_int8
def test_quantising_is_charged_as_a_search_and_its_own_accuracy_is_recorded(inferences: Inferences) -> None:
    inferences.study.subject("tiny", "none")
    meter = Meter()
    ready = inferences.ready("tiny", "int8_dynamic", 1, meter)
    inferences.ready("tiny", "none", 1, meter)
    inferences.ready("tiny", "int8_dynamic", 1, meter)
    assert meter.entered == ["search"]
    subject = inferences.study.subject("tiny", "none")
    assert ready.numbers["accuracy"] == evaluate(ready.model, subject.data.evaluation).accuracy
    assert ready.facts["compression"]["effect"] == "realised"
    saved = ready.facts["compression"]["before"]["bytes_memory"] - ready.facts["compression"]["after"]["bytes_memory"]
    assert saved > 0
    plain = forward_intensity(subject.compressed.model, ready.images, 1)
    assert ready.facts["intensity"]["bytes_per_image"] == plain.bytes_per_image - saved


@pytest.mark.usefixtures("_compiled_as_eager")
def test_compiling_is_charged_once_and_both_batches_stay_at_hand(inferences: Inferences) -> None:
    inferences.study.subject("tiny", "none")
    meter = Meter()
    one, many = (inferences.ready("tiny", "compile", batch, meter) for batch in (1, 64))
    assert meter.entered == ["search", "search"]
    inferences.ready("tiny", "none", 1, meter)
    assert inferences.ready("tiny", "compile", 1, meter) is one
    assert inferences.ready("tiny", "compile", 64, meter) is many
    assert meter.entered == ["search", "search"]
    assert one.facts["inference"] == {"way": "compile", "batch": 1, "difference_from_eager": 0.0}
    assert one.numbers["accuracy"] == inferences.study.subject("tiny", "none").accuracy_compressed


@pytest.mark.parametrize("batch", [1, 64])
def test_a_compiled_model_that_computes_something_else_is_evaluated(inferences: Inferences, batch: int) -> None:
    subject = inferences.study.subject("tiny", "none")
    ready = inferences.ready("tiny", "none", batch)

    class Wrong(nn.Module):
        """Gives the classes in the opposite order, and takes no other batch than the case's."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert len(x) == batch
            return ready.model(x).flip(1)

    accuracy, difference = inference._compiled_accuracy(subject, Wrong(), ready.model, batch)
    assert difference > inference.SAME
    right = total = 0
    for images, labels in subject.data.evaluation.batches(90, torch.device("cpu")):
        right += int(((9 - inference.run(ready.model, images).argmax(1)) == labels).sum())
        total += len(labels)
    assert (accuracy, total) == (right / 90, 90)


def test_the_facts_of_a_case_are_json_and_hold_its_intensity(inferences: Inferences) -> None:
    ready = inferences.ready("tiny", "lowrank", 64)
    facts = json.loads(json.dumps(ready.facts, allow_nan=False))
    subject = inferences.study.subject("tiny", "lowrank")
    model = subject.compressed.model
    assert facts["intensity"] == forward_intensity(model, ready.images[:1], 64).as_facts()
    assert facts["intensity"]["flops_per_image"] == subject.compressed.report.after.flops
    assert facts["compression"]["kind"] == "lowrank"
    assert facts["model"] == "tiny"
    assert facts["inference"] == {"way": "eager", "batch": 64, "difference_from_eager": None}


def test_a_batch_needs_as_many_evaluation_images(inferences: Inferences) -> None:
    with pytest.raises(DataError, match="a batch of 91 images needs as many evaluation images, and digits has 90 here"):
        inferences.ready("tiny", "none", 91)


def test_another_architecture_lets_the_compiled_models_go(inferences: Inferences) -> None:
    ready = inferences.ready("tiny", "none", 1)
    inferences._made = {("tiny", "compile", 1): ready}
    inferences._forget("tiny")
    assert inferences._made == {("tiny", "compile", 1): ready}
    inferences._forget("resnet18")
    assert not inferences._made


def test_the_study_is_stored_with_joules_per_image_and_its_searches(tmp_path: Path) -> None:
    settings = [word for name, value in SMALL.items() for word in ("--energy-set", f"{name}={value}")]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "benches/test_inference.py"),
            *("--energy-models", "tiny", "--energy-compressors", "none,prune", "--energy-rounds", "1", *settings),
            *("--benchmark-storage", f"file://{tmp_path}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = read_run(max(tmp_path.glob("*/*.json")))
    assert [case.short_id for case in run.cases] == [
        f"tiny-{compressor}-b{batch}" for compressor in ("none", "prune") for batch in (1, 64)
    ]
    for case in run.cases:
        (finished,) = case.rounds
        declared = case.facts["workload"]
        assert declared["protocol"] == "inference"
        assert finished.metrics["batch"] == declared["batch"] == case.params["batch"]
        assert finished.metrics["images"] == declared["images"]
        assert finished.metrics["total"] == 90
        figures = efficiency(case)
        assert case.mean_j is not None
        assert figures.j_per_image == pytest.approx(case.mean_j / declared["images"])
        assert figures.flops_per_byte == case.facts["intensity"]["flops_per_byte"]
        assert figures.covers.startswith("forward pass")
    # Searched once, before its first case; the weights come from the module's cache where an earlier test made them.
    assert [bool(case.search) for case in run.cases] == [False, False, True, False]

"""The ids of the suite's cases are what stored runs are compared by: changing one orphans every baseline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS = ("none", "stego", "prune", "lowrank")
MODELS = (
    "resnet18",
    "densenet121",
    "resnet34",
    "alexnet",
    "resnet50",
    "inception_v3",
    "resnet101",
    "convnext_base",
    "vgg16",
)
FINETUNE = [f"benches/test_finetune.py::test_finetune[{model}-{column}]" for model in MODELS for column in COLUMNS]
EPOCH = [f"benches/test_epoch.py::test_epoch[{model}-{column}]" for model in MODELS for column in COLUMNS]


def collect(*arguments: str) -> tuple[int, list[str], str]:
    """Exit code, collected ids and all output of `pytest --collect-only -q` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, [line for line in done.stdout.splitlines() if "::" in line], done.stdout + done.stderr


def test_the_study_is_36_fine_tunes_cheapest_model_first() -> None:
    assert collect("benches")[:2] == (0, FINETUNE)


def test_other_files_run_when_named_by_path_or_study() -> None:
    assert collect("benches/test_epoch.py")[1] == EPOCH
    assert collect("benches", "--energy-study", "epoch")[1] == EPOCH
    assert sorted(collect("benches", "--energy-study", "all")[1]) == sorted(EPOCH + FINETUNE)
    assert collect(EPOCH[5])[1] == [EPOCH[5]]


def test_models_and_compressors_are_chosen_by_name() -> None:
    ids = collect("benches", "--energy-models", "tiny", "--energy-compressors", "none,stego")[1]
    assert ids == [f"benches/test_finetune.py::test_finetune[tiny-{column}]" for column in ("none", "stego")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--energy-models", "resnet19"), "unknown model 'resnet19'; there are resnet18, densenet121,"),
        (("--energy-compressors", "zip"), "unknown compressor 'zip'; there are lowrank, none, prune, stego"),
        (("--energy-study", "sleep"), "unknown study 'sleep'; there are all, epoch, finetune"),
        (("--energy-set", "speed=9"), "unknown hyper-parameter 'speed'"),
        (("--energy-set", "pixels=20", "--energy-models", "alexnet"), "needs images of at least 63 pixels"),
        (("--energy-data", "cifar"), "unknown data set 'cifar'"),
        (("--energy-weights", "best"), "unknown weights 'best'"),
    ],
)
def test_a_wrong_command_line_ends_before_anything_runs(arguments: tuple[str, ...], said: str) -> None:
    code, ids, output = collect("benches", *arguments)
    assert (code, ids) == (4, [])
    assert said in output
    assert "Traceback" not in output

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
    assert collect("benches", "--energy-study", "paper")[1] == FINETUNE
    assert collect(EPOCH[5])[1] == [EPOCH[5]]


def test_every_file_of_the_suite_is_a_study() -> None:
    ids = collect("benches", "--energy-study", "all", "--energy-models", "tiny")[1]
    files = {id.partition("::")[0] for id in ids}
    assert files == {f"benches/{path.name}" for path in (ROOT / "benches").glob("test_*.py")}
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("study", "ids"),
    [
        ("matched", [f"test_matched[tiny-{column}]" for column in COLUMNS]),
        ("target", [f"test_target[tiny-{column}]" for column in COLUMNS]),
        ("controls", [f"test_controls[tiny-{control}]" for control in ("none", "zero", "seed", "noise")]),
        (
            "combined",
            [
                f"test_combined[tiny-{chain}]"
                for chain in ("none", "prune+stego", "lowrank+stego", "lowrank+prune", "lowrank+prune+stego")
            ],
        ),
        (
            "tolerance",
            [
                "test_tolerance[tiny-none-0]",
                *(f"test_tolerance[tiny-{c}-{p:g}]" for c in COLUMNS[1:] for p in (0.5, 1, 2, 5, 10)),
            ],
        ),
    ],
)
def test_a_study_has_its_cases(study: str, ids: list[str]) -> None:
    found = collect("benches", "--energy-study", study, "--energy-models", "tiny")[1]
    assert [id.partition("::")[2] for id in found] == ids


def test_models_and_compressors_are_chosen_by_name() -> None:
    ids = collect("benches", "--energy-models", "tiny", "--energy-compressors", "none,stego")[1]
    assert ids == [f"benches/test_finetune.py::test_finetune[tiny-{column}]" for column in ("none", "stego")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--energy-models", "resnet19"), "unknown model 'resnet19'; there are resnet18, densenet121,"),
        (("--energy-compressors", "zip"), "unknown compressor 'zip'; there are none, stego,"),
        (("--energy-compressors", "prune+zip"), "unknown compressor 'zip'"),
        (("--energy-study", "sleep"), "there are all, capacity, combined, controls, environment, epoch"),
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

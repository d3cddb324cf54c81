"""The study `environment`, metered for real on the tiny model and a second one, then tabled."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from energybench.cli import main
from energybench.model import Run
from energybench.store import read_run

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (
    *("train_images=64", "validation_images=64", "search_images=64", "evaluation_images=64"),
    *("pretrain_images=64", "pretrain_epochs=1"),
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models in float32, three interleaved rounds; 16 and 32 images a batch."""
    folder, cache = (tmp_path_factory.mktemp(name) for name in ("store", "cache"))
    settings = [word for setting in SETTINGS for word in ("--energy-set", setting)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "benches", "--energy-study", "environment"),
            *("--energy-models", "tiny,resnet18", "-k", "fp32 and not b64", "--energy-interleave"),
            *("--benchmark-storage", f"file://{folder}", "--benchmark-save", "env", *settings),
        ],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def run(storage: Path) -> Run:
    return read_run(next(storage.glob("*/*env.json")))


def test_every_case_trains_one_epoch_in_its_own_environment(run: Run) -> None:
    assert {case.params["model"] for case in run.cases} == {"tiny", "resnet18"}
    assert len({case.workload for case in run.cases}) == len(run.cases)
    for case in run.cases:
        declared, where = case.facts["workload"], case.facts["environment"]
        assert where["id"] == case.params["environment"]
        assert {key: declared[key] for key in ("device", "batch", "threads", "precision")} == {
            key: where[key] for key in ("device", "batch", "threads", "precision")
        }
        assert case.facts["threads"] == where["threads"]
        assert [finished.seed for finished in case.rounds] == [0, 1, 2]
        for finished in case.rounds:
            (lap,) = finished.window.laps_named("epoch")
            assert lap.total_j(case.total_domains) is not None
            assert finished.metrics["images"] == 64
            assert 0 < (finished.metrics["macro_f1"] or 0) <= 1


def test_one_environment_of_each_model_is_the_default(run: Run) -> None:
    found = [case.facts["environment"]["id"] for case in run.cases if case.facts["environment"]["default"]]
    assert len(found) == 2
    assert all("-b32-" in id for id in found)


def test_the_command_tests_the_interaction_on_it(storage: Path) -> None:
    out = io.StringIO()
    assert main(["interactions", "env", "--storage", str(storage), "--format", "json"], out, out) == 0
    found = json.loads(out.getvalue())
    assert found["anova"]["balanced"] is True
    assert found["anova"]["interaction"]["partial_eta_squared"] is not None
    # `tiny` trains on digits, ResNet18 on MNIST: neither is chosen by scores on different images.
    (note,) = found["notes"]
    assert "trained on different data" in note
    assert {choice["scope"] for choice in found["choices"]} == {"tiny", "resnet18"}

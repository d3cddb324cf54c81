"""The other studies of the suite, metered for real on the tiny model: protocols, controls, chains, precision."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from energybench.cli import main
from energybench.model import Case, Run
from energybench.store import read_run

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("train_images=64", "validation_images=120", "search_images=200", "evaluation_images=200", "epochs=3")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run_suite(storage: Path, cache: Path, *arguments: str) -> str:
    settings = [word for setting in SETTINGS for word in ("--energy-set", setting)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "benches", "--energy-models", "tiny"),
            *("--benchmark-storage", f"file://{storage}", *settings, *arguments),
        ],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """Protocols and controls in two interleaved rounds, chains in one."""
    folder = tmp_path_factory.mktemp("store")
    run_suite(
        folder,
        cache,
        *("--energy-study", "paper,matched,target,controls", "--energy-seeds", "3,4", "--energy-interleave"),
        *("--benchmark-save", "protocols"),
    )
    return folder


@pytest.fixture(scope="module")
def run(storage: Path) -> Run:
    return read_run(next(storage.glob("*/*protocols.json")))


def cases(run: Run, function: str) -> dict[str, Case]:
    return {case.short_id.removeprefix("tiny-"): case for case in run.cases if f"::{function}[" in case.id}


def test_every_protocol_and_control_is_stored_with_both_seeds(run: Run) -> None:
    assert len(run.cases) == 4 * 4
    assert run.session["interleaved"] is True
    for case in run.cases:
        assert [round.seed for round in case.rounds] == [3, 4]
        assert all(joules for joules in case.joules())
        assert case.facts["intensity"]["flops_per_image"] > 0


def test_matched_cases_train_as_long_as_their_baseline_of_the_same_seed(run: Run) -> None:
    matched = cases(run, "test_matched")
    epochs = matched["none"].metric("epochs")
    assert matched.keys() == {"none", "stego", "prune", "lowrank"}
    for case in matched.values():
        assert case.metric("epochs") == epochs
        assert [len(round.window.laps_named("epoch")) for round in case.rounds] == list(epochs)


def test_the_matched_baseline_is_the_papers_fine_tune(run: Run) -> None:
    paper, matched = cases(run, "test_finetune")["none"], cases(run, "test_matched")["none"]
    assert matched.metric("accuracy") == paper.metric("accuracy")
    assert matched.metric("validation_loss") == paper.metric("validation_loss")


def test_a_target_is_the_baselines_best_validation_accuracy(run: Run) -> None:
    paper, target = cases(run, "test_finetune")["none"], cases(run, "test_target")["none"]
    assert target.metric("reached") == (1.0, 1.0)
    # The same training up to the epoch in which that accuracy is first seen.
    for ended, best in zip(target.metric("epochs_to_target"), paper.metric("epochs"), strict=True):
        assert ended is not None
        assert best is not None
        assert ended <= best


def test_the_controls_are_what_they_say(run: Run) -> None:
    controls, paper = cases(run, "test_controls"), cases(run, "test_finetune")
    zero = controls["zero"]
    assert zero.metric("epochs") == (0.0, 0.0)
    assert zero.metric("accuracy") == zero.metric("accuracy_start")
    assert controls["none"].metric("loss") == paper["none"].metric("loss")
    assert controls["seed"].metric("loss") != paper["none"].metric("loss")
    noise = controls["noise"].facts["compression"]
    assert noise["kind"] == "perturbation"
    assert noise["parts"][0]["bits"] == paper["stego"].facts["compression"]["bits"]


def test_the_study_command_tables_them_and_judges_every_claim(storage: Path) -> None:
    out = io.StringIO()
    assert main(["study", "protocols", "--storage", str(storage), "--format", "json"], out, out) == 0
    found = json.loads(out.getvalue())
    protocols = {row["protocol"] for row in found["rows"]}
    assert protocols == {
        *("early stopping", "matched epochs", "target accuracy"),
        *("zero epochs", "another seed", "random perturbation"),
    }
    assert found["claims"]
    # Nothing about ImageNet or nine models can be judged on one tiny net.
    assert {claim["judgement"] for claim in found["claims"]} == {"not testable here"}


def test_chains_and_tolerances_run_as_cases(tmp_path: Path, cache: Path) -> None:
    run_suite(tmp_path, cache, "--energy-study", "combined", "--energy-compressors", "none,lowrank+prune+stego")
    stored = read_run(next(tmp_path.glob("*/*.json")))
    report = stored.cases[1].facts["compression"]
    assert [part["kind"] for part in report["parts"]] == ["lowrank", "prune", "stego"]
    assert report["evaluations"] > sum(part["evaluations"] > 0 for part in report["parts"])


def test_a_wider_tolerance_is_another_workload_and_prunes_more(tmp_path: Path, cache: Path) -> None:
    run_suite(
        tmp_path, cache, "--energy-study", "tolerance", "--energy-compressors", "prune", "-k", "prune-0.5 or prune-10"
    )
    tight, wide = read_run(next(tmp_path.glob("*/*.json"))).cases
    assert wide.facts["compression"]["amount"] > tight.facts["compression"]["amount"]
    assert wide.workload != tight.workload


def test_a_precision_without_a_fast_path_is_skipped_with_the_reason(tmp_path: Path, cache: Path) -> None:
    text = run_suite(tmp_path, cache, "--energy-compressors", "none,stego_tf32", "-rs")
    assert "1 passed, 1 skipped" in text
    assert "TF32" in text

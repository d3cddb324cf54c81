"""The suite itself, metered for real on two models and every compressor, then stored, compared, killed and resumed."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from energybench.cli import main
from energybench.model import Provenance, Run, Status
from energybench.store import read_run

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "pretrain_images=512",
    "pretrain_epochs=3",
    "train_images=128",
    "validation_images=250",
    "search_images=250",
    "evaluation_images=250",
    "epochs=2",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def command(storage: Path, *arguments: str) -> list[str]:
    settings = [word for setting in SMALL for word in ("--energy-set", setting)]
    return [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments),
        *("--benchmark-storage", f"file://{storage}", "--energy-pue", "1.58", *settings),
    ]


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(cache)}


def run_suite(storage: Path, cache: Path, *arguments: str) -> str:
    done = subprocess.run(
        command(storage, *arguments), cwd=ROOT, env=environment(cache), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stored(storage: Path) -> Run:
    return read_run(max(storage.glob("*/*.json")))


def compare(storage: Path, *references: str) -> tuple[int, str]:
    out = io.StringIO()
    return main(["compare", *references, "--storage", str(storage)], out, out), out.getvalue()


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, str]:
    """Two models, four compressors, fine-tuned and metered for real."""
    storage = tmp_path_factory.mktemp("store")
    return storage, run_suite(storage, cache, "benches", "--energy-models", "tiny,resnet18", "--benchmark-save", "run1")


def test_every_case_is_metered_searched_and_stored_with_its_facts(sweep: tuple[Path, str]) -> None:
    run = stored(sweep[0])
    pairs = [f"{model}-{column}" for model in ("tiny", "resnet18") for column in ("none", "stego", "prune", "lowrank")]
    assert [case.short_id for case in run.cases] == pairs
    for case in run.cases:
        (finished,) = case.rounds
        assert case.mean_j is not None
        assert case.mean_j > 0
        assert case.provenance in (Provenance.MEASURED, Provenance.INTEGRATED, Provenance.ESTIMATED)
        epochs = finished.window.laps_named("epoch")
        assert len(epochs) == finished.metrics["epochs"] == 2
        assert finished.metrics["images"] == 2 * 128
        assert sum(lap.seconds for lap in finished.window.laps) <= finished.window.seconds
        assert finished.metrics["total"] == 250
        assert finished.metrics["accuracy"] == pytest.approx((finished.metrics["correct"] or 0) / 250)
        assert case.facts["hyper_parameters"]["train_images"] == 128
        report = case.facts["compression"]
        assert report["kind"] == case.params["compressor"]
        assert bool(case.search) == (report["kind"] != "none")
        assert report["evaluations"] <= 33
        assert report["effect"] in ("unchanged", "simulated", "realised")
        lost = (report["accuracy_reference"] or 0) - (report["accuracy_compressed"] or 0)
        assert lost <= 2 / 250 + 1e-9  # the tolerance of 1 point, in whole images of 250
    assert [case.short_id for case in run.cases if case.pretraining] == ["tiny-none", "resnet18-none"]


def test_the_screen_names_the_meters_and_ends_with_a_table_of_all_cases(sweep: tuple[Path, str]) -> None:
    output = sweep[1]
    assert "PUE 1.58" in output
    assert "left out unless named by path" in output
    table = output[output.index(" energybench ---") :]
    for compressor in ("none", "stego", "prune", "lowrank"):
        assert f"\nresnet18-{compressor} " in table


def test_a_run_passes_against_itself_and_a_doctored_copy_is_named(sweep: tuple[Path, str]) -> None:
    storage = sweep[0]
    assert compare(storage, "run1", "run1")[0] == 0
    (path,) = storage.glob("*/0001_run1.json")
    document = json.loads(path.read_text())
    for entry in document["benchmarks"]:
        for finished in entry["extra_info"]["energybench"]["rounds"]:
            if entry["name"].endswith("[tiny-stego]"):
                finished["joules"] = {name: 1.2 * value for name, value in finished["joules"].items()}
            if entry["name"].endswith("[resnet18-none]"):
                finished["metrics"]["accuracy"] -= 0.10
                finished["metrics"]["correct"] -= 25
    path.with_name("0002_doctored.json").write_text(json.dumps(document))
    code, text = compare(storage, "run1", "doctored")
    assert code == 1
    regressed = {line.split()[0] for line in text.splitlines() if "regressed" in line and "-" in line.split()[0]}
    assert {"tiny-stego", "resnet18-none"} <= regressed
    assert "tiny-prune" not in regressed


def test_the_epoch_study_runs_three_rounds_from_the_same_state(tmp_path: Path, cache: Path) -> None:
    run_suite(tmp_path, cache, "benches/test_epoch.py", "--energy-models", "tiny", "--energy-compressors", "none,prune")
    for case in stored(tmp_path).cases:
        assert [finished.seed for finished in case.rounds] == [0, 1, 2]
        assert {finished.metrics["images"] for finished in case.rounds} == {128}
        assert all(len(finished.window.laps_named("epoch")) == 1 for finished in case.rounds)
        assert len(case.search) == (case.params["compressor"] == "prune")


def test_an_epoch_in_float16_and_one_under_powerpropagation_run_and_say_so(tmp_path: Path, cache: Path) -> None:
    epoch = ("benches/test_epoch.py", "--energy-models", "tiny", "--energy-rounds", "1")
    run_suite(tmp_path, cache, *epoch, "--energy-compressors", "stego_fp16", "--energy-slow-precision")
    run_suite(tmp_path, cache, *epoch, "--energy-compressors", "none", "--energy-set", "powerprop=2")
    half, powers = (read_run(path).cases[0] for path in sorted(tmp_path.glob("*/*.json")))
    for case in (half, powers):
        assert case.status is Status.OK
        assert case.rounds[0].metrics["images"] == 128
        assert case.mean_metric("accuracy") > 0.2, "twice what guessing gives"
    compression = half.facts["compression"]
    assert compression["effect"] == "realised"
    assert compression["dtype"] in ("float16", "autocast float16")  # small weights may lie between its numbers
    assert (half.facts["workload"]["recipe"]["powerprop"], powers.facts["workload"]["recipe"]["powerprop"]) == (1, 2)


def test_a_sweep_that_is_killed_goes_on_where_it_stopped(tmp_path: Path, cache: Path) -> None:
    arguments: Sequence[str] = ("benches", "--energy-models", "tiny", "--energy-rounds", "2")
    with subprocess.Popen(
        command(tmp_path, *arguments), cwd=ROOT, env=environment(cache), stdout=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 120
        while journalled(tmp_path) < 3 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    before = journalled(tmp_path)
    assert 3 <= before < 8
    assert not list(tmp_path.glob("*/*.json"))
    run_suite(tmp_path, cache, *arguments, "--energy-resume")
    run = stored(tmp_path)
    assert [len(case.rounds) for case in run.cases] == [2, 2, 2, 2]
    sessions = [finished.session for case in run.cases for finished in case.rounds]
    assert len(set(sessions)) == 2
    assert sessions.count(sessions[0]) == before


def journalled(storage: Path) -> int:
    """Whole round records in the journal."""
    text = b"".join(path.read_bytes() for path in (storage / ".journal").glob("*.jsonl"))
    return sum(1 for line in text.splitlines(keepends=True) if line.endswith(b"\n") and b'"kind":"round"' in line)

"""`energybench export`, as its users call it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main
from energybench.model import Case
from energybench.reports.exports import FORMATS
from energybench.store import document, list_runs, machine_id, write


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["export", *map(str, argv)], out, err)
    return code, out.getvalue(), err.getvalue()


def store(storage: Path, name: str, cases: list[Case], **session: Any) -> Path:
    made = document(cases, machine={}, commit={}, session={"session": name, "status": "ok", "pue": 1.5, **session})
    return write(made, storage, name)


@pytest.fixture
def storage(tmp_path: Path, make_case: Any) -> Path:
    """run1: a-none with 3.6 MJ and 90 %, b-none without any reading."""
    folder = tmp_path / ".benchmarks"
    store(folder, "run1", [make_case("a-none", [3.6e6], accuracy=[0.9], pue=1.5), make_case("b-none", [None])])
    return folder


def test_the_format_goes_to_stdout_and_what_is_left_out_to_stderr(storage: Path) -> None:
    code, out, err = run("run1", "--format", "github-action-benchmark", "--storage", storage)
    (element,) = json.loads(out)
    assert (code, element["value"], element["unit"]) == (0, 1.5, "kWh")
    assert err == "energybench: left out: b-none: no energy reading.\n"


@pytest.mark.parametrize(
    ("more", "value"),
    [(["--metric", "joules"], 3.6e6), (["--metric", "accuracy"], 90.0), (["--pue", "2"], 2.0)],
)
def test_metric_and_pue_choose_the_number(more: list[str], value: float, storage: Path) -> None:
    _, out, _ = run("run1", "--format", "github-action-benchmark", *more, "--storage", storage)
    assert json.loads(out)[0]["value"] == pytest.approx(value)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written_to_a_file_as_to_stdout(name: str, storage: Path, tmp_path: Path) -> None:
    code, out, err = run("run1", "--format", name, "--storage", storage)
    assert code == 0
    assert "a-none" in out
    assert "\nTraceback" not in err
    there = tmp_path / "there.txt"
    there.write_text("old")
    assert run("run1", "--format", name, "--output", there, "--storage", storage)[:2] == (0, "")
    assert there.read_text() == out
    assert [path.name for path in tmp_path.iterdir() if path != storage] == ["there.txt"]


def test_emissions_are_those_of_the_grid_that_the_run_knows(tmp_path: Path, make_case: Any) -> None:
    store(tmp_path, "run1", [make_case("a-none", [3.6e6])], carbon_g_per_kwh=300.0)
    _, out, _ = run("run1", "--format", "codecarbon", "--storage", tmp_path)
    header, row = (line.split(",") for line in out.splitlines())
    assert float(dict(zip(header, row, strict=True))["emissions"]) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["run9", "--format", "csv"], "There is no run 'run9'"),
        (["run1"], "--format"),
        (["run1", "--format", "xml"], "invalid choice: 'xml'"),
        (["run1", "--format", "csv", "--metric", "kwh"], "holds every metric, so leave --metric out"),
        (["run1", "--format", "pytest-benchmark", "--metric", "kwh"], "which takes joules."),
        (["run1", "--format", "bencher", "--pue", "2"], "this export has none: bencher."),
        (["run1", "--format", "github-action-benchmark", "--metric", "joules", "--pue", "2"], "of joules."),
        (["run1", "--format", "csv", "--output", "no/such/folder/x.csv"], "Cannot write no/such/folder/x.csv"),
    ],
)
def test_bad_input_is_one_sentence_on_stderr_and_exit_2(argv: list[str], complaint: str, storage: Path) -> None:
    code, out, err = run(*argv, "--storage", storage)
    assert (code, out) == (2, "")
    assert complaint in err.splitlines()[-1]


def test_nothing_to_export_is_an_error_and_no_file(tmp_path: Path, make_case: Any) -> None:
    storage, there = tmp_path / ".benchmarks", tmp_path / "there.json"
    store(storage, "run1", [make_case("a-none", [None])])
    code, out, err = run("run1", "--format", "github-action-benchmark", "--output", there, "--storage", storage)
    assert (code, out) == (2, "")
    assert "left out: a-none: no energy reading." in err
    assert "0001_run1 holds nothing for github-action-benchmark --metric kwh; no file was written." in err
    assert not there.exists()


def test_the_stored_runs_are_never_written_over(storage: Path, tmp_path: Path) -> None:
    (stored,) = list_runs(storage)
    before = stored.path.read_bytes()
    moved = tmp_path / "elsewhere" / "0001_run1.json"
    moved.parent.mkdir()
    moved.write_bytes(before)
    for ref, there in [
        ("run1", stored.path),
        ("run1", storage / machine_id() / "0002_joules.json"),
        ("run1", storage / "joules.json"),
        (moved, moved),
        (moved, moved.with_name("0002_joules.json")),
    ]:
        code, _, err = run(ref, "--format", "pytest-benchmark", "--output", there, "--storage", storage)
        assert code == 2
        assert "lies among the stored runs" in err
    assert stored.path.read_bytes() == moved.read_bytes() == before
    assert len(list_runs(storage)) == len(list(moved.parent.iterdir())) == 1

"""`energybench list`, with and without --history."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main
from energybench.store import document, machine_id, write


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main([str(word) for word in argv], out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def storage(tmp_path: Path, make_case: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """one and two: resnet18-none and resnet18-stego; three cannot be read."""
    monkeypatch.setenv("COLUMNS", "200")
    for name, factor in (("one", 1.0), ("two", 1.1)):
        cases = [make_case(id, [factor * joules]) for id, joules in (("resnet18-none", 5e3), ("resnet18-stego", 4e3))]
        whole = document(cases, machine={}, commit={"branch": "main"}, session={"session": name, "status": "ok"})
        write(whole, tmp_path, name)
    (tmp_path / machine_id() / "0003_three.json").write_text("{")
    return tmp_path


def test_a_case_is_shown_through_all_runs(storage: Path) -> None:
    code, out, err = run("list", "--history", "resnet18-stego", "--storage", storage)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "benches/test_f.py::test_f[resnet18-stego]"
    assert [line.split()[0] for line in lines[3:5]] == ["0001_one", "0002_two"]
    assert [line.split()[lines[1].split().index("kJ") + 1] for line in lines[3:5]] == ["4.00", "4.40"]
    assert err == "energybench: not read: 0003_three; `energybench list` says why.\n"


def test_a_glob_gives_a_table_for_each_case(storage: Path) -> None:
    code, out, _ = run("list", "--history", "resnet18-*", "--storage", storage)
    assert code == 0
    assert [part.splitlines()[0].rpartition("[")[2] for part in out.split("\n\n")] == [
        "resnet18-none]",
        "resnet18-stego]",
    ]


def test_the_list_says_what_cannot_be_read_and_takes_no_baseline_for_a_run(storage: Path) -> None:
    assert run("baseline", "set", "main", "one", "--storage", storage)[0] == 0
    code, out, _ = run("list", "--storage", storage)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:5]] == ["0001_one", "0002_two", "0003_three"]
    assert "baselines" not in out
    assert "0003_three.json is not a whole JSON file" in out


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--history", "vgg16-none"], "No run holds a case 'vgg16-none'"),
        (
            ["--history", "*", "--machine", "Mars"],
            f"holds no runs of Mars. Name one of these with --machine: {machine_id()}",
        ),
        (["--machine", "Mars"], "--machine goes with --history"),
        (["--history"], "expected one argument"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence_and_exit_2(argv: list[str], complaint: str, storage: Path) -> None:
    code, out, err = run("list", *argv, "--storage", storage)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


def test_a_store_without_runs_has_no_history(tmp_path: Path) -> None:
    code, out, err = run("list", "--history", "*", "--storage", tmp_path)
    assert (code, out) == (2, "")
    assert err.endswith("Measure one with pytest.\n")

"""`energybench bisect-step`: an answer for `git bisect run`, and never a verdict by accident."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from energybench.analysis.compare import CompareOptions, compare_cases
from energybench.cli import main

SMALL, MEDIUM, LARGE = ("small", "medium", "large")


def step(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["bisect-step", *map(str, argv)], out, err)
    return code, out.getvalue(), err.getvalue()


measured: dict[str, bytes] = {}
"""the run `good`, measured once: it is the same in every test"""


@pytest.fixture
def good(git_project: Any, tmp_path: Path) -> Path:
    """The store with the run `good` of the first commit: three rounds of three cases. It lies outside of the tree."""
    git_project.commit("first")
    storage = tmp_path / "store"
    if not measured:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "energybench.plugin", "benches", "--energy-rounds=3"]
        command += [f"--benchmark-storage=file://{storage}", "--benchmark-save=good"]
        subprocess.run(command, cwd=git_project.path, check=True, capture_output=True)
        (path,) = storage.glob("*/*.json")
        measured[str(path.relative_to(storage))] = path.read_bytes()
    for name, content in measured.items():
        (storage / name).parent.mkdir(parents=True, exist_ok=True)
        (storage / name).write_bytes(content)
    return storage


def test_unchanged_code_is_good_and_slower_code_is_bad(git_project: Any, good: Path) -> None:
    code, out, err = step("good", "--storage", good, "--rounds", 3, "--margin", "15%", "--", "benches")
    assert code == 0, out + err
    assert "3 rounds: ok" in err
    git_project.change(*git_project.SLOWER)
    code, out, err = step("good", "--storage", good, "--rounds", "3,5", "--margin", "15%", "--", "benches")
    assert code == 1, out + err
    assert "3 rounds: regressed" in err
    assert len(list(good.glob("*/*.json"))) == 1
    assert not (git_project.path / ".benchmarks").exists() or git_project.runs() == {}


def test_only_the_named_cases_count(git_project: Any, good: Path) -> None:
    slow = "operations += 1 + (model == 'large')"
    git_project.change("operations += 1", slow)
    at = ("good", "--storage", good, "--rounds", 3, "--margin", "20%")
    assert step(*at, "--case", SMALL, "*[med*]", "--", "benches")[0] == 0
    assert step(*at, "--case", SMALL, "--case", LARGE, "--", "benches")[0] == 1


def test_measuring_goes_on_while_a_look_is_inconclusive_and_then_the_commit_is_skipped(
    git_project: Any, good: Path
) -> None:
    """Noise of 20 % with a margin of 1 %: no number of rounds settles that."""
    git_project.change("gauss(1, 0.002)", "gauss(1, 0.2)", "conftest.py")
    code, out, err = step("good", "--storage", good, "--rounds", "2,4", "--margin", "1%", "--", "benches", "-k", SMALL)
    assert code == 125
    assert [line.split(": ", 1)[1] for line in err.splitlines() if " rounds: " in line] == [
        "2 rounds: inconclusive",
        "4 rounds: inconclusive",
    ]
    assert "inconclusive" in out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("energy.workload(model=model)", "energy.workload(model=model, size=2)"), "not comparable"),
        (("    energy(call)\n", "    energy(call)\n    assert False\n"), "not comparable"),
        (("import trainer\n", "import trainer, nothing\n"), "measured nothing that counts"),
        (("def test_train(", "def test_renamed("), "not comparable, missing, or nothing compared"),
    ],
    ids=["workload", "failed", "broken", "renamed"],
)
def test_what_cannot_be_judged_is_skipped(git_project: Any, good: Path, change: tuple[str, str], said: str) -> None:
    git_project.change(*change, git_project.SUITE)
    code, _, err = step("good", "--storage", good, "--rounds", 3, "--margin", "20%", "--", "benches")
    assert (code, said in err) == (125, True), err
    assert "this commit is skipped (exit code 125)." in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "required"),
        (["nowhere", "--", "benches"], "There is no run 'nowhere'"),
        (["good", "--rounds", "5,3", "--", "benches"], "growing numbers of rounds"),
        (["good", "--rounds", "x", "--", "benches"], "invalid"),
        (["good", "--margins", "x"], "unrecognized"),
        (["good", "--case", "tiny", "--", "benches"], "0001_good has no case that fits tiny"),
        (["good", "--", "--energy-seeds=1"], "--energy-seeds behind `--`"),
    ],
)
def test_a_mistake_in_the_call_is_no_verdict(good: Path, argv: list[str], said: str) -> None:
    code, _, err = step(*argv[:1], *(["--storage", good] if argv else []), *argv[1:])
    assert (code, said in err) == (125, True), err


def test_an_error_of_our_own_is_no_verdict(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("energybench.commands.bisect._place", broken)
    code, _, err = step("good", "--storage", good, "--", "benches")
    assert code == 125
    assert "ZeroDivisionError: inside" in err


@pytest.mark.parametrize("joules", [(100.0, 101.0, 99.0), (130.0, 131.0, 129.0)], ids=["good", "bad"])
def test_a_reader_that_has_gone_changes_no_verdict(
    make_case: Any, monkeypatch: pytest.MonkeyPatch, joules: tuple[float, ...]
) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    sides = [make_case("a", (100.0, 101.0, 99.0))], [make_case("a", joules)]
    report = compare_cases(*sides, CompareOptions(margin=0.15, strict=True))
    monkeypatch.setattr("energybench.commands.bisect._judged", lambda *_: report)
    assert main(["bisect-step", "good", "--", "benches"], Gone(), Gone()) == (joules[0] > 100)


def test_a_user_who_stops_it_stops_the_bisection(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("energybench.commands.bisect._place", stopped)
    assert step("good", "--storage", good, "--", "benches")[0] == 130


def test_git_bisect_finds_the_commit_that_made_training_slower(git_project: Any, good: Path) -> None:
    for number in range(2):
        git_project.file("notes.txt", f"{number}\n")
        git_project.commit(f"note {number}")
    git_project.change(*git_project.SLOWER)
    culprit = git_project.commit("a further pass over a fifth of the points")
    git_project.file("notes.txt", "2\n")
    git_project.commit("note 2")
    git_project.git("bisect", "start", "HEAD", "HEAD~4")
    run = [sys.executable, "-m", "energybench", "bisect-step", "good", "--storage", str(good), "--rounds", "3"]
    run += ["--margin", "15%", "--", "benches", "-k", "small"]
    said = git_project.git("bisect", "run", *run)
    assert f"{culprit} is the first bad commit" in said

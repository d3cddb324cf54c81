"""One pytest session of a checkout."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from energybench.ab.session import Place, Session, check_arguments, measure
from energybench.errors import UsageError


@pytest.mark.parametrize(
    "word", ["--energy-rounds=3", "--energy-seeds", "--energy-compare=main", "--benchmark-storage=file://x"]
)
def test_what_every_session_is_given_cannot_be_given_again(word: str) -> None:
    with pytest.raises(UsageError, match=rf"^{word.partition('=')[0]} behind `--`: .* Drop it\.$"):
        check_arguments(["benches", word])


@pytest.mark.parametrize("words", [["-p", "no:benchmark"], ["-pno:benchmark"]])
def test_without_pytest_benchmark_a_session_has_no_store_of_its_own(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^-p no:benchmark behind `--`: .* Drop it\.$"):
        check_arguments(["benches", *words])
    check_arguments(["benches", "-p", "no:cacheprovider"])


def test_a_path_into_the_own_tree_is_refused_and_others_are_not(tmp_path: Path) -> None:
    check_arguments(["benches", "-k", "a or b", "--energy-warmup=1", "/elsewhere/x.json"], tmp_path / "tree")
    with pytest.raises(UsageError, match="would be measured for both sides"):
        check_arguments([f"{tmp_path}/tree/benches/test_x.py::test_it[a::b]"], tmp_path / "tree")


def test_one_round_per_seed_is_measured_and_read_back(git_project: Any, tmp_path: Path) -> None:
    git_project.commit("first")
    session = measure(Place(git_project.path, Path(), os.environ), ["benches"], [4, 7], tmp_path / "store")
    assert (session.code, session.measured, session.interrupted) == (0, True, False)
    assert session.run is not None
    assert [case.id for case in session.run.cases] == list(git_project.CASES)
    assert [[round.seed for round in case.rounds] for case in session.run.cases] == [[4, 7]] * 3
    assert git_project.runs() == {}


def test_what_the_ini_file_asks_of_ordinary_sessions_does_not_hold_here(git_project: Any, tmp_path: Path) -> None:
    with (git_project.path / "pytest.ini").open("a") as file:
        file.write("energy_compare = main\nenergy_no_save = true\nenergy_rounds = 5\nenergy_seeds = 3,4,5,6,7\n")
    session = measure(Place(git_project.path, Path(), os.environ), ["benches"], [0], tmp_path / "store")
    assert (session.code, session.measured) == (0, True), session.tail


@pytest.mark.parametrize(
    ("args", "code", "ending"),
    [
        (["benches", "-k", "nothing"], 5, "found no tests (pytest's exit code 5)"),
        (["nowhere"], 4, "was refused by pytest as wrongly called (exit code 4)"),
    ],
)
def test_a_session_that_never_began_says_how_it_ended(
    git_project: Any, tmp_path: Path, args: list[str], code: int, ending: str
) -> None:
    session = measure(Place(git_project.path, Path(), os.environ), args, [0], tmp_path / "store")
    assert (session.code, session.measured, session.ending) == (code, False, ending)
    assert session.tail


def test_a_session_that_was_killed_says_by_what_and_keeps_its_journal(git_project: Any, tmp_path: Path) -> None:
    git_project.change(
        "    def call():",
        "    import os\n    if model == 'medium':\n        os.kill(os.getpid(), 9)\n\n    def call():",
        git_project.SUITE,
    )
    session = measure(Place(git_project.path, Path(), os.environ), ["benches"], [0], tmp_path / "store")
    assert (session.code, session.run) == (-signal.SIGKILL, None)
    assert session.ending == "was killed by SIGKILL"
    (journal,) = (tmp_path / "store/.journal").glob("*.jsonl")
    assert git_project.CASES[0] in journal.read_text()


def test_an_unknown_signal_and_an_unknown_exit_code_are_told_by_their_numbers(tmp_path: Path) -> None:
    assert Session(-200, None, tmp_path, 1.0).ending == "was killed by signal 200"
    assert Session(99, None, tmp_path, 1.0).ending == "ended with exit code 99"

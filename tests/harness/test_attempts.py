"""Earlier looks at a commit: which stored runs count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from energybench.harness.attempts import Attempt, attempt
from energybench.model import Run
from energybench.store import document, write

ID = "abc1234" + 33 * "0"
COMMIT = {"id": ID, "dirty": False}
BASELINE = Run("store/machine/0001_main.json", session={"session": "b0"})
GATE = {"baseline": "0001_main", "baseline_session": "b0", "own_looks": 1}


@pytest.fixture
def store(tmp_path: Path, make_case):
    """Put a run into the store: its commit, its gate, its session's id."""

    def put(commit: dict[str, Any], gate: dict[str, Any] | None, session: str = "") -> None:
        made = {"status": "ok", "session": session or f"s{len(list(tmp_path.rglob('*.json')))}"}
        if gate is not None:
            made["gate"] = gate
        write(document([make_case()], machine={}, commit=commit, session=made), tmp_path, "run")

    put.path = tmp_path
    return put


def test_the_first_look_says_nothing(store) -> None:
    store({"id": "other" + 35 * "0", "dirty": False}, GATE)
    assert attempt(store.path, COMMIT, BASELINE) == Attempt()
    assert attempt(store.path / "absent", COMMIT, BASELINE) == Attempt()


def test_each_run_of_the_commit_against_the_baseline_counts_with_its_own_looks(store) -> None:
    store(COMMIT, GATE)
    assert attempt(store.path, COMMIT, BASELINE) == Attempt(
        1, "look 2 at commit abc1234 against 0001_main: each look at unchanged code has only its part of the level"
    )
    store(COMMIT, {**GATE, "own_looks": 3})
    assert attempt(store.path, COMMIT, BASELINE).earlier_looks == 4


@pytest.mark.parametrize(
    ("commit", "gate"),
    [
        (COMMIT, None),
        (COMMIT, {**GATE, "baseline": "0002_main"}),
        (COMMIT, {**GATE, "baseline_session": "another that was stored under the number"}),
        ({**COMMIT, "dirty": True}, GATE),
        ({"id": ID[::-1], "dirty": False}, GATE),
    ],
)
def test_other_runs_do_not_count(store, commit: dict[str, Any], gate: dict[str, Any] | None) -> None:
    store(commit, gate)
    assert attempt(store.path, COMMIT, BASELINE) == Attempt()


def test_two_files_of_one_session_are_one_look_and_a_damaged_file_is_none(store) -> None:
    store(COMMIT, GATE, "s")
    store(COMMIT, GATE, "s")
    next(iter(store.path.glob("*"))).joinpath("0009_torn.json").write_text(f'{{"commit_info": {{"id": "{ID}"}}, ')
    assert attempt(store.path, COMMIT, BASELINE).earlier_looks == 1


def test_uncommitted_changes_count_together_and_are_said(store) -> None:
    dirty = {**COMMIT, "dirty": True}
    store(dirty, GATE)
    assert "at commit abc1234 with uncommitted changes against" in attempt(store.path, dirty, BASELINE).note


@pytest.mark.parametrize("commit", [{}, {"id": None}, {"id": "unversioned"}, {"id": "unknown"}])
def test_outside_a_repository_nothing_is_counted(store, commit: dict[str, Any]) -> None:
    store(commit, GATE)
    assert attempt(store.path, commit, BASELINE) == Attempt()

"""The sessions of one side as one stored run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from energybench.ab.checkout import Revision
from energybench.ab.session import Place, Session
from energybench.ab.storing import as_run, rescued, save
from energybench.ab.turns import BASE, HEAD, Side
from energybench.model import Run
from energybench.store import machine_id, read_run

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def sides(make_case: Any, tmp_path: Path) -> list[Side]:
    """Two sides of two sessions each, whose stores hold a trace."""
    made = []
    for name, revision in ((BASE, Revision("main", OLD, "main")), (HEAD, Revision(".", NEW, dirty=True))):
        side = Side(name, revision, Place(tmp_path, Path(), {}))
        for k in range(2):
            session = {"session": f"{name}{k}", "status": "ok", "trace": {"file": f"{name}{k}.trace.csv", "hz": 1.0}}
            commit = {"id": "worktree", "branch": "(detached head)", "dirty": None}
            side.runs.append(Run(f"{k}.json", (make_case("a", [100.0 + k]),), commit=commit, session=session))
            side.stores.append(tmp_path / f"{name}{k}")
            folder = side.stores[-1] / machine_id()
            folder.mkdir(parents=True)
            (folder / f"{name}{k}.trace.csv").write_text("time,seconds\n")
        made.append(side)
    return made


def test_a_side_is_stored_under_its_commit_with_the_traces_of_its_sessions(sides: list[Side], tmp_path: Path) -> None:
    base, head = sides
    storage = tmp_path / "store"
    saved = save(base, as_run(base, head, 2).run, storage)
    assert saved.name == f"0001_{OLD[:12]}_ab_base"
    run = read_run(saved.source)
    assert run.cases[0].joules() == (100.0, 101.0)
    assert run.commit == {**run.commit, "id": OLD, "branch": "main", "dirty": False}
    in_turn = {"side": "base", "ref": "main", "with": NEW, "with_sessions": ["head0", "head1"], "rounds": 2}
    assert run.session["ab"] == in_turn
    assert run.session["trace"] == {
        "file": "base0.trace.csv",
        "hz": 1.0,
        "files": ["base0.trace.csv", "base1.trace.csv"],
    }
    traces = sorted(path.name for path in Path(saved.source).parent.glob("*.trace.csv"))
    assert traces == run.session["trace"]["files"]


def test_of_the_working_tree_only_the_commit_below_it_is_known(sides: list[Side], tmp_path: Path) -> None:
    base, head = sides
    run = read_run(save(head, as_run(head, base, 2).run, tmp_path / "store", status="regressed").source)
    assert run.commit == {**run.commit, "id": NEW, "branch": "(detached head)", "dirty": True}
    assert run.session["status"] == "regressed"


def test_only_the_journal_of_a_session_that_stored_nothing_is_rescued(sides: list[Side], tmp_path: Path) -> None:
    store = tmp_path / "killed"
    (store / ".journal").mkdir(parents=True)
    (store / ".journal/lock").write_text("")
    assert rescued(Session(-9, None, store, 1.0)) is None
    (store / ".journal/x.jsonl").write_text("a round\n")
    assert rescued(Session(1, sides[0].runs[0], store, 1.0)) is None
    folder = rescued(Session(-9, None, store, 1.0))
    assert folder is not None
    assert (folder / "x.jsonl").read_text() == "a round\n"
    (folder / "x.jsonl").unlink()
    folder.rmdir()

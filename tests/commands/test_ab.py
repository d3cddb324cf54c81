"""`energybench ab`: two commits measured in turn, one verdict, and a tree that stays as it was."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main
from energybench.store import find_run


def energybench(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main([*map(str, argv)], out, err)
    return code, out.getvalue(), err.getvalue()


def ab(*argv: object) -> tuple[int, str, str]:
    return energybench("ab", *argv)


def untouched(project: Any) -> bool:
    """Whether nothing but stored runs was added to the tree, and git knows no further worktree."""
    status = [line for line in project.git("status", "--porcelain").splitlines() if ".benchmarks" not in line]
    return status == [] and len(project.git("worktree", "list").splitlines()) == 1


@pytest.fixture
def slower(git_project: Any) -> tuple[str, str]:
    """Two commits on main; the second one trains a fifth longer."""
    base = git_project.commit("first")
    git_project.change(*git_project.SLOWER)
    return base, git_project.commit("slower")


def test_an_honest_change_is_ok_and_both_sides_are_stored_with_their_rounds(git_project: Any) -> None:
    base = git_project.commit("first")
    git_project.change("points, threshold =", "points, threshold = [], 0.0\n    points, threshold =")
    head = git_project.commit("honest")
    code, out, err = ab("HEAD~1", "main", "--rounds", 2, "--", "benches")
    assert code == 0, out + err
    assert "passed (exit 0)" in out
    runs = git_project.runs()
    assert list(runs) == [f"0001_{base[:12]}_ab_base", f"0002_{head[:12]}_ab_head"]
    for document, commit, branch in zip(runs.values(), (base, head), ("", "main"), strict=True):
        assert document["commit_info"]["id"] == commit
        assert document["commit_info"]["dirty"] is False
        assert branch in document["commit_info"]["branch"]
        session = document["energybench"]
        assert (session["status"], session["rounds"], len(session["sessions"])) == ("ok", 2, 2)
        records = {entry["fullname"]: entry["extra_info"]["energybench"] for entry in document["benchmarks"]}
        assert list(records) == list(git_project.CASES)
        for record in records.values():
            assert [round["seed"] for round in record["rounds"]] == [0, 1]
            assert [round["session"] for round in record["rounds"]] == session["sessions"]
    started = {
        document["benchmarks"][0]["extra_info"]["energybench"]["rounds"][k]["started"]: f"{side}{k}"
        for side, document in zip("ab", runs.values(), strict=True)
        for k in range(2)
    }
    assert [started[time] for time in sorted(started)] == ["a0", "b0", "b1", "a1"]
    assert f"session 3 of 4: head {head[:12]}, round 2 of 2" in err
    assert untouched(git_project)


def test_a_slower_head_is_named_and_stored_as_regressed_so_that_it_is_never_latest(
    git_project: Any, slower: tuple[str, str]
) -> None:
    more = ("--rounds", 2, "--storage", "elsewhere", "--format", "json")
    code, out, err = ab(*slower, *more, "--", "benches", "-k", "small or medium")
    assert code == 1, out + err
    report = json.loads(out)
    assert report["exit"] == 1
    energy = {c["case"]: (c["verdict"], c["change"]) for c in report["comparisons"] if c["metric"] == "energy"}
    assert [verdict for verdict, _ in energy.values()] == ["regressed"] * 2
    assert [change for _, change in energy.values()] == pytest.approx([0.2, 0.2], abs=0.02)
    runs = git_project.runs("elsewhere")
    assert (report["baseline"], report["candidate"]) == tuple(runs)
    assert [document["energybench"]["status"] for document in runs.values()] == ["ok", "regressed"]
    sessions = [document["energybench"]["sessions"] for document in runs.values()]
    assert [document["energybench"]["ab"] for document in runs.values()] == [
        {"side": "base", "ref": slower[0], "with": slower[1], "with_sessions": sessions[1], "rounds": 2},
        {"side": "head", "ref": slower[1], "with": slower[0], "with_sessions": sessions[0], "rounds": 2},
    ]
    again, out, _ = energybench("compare", "*_ab_base", "*_ab_head", "--storage", "elsewhere")
    assert (again, "energy regressed" in " ".join(out.split())) == (1, True)
    assert "note: The two runs were measured in turn by `energybench ab`: no noise between sessions." in out
    assert find_run("latest", git_project.path / "elsewhere").path.stem == next(iter(runs))


def test_the_working_tree_as_it_is_can_be_the_head_and_an_install_of_it_is_not_measured_as_the_base(
    git_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own src on the search path stands for an editable install; the project does not set a path itself."""
    git_project.change("pythonpath = src\n", "", "pytest.ini")
    base = git_project.commit("first")
    git_project.change(*git_project.SLOWER)
    monkeypatch.setenv("PYTHONPATH", f"{git_project.path / 'src'}:{os.environ['PYTHONPATH']}")
    monkeypatch.syspath_prepend(str(git_project.path / "src"))
    before = git_project.git("diff")
    code, out, err = ab("main", ".", "--rounds", 1, "--", "benches", "-k", "small")
    assert code == 1, out + err
    assert "note:" not in err
    assert git_project.git("diff") == before
    head = list(git_project.runs().values())[1]["commit_info"]
    assert (head["id"], head["dirty"], head["branch"]) == (base, True, "main")
    assert f"head {base[:12]}+changes" in err


def test_a_module_that_is_imported_from_elsewhere_is_named(
    git_project: Any, slower: tuple[str, str], tmp_path: Path
) -> None:
    """A folder that the interpreter searches before everything else stands for an import hook."""
    hook = tmp_path / "hook"
    (hook / "copy").mkdir(parents=True)
    (hook / "copy" / "trainer.py").write_text((git_project.path / git_project.PACKAGE).read_text())
    (hook / "sitecustomize.py").write_text(f"import sys; sys.path.insert(0, {str(hook / 'copy')!r})")
    git_project.change("pythonpath = src\n", "", "pytest.ini")
    git_project.commit("no path")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{hook}:{os.environ['PYTHONPATH']}")
        code, out, err = ab("HEAD~1", "HEAD", "--rounds", 1, "--", "benches", "-k", "small")
    said = f"note: trainer of head is imported from {hook}/copy/trainer.py, not from the checkout"
    assert said in err
    assert said.removeprefix("note: ") in " ".join(out.split())
    assert code in (0, 1)


def test_from_a_subfolder_the_ids_are_the_same(git_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    git_project.commit("first")
    git_project.file("new/x.txt", "")
    monkeypatch.chdir(git_project.path / "benches")
    code, _, err = ab("main", ".", "--rounds", 1, "--", "test_train.py", "-k", "small")
    assert code == 0, err
    runs = git_project.runs("benches/.benchmarks")
    assert [[entry["fullname"] for entry in document["benchmarks"]] for document in runs.values()] == [
        [git_project.CASES[0]]
    ] * 2
    monkeypatch.chdir(git_project.path / "new")
    code, _, err = ab("main", "main", "--", "x")
    assert (code, "has no folder new: start from one that both sides have" in err) == (2, True)


def test_a_session_that_fails_ends_it_and_what_was_measured_is_kept(git_project: Any) -> None:
    git_project.commit("first")
    git_project.change("    energy(call)\n", "    energy(call)\n    assert model == 'small'\n", git_project.SUITE)
    head = git_project.commit("fails")
    code, out, err = ab("HEAD~1", "HEAD", "--rounds", 3, "--", "benches")
    assert code == 4
    assert out == ""
    assert f"head {head[:12]}, round 1: the session has tests that failed (pytest's exit code 1)" in err
    assert "AssertionError" in err  # the end of its output
    assert [
        (document["energybench"]["status"], [entry["stats"]["rounds"] for entry in document["benchmarks"]])
        for document in git_project.runs().values()
    ] == [("partial", [1] * 3), ("failed", [1] * 3)]
    assert untouched(git_project)


def test_a_session_that_is_killed_leaves_its_journal(git_project: Any) -> None:
    git_project.commit("first")
    kill = "    import os\n    if model == 'medium':\n        os.kill(os.getpid(), 9)\n\n    def call():"
    git_project.change("    def call():", kill, git_project.SUITE)
    git_project.commit("dies")
    code, _, err = ab("HEAD~1", "HEAD", "--rounds", 2, "--", "benches")
    assert code == 4
    assert "the session was killed by SIGKILL, so nothing is compared" in err
    (line,) = [line for line in err.splitlines() if "kept in" in line]
    (journal,) = Path(line.rpartition(" ")[2]).glob("*.jsonl")
    assert git_project.CASES[0] in journal.read_text()
    assert [document["energybench"]["status"] for document in git_project.runs().values()] == ["partial"]
    journal.unlink()
    journal.parent.rmdir()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["benches", "-k", "nothing"], "found no tests"),
        (["nowhere"], "was refused by pytest as wrongly called"),
        (["plain"], "stored no energy case"),
    ],
)
def test_a_session_without_cases_is_a_usage_error_and_stores_nothing(
    git_project: Any, args: list[str], said: str
) -> None:
    git_project.file("plain/test_plain.py", "def test_it():\n    pass\n")
    git_project.commit("first")
    code, _, err = ab("main", "HEAD", "--", *args)
    assert code == 2
    assert f"round 1: the session {said}" in err
    assert git_project.runs() == {}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nowhere", "main"], "git knows no commit 'nowhere'"),
        (["main", "main", "--rounds", "0"], "at least 1, not '0'"),
        (["main", "main", "--rounds", "x"], "invalid"),
        (["main"], "required: HEAD"),
        (["main", "main", "benches"], "unrecognized arguments: benches"),
        (["main", "main", "--", "--energy-rounds=3"], "--energy-rounds behind `--`"),
        (["main", "main", "--margins", "nowhere.toml"], "nowhere.toml"),
        (["main", "main", "--vary", "domains"], "domains cannot be declared as varying"),
        (["main", "main", "--storage", "pytest.ini", "--", "benches"], "Cannot write runs to"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(git_project: Any, argv: list[str], said: str) -> None:
    git_project.commit("first")
    code, out, err = ab(*argv)
    assert (code, out) == (2, "")
    assert said in err
    assert "session 1" not in err


def test_what_is_to_be_kept_is_kept_and_said(git_project: Any) -> None:
    git_project.commit("first")
    code, _, err = ab("main", "HEAD", "--rounds", 1, "--keep", "--", "benches", "-k", "small")
    assert code == 0, err
    (line,) = [line for line in err.splitlines() if "are kept in" in line]
    folder = Path(line.partition("are kept in ")[2].partition(";")[0])
    assert len(git_project.git("worktree", "list").splitlines()) == 3
    assert sorted(path.name for path in (folder / "sessions").iterdir()) == ["001-base", "002-head"]
    assert "1 passed" in (folder / "sessions/001-base/output.txt").read_text()
    for name in ("base", "head"):
        git_project.git("worktree", "remove", "--force", str(folder / name))
    shutil.rmtree(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_stores_what_was_measured_and_removes_the_checkouts(
    git_project: Any, tmp_path: Path, number: signal.Signals
) -> None:
    git_project.commit("first")
    wait = "    import pathlib, time\n    if model == 'medium':\n"
    wait += f"        pathlib.Path({str(tmp_path / 'reached')!r}).touch()\n        time.sleep(120)\n\n    def call():"
    git_project.change("    def call():", wait, git_project.SUITE)
    git_project.commit("waits")
    # A shell's background jobs inherit SIGINT as ignored; a person's Ctrl-C finds Python's own handler.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from energybench.cli import entry; entry()"
    command = [sys.executable, "-c", code, "ab", "HEAD~1", "main", "--rounds", "3", "--", "benches"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "reached").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert "stopped; nothing is compared." in err
    rounds = [
        {entry["fullname"]: entry["stats"]["rounds"] for entry in document["benchmarks"]}
        for document in git_project.runs().values()
    ]
    small, medium, large = git_project.CASES
    assert rounds == [{small: 1, medium: 1, large: 1}, {small: 1}]
    assert {document["energybench"]["status"] for document in git_project.runs().values()} == {"partial"}
    assert untouched(git_project)

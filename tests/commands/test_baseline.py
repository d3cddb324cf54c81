"""`energybench baseline`, as it is typed."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import pytest

from energybench.cli import main
from energybench.store import document, machine_id, write

THREE = (100.0, 101.0, 99.5)


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main([str(word) for word in argv], out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def storage(tmp_path: Path, make_case: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """good, better, and slow, which regressed."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    for name, status in (("good", "ok"), ("better", "ok"), ("slow", "regressed")):
        commit = {"id": "a" * 40, "branch": "main", "dirty": name == "better"}
        session = {"session": name, "status": status}
        whole = document([make_case("a-none", THREE)], machine={}, commit=commit, session=session)
        write(whole, tmp_path / ".benchmarks", name)
    return tmp_path / ".benchmarks"


def test_a_run_is_promoted_named_and_forgotten(storage: Path) -> None:
    assert run("baseline", "list") == (0, "No baseline is set.\n", "")
    code, out, err = run("baseline", "set", "main", "good")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"main: 0001_good of {machine_id()}."
    code, out, err = run("baseline", "set", "main", 2)
    assert (code, err) == (0, "energybench: 0002_better was measured with uncommitted changes.\n")
    assert out.splitlines()[0] == f"main: 0002_better of {machine_id()}, replaces 0001_good."
    assert run("baseline", "set", "main", 2)[1].splitlines()[0] == f"main: 0002_better of {machine_id()}, as it was."

    code, out, _ = run("baseline", "list")
    assert code == 0
    assert out.splitlines()[0].split() == ["baseline", "run", "state", "machine", "commit", "set"]
    assert out.splitlines()[2].split()[:5] == ["main", "0002_better", "ok", machine_id(), "a" * 12]

    code, out, _ = run("baseline", "show", "main")
    assert code == 0
    assert out.startswith(f"main\n  {machine_id()} (this machine)\n    run: {machine_id()}/0002_better.json\n")
    assert f"    commit: {'a' * 40}\n" in out

    code, out, err = run("show", "main")
    assert (code, err) == (0, "energybench: 'main' is a baseline: 0002_better.\n")
    assert out.startswith("0002_better\n")
    assert run("compare", "main", "good")[0] == 0

    code, out, _ = run("baseline", "rm", "main")
    assert (code, out) == (0, f"main is no longer 0002_better of {machine_id()}; the run itself stays.\n")
    assert run("baseline", "show", "main")[0] == 2


def test_the_command_that_it_shows_commits_the_baseline_although_the_store_is_ignored(storage: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=storage.parent, check=True)
    (storage / ".gitignore").write_text("*\n")
    out = run("baseline", "set", "main", "good")[1]
    command = out.splitlines()[1].removeprefix("Commit it: ").split()
    subprocess.run(command, cwd=storage.parent, check=True)
    staged = subprocess.run(
        ["git", "diff", "--cached", "--name-only"], cwd=storage.parent, check=True, capture_output=True, text=True
    ).stdout.split()
    assert staged == [f".benchmarks/{machine_id()}/0001_good.json", ".benchmarks/baselines.json"]


def test_a_regressed_run_is_promoted_only_by_force(storage: Path) -> None:
    code, out, err = run("baseline", "set", "main", "slow")
    assert (code, out) == (2, "")
    assert "0003_slow cannot become the baseline 'main' (regressed)" in err
    assert run("baseline", "set", "main", "slow", "--force")[0] == 0
    assert run("baseline", "set", "main", "latest")[2].startswith("energybench: latest: 0002_better.\n")


def test_a_file_that_is_gone_or_changed_is_listed_as_that_and_stops_a_comparison(storage: Path) -> None:
    run("baseline", "set", "main", "good")
    run("baseline", "set", "other", "better")
    (storage / machine_id() / "0001_good.json").unlink()
    with (storage / machine_id() / "0002_better.json").open("a") as file:
        file.write(" ")
    out = run("baseline", "list")[1]
    assert [line.split()[2] for line in out.splitlines()[2:] if line[0] != "-"] == ["gone", "changed"]
    assert "(gone: the file is not there)" in run("baseline", "show", "main")[1]
    assert "(changed since it was promoted)" in run("baseline", "show", "other")[1]
    for name in ("main", "other"):
        code, out, err = run("compare", name, "slow")
        assert (code, out) == (2, "")
        assert f"energybench baseline set {name} REF" in err
    assert run("baseline", "rm", "main")[0] == 0


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "ACTION"),
        (["promote"], "invalid choice: 'promote'"),
        (["set", "main"], "RUN"),
        (["set", "main", "nothing"], "There is no run 'nothing'"),
        (["set", "latest", "good"], "A baseline cannot be called 'latest'"),
        (["show", "main"], "There is no baseline 'main'"),
        (["rm", "main"], "There is no baseline 'main'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(argv: list[str], complaint: str, storage: Path) -> None:
    code, out, err = run("baseline", *argv)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1

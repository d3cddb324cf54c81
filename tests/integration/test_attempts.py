"""Measuring one commit again and again until its gate is green is counted, in a real repository."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

STEADY = [(200.0, 2.0), (200.4, 2.0), (199.6, 2.0)]


@pytest.fixture
def repository(project, monkeypatch: pytest.MonkeyPatch):
    """A repository of one commit whose two cases are stored as `main`."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "somebody@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    project.cases()
    project.replay({"*": STEADY})
    project.file(".gitignore", "*\n!*.py\n!.gitignore\n")
    git(project, "init", "-q")
    commit(project)
    project.run("--energy-rounds=3", "--benchmark-save=main").assert_outcomes(passed=2)
    return project


def git(project, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=project.path, check=True, capture_output=True)


def commit(project) -> None:
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "one")


def gate(project) -> dict[str, Any]:
    return project.last().document["energybench"]["gate"]


def compare(project, *args: str) -> pytest.RunResult:
    return project.run("--energy-rounds=3", "--energy-compare=main", *args)


def test_each_further_look_at_a_commit_is_counted_and_said(repository) -> None:
    first = compare(repository)
    first.assert_outcomes(passed=5)
    first.stdout.no_fnmatch_line("note: look *")
    assert (gate(repository)["baseline"], gate(repository)["looks"]) == ("0001_main", 1)
    second = compare(repository)
    repository.says(second, "note: look 2 at commit ??????? against 0001_main: *")
    assert gate(repository)["looks"] == 2
    third = compare(repository, "--junitxml=out.xml")
    repository.says(third, "note: look 3 at commit ??????? against 0001_main: *")
    properties = {
        p.get("name"): p.get("value") for p in ElementTree.parse(repository.path / "out.xml").iter("property")
    }
    assert properties["energybench_looks"] == "3"


def test_another_commit_and_another_baseline_begin_anew(repository) -> None:
    compare(repository)
    repository.run("--energy-rounds=3", "--energy-compare=0002").assert_outcomes(passed=5)
    assert gate(repository)["looks"] == 1
    repository.file("helper.py", "CHANGED = True\n")
    commit(repository)
    compare(repository).stdout.no_fnmatch_line("note: look *")
    assert gate(repository)["looks"] == 1


def test_uncommitted_changes_are_told_from_the_commit(repository) -> None:
    compare(repository)
    repository.cases(repository.CASES + "\n    # changed\n")
    compare(repository)
    assert gate(repository)["looks"] == 1
    repository.says(compare(repository), "note: look 2 at commit ??????? with uncommitted changes against 0001_main: *")


def test_looks_of_one_session_and_of_earlier_ones_add_up(repository) -> None:
    for looks in (2, 4):
        repository.run("--energy-looks=3,5", "--energy-compare=main").assert_outcomes(passed=5)
        assert gate(repository)["looks"] == looks


def test_a_session_that_compared_nothing_is_no_look(repository) -> None:
    repository.cases(repository.CASES.replace("assert run.value == model", "assert model == 'a'"))
    commit(repository)
    compare(repository, "-x").assert_outcomes(passed=1, failed=1)
    assert "gate" not in repository.last().document["energybench"]

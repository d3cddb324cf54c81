"""The recipes of docs/ci.md: their YAML is YAML, their commands are ours, and the shell ones are run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from energybench.cli import _options

DOCUMENT = (Path(__file__).resolve().parents[1] / "docs" / "ci.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def script(name: str) -> str:
    """The shell recipe whose usage names it so."""
    (found,) = [block for block in blocks("bash") if f"usage: {name}.sh" in block]
    return found


def run_lines(node: Any) -> Iterator[str]:
    """Every shell line of a pipeline: GitHub's `run`, GitLab's `script` and `before_script`."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("run", "script", "before_script"):
                yield from "\n".join([value] if isinstance(value, str) else value).splitlines()
            else:
                yield from run_lines(value)
    elif isinstance(node, list):
        for item in node:
            yield from run_lines(item)


PIPELINES = [yaml.safe_load(block) for block in blocks("yaml")]
LINES = [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines()]
LINES += [line for pipeline in PIPELINES for line in run_lines(pipeline)]


def words(line: str) -> list[str]:
    """The command of a line, without what follows `||` or `>>`; variables stand for themselves."""
    found = shlex.split(line, comments=True)
    end = next((position for position, word in enumerate(found) if word in ("||", "&&", ">>", "|", ">")), len(found))
    return found[:end]


COMMANDS = [words(line) for line in LINES if re.search(r"\b(energybench|pytest)\b", line.partition("#")[0])]
OURS = [command[command.index("energybench") :] for command in COMMANDS if "energybench" in command[:4]]
OURS = [command for command in OURS if "install" not in command and command[1:]]
PYTEST = [command for command in COMMANDS if command[0] == "pytest"]


def test_there_are_recipes_of_both_kinds_for_each_place() -> None:
    github = [pipeline for pipeline in PIPELINES if "jobs" in pipeline]
    gitlab = [pipeline for pipeline in PIPELINES if "jobs" not in pipeline]
    assert (len(github), len(gitlab)) == (3, 2)
    assert len(blocks("bash")) == 4
    assert [command[1] for command in OURS].count("ab") == 4
    assert len(PYTEST) == 6


@pytest.mark.parametrize("pipeline", [p for p in PIPELINES if "jobs" in p], ids=lambda pipeline: pipeline["name"])
def test_a_workflow_of_github_has_what_github_needs(pipeline: dict[Any, Any]) -> None:
    triggers = pipeline[True]  # YAML 1.1 reads the key `on` as true
    assert {"pull_request"} <= ({triggers} if isinstance(triggers, str) else set(triggers))
    for job in pipeline["jobs"].values():
        assert job["runs-on"]
        assert job["timeout-minutes"] > 0
        for step in job["steps"]:
            assert len({"uses", "run"}.intersection(step)) == 1
            assert step.keys() <= {"uses", "run", "with", "name", "if", "env"}
        checkout = job["steps"][0]
        assert checkout["uses"].startswith("actions/checkout@")
        in_turn = [step["run"] for step in job["steps"] if "energybench ab" in step.get("run", "")]
        assert checkout.get("with", {}).get("fetch-depth") == (2 if in_turn else None)


@pytest.mark.parametrize(
    "pipeline", [p for p in PIPELINES if "jobs" not in p], ids=lambda pipeline: next(iter(pipeline))
)
def test_a_job_of_gitlab_has_what_gitlab_needs(pipeline: dict[str, Any]) -> None:
    known = {"tags", "resource_group", "timeout", "rules", "variables", "before_script", "script", "artifacts"}
    for job in pipeline.values():
        assert job["script"]
        assert job.keys() <= known
        assert job["resource_group"] == "energy"
        assert all(isinstance(line, str) for line in job["script"])  # `a: b` unquoted would be a mapping


@pytest.mark.parametrize("command", OURS, ids=" ".join)
def test_each_command_of_ours_is_one(command: list[str]) -> None:
    options = _options(command[1:])
    assert callable(options.command)
    if command[1] in ("ab", "bisect-step"):
        assert options.pytest_args == ["benches"]


@pytest.mark.parametrize("command", PYTEST, ids=" ".join)
def test_each_command_of_pytest_is_one(command: list[str], pytester: pytest.Pytester) -> None:
    arguments = [word.replace("$store", "/store").replace("$STORE", "/store") for word in command[1:]]
    assert not [word for word in arguments if "$" in word]
    config = pytester.parseconfig("-p", "energybench.plugin", *arguments)
    assert config.option.energy_rounds == 3
    if "--energy-compare=main" in arguments:
        assert config.option.energy_inconclusive == "fail"


def test_each_option_that_the_text_names_exists(pytester: pytest.Pytester) -> None:
    named = set(re.findall(r"`(--[a-z-]+)", re.sub(r"```.*?```", "", DOCUMENT, flags=re.DOTALL)))
    of_pytest = pytester.runpytest_inprocess("-p", "energybench.plugin", "--help").stdout.str()
    of_ours = "".join(
        subprocess.run(
            [sys.executable, "-m", "energybench", command, "--help"], check=True, capture_output=True, text=True
        ).stdout
        for command in ("ab", "bisect-step", "compare", "baseline")
    )
    known = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", of_pytest + of_ours))
    assert named
    assert named <= known


@pytest.fixture
def shell(git_project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a recipe in the project, with `energybench` and `pytest` of this interpreter on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("energybench", "energybench"), ("pytest", "pytest -p energybench.plugin")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def run(name: str, *args: object) -> subprocess.CompletedProcess[str]:
        file = tmp_path / f"{name}.sh"
        file.write_text(script(name))
        return subprocess.run(
            ["bash", file, *map(str, args)], cwd=git_project.path, capture_output=True, text=True, check=False
        )

    return run


def test_the_shell_recipe_in_turn_passes_an_honest_change_and_stops_a_slower_one(git_project: Any, shell: Any) -> None:
    git_project.commit("first")
    honest = shell("energy-ab", "main")
    assert honest.returncode == 0, honest.stdout + honest.stderr
    git_project.change(*git_project.SLOWER)
    git_project.commit("slower")
    slower = shell("energy-ab", "HEAD~1", "HEAD")
    assert slower.returncode == 1, slower.stdout + slower.stderr
    assert "regressed" in slower.stdout
    assert shell("energy-ab", "nowhere").returncode == 2


def test_the_shell_recipes_with_a_baseline_pass_an_honest_change_and_stop_a_slower_one(
    git_project: Any, shell: Any, tmp_path: Path
) -> None:
    git_project.commit("first")
    store = tmp_path / "store"
    baseline = shell("energy-baseline", store)
    assert baseline.returncode == 0, baseline.stdout + baseline.stderr
    honest = shell("energy-gate", store)
    assert honest.returncode == 0, honest.stdout + honest.stderr
    git_project.change(*git_project.SLOWER)
    slower = shell("energy-gate", store)
    assert slower.returncode == 1, slower.stdout + slower.stderr
    assert "energy regressed" in slower.stdout
    assert (git_project.path / "energy.xml").exists()


def test_the_shell_recipe_for_bisecting_finds_the_commit(git_project: Any, shell: Any, tmp_path: Path) -> None:
    good = git_project.commit("first")
    store = tmp_path / "store"
    command = ["pytest", "benches", "--energy-rounds=3", f"--benchmark-storage=file://{store}", "--benchmark-save=good"]
    subprocess.run(command, cwd=git_project.path, check=True, capture_output=True)
    git_project.change(*git_project.SLOWER)
    culprit = git_project.commit("slower")
    git_project.file("notes.txt", "x")
    git_project.commit("note")
    found = shell("energy-bisect", good, "HEAD", store)
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"{culprit} is the first bad commit" in found.stdout

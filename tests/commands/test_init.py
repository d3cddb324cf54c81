"""`energybench init`: what it writes into a project, and what it leaves alone."""

from __future__ import annotations

import io
import os
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from energybench.cli import main
from energybench.commands import init
from energybench.store import read_run

REPOSITORY = Path(__file__).parents[2]


def run(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main(["init", *map(str, argv)], out, err)
    return code, out.getvalue(), err.getvalue()


def written(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "_is_installed", lambda: True)


@pytest.fixture
def project(tmp_path: Path, installed: None) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def test_a_benchmark_and_a_workflow_are_written_and_the_next_commands_named(project: Path) -> None:
    code, out, err = run(project, "--no-run")
    assert (code, err) == (0, "")
    assert written(project) == {"benches/test_energy.py", ".github/workflows/energy.yml"}
    assert "wrote benches/test_energy.py" in out
    assert out.index("energybench doctor") < out.index("--energy-rounds 3") < out.index("energybench report latest")


def test_a_conftest_is_written_only_where_the_plugin_is_not_installed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init, "_is_installed", lambda: False)
    run(project, "--no-run", "--ci", "none")
    assert runpy.run_path(str(project / "conftest.py"))["pytest_plugins"] == ["energybench.plugin"]
    (project / "conftest.py").write_text("# mine\n")
    code, out, _ = run(project, "--no-run", "--ci", "none")
    assert code == 0
    assert "conftest.py exists, left as it is" in out
    assert 'add pytest_plugins = ["energybench.plugin"] to it' in out
    assert (project / "conftest.py").read_text() == "# mine\n"


def test_what_exists_is_named_and_never_replaced_and_not_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "_pytest", lambda *_: pytest.fail("a benchmark of the user's own was run"))
    mine = project / "benches" / "test_energy.py"
    mine.parent.mkdir()
    mine.write_text("# mine\n")
    (project / ".github" / "workflows").mkdir(parents=True)
    (project / ".github" / "workflows" / "energy.yml").symlink_to("nowhere")
    code, out, _ = run(project)
    assert code == 0
    assert "benches/test_energy.py exists, left as it is" in out
    assert ".github/workflows/energy.yml exists, left as it is" in out
    assert mine.read_text() == "# mine\n"


def test_a_dry_run_writes_nothing(project: Path) -> None:
    code, out, _ = run(project, "--dry-run")
    assert code == 0
    assert "would write benches/test_energy.py" in out
    assert written(project) == set()


@pytest.mark.parametrize(
    ("file", "installs"),
    [
        ("pyproject.toml", "-e . energybench"),
        ("requirements.txt", "-r requirements.txt energybench"),
        ("", "energybench torch"),  # torch is here, so that the benchmark imports it
    ],
)
def test_the_workflow_installs_what_the_project_has(project: Path, file: str, installs: str) -> None:
    if file:
        (project / file).touch()
    run(project, "--no-run", "--ci", "github")
    workflow: Any = yaml.safe_load((project / ".github/workflows/energy.yml").read_text())
    assert f"pip install -q {installs}" in [step.get("run") for step in workflow["jobs"]["energy"]["steps"]]


def test_gitlab_is_chosen_where_the_project_has_its_file(project: Path) -> None:
    (project / ".gitlab-ci.yml").touch()
    (project / ".git").mkdir()
    _, out, _ = run(project, "--no-run")
    pipeline = yaml.safe_load((project / ".gitlab/energy.yml").read_text())
    assert any("energybench ab" in line for line in pipeline["energy"]["script"])
    assert 'include: [{local: ".gitlab/energy.yml"}]' in out
    assert "put .benchmarks/ into .gitignore" in out


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_each_command_in_the_ci_files_is_one(name: str) -> None:
    import shlex

    from energybench.cli import _options

    (line,) = [line for line in init._template(f"{name}.yml").splitlines() if "energybench ab" in line]
    words = shlex.split(line.partition("energybench ")[2])
    assert _options(words).pytest_args == ["benches"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder / "absent", "There is no folder"),
        (lambda folder: _file(folder / "a-file"), "is a file. Give the folder"),
        (lambda folder: REPOSITORY / "tests", "is energybench's own checkout"),
        (lambda folder: _file(folder / "benches").parent, "benches is no folder"),
    ],
    ids=["absent", "file", "own checkout", "file in the way"],
)
def test_what_cannot_be_a_project_is_refused_before_anything_is_written(project: Path, make: Any, says: str) -> None:
    folder = make(project)
    before = written(project)
    code, _, err = run(folder)
    assert code == 2
    assert says in err
    assert written(project) == before


def _file(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_refused(project: Path) -> None:
    project.chmod(0o500)
    code, _, err = run(project)
    project.chmod(0o700)
    assert code == 2
    assert "you may not write to" in err


def test_the_benchmark_runs_as_it_is_written_and_its_output_is_shown(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init, "_has", lambda module: False)  # plain Python
    monkeypatch.setattr(init, "_is_installed", lambda: False)  # the checkout is on the path, whatever is installed
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    code, out, err = run(project, "--ci", "none")
    assert (code, err) == (0, ""), out
    assert "1 passed" in out
    assert "stored as" in out
    (stored,) = project.glob(".benchmarks/*/0001_*.json")
    (case,) = read_run(stored).cases
    assert len(case.warmups) == 1  # what is loaded once is in no round


def test_a_benchmark_that_fails_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "_pytest", lambda *_: 1)
    code, out, err = run(project)
    assert (code, err) == (1, "energybench: pytest ended with 1; its output says why.\n")
    assert "Next" in out


def test_the_torch_benchmark_runs_as_it_is_written(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytester.makepyfile(test_energy=init._template("torch.py"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    result = pytester.runpytest_inprocess("-p", "energybench.plugin", "--energy-meters", "estimate")
    result.assert_outcomes(passed=1)

"""Other programs read what energybench stores and exports: the pytest-benchmark command, and two readers' contracts."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from energybench.cli import main

if TYPE_CHECKING:
    from tests.integration.conftest import Project, Stored

pytest.importorskip("pytest_benchmark")

BRIDGE = "from energybench.reports.stock import pytest_benchmark_group_stats\n"
SECONDS = {"test_tune[a]": [1.0, 2.0], "test_tune[b]": [3.0, 3.0]}
JOULES = {"test_tune[a]": [100.0, 104.0], "test_tune[b]": [50.0, 54.0]}
LABEL = " (replayed)"

# A stand-in for pygal, which is not among our dependencies: it writes down what would be drawn.
PYGAL = {
    "pygal/__init__.py": "class PluginImportFixer: pass\n",
    "pygal/style.py": "class DefaultStyle:\n    colors = ('#0', '#1')\n",
    "pygal/graph/__init__.py": "",
    "pygal/graph/box.py": """
import json

class Box:
    def __init__(self, **options):
        self.title, self.drawn = options["title"], {}
    def add(self, name, serie):
        self.drawn[name] = serie[:7]
    def render_to_file(self, path):
        with open(path, "w") as file:
            json.dump({"title": self.title, "drawn": self.drawn}, file)
""",
}


@pytest.fixture
def measured(project: Project) -> Project:
    """Two cases of two rounds each, measured and stored by a real pytest."""
    project.cases()
    windows = {name: [*zip(JOULES[name], SECONDS[name], strict=True)] for name in JOULES}
    project.replay({f"*{name}": pairs for name, pairs in windows.items()})
    result = project.run_apart("--energy-rounds=2", "--benchmark-save=run1", "--benchmark-save-data")
    assert result.ret == 0, result.outlines
    return project


def command(project: Project, *args: str, **variables: str) -> tuple[str, str]:
    """stdout and stderr of the pytest-benchmark command, called in the project's folder."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", *args],
        cwd=project.path,
        env={**os.environ, "COLUMNS": "200", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def means(project: Project, *args: str, **variables: str) -> dict[str, float]:
    """Name -> mean of the CSV that the command writes."""
    command(project, "compare", *args, "--csv=table.csv", "--columns=mean,min,max", **variables)
    with (project.path / "table.csv").open(newline="") as file:
        return {row["name"].rpartition("::")[2]: float(row["mean"]) for row in csv.DictReader(file)}


def exported(project: Project, *args: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    assert main(["export", *args, "--storage", str(project.path / ".benchmarks")], out, err) == 0, err.getvalue()
    return out.getvalue()


def test_without_the_bridge_the_command_shows_the_seconds(measured: Project) -> None:
    assert means(measured, "0001") == {"test_tune[a]": 1.5, "test_tune[b]": 3.0}


def test_one_line_in_conftest_shows_joules_in_the_table_and_the_csv(measured: Project) -> None:
    measured.file("conftest.py", BRIDGE)
    before = measured.last().path.read_bytes()
    table, _ = command(measured, "compare", "0001", "--columns=min,max")
    assert "IT energy (read J for s)" in table
    assert "100.0000" in table
    assert "104.0000" in table
    assert means(measured, "0001") == {f"test_tune[a]{LABEL}": 102.0, f"test_tune[b]{LABEL}": 52.0}
    assert measured.last().path.read_bytes() == before


def test_the_bridge_gives_the_seconds_back(measured: Project) -> None:
    measured.file("conftest.py", BRIDGE)
    assert means(measured, "0001", ENERGYBENCH_STOCK_METRIC="seconds")["test_tune[a]"] == 1.5


def test_the_bridge_compares_two_runs_in_joules(measured: Project) -> None:
    measured.file("conftest.py", BRIDGE)
    measured.replay({"*": [(200.0, 1.0)]})
    assert measured.run_apart("--energy-rounds=2", "--benchmark-save=run2").ret == 0
    table, _ = command(measured, "compare", "0001", "0002", "--between=mean")
    row = next(line.split() for line in table.splitlines() if "[a]" in line)
    assert row[-3:] == ["102.0000", "200.0000", "+96.1%"]


def test_the_bridge_draws_joules(measured: Project) -> None:
    measured.file("conftest.py", BRIDGE)
    for name, text in PYGAL.items():
        measured.file(f"stub/{name}", text)
    path = os.pathsep.join([str(measured.path / "stub"), os.environ["PYTHONPATH"]])
    command(measured, "compare", "0001", "--histogram=drawing", PYTHONPATH=path)
    (drawing,) = measured.path.glob("drawing*.svg")
    drawn = json.loads(drawing.read_text())
    assert "IT energy (read J for s)" in drawn["title"]
    assert [serie[0] for serie in drawn["drawn"].values()] == [50.0, 100.0]


def test_plain_cases_are_left_out_of_a_table_of_joules(measured: Project) -> None:
    measured.file("conftest.py", BRIDGE)
    measured.file("test_plain.py", "def test_plain(benchmark):\n    benchmark.pedantic(int, rounds=2)\n")
    assert measured.run_apart("--benchmark-save=both").ret == 0
    table, said = command(measured, "compare", "0002")
    assert "test_plain" not in table
    assert "left out: test_plain.py::test_plain" in said


@pytest.mark.parametrize("more", [[], ["-p", "no:benchmark"]], ids=["with pytest-benchmark", "without"])
def test_a_session_is_not_disturbed_by_the_bridge(more: list[str], project: Project) -> None:
    project.cases()
    project.file("conftest.py", BRIDGE)
    result = project.run_apart(*more)
    assert result.ret == 0
    assert "read J for s" not in "\n".join(result.outlines)


def test_the_exported_file_is_compared_in_joules(measured: Project) -> None:
    there = measured.path / "joules.json"
    exported(measured, "run1", "--format", "pytest-benchmark", "--output", str(there))
    table, _ = command(measured, "compare", str(there), "--columns=mean")
    assert "IT energy (read J for s)" in table
    assert means(measured, str(there)) == {f"test_tune[a]{LABEL}": 102.0, f"test_tune[b]{LABEL}": 52.0}
    assert "joules.json" not in command(measured, "list")[0]


def test_the_stored_file_has_what_the_action_reads_of_its_tool_pytest(measured: Project) -> None:
    """extractPytestResult: fullname, and numbers ops, stddev, mean and rounds."""
    for entry in measured.last().document["benchmarks"]:
        assert isinstance(entry["fullname"], str)
        assert entry["stats"]["ops"] == pytest.approx(1 / entry["stats"]["mean"])
        assert all(type(entry["stats"][key]) in (int, float) for key in ("ops", "stddev", "mean", "rounds"))


def test_the_stored_file_has_what_bencher_reads_with_its_adapter_python_pytest(measured: Project) -> None:
    """AdapterPythonPytest: machine_info and commit_info as objects, and mean, stddev, median and iqr as numbers."""
    stored: Stored = measured.last()
    assert isinstance(stored.document["machine_info"], dict)
    assert isinstance(stored.document["commit_info"], dict)
    for entry in stored.document["benchmarks"]:
        assert 1 <= len(entry["fullname"].encode()) <= 1024
        assert all(type(entry["stats"][key]) in (int, float) for key in ("mean", "stddev", "median", "iqr"))


def test_the_exports_of_a_real_run_carry_its_joules(measured: Project) -> None:
    elements: list[dict[str, Any]] = json.loads(
        exported(measured, "run1", "--format", "github-action-benchmark", "--metric", "joules")
    )
    assert [(element["name"].partition("[")[2], element["value"]) for element in elements] == [
        (f"a]{LABEL}", 102.0),
        (f"b]{LABEL}", 52.0),
    ]
    measures = json.loads(exported(measured, "run1", "--format", "bencher"))
    assert measures["test_bench.py::test_tune[a]"]["energy-joules-replayed"]["value"] == 102.0
    assert measures["test_bench.py::test_tune[a]"]["latency"]["value"] == 1.5e9

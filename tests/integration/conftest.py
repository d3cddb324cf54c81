"""A small project of benchmark cases, run by a real pytest."""

from __future__ import annotations

import importlib
import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy  # noqa: F401 - cannot be loaded twice in one process
import pytest

# A pytest inside this one forgets every module that it has loaded; what is here already is not loaded again.
for name in (
    "harness.engine",
    "harness.fixture",
    "harness.result",
    "harness.gate",
    "harness.terminal",
    "harness.saving",
    "analysis.compare",
    "metering.replay",
    "metering.estimate",
    "reports.text",
):
    importlib.import_module(f"energybench.{name}")

REPOSITORY = Path(__file__).parents[2]


def _no_constant(text: str) -> NoReturn:
    raise AssertionError(f"{text} is not strict JSON")


def strict_json(path: Path) -> Any:
    return json.loads(path.read_text(), parse_constant=_no_constant)


@dataclass(frozen=True)
class Stored:
    """A stored run: the document, and our record per case id."""

    path: Path
    document: dict[str, Any]

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        return {entry["fullname"]: entry["extra_info"]["energybench"] for entry in self.document["benchmarks"]}

    @property
    def status(self) -> str:
        return str(self.document["energybench"]["status"])

    def joules(self, case: str) -> list[float]:
        return [round["joules"]["package:0"] for round in self.records[case]["rounds"]]


class Project:
    """A folder with cases and a replay file."""

    CASES = """
    import pytest

    @pytest.mark.parametrize("model", ["a", "b"])
    def test_tune(energy, model):
        def tune():
            with energy.lap("epoch"):
                pass
            energy.record(accuracy=0.9, epochs=1)
            return model

        run = energy(tune)
        assert run.value == model
    """
    A, B = "test_bench.py::test_tune[a]", "test_bench.py::test_tune[b]"

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.replay({"*": [(100.0, 1.0)]})
        self.file("pytest.ini", "[pytest]\n")

    def file(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def cases(self, text: str = CASES) -> None:
        self.file("test_bench.py", text)

    def replay(
        self,
        windows: Mapping[str, Sequence[tuple[float, float]]],
        name: str = "replay.json",
        domain: str = "package:0",
        **more: Any,
    ) -> str:
        """Windows of (joules, seconds) per label pattern."""
        rows = [
            {"label": label, "seconds": seconds, "joules": {domain: joules}}
            for label, pairs in windows.items()
            for joules, seconds in pairs
        ]
        (self.path / name).write_text(json.dumps({"schema": 1, "domains": [{"name": domain}], "windows": rows, **more}))
        return f"replay:{name}"

    def arguments(self, *args: str | Path, meters: str = "replay:replay.json") -> list[str]:
        # A machine with energybench installed loads the same plugin under the same name, once.
        return ["-p", "energybench.plugin", "--energy-meters", meters, *map(str, args)]

    def run(self, *args: str | Path, meters: str = "replay:replay.json") -> pytest.RunResult:
        """pytest in this process."""
        return self.pytester.runpytest_inprocess(*self.arguments(*args, meters=meters))

    def run_apart(self, *args: str | Path, meters: str = "replay:replay.json") -> pytest.RunResult:
        """pytest in a process of its own."""
        return self.pytester.runpytest_subprocess(*self.arguments(*args, meters=meters))

    def says(self, result: pytest.RunResult, *patterns: str) -> None:
        """Each fnmatch pattern fits a line of stdout or stderr."""
        for pattern in patterns:
            pytest.LineMatcher([*result.outlines, *result.errlines]).fnmatch_lines_random([pattern])

    def stored(self, storage: str = ".benchmarks") -> list[Stored]:
        paths = sorted((self.path / storage).glob("*/[0-9]*.json"))
        return [Stored(path, strict_json(path)) for path in paths]

    def last(self) -> Stored:
        return self.stored()[-1]

    def files(self, folder: str = ".") -> set[Path]:
        """Every file below `folder` but bytecode. pytest-benchmark itself makes an empty .benchmarks in any session."""
        return {p for p in (self.path / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts}

    def log(self, name: str = "log") -> list[str]:
        """Lines that cases appended to a file of this name."""
        path = self.path / name
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project beside this checkout."""
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Project(pytester)

"""Warnings are errors for everything under tests/, and only there. What several folders share: cases, fake counters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import pytest
from hypothesis import settings

from energybench.model import Case, Domain, Provenance, Round, Window

HERE = Path(__file__).parent
FAKES = HERE / "fakes"
SERVER_RANGE_UJ = 262_143_328_850

if "PYTEST_XDIST_WORKER" in os.environ:
    # One thread for each of several workers: torch's threads wait for one another in step, and a neighbour makes them
    # wait longer than they compute. Set before torch is imported; what tests start inherits it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A pytest that a test or a fixture starts is no worker: pytest-benchmark would switch itself off in it.
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        os.environ.pop(name, None)

settings.register_profile("energybench", deadline=None)  # a busy machine is no bug
settings.load_profile("energybench")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error"), append=False)


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other energybench of this machine is a neighbour of what a test meters."""
    monkeypatch.setenv("ENERGYBENCH_LOCK_DIR", str(tmp_path_factory.getbasetemp() / "locks"))


class MakeCase(Protocol):
    """A case of which only what a test is about need be said."""

    def __call__(
        self,
        id: str = "resnet18-none",
        joules: Sequence[float | None] = (100.0,),
        *,
        accuracy: Sequence[float | None] = (),
        epochs: int = 0,
        seconds: float = 2.0,
        provenance: Provenance = Provenance.MEASURED,
        metrics: Mapping[str, float] = MappingProxyType({}),
        **fields: Any,
    ) -> Case: ...


@pytest.fixture
def make_case() -> MakeCase:
    """One domain `package:0`; a round per element of `joules` with that accuracy and `epochs` laps, seeds 0, 1, ..."""

    def make(
        id: str = "resnet18-none",
        joules: Sequence[float | None] = (100.0,),
        *,
        accuracy: Sequence[float | None] = (),
        epochs: int = 0,
        seconds: float = 2.0,
        provenance: Provenance = Provenance.MEASURED,
        metrics: Mapping[str, float] = MappingProxyType({}),
        **fields: Any,
    ) -> Case:
        laps = tuple(Window(seconds / epochs, label="epoch") for _ in range(epochs))
        rounds = tuple(
            Round(
                Window(seconds, {"package:0": j}, laps=laps),
                {**metrics, **({"accuracy": accuracy[seed]} if accuracy else {})},
                seed=seed,
            )
            for seed, j in enumerate(joules)
        )
        domains = (Domain("package:0", "rapl", provenance),)
        return Case(**{"id": f"benches/test_f.py::test_f[{id}]", "rounds": rounds, "domains": domains, **fields})

    return make


class Powercap:
    """A folder that stands for /sys/class/powercap."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def zone(self, path: str, name: str, uj: int = 0, range_uj: int | None = SERVER_RANGE_UJ) -> Path:
        """Make the zone at `path` below the root; returns its energy_uj."""
        folder = self.root / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "name").write_text(f"{name}\n")
        if range_uj is not None:
            (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        self.set(path, uj)
        return folder / "energy_uj"

    def set(self, path: str, uj: int | str) -> None:
        """Set a counter in place and at once, as the kernel does: no reader meets an empty file, or half a number."""
        file = self.root / path / "energy_uj"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(descriptor, f"{uj}\n".encode().ljust(file.stat().st_size, b"\n"), 0)
        finally:
            os.close(descriptor)


@pytest.fixture
def powercap(tmp_path: Path) -> Powercap:
    root = tmp_path / "powercap"
    root.mkdir()
    return Powercap(root)


@pytest.fixture
def live() -> Iterator[Callable[..., None]]:
    """Start a process that keeps counters running: {energy_uj: (watts, range in uJ)}, and keys of the writer."""
    running: list[subprocess.Popen[str]] = []

    def start(counters: dict[Path, tuple[float, int]], **course: Any) -> None:
        spec = [{"path": str(path), "watts": w, "range_uj": r, **course} for path, (w, r) in counters.items()]
        writer = FAKES / "powercap_writer.py"
        process = subprocess.Popen([sys.executable, str(writer), json.dumps(spec)], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"

    yield start
    for process in running:
        process.kill()
        process.communicate()


class GitProject:
    """A git repository of a package and its benchmark, in which every joule follows from the code.

    The package `trainer` counts the operations of its training; the project's conftest runs it before the session and
    makes a replay file of one joule per operation, with 0.2 % of noise that the round's seed decides.
    """

    FILES: Mapping[str, str] = MappingProxyType(
        {
            "pytest.ini": """
            [pytest]
            pythonpath = src
            energy_meters = replay:replay.json
            """,
            ".gitignore": """
            __pycache__/
            .pytest_cache/
            /replay.json
            """,
            "src/trainer/__init__.py": """
            from contextlib import nullcontext

            MODELS = {"small": 200, "medium": 300, "large": 500}
            EPOCHS = 4
            operations = 0


            def train(model, lap=nullcontext):
                # Learns that points above 0.5 are of one kind; returns the share that it sorts rightly.
                global operations
                points, threshold = [i / MODELS[model] for i in range(MODELS[model])], 0.0
                for _ in range(EPOCHS):
                    with lap("epoch"):
                        wrong = []
                        for x in points:
                            operations += 1
                            if threshold < x <= 0.5:
                                wrong.append(x)
                        threshold = sum(wrong) / len(wrong)
                return sum((x > threshold) == (x > 0.5) for x in points) / len(points)
            """,
            "conftest.py": """
            import json
            import os
            import random

            import trainer


            def pytest_configure(config):
                rows = []
                for model in trainer.MODELS:
                    before = trainer.operations
                    trainer.train(model)
                    joules = trainer.operations - before
                    for seed in config.getoption("energy_seeds") or range(10):
                        noise = random.Random(f"{model}{seed}").gauss(1, 0.002)
                        window = {"seconds": joules / 1000, "joules": {"package:0": joules * noise}}
                        rows.append({"label": f"*[{model}]", **window})
                machine = {"cpu_model": os.environ.get("CPU_MODEL", "EPYC")}
                recording = {"schema": 1, "domains": [{"name": "package:0"}], "windows": rows, "comparability": machine}
                with open("replay.json", "w") as file:
                    json.dump(recording, file)
            """,
            "benches/test_train.py": """
            import pytest

            import trainer


            @pytest.mark.parametrize("model", trainer.MODELS)
            def test_train(energy, model):
                energy.workload(model=model)

                def call():
                    energy.record(accuracy=trainer.train(model, energy.lap), epochs=trainer.EPOCHS)

                energy(call)
            """,
        }
    )
    PACKAGE = "src/trainer/__init__.py"
    SUITE = "benches/test_train.py"
    CASES = tuple(f"benches/test_train.py::test_train[{model}]" for model in ("small", "medium", "large"))
    SLOWER = ("for _ in range(EPOCHS):", "for _ in range(EPOCHS):\n        operations += len(points) // 5")
    CHEAPER_AND_WORSE = ("EPOCHS = 4", "EPOCHS = 3")

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        for name, text in self.FILES.items():
            self.file(name, text)

    def git(self, *args: str) -> str:
        done = subprocess.run(["git", *args], cwd=self.path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def file(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))

    def change(self, old: str, new: str, name: str = PACKAGE) -> None:
        """Replace `old`, which is there once, by `new`."""
        text = (self.path / name).read_text()
        assert text.count(old) == 1, old
        (self.path / name).write_text(text.replace(old, new))

    def commit(self, message: str) -> str:
        """Commit everything; the id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def runs(self, storage: str = ".benchmarks") -> dict[str, dict[str, Any]]:
        """Name -> document of each stored run."""
        paths = sorted((self.path / storage).glob("*/[0-9]*.json"))
        return {path.name.removesuffix(".json"): json.loads(path.read_text()) for path in paths}


@pytest.fixture
def git_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitProject:
    """The project with nothing committed yet; the current folder, and known to any Python that is started."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("PYTEST_ADDOPTS", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-01-01T12:00:00+0000")  # the same commits in every test
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # a file that is changed twice in a second is compiled anew
    project = GitProject(tmp_path / "project")
    monkeypatch.chdir(project.path)
    return project

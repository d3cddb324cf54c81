"""Warnings are errors for everything under tests/, and only there. What several folders share: cases, fake counters."""

from __future__ import annotations

import json
import subprocess
import sys
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
        """Set a counter in place, as the kernel does."""
        (self.root / path / "energy_uj").write_text(f"{uj}\n")


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

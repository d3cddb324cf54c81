"""Fake powercap trees: folders with the kernel's files, set by hand or by a process that writes known watts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SERVER_RANGE_UJ = 262_143_328_850


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
def live() -> Iterator[Callable[[dict[Path, tuple[float, int]]], None]]:
    """Start a process that keeps counters running: {energy_uj: (watts, range in microjoules)}."""
    running: list[subprocess.Popen[str]] = []

    def start(counters: dict[Path, tuple[float, int]]) -> None:
        spec = [{"path": str(path), "watts": w, "range_uj": r} for path, (w, r) in counters.items()]
        writer = Path(__file__).with_name("powercap_writer.py")
        process = subprocess.Popen([sys.executable, str(writer), json.dumps(spec)], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"

    yield start
    for process in running:
        process.kill()
        process.communicate()

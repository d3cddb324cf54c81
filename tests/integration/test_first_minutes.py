"""The README's blocks that install, typed as they stand there: a clone, an environment, a run and a report."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OFFLINE = re.compile("NewConnectionError|Temporary failure in name resolution|Name or service not known|ConnectTimeout")


@dataclass(frozen=True)
class Clone:
    """A clone in which the three commands were run."""

    path: Path
    environment: dict[str, str]
    printed: str

    def active(self, script: str) -> subprocess.CompletedProcess[str]:
        """The same with the clone's environment activated."""
        return self.bash(f". .venv/bin/activate\n{script}")

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        """The script in the clone, ended by its first line that fails."""
        return bash(script, self.path, self.environment)


def bash(script: str, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euc", script], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def block(before: str, text: str = README) -> str:
    """The first block of shell lines behind this text."""
    found = re.search(r"^```sh\n(.*?)^```$", text.partition(before)[2], re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    import torch

    if torch.version.cuda is not None:
        pytest.skip("a second environment with the CUDA build of torch would take gigabytes")
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout that could be cloned")
    top = tmp_path_factory.mktemp("first")
    home = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "VIRTUAL_"))}
    environment = home | {
        # Starting weights and locks of one's own, but not the wheels once more.
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip")),
        "XDG_CACHE_HOME": str(top / "cache"),
        # The checkout may be another user's, as in a container.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    commands = block("From a clone to a report of two models, in three commands")
    assert len(commands.splitlines()) == 3
    done = bash(commands.replace("URL", str(ROOT)), top, environment)
    if done.returncode and OFFLINE.search(done.stderr):
        pytest.skip("pip reaches no package index")
    assert done.returncode == 0, done.stdout + done.stderr
    return Clone(top / "energybench", environment, done.stdout)


def test_three_commands_lead_from_a_clone_to_a_report_of_two_models(clone: Clone) -> None:
    assert "8 passed" in clone.printed
    assert re.search(r"^report\.html: 8 cases, \d+ charts", clone.printed, re.MULTILINE)
    page = (clone.path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "resnet18-lowrank" in page


def test_the_main_command_measures_tabulates_and_stores(clone: Clone) -> None:
    # One model instead of nine: the rest of the command as it stands.
    done = clone.bash(f"{block('<!-- main command -->').strip()} --energy-models tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    assert "kWh with PUE 1.58" in done.stdout
    assert re.search(r"stored as \S+\.json", done.stdout)
    listed = clone.bash(".venv/bin/energybench list")
    assert listed.returncode == 0, listed.stderr
    assert "three_seeds" in listed.stdout


SMALL = "--energy-models tiny --energy-compressors none,prune"


def test_the_gate_of_the_readme_compares_with_what_was_saved_as_main(clone: Clone) -> None:
    gate = block("## In CI").strip()
    command, _, reference = gate.partition(" --energy-compare ")
    assert reference == "main"
    saved = clone.active(f"{command} {SMALL} --benchmark-save={reference}")
    assert saved.returncode == 0, saved.stdout + saved.stderr
    done = clone.active(f"{gate} {SMALL} -v")
    # Whether two runs on a busy machine differ is not this test's business.
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert done.stdout.count("energybench::gate[benches/test_epoch.py::test_epoch[tiny-") >= 2
    assert "2 cases in both runs" in done.stdout


def test_base_and_head_of_the_readme_are_measured_in_turn(clone: Clone) -> None:
    # A checkout in CI may be of no branch.
    done = clone.active(f"git checkout -q -B main\n{block('Where one machine can run both sides').strip()} {SMALL}")
    assert done.returncode in (0, 1, 3), done.stdout + done.stderr
    assert done.stderr.count("stored as ") == 2, done.stderr
    assert "2 cases in both runs" in done.stdout


def test_the_power_meter_at_the_plug_is_read_as_the_manual_says(clone: Clone, tmp_path: Path) -> None:
    watts = tmp_path / "plug_watts"
    watts.write_text("120.0\n", encoding="utf-8")
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    done = clone.active(block("to be copied", text).replace("/run/plug_watts", str(watts)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "wall" in done.stdout

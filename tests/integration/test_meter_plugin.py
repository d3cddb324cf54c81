"""The hook pytest_energybench_meters: meters of a plugin or conftest in a real session."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "wall_meter"
CONFTEST = """
from energybench.metering import Diagnosis, Opened, Reading, Resolution
from energybench.model import Domain, Provenance

class Disk:
    name = "disk"
    heartbeat_s = None
    resolution = {"disk:0": Resolution(1e-6, 0.0)}

    def __init__(self):
        self.joules = 0.0
        self.domains = (Domain("disk:0", "disk", Provenance.MEASURED),)

    def read(self):
        self.joules += 3.0
        return {"disk:0": Reading(self.joules)}

    def calibrate(self):
        pass

    def conditions(self):
        return {"disk:0_temperature_c": 31.0}

    def comparability(self):
        return {"meter_disk": "SN740"}

    def close(self):
        with open("closed", "a") as file:
            file.write("closed\\n")

"""
CASE = """
def test_it(energy):
    assert energy(int).joules is not None
"""
IT = "test_bench.py::test_it"


@pytest.fixture
def conftest(project: Any) -> Callable[[str], None]:
    """A case, and a conftest whose hook has this body."""

    def write(hook: str) -> None:
        project.cases(CASE)
        lines = "".join(f"    {line}\n" for line in hook.splitlines())
        (project.path / "conftest.py").write_text(f"{CONFTEST}\ndef pytest_energybench_meters(config):\n{lines}")

    return write


def test_a_meter_of_a_conftest_counts_in_the_session_like_a_built_in_one(project: Any, conftest: Any) -> None:
    conftest("return [Disk()]")
    result = project.run(meters="estimate,disk")
    result.assert_outcomes(passed=1)
    record = project.last().records[IT]
    (round,) = record["rounds"]
    assert {domain["name"]: domain["meter"] for domain in record["domains"]} == {
        "cpu": "estimate",
        "ram": "estimate",
        "disk:0": "disk",
    }
    assert round["joules"]["disk:0"] == 3.0
    assert record["comparability"]["meter_disk"] == "SN740"
    assert round["conditions"]["disk:0_temperature_c"] == 31.0
    devices = {d["device"]: d["state"] for d in project.last().document["energybench"]["diagnoses"]}
    assert devices["disk:0"] == "ok"
    assert project.log("closed") == ["closed"]


def test_a_device_that_is_not_there_is_a_line_of_the_header(project: Any, conftest: Any) -> None:
    conftest('return Opened(None, (Diagnosis("disk", "disk:0", "absent", "no sensor on this board"),))')
    result = project.run(meters="auto")
    result.assert_outcomes(passed=1)
    project.says(result, "*no sensor on this board*")
    assert "disk:0" not in project.last().records[IT]["rounds"][0]["joules"]


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        ("return Disk", "*a plugin gave the class Disk as a meter: give an instance of it."),
        ("return object()", "*builtins.object, given by a plugin, has no name, no domains, *no read()*"),
        ("del Disk.calibrate\nreturn [Disk()]", "*conftest.Disk, given by a plugin, has no calibrate(): *"),
        ("return [Disk(), Disk()]", "*is named 'disk', as another meter is: give it a name of its own.*"),
        ("Disk.name = 'nvml'\nreturn Disk()", "*is named 'nvml', as another meter is*"),
        ("return open('/dev/no-such-port')", "*raised FileNotFoundError (*no-such-port*) at *conftest.py:*"),
    ],
    ids=["class", "object", "method", "twice", "built-in name", "raises"],
)
def test_what_is_no_meter_is_refused_before_a_case_runs(project: Any, conftest: Any, hook: str, says: str) -> None:
    conftest(hook)
    result = project.run(meters="auto")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, says)
    assert not project.stored()


def test_meters_of_a_plugin_are_chosen_by_name(project: Any, conftest: Any) -> None:
    conftest('return [Disk(), Opened(None, (Diagnosis("fan", "fan:0", "absent", "no tachometer"),))]')
    project.run(meters="disk").assert_outcomes(passed=1)
    assert set(project.last().records[IT]["rounds"][0]["joules"]) == {"disk:0"}
    project.run(meters="estimate").assert_outcomes(passed=1)
    assert "disk:0" not in project.last().records[IT]["rounds"][0]["joules"]
    left_out = {d["meter"]: d for d in project.last().document["energybench"]["diagnoses"]}["disk"]
    assert (left_out["state"], left_out["reason"]) == ("off", "not among --energy-meters")
    for meters, says in (
        ("disc", "*there is no meter 'disc': choose among auto, *; plugins give disk, fan.*"),
        ("fan", "*the meter 'fan' cannot be opened. fan:0: no tachometer.*"),
    ):
        result = project.run(meters=meters)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        project.says(result, says)


def test_the_hook_is_not_asked_where_nothing_is_metered(project: Any, conftest: Any) -> None:
    conftest("open('asked', 'w').write('asked')\nreturn None")
    project.run("--benchmark-disable", meters="estimate")
    project.run("--collect-only", meters="estimate")
    project.run()  # replayed
    assert project.log("asked") == []
    project.run(meters="estimate")
    assert project.log("asked") == ["asked"]


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Path]:
    """A file in which a logger keeps writing 120 W."""
    path = tmp_path / "watts"
    stop = threading.Event()

    def log() -> None:
        while not stop.is_set():
            scratch = path.with_suffix(".new")
            scratch.write_text("120.0\n")
            scratch.replace(path)
            stop.wait(0.02)

    path.write_text("120.0\n")
    logger = threading.Thread(target=log)
    logger.start()
    yield path
    stop.set()
    logger.join()


def _example(project: Any) -> None:
    shutil.copytree(EXAMPLE, project.path, dirs_exist_ok=True)


def test_the_example_integrates_the_power_at_the_plug_in_place_of_the_estimate(project: Any, plug: Path) -> None:
    _example(project)
    result = project.run(f"--wall-file={plug}", "--wall-period=0.05", meters="auto")
    result.assert_outcomes(passed=1)
    record = project.last().records["test_wall.py::test_sleep"]
    domains = {domain["name"]: domain for domain in record["domains"] if domain.get("in_total", True)}
    if set(domains) - {"wall"}:
        pytest.skip(f"this machine has counters: {', '.join(domains)}")
    assert domains["wall"]["provenance"] == "integrated"
    (round,) = record["rounds"]
    assert round["joules"]["wall"] == pytest.approx(120.0 * round["seconds"], rel=0.01)


def test_the_example_stands_beside_the_total_where_a_counter_reads_the_package(
    project: Any, plug: Path, powercap: Any, live: Any
) -> None:
    _example(project)
    live({powercap.zone("intel-rapl:0", "package-0"): (100.0, 262_143_328_850)})
    rapl = f"--energy-powercap-root={powercap.root}"
    result = project.run(f"--wall-file={plug}", "--wall-period=0.05", rapl, meters="rapl,wall")
    result.assert_outcomes(passed=1)
    record = project.last().records["test_wall.py::test_sleep"]
    wall = next(domain for domain in record["domains"] if domain["name"] == "wall")
    assert (wall["in_total"], wall["note"]) == (False, "at the plug; not added: other meters read package in it")
    assert record["rounds"][0]["joules"]["wall"] > 0


def test_the_example_refuses_a_logger_that_has_stopped(project: Any, tmp_path: Path) -> None:
    import os

    _example(project)
    path = tmp_path / "watts"
    path.write_text("120.0\n")
    os.utime(path, (1e9, 1e9))
    result = project.run(f"--wall-file={path}", meters="auto")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    project.says(result, "*the meter 'wall' cannot read 'wall': *has its logger stopped?*")

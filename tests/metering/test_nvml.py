"""NVML through the real nvidia-ml-py, on a libnvidia-ml.so.1 that is built here from fake_nvml.c."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., Any]

PRELUDE = """
import json, os, time
from pathlib import Path
from energybench.errors import MeterError
from energybench.metering import MeterOptions, open_meters

def gpus(*lines):
    path = Path(os.environ["FAKE_NVML"])
    path.with_suffix(".new").write_text("\\n".join(lines) + "\\n")
    path.with_suffix(".new").replace(path)

def tell(value):
    print(json.dumps(value))
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("no C compiler here to build the fake libnvidia-ml.so.1")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("fake_nvml.c")
    target = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(target), str(source)], check=True)
    return folder


@pytest.fixture
def ask(library: Path, tmp_path: Path) -> Ask:
    """Run code in a process that sees the fake GPUs; returns what it told."""

    def run(code: str, *lines: str, visible: str | None = None, init: int = 0) -> Any:
        state = tmp_path / "gpus"
        state.write_text("".join(f"{line}\n" for line in lines))
        environment = os.environ | {"LD_LIBRARY_PATH": str(library), "FAKE_NVML": str(state)}
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        if visible is not None:
            environment["CUDA_VISIBLE_DEVICES"] = visible
        if init:
            environment["FAKE_NVML_INIT"] = str(init)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PRELUDE + code],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


WINDOW = """
meters = open_meters(MeterOptions(names=("nvml",)))
window = meters.open_window()
{between}
closed = window.close()
tell({{
    "joules": closed.joules, "error_j": closed.error_j, "seconds": closed.seconds, "warnings": closed.warnings,
    "domains": [[d.name, d.provenance, d.device, d.note] for d in meters.domains],
    "diagnoses": [[d.device, d.state, d.reason] for d in meters.diagnoses],
    "conditions": meters.conditions(), "comparability": meters.comparability()["gpus"],
}})
meters.close()
"""
ONE = "GPU-aaaa H200 1000 300000 300000 0 0"


def test_the_energy_counter_gives_its_own_difference(ask: Ask) -> None:
    seen = ask(
        WINDOW.format(between='gpus("GPU-aaaa H200 1000 3 3 0 0".replace("1000", "46500"))'),
        "GPU-aaaa NVIDIA_H200 1000 300000 300000 0 0",
    )
    assert seen["joules"] == {"gpu:0": 45.5}
    assert seen["domains"] == [["gpu:0", "measured", "NVIDIA H200 (GPU-aaaa)", ""]]
    assert seen["conditions"] == {
        "gpu:0_temperature_c": 41.0,
        "gpu:0_sm_clock_mhz": 1980.0,
        "gpu:0_power_limit_w": 700.0,
    }
    assert seen["comparability"] == [{"name": "NVIDIA H200", "power_limit_w": 700.0}]
    assert "too short to be sound" in seen["warnings"][0]


@pytest.mark.parametrize("line", ["GPU-aaaa T4 -1 999000 300000 0 0", "GPU-aaaa T4 -1 300000 -1 0 0"])
def test_a_gpu_without_counter_has_its_power_integrated_over_the_whole_window(ask: Ask, line: str) -> None:
    seen = ask(WINDOW.format(between="time.sleep(0.45)"), line)
    assert seen["domains"][0][1] == "integrated"
    assert seen["joules"]["gpu:0"] == pytest.approx(300 * seen["seconds"], rel=0.02)
    assert "no energy counter (Not Supported)" in seen["diagnoses"][0][2]


def test_a_change_of_power_is_followed_by_samples_taken_in_between(ask: Ask) -> None:
    between = """
time.sleep(0.5)
gpus("GPU-aaaa T4 -1 -1 100000 0 0")
changed = time.perf_counter()
time.sleep(1.0)
"""
    seen = ask(WINDOW.format(between=between), "GPU-aaaa T4 -1 -1 500000 0 0")
    truth = 500 * (seen["seconds"] - 1.0) + 100 * 1.0
    # One sample period of 0.1 s may lie between the change and the sample that sees it; more on a busy machine.
    assert seen["joules"]["gpu:0"] == pytest.approx(truth, abs=400 * 0.15)


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [
        (None, ["GPU-aaaa", "GPU-abbb", "GPU-cccc"]),
        ("0", ["GPU-aaaa"]),
        ("2,0", ["GPU-cccc", "GPU-aaaa"]),
        ("GPU-c", ["GPU-cccc"]),
        ("GPU-abbb,2", ["GPU-abbb", "GPU-cccc"]),
        ("1,-1,2", ["GPU-abbb"]),
        ("1,7,2", ["GPU-abbb"]),
        ("0,0", ["GPU-aaaa"]),
        ("MIG-slice-2", ["GPU-cccc"]),
        ("MIG-GPU-abbb/1/0", ["GPU-abbb"]),
        ("MIG-slice-2,MIG-GPU-cccc/1/0", ["GPU-cccc"]),
    ],
)
def test_only_the_gpus_that_cuda_shows_are_read_in_its_order(ask: Ask, visible: str | None, uuids: list[str]) -> None:
    code = """
meters = open_meters(MeterOptions(names=("nvml",)))
tell([[d.name, d.device, d.note] for d in meters.domains])
"""
    lines = [f"{uuid} H100 5 5 5 {mig} 0" for uuid, mig in (("GPU-aaaa", 0), ("GPU-abbb", 1), ("GPU-cccc", 1))]
    seen = ask(code, *lines, visible=visible)
    assert [(name, device) for name, device, _ in seen] == [
        (f"gpu:{i}", f"H100 ({uuid})") for i, uuid in enumerate(uuids)
    ]
    assert all(("whole board" in note) == (not device.endswith("aaaa)")) for _, device, note in seen)


@pytest.mark.parametrize(
    ("visible", "reason"),
    [("", "hides every GPU"), ("-1", "hides every GPU"), ("GPU-zz", "'GPU-zz', which is none of the 1"), ("3", "'3'")],
)
def test_no_visible_gpu_is_a_diagnosis_and_no_domain(ask: Ask, visible: str, reason: str) -> None:
    code = """
meters = open_meters(MeterOptions(estimate=False))
tell([len(meters.domains), [[d.state, d.reason] for d in meters.diagnoses if d.meter == "nvml"]])
"""
    count, diagnoses = ask(code, ONE, visible=visible)
    assert count == 0
    assert diagnoses[0][0] == "absent"
    assert reason in diagnoses[0][1]


def test_a_gpu_lost_in_a_window_is_absent_and_leaves_the_others(ask: Ask) -> None:
    between = 'gpus("GPU-aaaa H200 3000 3 3 0 0", "GPU-bbbb H200 9 3 3 0 1")'
    seen = ask(WINDOW.format(between=between), ONE, "GPU-bbbb H200 5 5 5 0 0")
    assert seen["joules"] == {"gpu:0": 2.0, "gpu:1": None}
    assert seen["error_j"]["gpu:1"] is None
    assert any("gpu:1 could not be read at the end: GPU is lost" in warning for warning in seen["warnings"])


def test_a_gpu_lost_at_the_start_is_a_diagnosis_and_leaves_the_others(ask: Ask) -> None:
    seen = ask(
        WINDOW.format(between='gpus("GPU-aaaa H200 3 3 3 0 1", "GPU-bbbb H200 2005 5 5 0 0")'),
        "GPU-aaaa H200 5 5 5 0 1",
        "GPU-bbbb H200 5 5 5 0 0",
    )
    assert seen["joules"] == {"gpu:1": 2.0}
    assert seen["diagnoses"][0][:2] == ["gpu:0", "driver-error"]


def test_a_counter_reset_by_a_driver_reload_is_absent_never_negative(ask: Ask) -> None:
    seen = ask(WINDOW.format(between='gpus("GPU-aaaa H200 7 3 3 0 0")'), ONE)
    assert seen["joules"] == {"gpu:0": None}
    assert "it was reset" in seen["warnings"][0]


def test_a_failed_power_sample_leaves_no_guess(ask: Ask) -> None:
    between = """
gpus("GPU-aaaa T4 -1 -1 500000 0 1")
time.sleep(0.4)
gpus("GPU-aaaa T4 -1 -1 500000 0 0")
time.sleep(0.3)
"""
    seen = ask(WINDOW.format(between=between), "GPU-aaaa T4 -1 -1 500000 0 0")
    assert seen["joules"] == {"gpu:0": None}
    assert "a power sample failed" in seen["warnings"][0]


def test_a_gpu_that_tells_nothing_is_unsupported(ask: Ask) -> None:
    code = """
try:
    open_meters(MeterOptions(names=("nvml",)))
except MeterError as error:
    tell(str(error))
"""
    assert "tells neither energy (Not Supported) nor power (Not Supported)" in ask(code, "GPU-aaaa K80 -1 -1 -1 0 0")


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [(9, "driver-error", "not loaded"), (18, "driver-error", "different versions"), (4, "no-permission", "may not")],
)
def test_a_driver_that_does_not_start_is_named(ask: Ask, code: int, state: str, words: str) -> None:
    seen = ask(
        """
meters = open_meters(MeterOptions(estimate=False))
tell([[d.state, d.reason, d.remedy] for d in meters.diagnoses if d.meter == "nvml"])
""",
        init=code,
    )
    assert seen[0][0] == state
    assert words in seen[0][1]
    assert seen[0][2]


def test_the_sampler_is_one_thread_and_a_counter_needs_none(ask: Ask) -> None:
    code = """
import threading
meters = open_meters(MeterOptions(names=("nvml",)))
window = meters.open_window()
during = threading.active_count()
window.close()
meters.close()
tell([during, threading.active_count()])
"""
    assert ask(code, ONE, "GPU-bbbb H200 5 5 5 0 0") == [1, 1]
    assert ask(code, "GPU-aaaa T4 -1 5 5 0 0", "GPU-bbbb T4 -1 5 5 0 0") == [2, 1]

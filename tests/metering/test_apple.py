"""Apple silicon on a stand-in for zeus_apple_silicon, in a process that takes itself for a Mac. Not run on hardware.

The package's wheels exist for macOS alone, so what its class answers is a small module of that name in tests/fakes; how
the chip is called comes from a preloaded sysctlbyname.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from energybench.metering import apple
from energybench.metering.meter import MeterOptions, Opened

Ask = Callable[..., Any]
FAKES = Path(__file__).parents[1] / "fakes"
PRELUDE = """
import json, os, platform, sys, time
from pathlib import Path
if os.environ["ON_A_MAC"]:
    sys.path.append(os.environ["FAKES"])
from energybench.metering import apple, estimate
from energybench.metering.meter import MeterOptions
from energybench.metering.window import Meters
if os.environ["ON_A_MAC"]:
    sys.platform, platform.machine = "darwin", lambda: "arm64"

def put(**fields):
    path = Path(os.environ["FAKE_APPLE"])
    path.with_suffix(".new").write_text(json.dumps(fields))
    path.with_suffix(".new").replace(path)

def tell(value):
    print(json.dumps(value))
"""
ALL = {"cpu_total_mj": 1000, "dram_mj": 2000, "gpu_mj": 3000, "ane_mj": 4000, "gpu_sram_mj": 5000}


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Run code in a process with the stand-in; returns what it told."""

    def run(code: str, told: dict[str, Any], mac: bool = True, **variables: str) -> Any:
        state = tmp_path / "told"
        state.write_text(json.dumps(told))
        environment = os.environ | {"FAKE_APPLE": str(state), "FAKES": str(FAKES), "ON_A_MAC": "yes" if mac else ""}
        environment |= {"ENERGYBENCH_LOCK_DIR": str(tmp_path)} | variables
        command = [sys.executable, "-W", "error", "-c", PRELUDE + code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


OPEN = """
opened = apple.open_meter(MeterOptions())
tell([
    [d.name for d in opened.meter.domains] if opened.meter else [],
    [[d.device, d.state, d.reason, d.remedy] for d in opened.diagnoses],
])
"""
WINDOW = """
opened = apple.open_meter(MeterOptions())
meters = Meters([opened.meter], opened.diagnoses)
window = meters.open_window()
{between}
closed = window.close()
tell([closed.joules, closed.warnings, {{d.name: [d.provenance, d.in_total, d.gain_rel] for d in meters.domains}}])
meters.close()
"""


def test_each_counter_gives_its_own_difference_in_joules(ask: Ask) -> None:
    between = "put(cpu_total_mj=46_500, dram_mj=2001, gpu_mj=3000, ane_mj=4250, gpu_sram_mj=9000)"
    joules, _, domains = ask(WINDOW.format(between=between), ALL)
    assert joules == {
        "package:0": 45.5,
        "dram:0": pytest.approx(0.001),
        "gpu:apple0": 0.0,
        "ane:0": 0.25,
    }
    assert set(map(tuple, domains.values())) == {("measured", True, 0.1)}


def test_what_the_chip_does_not_tell_is_no_domain_and_is_estimated(ask: Ask) -> None:
    code = """
opened = apple.open_meter(MeterOptions())
names = frozenset(d.name for d in opened.meter.domains)
rest = estimate.open_meter(MeterOptions(cpu_tdp_w=20.0), names).meter
tell([sorted(names), [d.name for d in rest.domains], {d.device: d.state for d in opened.diagnoses}])
"""
    assert ask(code, {"cpu_total_mj": 1, "gpu_mj": 2}) == [
        ["gpu:apple0", "package:0"],
        ["ram"],
        {"package:0": "ok", "gpu:apple0": "ok", "dram:0": "unsupported", "ane:0": "unsupported"},
    ]


def test_a_chip_that_tells_nothing_opens_no_meter(ask: Ask) -> None:
    names, diagnoses = ask(OPEN, {})
    assert names == []
    assert {state for _, state, _, _ in diagnoses} == {"unsupported"}


@pytest.mark.parametrize(
    ("told", "reason"),
    [({"error": "Failed to convert"}, "Failed to convert"), ({"no_subscription": True}, "Failed to create IOReport")],
)
def test_an_ioreport_that_fails_at_the_start_is_a_diagnosis(ask: Ask, told: dict[str, Any], reason: str) -> None:
    names, diagnoses = ask(OPEN, told)
    assert names == []
    assert diagnoses[0][1] == "driver-error"
    assert reason in diagnoses[0][2]


def test_an_ioreport_that_fails_in_a_window_leaves_every_domain_absent(ask: Ask) -> None:
    joules, warnings, _ = ask(WINDOW.format(between='put(error="Failed to convert")'), ALL)
    assert set(joules.values()) == {None}
    assert "IOReport cannot be read: Failed to convert" in warnings[0]


def test_a_counter_that_falls_or_is_told_no_more_is_absent_and_leaves_the_others(ask: Ask) -> None:
    between = "put(cpu_total_mj=7, dram_mj=None, gpu_mj=5000, ane_mj=4000)"
    joules, warnings, _ = ask(WINDOW.format(between=between), ALL)
    assert joules == {"package:0": None, "dram:0": None, "gpu:apple0": 2.0, "ane:0": 0.0}
    assert any("dram:0 could not be read at the end: IOReport does not tell it now" in text for text in warnings)


def test_batches_are_assumed_until_a_counter_is_seen_to_move_more_often(ask: Ask) -> None:
    code = """
meter = apple.open_meter(MeterOptions()).meter
assumed = {name: value.period_s for name, value in meter.resolution.items()}
meter.calibrate()
tell([assumed, {name: value.period_s for name, value in meter.resolution.items()}, meter.domains[0].tick_s])
"""
    told = {"watts": 30, "start": time.monotonic(), "batch_s": 0.05, "dram_mj": 1, "gpu_mj": 1}
    assumed, watched, tick_s = ask(code, told)
    assert assumed == {"package:0": 2.3, "dram:0": 2.3, "gpu:apple0": 0.1}
    # A machine that is slow to run the watcher sees some batches late, and two of them as one.
    assert 0.02 < watched.pop("package:0") < 0.2
    assert 0.02 < tick_s < 0.2
    assert watched == {"dram:0": 2.3, "gpu:apple0": 0.1}


def test_a_chip_is_named_as_the_kernel_calls_it_and_runs_of_two_chips_are_not_compared(
    ask: Ask, tmp_path: Path
) -> None:
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None or sys.platform != "linux":
        pytest.skip("this needs a C compiler, and the way in which Linux preloads a library")
    library = tmp_path / "sysctl.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(FAKES / "sysctl.c")], check=True)
    code = """
meter = apple.open_meter(MeterOptions()).meter
tell([meter.comparability(), [d.device for d in meter.domains]])
"""
    keys, devices = ask(code, ALL, LD_PRELOAD=str(library), FAKE_CHIP="Apple M3 Pro")
    assert keys == {"apple_chip": "Apple M3 Pro"}
    assert devices == ["Apple M3 Pro"] * 4
    keys, _ = ask(code, ALL, LD_PRELOAD=str(library))
    assert keys["apple_chip"] not in ("", "Apple M3 Pro")


def test_a_mac_without_the_package_is_told_to_install_it(ask: Ask) -> None:
    names, diagnoses = ask('sys.modules["zeus_apple_silicon"] = None\n' + OPEN, {})
    assert names == []
    assert diagnoses[0][1:] == [
        "absent",
        "the package zeus-apple-silicon is not installed",
        "pip install zeus-apple-silicon",
    ]


@pytest.mark.skipif(sys.platform == "darwin", reason="this is about every other system")
def test_elsewhere_nothing_is_said_unless_it_is_asked_for_by_name() -> None:
    assert apple.open_meter(MeterOptions()) == Opened(None, ())
    opened = apple.open_meter(MeterOptions(names=("apple",)))
    assert opened.meter is None
    assert opened.diagnoses[0].state == "absent"
    assert sys.platform in opened.diagnoses[0].reason
    assert "zeus_apple_silicon" not in sys.modules

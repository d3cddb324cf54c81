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
from hypothesis import given
from hypothesis import strategies as st

from energybench.metering.nvml_board import throttle_words

Ask = Callable[..., Any]
FAKES = Path(__file__).parents[1] / "fakes"
RANK_VARIABLES = (
    "LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "SLURM_LOCALID",
)

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
    source = FAKES / "fake_nvml.c"
    target = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(target), str(source)], check=True)
    return folder


@pytest.fixture
def ask(library: Path, tmp_path: Path) -> Ask:
    """Run code in a process that sees the fake GPUs; returns what it told."""

    def run(code: str, *lines: str, visible: str | None = None, init: int = 0, **variables: str) -> Any:
        state = tmp_path / "gpus"
        state.write_text("".join(f"{line}\n" for line in lines))
        environment = os.environ | {"LD_LIBRARY_PATH": str(library), "FAKE_NVML": str(state)}
        environment["ENERGYBENCH_LOCK_DIR"] = str(tmp_path)  # its GPUs are nobody else's
        for name in ("CUDA_VISIBLE_DEVICES", *RANK_VARIABLES):
            environment.pop(name, None)
        environment |= variables
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
        "gpu:0_throttle_reasons": 0.0,
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


# A GPU under constant load: its start is a minute ago, so that it counts from the first reading on.
LOAD = """
import pynvml
from energybench.metering.meter import MeterOptions
from energybench.metering.nvml import open_meter

def loaded(watts, tick_ms, line="GPU-aaaa H200 0 1 1 0 0", extras=""):
    return f"{line} watts={watts} start={time.monotonic() - 60:.6f} tick_ms={tick_ms} {extras}"
"""


@pytest.mark.parametrize("tick_ms", [20, 100])
def test_the_tick_of_a_counter_is_watched(ask: Ask, tick_ms: int) -> None:
    code = f"""
gpus(loaded(300, {tick_ms}))
meter = open_meter(MeterOptions()).meter
before = [meter.domains[0].tick_s, meter.resolution["gpu:0"].period_s]
meter.calibrate()
tell(before + [meter.domains[0].tick_s, meter.resolution["gpu:0"].period_s, meter.resolution["gpu:0"].step_j])
"""
    *before, tick_s, period_s, step_j = ask(LOAD + code)
    assert before == [0.1, 0.1]
    assert tick_s == period_s == pytest.approx(tick_ms / 1000, rel=0.3)
    assert step_j == 1e-3


def test_one_board_of_a_name_is_watched_for_all_and_a_counter_that_stands_still_keeps_the_documented_tick(
    ask: Ask,
) -> None:
    code = """
gpus(
    loaded(300, 20), loaded(300, 60, "GPU-bbbb H200 0 1 1 0 0"), "GPU-cccc A100 5 1 1 0 0",
    loaded(70, 20, "GPU-dddd T4 -1 1 1 0 0"),
)
meter = open_meter(MeterOptions()).meter
meter.calibrate()
tell([d.tick_s for d in meter.domains])
"""
    ticks = ask(LOAD + code)
    # The second was not asked: it would have said 60 ms.
    assert ticks == [pytest.approx(0.02, rel=0.3), ticks[0], 0.1, 0.1]


CHECK = (
    LOAD
    + """
gpus(loaded(300, 20))
meters = open_meters(MeterOptions(names=("nvml",), check_integral=True))
a = time.perf_counter()
window = meters.open_window()
b = time.perf_counter()
time.sleep(2.0)
c = time.perf_counter()
closed = window.close()
d = time.perf_counter()
tell({
    "joules": closed.joules, "seconds": closed.seconds, "inside_s": c - b, "outside_s": d - a,
    "domains": [[d.name, d.provenance, d.in_total, d.note] for d in meters.domains],
    "identities": len({d.identity for d in meters.domains}), "conditions": sorted(meters.conditions()),
    "comparability": len(meters.comparability()["gpus"]),
})
meters.close()
"""
)


def test_counter_and_integral_of_one_window_are_both_right(ask: Ask) -> None:
    seen = ask(CHECK)
    assert [domain[:3] for domain in seen["domains"]] == [
        ["gpu:0", "measured", True],
        ["gpu:0/integral", "integrated", False],
    ]
    assert seen["domains"][1][3] == "cross-check of gpu:0 by its integrated power"
    assert seen["identities"] == 2
    assert all(key.startswith("gpu:0_") for key in seen["conditions"])
    assert seen["comparability"] == 1
    # Both ends were read somewhere between the clocks around them; the counter is late by up to one tick at each.
    for name, late_s in (("gpu:0", 0.02), ("gpu:0/integral", 0.0)):
        assert 300 * (seen["inside_s"] - late_s) <= seen["joules"][name] <= 300 * (seen["outside_s"] + late_s)
        delayed_s = seen["outside_s"] - seen["inside_s"]
        assert seen["joules"][name] == pytest.approx(300 * seen["seconds"], abs=300 * (0.03 * 2 + delayed_s))


def test_the_cross_check_is_sampled_by_one_thread_and_follows_a_change_of_power(ask: Ask) -> None:
    code = """
import threading
gpus("GPU-aaaa H200 0 1 400000 0 0")
meters = open_meters(MeterOptions(names=("nvml",), check_integral=True))
window = meters.open_window()
threads = threading.active_count()
time.sleep(0.25)
gpus("GPU-aaaa H200 0 1 100000 0 0")
changed = time.perf_counter()
time.sleep(1.0)
closed = window.close()
tell([threads, closed.joules["gpu:0/integral"], closed.seconds, time.perf_counter() - changed])
meters.close()
"""
    threads, joules, seconds, after_s = ask(LOAD + code)
    assert threads == 2
    # Sampled at both ends alone it would be 250 W over the whole window, 112 J more.
    assert joules == pytest.approx(400 * (seconds - after_s) + 100 * after_s, abs=300 * 0.15)


def test_a_counter_without_a_power_sensor_is_read_unchecked(ask: Ask) -> None:
    code = """
opened = open_meter(MeterOptions(check_integral=True))
tell([[d.name for d in opened.meter.domains], [[d.device, d.state, d.reason] for d in opened.diagnoses]])
"""
    names, diagnoses = ask(LOAD + code, "GPU-aaaa H200 5 -1 -1 0 0")
    assert names == ["gpu:0"]
    assert [line[:2] for line in diagnoses] == [["gpu:0", "ok"], ["gpu:0/integral", "unsupported"]]
    assert "does not tell its power (Not Supported)" in diagnoses[1][2]


OPENED = """
from energybench.metering.meter import MeterOptions
from energybench.metering.nvml import open_meter
opened = open_meter(MeterOptions(check_integral={check}))
tell([
    [[d.name, d.note] for d in opened.meter.domains], sorted(opened.covers),
    {{name: r.power_w for name, r in opened.meter.read().items()}},
])
"""
MODULE = "the whole module: GPU, CPU and its memory"


def test_a_superchips_counter_covers_the_cpu_and_is_checked_by_the_modules_power(ask: Ask) -> None:
    line = "GPU-aaaa GH200 1000 5 300000 0 0 module_mw=480000"
    domains, covers, _ = ask(OPENED.format(check=False), line)
    assert domains == [["gpu:0", MODULE]]
    assert covers == ["dram", "package"]
    domains, covers, power_w = ask(OPENED.format(check=True), line)
    assert domains[1] == ["gpu:0/integral", f"cross-check of gpu:0 by its integrated power; {MODULE}"]
    assert covers == ["dram", "package"]
    assert power_w["gpu:0/integral"] == 480


@pytest.mark.parametrize(
    "extras",
    ["", "module_mw=0", "module_mw=480000 scopes=0", "scopes=0"],
    ids=["no module", "a module of 0 W", "scopes ignored", "scopes ignored on a plain GPU"],
)
def test_only_a_real_answer_for_the_module_counts(ask: Ask, extras: str) -> None:
    domains, covers, _ = ask(OPENED.format(check=False), f"GPU-aaaa H200 1000 5 300000 0 0 {extras}")
    assert domains == [["gpu:0", ""]]
    assert covers == []


def test_without_a_counter_the_gpu_of_a_superchip_is_sampled_alone_and_covers_nothing_else(ask: Ask) -> None:
    line = "GPU-aaaa GH200 -1 5 300000 0 0 module_mw=480000"
    domains, covers, power_w = ask(OPENED.format(check=True), line)
    assert domains == [["gpu:0", "the GPU alone, without the CPU of its module"]]
    assert covers == []
    assert power_w == {"gpu:0": 300}


def test_two_gpus_on_one_module_say_that_it_may_be_counted_twice(ask: Ask) -> None:
    lines = [f"GPU-{i} GB200 1000 5 300000 0 0 module_mw=480000 cpus={cpus}" for i, cpus in enumerate((0xF, 0xF, 0xF0))]
    domains, covers, _ = ask(OPENED.format(check=False), *lines)
    doubt = f"{MODULE}; on one module with gpu:0, which may be counted in both"
    assert domains == [["gpu:0", MODULE], ["gpu:1", doubt], ["gpu:2", MODULE]]
    assert covers == ["dram", "package"]


@pytest.mark.parametrize("old", ["", "old=1"])
def test_what_holds_the_clocks_down_is_a_condition(ask: Ask, old: str) -> None:
    code = """
meter = open_meter(MeterOptions()).meter
tell(meter.conditions()["gpu:0_throttle_reasons"])
"""
    mask = ask(LOAD + code, f"{ONE} throttle=0x45 {old}")
    assert mask == 0x45
    assert throttle_words(mask) == ["power cap", "too hot (slowed by the hardware)"]


def test_idleness_and_clocks_that_were_set_are_no_slow_down() -> None:
    assert throttle_words(0.0) == []
    assert throttle_words(float(0x1 | 0x2)) == []


@given(st.integers(0, 2**53 - 1))
def test_every_limit_of_a_mask_is_named_once_and_an_unknown_one_by_its_bits(mask: int) -> None:
    words = throttle_words(float(mask))
    known = mask & 0x7FC
    unknown = mask & ~0x7FF
    assert len(words) == known.bit_count() + (unknown != 0)
    assert len(set(words)) == len(words)
    assert (f"{unknown:#x}" in words[-1]) if unknown else True


def test_the_bits_of_throttle_words_are_those_of_the_binding() -> None:
    pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    assert throttle_words(pynvml.nvmlClocksEventReasonSwPowerCap) == ["power cap"]
    assert throttle_words(pynvml.nvmlClocksEventReasonHwSlowdown) == ["hardware slowdown"]
    assert throttle_words(pynvml.nvmlClocksEventReasonSwThermalSlowdown) == ["too hot (slowed by the driver)"]
    assert throttle_words(pynvml.nvmlClocksEventReasonHwThermalSlowdown) == ["too hot (slowed by the hardware)"]
    assert throttle_words(pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown) == ["external power brake"]
    assert "sync boost" in throttle_words(pynvml.nvmlClocksEventReasonSyncBoost)[0]
    assert throttle_words(pynvml.nvmlClocksEventReasonDisplayClockSetting) == ["display clock setting"]
    set_by_user = pynvml.nvmlClocksEventReasonApplicationsClocksSetting
    assert throttle_words(pynvml.nvmlClocksEventReasonGpuIdle | set_by_user) == []


FACTS = """
own = os.getpid()
gpus("GPU-aaaa NVIDIA_H200 1000 1 1 0 0 EXTRAS".replace("OWN", str(own)))
diagnosis = open_meter(MeterOptions()).diagnoses[0]
tell([diagnosis.state, diagnosis.remedy, diagnosis.facts])
"""


def test_the_facts_of_a_gpu_are_told_and_persistence_is_advised(ask: Ask) -> None:
    extras = "persistence=0 ecc=1 processes=4711:2500000000,OWN:5000000,4712:-1"
    state, remedy, facts = ask(LOAD + FACTS.replace("EXTRAS", extras))
    assert state == "ok"
    assert remedy.startswith("sudo nvidia-smi -pm 1")
    assert facts == {
        "name": "NVIDIA H200",
        "uuid": "GPU-aaaa",
        "driver_version": "580.65.06",
        "persistence_mode": False,
        "power_limit_w": 700.0,
        "default_power_limit_w": 650.0,
        "ecc": True,
        "mig": False,
        "other_processes": [{"pid": 4711, "used_memory_mb": 2500}, {"pid": 4712, "used_memory_mb": None}],
    }


def test_a_fact_that_is_refused_is_absent_and_nothing_is_advised(ask: Ask) -> None:
    state, remedy, facts = ask(LOAD + FACTS.replace("EXTRAS", ""))
    assert (state, remedy) == ("ok", "")
    assert "persistence_mode" not in facts
    assert "ecc" not in facts
    assert facts["other_processes"] == []
    state, _, facts = ask(LOAD + FACTS.replace("EXTRAS", "old=1 processes=4711:1"))
    assert (state, facts["uuid"]) == ("ok", "GPU-aaaa")
    assert "other_processes" not in facts


RANKED = """
import pynvml
from energybench.metering.visible import visible_boards
pynvml.nvmlInit()
boards, problems = visible_boards(pynvml, {visible!r}, {rank})
tell([[[f"gpu:{{board.index}}", board.uuid] for board in boards], problems])
"""


@pytest.mark.parametrize(
    ("visible", "rank", "own"),
    [
        (None, 2, ["gpu:2", "GPU-cccc"]),
        (None, 0, ["gpu:0", "GPU-aaaa"]),
        ("2,0", 1, ["gpu:1", "GPU-aaaa"]),
        ("2", 0, ["gpu:0", "GPU-cccc"]),
        ("2", 3, ["gpu:0", "GPU-cccc"]),
    ],
)
def test_a_rank_reads_its_own_gpu_alone(ask: Ask, visible: str | None, rank: int, own: list[str]) -> None:
    lines = [f"{uuid} H100 5 5 5 0 0" for uuid in ("GPU-aaaa", "GPU-bbbb", "GPU-cccc")]
    assert ask(RANKED.format(visible=visible, rank=rank), *lines) == [[own], []]


def test_a_rank_beyond_the_gpus_shares_one_and_says_so(ask: Ask) -> None:
    lines = [f"{uuid} H100 5 5 5 0 0" for uuid in ("GPU-aaaa", "GPU-bbbb")]
    boards, problems = ask(RANKED.format(visible=None, rank=5), *lines)
    assert boards == [["gpu:1", "GPU-bbbb"]]
    assert problems == [["shared", "local rank 5 is beyond the 2 visible GPUs: it reads gpu:1, as local rank 1 does"]]


def test_a_rank_that_may_see_no_gpu_reads_none(ask: Ask) -> None:
    boards, problems = ask(RANKED.format(visible="-1", rank=1), ONE)
    assert boards == []
    assert "hides every GPU" in problems[0][1]


def test_the_local_rank_comes_from_the_launcher(ask: Ask) -> None:
    code = "tell([d.name for d in open_meter(MeterOptions()).meter.domains])"
    lines = [f"{uuid} H100 5 5 5 0 0" for uuid in ("GPU-aaaa", "GPU-bbbb", "GPU-cccc")]
    ranked = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
    assert ask(LOAD + code, *lines, **ranked) == ["gpu:1"]
    assert ask(LOAD + code, *lines) == ["gpu:0", "gpu:1", "gpu:2"]


def test_a_gpu_that_falls_off_and_comes_back_with_a_smaller_counter_has_no_value(ask: Ask) -> None:
    between = """
gpus("GPU-aaaa H200 2000 3 3 0 1")
lost = meters.open_window("meanwhile").close()
gpus("GPU-aaaa H200 7 3 3 0 0")
"""
    seen = ask(WINDOW.format(between=between), ONE)
    assert seen["joules"] == {"gpu:0": None}
    assert "it was reset" in seen["warnings"][0]

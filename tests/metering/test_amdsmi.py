"""AMD SMI through the real package `amdsmi`, on a libamd_smi.so that is built here from fake_amdsmi.c.

The package looks up every function of the library when it is imported; those that the fake does not have are added as
functions that are not supported, by the names that the installed package's wrapper asks for. Not run on hardware.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.metering import amdsmi
from energybench.metering.amdsmi_cards import Gpu, visible_gpus
from energybench.metering.amdsmi_gpu import energy_reader
from energybench.metering.meter import MeterOptions, Opened

Ask = Callable[..., Any]
FAKE = Path(__file__).parents[1] / "fakes" / "fake_amdsmi.c"
VARIABLES = (
    "ROCM_HOME",
    "LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "SLURM_LOCALID",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "CUDA_VISIBLE_DEVICES",
)
NOT_SUPPORTED = 2
J = 65536
"""The counter's units in a joule."""

PRELUDE = """
import json, os, sys, time
from pathlib import Path
from energybench.metering import amdsmi, hwmon
from energybench.metering.meter import MeterOptions
from energybench.metering.window import Meters

J = 65536

def gpus(*lines):
    path = Path(os.environ["FAKE_AMDSMI"])
    path.with_suffix(".new").write_text("".join(f"{line}\\n" for line in lines))
    path.with_suffix(".new").replace(path)

def open_it(*covered, **options):
    return amdsmi.open_meter(MeterOptions(names=("amdsmi",), **options), frozenset(covered))

def tell(value):
    print(json.dumps(value))

def tell_opened(opened):
    tell({
        "domains": {d.name: [d.provenance, d.in_total, d.device, d.note] for d in (opened.meter or Meters()).domains},
        "diagnoses": [[d.device, d.state, d.reason, d.remedy] for d in opened.diagnoses],
        "covers": sorted(opened.covers),
    })
"""


def build(source: str, folder: Path) -> Path:
    """A folder that ROCM_PATH may name, whose library is built from the C files of `source`."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("no C compiler here to build the fake libamd_smi.so")
    file, library = folder / "libamd_smi.c", folder / "lib" / "libamd_smi.so"
    file.write_text(source)
    library.parent.mkdir()
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(file), "-lm"], check=True)
    return folder


@pytest.fixture(scope="session")
def rocm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = importlib.util.find_spec("amdsmi")
    if found is None or found.origin is None:
        pytest.skip("the package amdsmi is not installed: pip install energybench[test]")
    asked = re.findall(
        r"_libraries\['libamd_smi\.so'\]\.(\w+)", Path(found.origin).with_name("amdsmi_wrapper.py").read_text()
    )
    source = FAKE.read_text()
    missing = set(asked) - set(re.findall(r"^int (amdsmi_\w+)\(", source, re.MULTILINE))
    stubs = [f"int {name}(void) {{ return {NOT_SUPPORTED}; }}" for name in sorted(missing)]
    return build("\n".join((source, *stubs, "")), tmp_path_factory.mktemp("rocm"))


@pytest.fixture
def ask(rocm: Path, tmp_path: Path) -> Ask:
    """Run code in a process that sees the fake GPUs, and no sensor of hwmon; returns what it told."""

    def run(code: str, *lines: str, library: Path = rocm, **variables: str) -> Any:
        state = tmp_path / "gpus"
        state.write_text("".join(f"{line}\n" for line in lines))
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        environment |= {"ROCM_PATH": str(library), "FAKE_AMDSMI": str(state), "ENERGYBENCH_LOCK_DIR": str(tmp_path)}
        environment |= {"ENERGYBENCH_HWMON_ROOT": str(tmp_path / "hwmon")} | variables
        command = [sys.executable, "-W", "error", "-c", PRELUDE + code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def live(address: str, watts: int = 300, **more: object) -> str:
    """A GPU that draws `watts`, and tells that by its counter and, as an MI300 does, by its present power."""
    given = {"name": "MI300X", "energy": 7 * J, "watts": watts, "current": watts, "arch": "942", **more}
    return " ".join((address, *(f"{key}={value}" for key, value in given.items())))


FIRST, SECOND, THIRD, FOURTH = (f"0000:{bus}:00.0" for bus in ("03", "41", "83", "c1"))
WINDOW = """
opened = open_it()
{before}
meters = Meters([opened.meter], opened.diagnoses)
window = meters.open_window()
{between}
closed = window.close()
tell({{
    "joules": closed.joules, "error_j": closed.error_j, "seconds": closed.seconds, "warnings": closed.warnings,
    "domains": [[d.name, d.provenance, d.device, d.note] for d in meters.domains],
    "diagnoses": [[d.device, d.state, d.reason] for d in opened.diagnoses],
    "heartbeat_s": opened.meter.heartbeat_s,
}})
meters.close()
"""
OPEN = "tell_opened(open_it())"


@pytest.mark.parametrize(("unit", "joules"), [(15.3, 45.5), (61.0, 45.5 * J * 61e-6)])
def test_the_energy_counter_gives_its_own_difference_in_the_unit_that_it_states(
    ask: Ask, unit: float, joules: float
) -> None:
    """15.3 is how the library writes 2^-16 J."""
    code = WINDOW.format(
        before=f'gpus("{FIRST} energy=1e6 unit={unit}")',
        between=f'gpus("{FIRST} energy={1_000_000 + 45.5 * J} unit={unit}")',
    )
    seen = ask(code, live(FIRST, 60 if unit == 15.3 else 240, current=60 if unit == 15.3 else 960, unit=unit))
    assert seen["joules"]["gpu:amd0"] == pytest.approx(joules, rel=1e-6)
    assert seen["domains"] == [["gpu:amd0", "measured", f"MI300X ({FIRST})", ""]]
    assert seen["heartbeat_s"] is None


def test_a_counter_that_runs_is_followed_from_edge_to_edge(ask: Ask) -> None:
    code = """
opened = open_it()
before, first, after = time.monotonic(), opened.meter.read()["gpu:amd0"].joules, time.monotonic()
time.sleep(0.3)
until, last, end = time.monotonic(), opened.meter.read()["gpu:amd0"].joules, time.monotonic()
tell([last - first, until - after, end - before])
"""
    joules, shortest_s, longest_s = ask(code, live(FIRST, 500))
    assert 500 * (shortest_s - 0.001) <= joules <= 500 * (longest_s + 0.001)  # the fake's tick is 1 ms


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("energy=-1 current=300", "AMDSMI_STATUS_NOT_SUPPORTED"),
        ("energy=5 current=300", "stands still"),
        ("energy=4294967295 average=300", "stands still"),
        ("energy=0 current=65535 average=300", "stands still"),
        ("energy=0 current=4294967295 average=300", "stands still"),
        ("energy=7 refused=7 current=300", "AMDSMI_STATUS_API_FAILED"),
        ("energy=0 watts=4590 current=300", r"it counts [\d.e+]+ W where the power sensor tells 300 W"),
        ("energy=1e12 watts=10 current=300", r"it counts [\d.]+ W where the power sensor tells 300 W"),
    ],
)
def test_a_card_whose_counter_does_not_count_has_its_power_integrated(ask: Ask, told: str, reason: str) -> None:
    code = WINDOW.format(before="", between="time.sleep(0.3)")
    seen = ask(code, f"{FIRST} name=MI100 {told}")
    assert seen["domains"][0][1] == "integrated"
    assert 300 * 0.3 <= seen["joules"]["gpu:amd0"] <= 300 * seen["seconds"]
    assert seen["heartbeat_s"] == 0.1
    assert re.search(reason, seen["diagnoses"][0][2])
    assert seen["diagnoses"][0][:2] == ["gpu:amd0", "ok"]


def test_a_counter_is_believed_where_no_power_is_told(ask: Ask) -> None:
    seen = ask(OPEN, live(FIRST, current=65535))
    assert seen["domains"]["gpu:amd0"][0] == "measured"


def test_a_radeons_32_bits_are_unwrapped_and_an_instincts_fall_is_a_reset(ask: Ask) -> None:
    lines = (live(FIRST, name="RX_7900", arch="1100"), live(SECOND, arch="90a"))
    high, low = f"energy={2**32 - J}", f"energy={J}"
    code = WINDOW.format(
        before=f'gpus("{FIRST} {high}", "{SECOND} {high}")', between=f'gpus("{FIRST} {low}", "{SECOND} {low}")'
    )
    seen = ask(code, *lines)
    assert seen["joules"] == {"gpu:amd0": 2.0, "gpu:amd1": None}
    assert any("gpu:amd1" in warning and "reset" in warning for warning in seen["warnings"])
    assert seen["heartbeat_s"] == pytest.approx(2**32 / J / 2000)  # at 1 kW, halved


def test_a_gpu_lost_in_a_window_is_absent_and_leaves_the_others(ask: Ask) -> None:
    code = WINDOW.format(
        before=f'gpus("{FIRST} energy=0", "{SECOND} energy=0")',
        between=f'gpus("{FIRST} energy={2 * J}", "{SECOND} energy=9 lost=14")',
    )
    seen = ask(code, live(FIRST), live(SECOND))
    assert seen["joules"] == {"gpu:amd0": 2.0, "gpu:amd1": None}
    assert seen["error_j"]["gpu:amd1"] is None
    assert any("gpu:amd1 could not be read at the end: AMDSMI_STATUS_FILE_ERROR" in text for text in seen["warnings"])


def test_a_gpu_lost_at_the_start_is_a_diagnosis_and_leaves_the_others_and_its_own_sensor(ask: Ask) -> None:
    seen = ask(OPEN, live(FIRST, device="740c", lost=14), live(SECOND))
    assert list(seen["domains"]) == ["gpu:amd1"]
    assert seen["diagnoses"][0][:2] == ["gpu:amd0", "driver-error"]
    assert "AMDSMI_STATUS_FILE_ERROR" in seen["diagnoses"][0][2]
    assert seen["covers"] == ["gpu:amd1"]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("", "unsupported"),
        ("energy=0 average=0", "unsupported"),
        ("energy=0 current=65535", "unsupported"),
        ("energy=7 refused=7", "driver-error"),
        ("energy=7 refused=7 current=65535", "driver-error"),
        ("lost=7", "driver-error"),
    ],
)
def test_a_gpu_that_tells_nothing_is_a_diagnosis_and_no_domain_of_zero_joules(ask: Ask, told: str, state: str) -> None:
    kind = {"name": "W5700", "device": "7312"}
    seen = ask(OPEN, live(FIRST, **kind), f"{SECOND} name=W5700 device=7312 {told}")
    assert list(seen["domains"]) == ["gpu:amd0"]
    assert seen["domains"]["gpu:amd0"][3] == ""
    assert seen["diagnoses"][1][:2] == ["gpu:amd1", state]
    assert "tells neither energy" in seen["diagnoses"][1][2]


DIES = "name=MI250X device=7408 arch=90a"
SILENT = [f"{DIES} energy=0 average=0", DIES]  # as older and as newer releases tell nothing


def dies(silent: str) -> list[str]:
    first = {"name": "MI250X", "device": "7408", "arch": "90a", "current": 65535}
    return [
        live(FIRST, 89, average=89, serial="00000000000000a1", hip=0, **first),
        f"{SECOND} {silent} serial=00000000000000a2 hip=1",
        live(THIRD, 93, average=93, serial="00000000000000b1", hip=2, **first),
        f"{FOURTH} {silent} serial=00000000000000b2 hip=3",
    ]


@pytest.mark.parametrize("silent", SILENT)
def test_two_dies_are_one_card_which_the_first_one_tells(ask: Ask, silent: str) -> None:
    seen = ask(OPEN, *dies(silent))
    note = "the whole card with both its dies"
    assert seen["domains"] == {
        "gpu:amd0": ["measured", True, "MI250X (GPU-00000000000000a1)", note],
        "gpu:amd1": ["measured", True, "MI250X (GPU-00000000000000b1)", note],
    }
    assert [row[:2] for row in seen["diagnoses"]] == [
        ["gpu:amd0", "ok"],
        [SECOND, "shadowed"],
        ["gpu:amd1", "ok"],
        [FOURTH, "shadowed"],
    ]
    assert "gpu:amd0" in seen["diagnoses"][1][2]


def test_dies_that_both_tell_are_two_cards(ask: Ask) -> None:
    kind = {"name": "MI250X", "device": "7408", "arch": "90a"}
    seen = ask(OPEN, live(FIRST, **kind), live(SECOND, **kind))
    assert [note for _, _, _, note in seen["domains"].values()] == ["", ""]


@pytest.mark.parametrize("variables", [{"HIP_VISIBLE_DEVICES": "3"}, {"ROCR_VISIBLE_DEVICES": "GPU-00000000000000B2"}])
def test_a_second_die_alone_stands_for_its_card(ask: Ask, variables: dict[str, str]) -> None:
    seen = ask(OPEN, *dies(SILENT[0]), **variables)
    assert list(seen["domains"]) == ["gpu:amd1"]
    assert seen["covers"] == ["gpu:amd0", "gpu:amd1"]


def test_partitions_repeat_their_cards_counter_and_are_read_once(ask: Ask) -> None:
    lines = (live("0000:c1:00.0"), live("0000:c1:00.1"), live("0000:c1:00.2"), live("0000:d1:00.0"))
    seen = ask(OPEN, *lines)
    assert [(name, note) for name, (_, _, _, note) in seen["domains"].items()] == [
        ("gpu:amd0", "the whole card, not the partition"),
        ("gpu:amd1", ""),
    ]
    assert [device for device, state, _, _ in seen["diagnoses"] if state == "shadowed"] == [
        "0000:c1:00.1",
        "0000:c1:00.2",
    ]


def chip(root: Path, number: int, address: str, **files: object) -> None:
    """One of hwmon's folders, for the amdgpu at `address`."""
    folder, device = root / "hwmon" / f"hwmon{number}", root / "devices" / address
    folder.mkdir(parents=True)
    device.mkdir(parents=True)
    (folder / "device").symlink_to(device)
    for name, value in {"name": "amdgpu", "power1_average": 40_000_000, "power1_label": "PPT", **files}.items():
        (folder / name).write_text(f"{value}\n")


HWMON_AFTER = """
opened = open_it()
mine = [d.name for d in opened.meter.domains] if opened.meter else []
others = hwmon.open_meter(MeterOptions(), frozenset(mine) | opened.covers)
tell([mine, [d.name for d in others.meter.domains] if others.meter else [], [d.device for d in others.diagnoses]])
"""


def test_a_card_has_the_name_that_hwmon_has_for_it_and_hwmon_leaves_it(ask: Ask, tmp_path: Path) -> None:
    for number, address in enumerate((FOURTH, FIRST, SECOND)):
        chip(tmp_path, number, address)
    assert ask(HWMON_AFTER, live(FOURTH), live(SECOND)) == [
        ["gpu:amd1", "gpu:amd2"],
        ["gpu:amd0"],  # which amdsmi does not list
        ["gpu:amd0", "gpu:amd1", "gpu:amd2"],
    ]


def test_a_second_dies_own_sensor_of_zero_watts_is_left_by_hwmon_too(ask: Ask, tmp_path: Path) -> None:
    for number, address in enumerate((FIRST, SECOND, THIRD, FOURTH)):
        chip(tmp_path, number, address, power1_average=0)
    assert ask(HWMON_AFTER, *dies(SILENT[0]))[:2] == [["gpu:amd0", "gpu:amd2"], []]


@pytest.mark.parametrize(("visible", "mine"), [("1", ["gpu:amd1"]), ("-1", [])])
def test_hwmon_does_not_add_a_card_that_is_hidden_from_this_process(
    ask: Ask, tmp_path: Path, visible: str, mine: list[str]
) -> None:
    chip(tmp_path, 0, FIRST)
    chip(tmp_path, 1, SECOND)
    assert ask(HWMON_AFTER, live(FIRST), live(SECOND), HIP_VISIBLE_DEVICES=visible)[:2] == [mine, []]


@pytest.mark.parametrize(
    ("covered", "in_total", "covers"), [("", True, ["gpu:amd0", "package"]), ("'package:0'", False, ["gpu:amd0"])]
)
def test_a_processors_gpu_is_the_whole_socket_and_added_where_nobody_else_reads_that(
    ask: Ask, tmp_path: Path, covered: str, in_total: bool, covers: list[str]
) -> None:
    chip(tmp_path, 0, FIRST, in1_label="vddnb")
    seen = ask(f"tell_opened(open_it({covered}))", live(FIRST, name="780M", arch="1103"))
    assert seen["domains"]["gpu:amd0"][1] is in_total
    assert "the whole socket" in seen["domains"]["gpu:amd0"][3]
    assert seen["covers"] == covers


def test_an_mi300a_holds_its_cpus_memory_as_well(ask: Ask) -> None:
    assert ask(OPEN, live(FIRST, device="74a0"))["covers"] == ["dram", "gpu:amd0", "package"]


def test_a_rank_reads_its_own_gpu_in_hips_order_and_leaves_the_others_to_theirs(ask: Ask) -> None:
    lines = (live(FIRST, hip=1), live(SECOND, hip=0))
    seen = ask(OPEN, *lines, LOCAL_RANK="0", RANK="0", WORLD_SIZE="2")
    assert list(seen["domains"]) == ["gpu:amd1"]
    assert seen["covers"] == ["gpu:amd0", "gpu:amd1"]
    seen = ask(OPEN, *lines, LOCAL_RANK="3", RANK="3", WORLD_SIZE="4")
    assert list(seen["domains"]) == ["gpu:amd0"]
    assert seen["diagnoses"][0][1] == "shared"
    assert "local rank 3 is beyond the 2 visible AMD GPUs" in seen["diagnoses"][0][2]


def test_conditions_comparability_and_facts_hold_what_is_told_and_no_more(ask: Ask) -> None:
    code = """
opened = open_it()
tell([opened.meter.conditions(), opened.meter.comparability(), [d.facts for d in opened.diagnoses]])
"""
    told = "edge=41 hot=55 clock=2100 cap_uw=750000000 driver=6.10.5 serial=00000000000000ab processes=12:3000000"
    conditions, comparability, facts = ask(code, f"{live(FIRST)} {told}", live(SECOND, name="", device="740f", edge=40))
    assert conditions == {
        "gpu:amd0_temperature_c": 55.0,
        "gpu:amd0_graphics_clock_mhz": 2100.0,
        "gpu:amd0_power_limit_w": 750.0,
        "gpu:amd1_temperature_c": 40.0,
    }
    assert comparability == {
        "amd_gpus": [{"name": "MI300X", "power_limit_w": 750.0}, {"name": "AMD GPU 0x740f", "power_limit_w": None}]
    }
    assert facts == [
        {
            "name": "MI300X",
            "uuid": "GPU-00000000000000ab",
            "pci_address": FIRST,
            "driver_version": "6.10.5",
            "power_limit_w": 750.0,
            "other_processes": [{"pid": 12, "used_memory_mb": 3}],
        },
        {"name": "AMD GPU 0x740f", "pci_address": SECOND, "other_processes": []},
    ]


def test_gpus_that_share_a_serial_number_are_told_apart_by_their_addresses(ask: Ask) -> None:
    seen = ask(OPEN, *(live(address, serial="00000000000000ab") for address in (FIRST, SECOND)))
    assert [device for _, _, device, _ in seen["domains"].values()] == [f"MI300X ({FIRST})", f"MI300X ({SECOND})"]


def test_the_integrated_power_stands_beside_a_counter_that_is_to_be_checked(ask: Ask) -> None:
    code = """
opened = open_it(check_integral=True)
tell({d.name: [d.provenance, d.in_total, d.identity[1]] for d in opened.meter.domains})
"""
    assert ask(code, live(FIRST)) == {
        "gpu:amd0": ["measured", True, f"MI300X ({FIRST})"],
        "gpu:amd0/integral": ["integrated", False, f"power sensor of MI300X ({FIRST})"],
    }


def test_how_often_a_counter_is_updated_is_watched_once_per_kind(ask: Ask) -> None:
    code = """
meter = open_it().meter
assumed = [r.period_s for r in meter.resolution.values()]
meter.calibrate()
tell([assumed, [r.period_s for r in meter.resolution.values()], [d.tick_s for d in meter.domains]])
"""
    power = f"{THIRD} name=MI100 current=50"
    assumed, watched, ticks = ask(code, live(FIRST, tick_ms=40), live(SECOND, tick_ms=5), power)
    assert assumed == [0.1, 0.1, 0.1]
    assert watched == ticks
    assert watched[0] == watched[1]  # of one name
    # A machine that is slow to run the watcher sees some updates late, and two of them as one.
    assert 0.02 < watched[0] < 0.2
    assert watched[2] == 0.1


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (10, "no-permission", "may not"),
        (34, "driver-error", "not loaded"),
        (18, "driver-error", "cannot be started: AMDSMI_STATUS_INIT_ERROR"),
        (9, "driver-error", "cannot be started: AMDSMI_STATUS_RETRY"),
    ],
)
def test_a_driver_that_does_not_start_is_named(ask: Ask, code: int, state: str, words: str) -> None:
    seen = ask(OPEN, FAKE_AMDSMI_INIT=str(code))
    assert seen["domains"] == {}
    assert seen["diagnoses"][0][1] == state
    assert words in seen["diagnoses"][0][2]
    assert seen["diagnoses"][0][3]


def test_gpus_that_cannot_be_listed_and_none_at_all_are_diagnoses(ask: Ask) -> None:
    assert ask(OPEN, FAKE_AMDSMI_LIST="7")["diagnoses"][0][1:3] == [
        "driver-error",
        "amdsmi cannot list the GPUs: AMDSMI_STATUS_API_FAILED - API call failed",
    ]
    assert ask(OPEN)["diagnoses"] == [["gpu", "absent", "amdsmi shows no GPU", ""]]


def test_a_library_of_another_release_is_named_and_nothing_is_printed(ask: Ask, tmp_path: Path) -> None:
    seen = ask(OPEN, library=build("int amdsmi_init(unsigned long flags) { return (int)flags; }\n", tmp_path))
    assert seen["diagnoses"][0][1] == "absent"
    assert "one of another release" in seen["diagnoses"][0][2]
    assert "amd-smi-lib" in seen["diagnoses"][0][3]


def test_a_library_that_is_not_there_is_named_and_nothing_is_printed(ask: Ask, tmp_path: Path) -> None:
    try:
        ctypes.CDLL("libamd_smi.so")
    except OSError:
        pass
    else:
        pytest.skip("this machine has a libamd_smi.so of its own, which the package would find")
    seen = ask(OPEN, library=tmp_path)
    assert seen["diagnoses"][0][1] == "absent"
    assert "finds no libamd_smi.so" in seen["diagnoses"][0][2]


def test_a_package_that_is_not_there_is_said_where_the_driver_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(amdsmi, "DRIVER_PLACES", (tmp_path / "amdgpu", tmp_path))
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    opened = amdsmi.open_meter(MeterOptions())
    assert opened.meter is None
    assert [(d.state, d.reason) for d in opened.diagnoses] == [("absent", "the package amdsmi is not installed")]
    assert "pip install amdsmi" in opened.diagnoses[0].remedy
    assert "hwmon" in opened.diagnoses[0].remedy


def test_without_the_driver_nothing_is_said_or_imported_unless_asked_for_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(amdsmi, "DRIVER_PLACES", (tmp_path / "amdgpu",))
    monkeypatch.setitem(sys.modules, "amdsmi", None)  # an import would be a diagnosis
    assert amdsmi.open_meter(MeterOptions()) == Opened(None, ())
    assert amdsmi.open_meter(MeterOptions(names=("rapl", "amdsmi"))).diagnoses[0].state == "absent"


def test_the_counter_is_read_under_the_name_that_it_had_until_rocm_6_3_too() -> None:
    """Recorded from AMD's issue 38, as amdsmi 6.0.2 answered on an MI100: that package reads other structures than the
    fake library's."""
    told = {"power": 8152136, "counter_resolution": 15.300000190734863, "timestamp": 3824190842400799}
    package = SimpleNamespace(amdsmi_get_energy_count=lambda handle: told, AmdSmiException=RuntimeError)
    assert energy_reader(package, Gpu(None, "MI100", 0, FIRST))() == 8152136


GPUS = [
    Gpu(None, "MI300X", i, f"0000:0{i}:00.0", uuid=f"GPU-00000000000000{tail}")
    for i, tail in enumerate(("aa", "ab", "cc"))
]


@pytest.mark.parametrize(
    ("variables", "numbers"),
    [
        ({}, [0, 1, 2]),
        ({"HIP_VISIBLE_DEVICES": "2,0"}, [2, 0]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [1]),
        ({"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "1"}, [0]),
        ({"HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": "1"}, [1]),
        ({"HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": ""}, [0, 1, 2]),
        ({"ROCR_VISIBLE_DEVICES": "2,1", "HIP_VISIBLE_DEVICES": "1"}, [1]),
        ({"ROCR_VISIBLE_DEVICES": "GPU-00000000000000CC,0"}, [2, 0]),
        ({"HIP_VISIBLE_DEVICES": "GPU-00000000000000ab"}, [1]),
        ({"HIP_VISIBLE_DEVICES": "1,1,0"}, [1, 0]),
        ({"ROCR_VISIBLE_DEVICES": "1,1,0"}, [1]),
        ({"HIP_VISIBLE_DEVICES": "1,-1,0"}, [1]),
    ],
)
def test_only_the_gpus_that_hip_shows_are_read_in_its_order(variables: dict[str, str], numbers: list[int]) -> None:
    shown, problems = visible_gpus(GPUS, variables)
    assert [gpu.number for gpu in shown] == numbers
    assert problems == []


@pytest.mark.parametrize(
    ("variables", "numbers", "reason"),
    [
        ({"ROCR_VISIBLE_DEVICES": ""}, [], "ROCR_VISIBLE_DEVICES='' hides every AMD GPU"),
        ({"ROCR_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "0"}, [], "ROCR_VISIBLE_DEVICES='' hides every AMD GPU"),
        ({"HIP_VISIBLE_DEVICES": "-1"}, [], "HIP_VISIBLE_DEVICES='-1' hides every AMD GPU"),
        ({"HIP_VISIBLE_DEVICES": "1,7,0"}, [1], "HIP_VISIBLE_DEVICES names '7', which is none of the 3"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8932f937-d72c"}, [], "CUDA_VISIBLE_DEVICES names 'GPU-8932f937-d72c'"),
        ({"ROCR_VISIBLE_DEVICES": "GPU-00000000000000a"}, [], "ROCR_VISIBLE_DEVICES names 'GPU-00000000000000a'"),
        ({"ROCR_VISIBLE_DEVICES": "2", "HIP_VISIBLE_DEVICES": "1"}, [], "'1', which is none of the 1 AMD GPUs"),
    ],
)
def test_what_the_variables_hide_or_misname_is_said(variables: dict[str, str], numbers: list[int], reason: str) -> None:
    shown, problems = visible_gpus(GPUS, variables)
    assert [gpu.number for gpu in shown] == numbers
    assert [problem.state for problem in problems] == ["absent"]
    assert reason in problems[0].reason


ENTRIES = st.lists(
    st.one_of(
        st.sampled_from(["0", "1", "2", "3", "-1", "", " 1 ", "GPU-", "GPU-00000000000000aa"]), st.text(max_size=5)
    )
)


@given(rocr=st.none() | ENTRIES, hip=st.none() | ENTRIES, rank=st.none() | st.integers(0, 9))
def test_whatever_the_variables_hold_each_gpu_is_shown_once_at_most_and_a_rank_has_one(
    rocr: list[str] | None, hip: list[str] | None, rank: int | None
) -> None:
    lists = {"ROCR_VISIBLE_DEVICES": rocr, "HIP_VISIBLE_DEVICES": hip}
    variables = {name: ",".join(entries) for name, entries in lists.items() if entries is not None}
    shown, problems = visible_gpus(GPUS, variables)
    assert len({gpu.number for gpu in shown}) == len(shown)
    assert shown or problems
    own, _ = visible_gpus(GPUS, variables, rank)
    assert own == (shown if rank is None or not shown else [shown[rank % len(shown)]])

"""hwmon on fake trees: what each known chip's sensors are, what is added, and what a refusal says."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from energybench.metering import hwmon
from energybench.metering.meter import Meter, MeterOptions, Opened
from energybench.metering.window import Meters
from energybench.model import Provenance

NEVER_UW = 10**18
GRACE = ("Module", "Grace", "CPU", "SysIO")
GRACE_W = (700, 200, 120, 40)


class Tree:
    """A folder that stands for /sys/class/hwmon."""

    def __init__(self, root: Path) -> None:
        self.root = root / "hwmon"
        self.root.mkdir()
        self.devices = root / "devices"

    def chip(self, number: int, name: str, device: str = "", /, **files: object) -> Path:
        """Make hwmonN; with `device`, its link to a device of that name. A file's `__` stands for a folder below it."""
        folder = self.root / f"hwmon{number}"
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        if device:
            (self.devices / device).mkdir(parents=True)
            (folder / "device").symlink_to(self.devices / device)
        for file, value in files.items():
            path = folder / file.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{value}\n")
        return folder

    def grace(self, number: int, text: str, watts: float, **files: object) -> Path:
        """One of ACPI's power meters as Grace has them: its files are its device's."""
        named = {"device__power1_average": round(watts * 1e6), "device__power1_oem_info": text}
        return self.chip(number, "power_meter", **named, **{f"device__{file}": value for file, value in files.items()})

    def open(self, *covered: str, names: tuple[str, ...] = ("auto",)) -> Opened:
        return hwmon.open_meter(MeterOptions(names=names, hwmon_root=self.root), frozenset(covered))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


Live = Callable[..., None]


@pytest.fixture
def sensors(live: Any) -> Live:
    """Start a process that keeps files running; each is the writer's own entry without its range."""

    def start(*entries: Mapping[str, Any]) -> None:
        for entry in entries:
            course = {key: value for key, value in entry.items() if key not in ("path", "watts", "range_uj")}
            live({entry["path"]: (entry["watts"], entry.get("range_uj", NEVER_UW))}, **course)

    return start


def opened(result: Opened) -> Meter:
    assert result.meter is not None, result.diagnoses
    return result.meter


def totals(result: Opened) -> dict[str, bool]:
    """Domain -> whether it is added. Closes the meter."""
    meter = opened(result)
    meter.close()
    return {domain.name: domain.in_total for domain in meter.domains}


def states(result: Opened) -> dict[str, str]:
    return {diagnosis.device: diagnosis.state for diagnosis in result.diagnoses}


def put(path: Path, value: object) -> None:
    """Change a file in place, as the kernel does."""
    path.write_text(f"{value}\n")


def sleep_and_see_lateness(seconds: float) -> float:
    """Sleep in steps of 10 ms; how late the latest of them came: what the heartbeat may have suffered too."""
    late, end = 0.0, time.monotonic() + seconds
    while (before := time.monotonic()) < end:
        time.sleep(0.01)
        late = max(late, time.monotonic() - before - 0.01)
    return late


# Energy counters


def test_the_sockets_of_amds_driver_are_packages_and_its_cores_are_left_out_silently(tree: Tree, sensors: Live) -> None:
    labels = {"energy1_label": "Ecore000", "energy2_label": "Esocket0", "energy10_label": "Esocket1"}
    folder = tree.chip(3, "amd_energy", energy1_input=7, energy2_input=0, energy10_input=0, **labels)
    sensors(
        {"path": folder / "energy2_input", "watts": 400},
        {"path": folder / "energy10_input", "watts": 250},
    )
    result = tree.open()
    assert states(result) == {"package:0": "ok", "package:1": "ok"}
    meter = opened(result)
    assert all(d.in_total and d.provenance is Provenance.MEASURED and d.meter == "hwmon" for d in meter.domains)
    assert result.covers == frozenset()
    meters = Meters([meter])
    window = meters.open_window()
    late_s = sleep_and_see_lateness(0.4)
    closed = window.close()
    for name, watts in (("package:0", 400), ("package:1", 250)):
        assert closed.joules[name] == pytest.approx(watts * closed.seconds, abs=watts * (0.1 + 2 * late_s))
    meters.close()


def test_a_socket_that_repeats_another_ones_counter_is_counted_once(tree: Tree, sensors: Live) -> None:
    folder = tree.chip(0, "zenergy", energy1_input=0, energy1_label="Esocket0", energy2_label="Esocket1")
    os.link(folder / "energy1_input", folder / "energy2_input")  # the driver reads one register for two NUMA nodes
    sensors({"path": folder / "energy1_input", "watts": 400})
    result = tree.open()
    assert states(result) == {"package:0": "ok", "package:1": "shadowed"}
    assert "repeats package:0" in result.diagnoses[1].reason
    assert totals(result) == {"package:0": True}


def test_an_energy_counter_that_falls_gives_no_value_and_counts_on_afterwards(tree: Tree) -> None:
    folder = tree.chip(0, "amd_energy", energy1_input=5_000_000, energy1_label="Esocket0")
    meters = Meters([opened(tree.open())])
    window = meters.open_window()
    put(folder / "energy1_input", 1_000_000)
    closed = window.close()
    assert closed.joules == {"package:0": None}
    assert "fell" in closed.warnings[0]
    later = meters.open_window()
    put(folder / "energy1_input", 3_500_000)
    assert later.close().joules == {"package:0": 2.5}
    meters.close()


def test_energy_counters_are_read_often_enough_to_see_a_wrap_of_the_register_behind_them(tree: Tree) -> None:
    tree.chip(0, "i915", energy1_input=0)
    meter = opened(tree.open())
    # 2^32 x 2^-16 J, the smallest range of a driver that does not carry on, at a plausible 1 kW, twice.
    assert meter.heartbeat_s is not None
    assert meter.heartbeat_s <= 2**16 / 1000 / 2
    meter.close()


def test_calibration_replaces_the_assumed_period_by_the_one_that_was_seen(tree: Tree, sensors: Live) -> None:
    folder = tree.chip(0, "i915", energy1_input=0)
    tree.chip(1, "fam15h_power", power1_input=5_000_000)
    sensors({"path": folder / "energy1_input", "watts": 300})
    meter = opened(tree.open())
    before = meter.resolution["gpu:intel0"].period_s
    for _ in range(100):  # the writer may be kept from running while we watch
        meter.calibrate()
        if meter.domains[0].tick_s is not None or meter.domains[1].tick_s is not None:
            break
    ticks = {domain.name: domain.tick_s for domain in meter.domains}
    assert ticks["package:0"] is None
    assert ticks["gpu:intel0"] == meter.resolution["gpu:intel0"].period_s < before
    assert meter.resolution["gpu:intel0"].step_j == pytest.approx(2**-14)
    meter.close()


@pytest.mark.parametrize(
    ("labels", "read"),
    [(("card", "pkg"), "energy1_input"), (("pkg", "card"), "energy2_input"), (("pkg", "vram"), "energy1_input")],
)
def test_of_an_intel_gpu_the_card_is_read_else_its_package_and_never_both(
    tree: Tree, labels: tuple[str, str], read: str
) -> None:
    folder = tree.chip(4, "xe", energy1_input=0, energy2_input=0, energy1_label=labels[0], energy2_label=labels[1])
    result = tree.open()
    assert states(result) == {"gpu:intel0": "ok"}
    meters = Meters([opened(result)])
    window = meters.open_window()
    put(folder / read, 4_000_000)
    put(folder / ("energy1_input" if read == "energy2_input" else "energy2_input"), 1_000_000)
    assert window.close().joules == {"gpu:intel0": 4.0}
    meters.close()


def test_intel_gpus_of_both_drivers_are_counted_together_and_their_tiles_are_silent(tree: Tree) -> None:
    tree.chip(1, "i915", energy1_input=0)
    tree.chip(2, "i915_gt0", energy1_input=0)
    tree.chip(3, "xe", energy1_input=0)
    result = tree.open()
    assert states(result) == {"gpu:intel0": "ok", "gpu:intel1": "ok"}
    assert totals(result) == {"gpu:intel0": True, "gpu:intel1": True}


# Power sensors


def test_constant_power_is_integrated_to_watts_times_seconds(tree: Tree) -> None:
    tree.chip(0, "fam15h_power", power1_input=62_500_000)
    meter = opened(tree.open())
    assert (meter.domains[0].name, meter.domains[0].provenance) == ("package:0", Provenance.INTEGRATED)
    meters = Meters([meter])
    window = meters.open_window()
    late_s = sleep_and_see_lateness(0.4)
    closed = window.close()
    assert closed.joules["package:0"] == pytest.approx(62.5 * closed.seconds, abs=62.5 * (0.02 + 2 * late_s))
    meters.close()


def test_between_two_readings_power_is_the_trapezoid(tree: Tree) -> None:
    folder = tree.chip(0, "apm_xgene", power1_input=40_000_000, power1_label="CPU power")
    meter = opened(tree.open())
    before_s = time.monotonic()
    first = meter.read()["package:0"].joules
    after_s = time.monotonic()
    time.sleep(0.05)
    put(folder / "power1_input", 100_000_000)
    until_s = time.monotonic()
    second = meter.read()["package:0"]
    end_s = time.monotonic()
    assert first is not None
    assert second.joules is not None
    assert 70 * (until_s - after_s) <= second.joules - first <= 70 * (end_s - before_s)
    assert second.power_w == 100
    meter.close()


def test_a_power_that_steps_up_and_down_is_followed_by_the_heartbeat(tree: Tree, sensors: Live) -> None:
    folder = tree.chip(0, "amdgpu", power1_average=0, power1_label="PPT")
    started_s = time.monotonic()
    course = {"shape": "square", "watts": 300, "period_s": 0.8, "started_s": started_s, "power": True}
    sensors({"path": folder / "power1_average", **course})
    meters = Meters([opened(tree.open())])
    window = meters.open_window()
    begin_s = time.monotonic()
    late_s = sleep_and_see_lateness(1.6)
    closed = window.close()
    end_s = time.monotonic()

    def truth_j(seconds: float) -> float:
        periods, rest_s = divmod(seconds, 0.8)
        return 300 * (periods * 0.4 + min(rest_s, 0.4))

    expected = truth_j(end_s - started_s) - truth_j(begin_s - started_s)
    # Four or five edges, each of them off by half a sample at most, besides what the scheduler held up; a reader that
    # samples at the ends only is off by hundreds of joules whichever value it meets there.
    assert closed.joules["gpu:amd0"] == pytest.approx(expected, abs=300 * (5 * 0.05 + 5 * late_s))
    meters.close()


def test_a_sensor_that_averages_for_longer_is_sampled_as_seldom_and_says_so_in_its_error(tree: Tree) -> None:
    tree.chip(0, "power_meter", device__power1_average=400_000_000, device__power1_average_interval=1000)
    meter = opened(tree.open())
    assert meter.heartbeat_s == 1.0
    assert meter.resolution["platform:0"].period_s == 1.0
    tree.grace(1, "Grace Power Socket 0", 150, power1_average_interval=50)
    both = opened(tree.open())
    assert both.heartbeat_s == 0.1
    assert both.resolution["package:0"].period_s == 0.1
    meter.close()
    both.close()


@pytest.mark.parametrize(("stated", "gain"), [("98.0%", 0.02), ("100.0%", 0.1), ("unknown", 0.1), ("0.0%", 0.1)])
def test_a_meters_stated_accuracy_is_its_gain_error_unless_it_claims_none(tree: Tree, stated: str, gain: float) -> None:
    tree.chip(0, "power_meter", power1_average=1, power1_accuracy=stated)
    meter = opened(tree.open())
    assert meter.domains[0].gain_rel == gain
    meter.close()


# What is added


def two_graces(tree: Tree) -> None:
    for socket in (0, 1):
        for index, (kind, watts) in enumerate(zip(GRACE, GRACE_W, strict=True)):
            tree.grace(4 * socket + index, f"{kind} Power Socket {socket}", watts + socket)


def test_of_graces_four_sensors_only_the_socket_is_added_on_each_of_two_sockets(tree: Tree) -> None:
    two_graces(tree)
    result = tree.open()
    names = ("module", "package", "core", "sysio")
    assert totals(result) == {f"{name}:{n}": name == "package" for n in (0, 1) for name in names}
    assert result.covers == {"dram"}
    notes = {domain.name: domain.note for domain in opened(result).domains}
    assert "contains the package" in notes["module:0"]
    assert "inside the package" in notes["core:1"]
    assert "inside the package" in notes["sysio:1"]


def test_graces_sensors_are_told_apart_by_their_text_and_the_total_is_the_sockets_sum(tree: Tree) -> None:
    two_graces(tree)
    meter = opened(tree.open())
    power = {name: reading.power_w for name, reading in meter.read().items()}
    names = ("module", "package", "core", "sysio")
    told = {f"{name}:{n}": watts + n for n in (0, 1) for name, watts in zip(names, GRACE_W, strict=True)}
    assert power == told
    meters = Meters([meter])
    window = meters.open_window()
    late_s = sleep_and_see_lateness(0.2)
    closed = window.close()
    total = closed.total_j(domain.name for domain in meters.domains if domain.in_total)
    assert total == pytest.approx(401 * closed.seconds, abs=401 * (0.02 + 2 * late_s))
    meters.close()


def test_where_a_gpus_counter_spans_the_module_the_socket_inside_it_is_not_added(tree: Tree) -> None:
    two_graces(tree)
    result = tree.open("gpu:0", "package", "dram")
    assert not any(totals(result).values())
    assert result.covers == frozenset()
    note = next(domain.note for domain in opened(result).domains if domain.name == "package:0")
    assert "spans the whole module" in note


def test_acpis_meter_of_a_server_is_reported_and_never_added(tree: Tree) -> None:
    tree.chip(5, "power_meter", power1_average=350_000_000)
    tree.chip(6, "power_meter", power1_average=50_000_000, power1_oem_info="PSU tray")
    result = tree.open()
    assert totals(result) == {"platform:0": False, "platform:1": False}
    notes = [domain.note for domain in opened(result).domains]
    assert "whole server" in notes[0]
    assert "'PSU tray'" in notes[1]


def test_both_rails_of_an_x_gene_are_added_on_each_of_two_sockets(tree: Tree) -> None:
    for number in (10, 2):
        labels = {"power1_label": "CPU power", "power2_label": "IO power"}
        tree.chip(number, "apm_xgene", power1_input=number * 1_000_000, power2_input=31_000_000, **labels)
    result = tree.open()
    power = {name: reading.power_w for name, reading in opened(result).read().items()}
    assert power == {"package:0": 2, "sysio:0": 31, "package:1": 10, "sysio:1": 31}
    assert all(totals(result).values())


def test_of_an_amd_15h_only_the_file_that_answers_at_once_is_read(tree: Tree) -> None:
    tree.chip(0, "fam15h_power", device__power1_input=95_000_000, device__power1_average=1)
    meter = opened(tree.open())
    assert meter.read()["package:0"].power_w == 95
    meter.close()


def test_an_amd_processors_gpu_contains_the_cpu_and_is_not_added_but_a_card_is(tree: Tree) -> None:
    tree.chip(1, "amdgpu", "0000:c1:00.0", power1_average=25_000_000, power1_label="PPT", in1_label="vddnb")
    tree.chip(2, "amdgpu", "0000:03:00.0", power1_average=210_000_000, power1_label="PPT", in0_label="vddgfx")
    result = tree.open()
    meter = opened(result)
    assert {d.name: d.in_total for d in meter.domains} == {"gpu:amd0": True, "gpu:amd1": False}
    assert meter.read()["gpu:amd0"].power_w == 210  # numbered by PCI address, not by hwmon's number
    assert "contains the CPU" in meter.domains[1].note
    assert len({domain.identity for domain in meter.domains}) == 2
    meter.close()


def test_an_mi300a_is_known_as_a_processor_by_its_pci_id(tree: Tree) -> None:
    for number, device in ((1, "0x74a0"), (2, "0x74a1")):
        tree.chip(number, "amdgpu", f"0000:0{number}:00.0", power1_input=400_000_000, power1_label="PPT")
        put(tree.devices / f"0000:0{number}:00.0" / "vendor", "0x1002")
        put(tree.devices / f"0000:0{number}:00.0" / "device", device)
    assert totals(tree.open()) == {"gpu:amd0": False, "gpu:amd1": True}


def test_an_amd_gpus_fast_and_slow_means_are_one_power(tree: Tree) -> None:
    labels = {"power1_label": "slowPPT", "power2_label": "fastPPT"}
    tree.chip(1, "amdgpu", power1_average=9_000_000, power2_average=12_000_000, **labels)
    meter = opened(tree.open())
    assert {name: reading.power_w for name, reading in meter.read().items()} == {"gpu:amd0": 9}
    meter.close()


def jetson(tree: Tree) -> Path:
    files: dict[str, object] = {"in7_label": "sum of shunt voltages", "in7_input": 9, "curr4_input": 1850}
    rails = (("VDD_IN", 5000, 1600, 1), ("VDD_CPU_GPU_CV", 4992, 250, 1), ("VDD_SOC", 0, 0, 0))
    for channel, (label, millivolts, milliamperes, enabled) in enumerate(rails, 1):
        files |= {f"in{channel}_label": label, f"in{channel}_enable": enabled}
        files |= {f"in{channel}_input": millivolts, f"curr{channel}_input": milliamperes}
    return tree.chip(3, "ina3221", **files)


def test_a_jetsons_power_is_voltage_times_current_and_its_input_is_the_whole_module(tree: Tree) -> None:
    jetson(tree)
    result = tree.open()
    meter = opened(result)
    assert {d.name: d.in_total for d in meter.domains} == {"module:0": True, "rail:vdd_cpu_gpu_cv": False}
    assert {"package", "dram"} <= result.covers
    power = {name: reading.power_w for name, reading in meter.read().items()}
    assert power == {"module:0": pytest.approx(8.0), "rail:vdd_cpu_gpu_cv": pytest.approx(1.248)}
    assert {"package:0", "rail:vdd_cpu_gpu_cv"}.isdisjoint(result.covers)
    meter.close()


@pytest.mark.parametrize("covered", ["gpu:0", "package:0", "dram"])
def test_a_jetsons_module_is_not_added_where_another_meter_reads_a_part_of_it(tree: Tree, covered: str) -> None:
    jetson(tree)
    result = tree.open(covered)
    assert totals(result)["module:0"] is False
    assert result.covers == frozenset()
    assert f"other meters read {covered.partition(':')[0]} in it" in opened(result).domains[0].note


def test_a_rail_without_anything_on_it_is_left_out(tree: Tree) -> None:
    tree.chip(3, "ina3221", in1_label="NC", in1_input=5000, curr1_input=0, in2_label="NCP", in2_input=1, curr2_input=1)
    assert totals(tree.open()) == {"rail:ncp": False}


# What other meters read


@pytest.mark.parametrize("covered", ["package:0", "package:0-die-0"])
def test_a_package_that_another_meter_reads_is_left_to_it(tree: Tree, covered: str) -> None:
    tree.chip(0, "amd_energy", energy1_input=0, energy1_label="Esocket0")
    tree.chip(1, "apm_xgene", power1_input=1, power1_label="IO power")
    result = tree.open(covered)
    assert states(result) == {"package:0": "shadowed", "sysio:0": "ok"}
    assert totals(result) == {"sysio:0": True}


def test_a_gpu_that_another_meter_reads_under_the_same_name_is_left_to_it(tree: Tree) -> None:
    tree.chip(0, "amdgpu", power1_average=1)
    result = tree.open("gpu:amd0")
    assert result.meter is None
    assert states(result) == {"gpu:amd0": "shadowed"}


def test_the_same_package_through_two_drivers_is_read_once(tree: Tree) -> None:
    tree.chip(0, "amd_energy", energy1_input=0, energy1_label="Esocket0")
    tree.chip(1, "zenergy", energy1_input=0, energy1_label="Esocket0")
    result = tree.open()
    assert [(d.device, d.state) for d in result.diagnoses] == [("package:0", "ok"), ("package:0", "shadowed")]
    assert "zenergy" in result.diagnoses[1].reason
    assert "amd_energy" in result.diagnoses[1].reason
    assert totals(result) == {"package:0": True}


def test_a_chip_that_is_not_known_is_named_with_its_labels_and_not_read(tree: Tree) -> None:
    tree.chip(0, "ibmpowernv", power1_input=5, power1_label="System", energy1_input=9, energy1_label="Proc 0")
    tree.chip(1, "psu", power1_input=5)
    result = tree.open()
    assert result.meter is None
    assert states(result) == {"ibmpowernv": "unsupported", "psu": "unsupported"}
    assert "Proc 0, System" in result.diagnoses[0].reason
    assert "power1_input" in result.diagnoses[1].reason
    assert result.diagnoses[0].facts == {"chip": "ibmpowernv", "file": str(tree.root / "hwmon0")}


def test_a_laptop_full_of_temperatures_is_silent_unless_the_meter_is_asked_for(tree: Tree) -> None:
    tree.chip(0, "coretemp", temp1_input=45000, temp1_label="Package id 0")
    tree.chip(1, "BAT0", in0_input=12000, curr1_input=800)
    tree.chip(2, "amdgpu", temp1_input=40000)
    assert tree.open() == Opened(None, ())
    named = tree.open(names=("auto", "hwmon"))
    assert [(d.state, d.reason) for d in named.diagnoses] == [
        ("absent", f"no energy or power sensor under {tree.root}")
    ]


def test_a_root_that_is_no_folder_is_said_where_the_meter_is_asked_for(tmp_path: Path) -> None:
    options = MeterOptions(names=("hwmon",), hwmon_root=tmp_path / "nowhere")
    (diagnosis,) = hwmon.open_meter(options).diagnoses
    assert (diagnosis.state, diagnosis.reason) == ("absent", f"{tmp_path / 'nowhere'} is not a folder")
    assert "ENERGYBENCH_HWMON_ROOT" in diagnosis.remedy


def test_a_root_from_the_environment_is_used(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.chip(0, "i915", energy1_input=0)
    monkeypatch.setenv("ENERGYBENCH_HWMON_ROOT", str(tree.root))
    assert totals(hwmon.open_meter(MeterOptions())) == {"gpu:intel0": True}


# Bad files


@pytest.mark.parametrize("content", ["", "garbage", "-5"])
def test_a_sensor_that_cannot_be_read_is_a_diagnosis_and_leaves_the_others(tree: Tree, content: str) -> None:
    tree.chip(0, "amd_energy", energy1_input=content, energy1_label="Esocket0")
    tree.chip(1, "amdgpu", power1_average=content)
    tree.chip(2, "i915", energy1_input=0)
    result = tree.open()
    assert states(result) == {"package:0": "driver-error", "gpu:amd0": "driver-error", "gpu:intel0": "ok"}
    assert all(str(tree.root) in d.reason for d in result.diagnoses if d.state == "driver-error")
    assert totals(result) == {"gpu:intel0": True}


@pytest.mark.parametrize("content", ["", "garbage", "-5"])
def test_a_sensor_that_breaks_in_a_window_is_absent_and_leaves_the_others(tree: Tree, content: str) -> None:
    amd = tree.chip(0, "amd_energy", energy1_input=0, energy1_label="Esocket0")
    gpu = tree.chip(1, "amdgpu", power1_average=200_000_000)
    intel = tree.chip(2, "i915", energy1_input=0)
    meters = Meters([opened(tree.open())])
    window = meters.open_window()
    put(amd / "energy1_input", content)
    put(gpu / "power1_average", content)
    put(intel / "energy1_input", 2_000_000)
    closed = window.close()
    assert closed.joules == {"package:0": None, "gpu:amd0": None, "gpu:intel0": 2.0}
    assert any("package:0 could not be read at the end" in warning for warning in closed.warnings)
    assert any("gpu:amd0 could not be read at the end" in warning for warning in closed.warnings)
    meters.close()


def test_a_power_sensor_that_recovers_within_a_window_gives_no_value_for_it(tree: Tree) -> None:
    folder = tree.chip(1, "amdgpu", power1_average=200_000_000)
    meter = opened(tree.open())
    meters = Meters([meter])
    window = meters.open_window()
    put(folder / "power1_average", "garbage")
    meter.read()
    put(folder / "power1_average", 200_000_000)
    closed = window.close()
    assert closed.joules == {"gpu:amd0": None}
    assert "a power sample failed" in closed.warnings[0]
    assert meters.open_window().close().joules["gpu:amd0"] is not None
    meters.close()


def test_files_that_vanish_in_a_window_are_absent_never_zero(tree: Tree) -> None:
    amd = tree.chip(0, "amd_energy", energy1_input=0, energy1_label="Esocket0")
    gpu = tree.chip(1, "amdgpu", power1_average=200_000_000)
    rail = jetson(tree)
    meters = Meters([opened(tree.open())])
    window = meters.open_window()
    for path in (amd / "energy1_input", gpu / "power1_average", rail / "curr1_input"):
        path.unlink()
    time.sleep(0.05)  # a counter may stand still for 20 of its ticks before its file is looked for
    closed = window.close()
    lost = {"package:0": None, "gpu:amd0": None, "module:0": None}
    rest = closed.joules["rail:vdd_cpu_gpu_cv"]
    assert closed.joules == {**lost, "rail:vdd_cpu_gpu_cv": rest}
    assert rest is not None
    assert rest > 0
    assert "gone" in " ".join(closed.warnings)
    meters.close()


def test_a_driver_that_was_reloaded_is_read_again_from_the_next_window_on(tree: Tree) -> None:
    folder = tree.chip(0, "amd_energy", energy1_input=9_000_000, energy1_label="Esocket0")
    power = tree.chip(1, "apm_xgene", power1_input=10_000_000, power1_label="IO power")
    meters = Meters([opened(tree.open())])
    window = meters.open_window()
    for path in (folder / "energy1_input", power / "power1_input"):
        path.unlink()
        put(path, 20_000_000)
    time.sleep(0.05)
    assert window.close().joules == {"package:0": None, "sysio:0": None}
    later = meters.open_window()
    put(folder / "energy1_input", 21_500_000)
    closed = later.close()
    assert closed.joules["package:0"] == 1.5
    assert closed.joules["sysio:0"] is not None
    meters.close()


ASK = """
import json, sys
from pathlib import Path
from energybench.metering.hwmon import open_meter
from energybench.metering.meter import MeterOptions
opened = open_meter(MeterOptions(hwmon_root=Path(sys.argv[1])))
print(json.dumps([[d.device, d.state, d.reason, d.remedy] for d in opened.diagnoses]))
print(json.dumps([d.name for d in opened.meter.domains]))
"""


def test_a_sensor_for_root_only_is_named_with_the_command_that_opens_it(tree: Tree, refused: Any) -> None:
    secret = tree.chip(0, "amd_energy", energy1_input=0, energy1_label="Esocket0") / "energy1_input"
    tree.chip(1, "amdgpu", power1_average=1)
    command = [sys.executable, "-c", ASK, str(tree.root)]
    done = refused(secret, command)
    assert done.returncode == 0, done.stderr
    diagnoses, found = (json.loads(line) for line in done.stdout.splitlines())
    device, state, reason, remedy = diagnoses[0]
    assert (device, state) == ("package:0", "no-permission")
    assert str(secret) in reason
    assert f"chmod a+r {secret}" in remedy
    assert 'ATTR{name}=="amd_energy"' in remedy
    assert "/sys%p/energy1_input" in remedy
    assert found == ["gpu:amd0"]


# Beside the joules


def test_conditions_and_comparability_tell_a_gpus_temperature_clock_and_limit(tree: Tree) -> None:
    files = {"temp1_input": 61000, "freq1_input": 2_450_000_000, "power1_cap": 300_000_000, "device__vendor": "0x1002"}
    tree.chip(0, "amdgpu", "0000:03:00.0", power1_average=1, **files)
    put(tree.devices / "0000:03:00.0" / "device", "0x744c")
    tree.chip(1, "fam15h_power", power1_input=1, temp1_input=50000)
    meter = opened(tree.open())
    assert meter.conditions() == {
        "gpu:amd0_temperature_c": 61,
        "gpu:amd0_graphics_clock_mhz": 2450,
        "gpu:amd0_power_limit_w": 300,
    }
    assert meter.comparability() == {"hwmon_gpus": [{"name": "amdgpu 0x1002:0x744c", "power_limit_w": 300}]}
    meter.close()


def test_a_machine_without_such_gpus_adds_nothing_to_what_must_be_equal(tree: Tree) -> None:
    tree.chip(0, "fam15h_power", power1_input=1, temp1_input=50000)
    meter = opened(tree.open())
    assert (meter.conditions(), meter.comparability()) == ({}, {})
    meter.close()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open descriptors are counted in Linux's /proc")
def test_closing_gives_every_descriptor_back_and_may_be_done_twice(tree: Tree) -> None:
    jetson(tree)
    tree.chip(0, "amdgpu", power1_average="garbage")
    tree.chip(1, "i915", energy1_input=0)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a Path would hold the folder open while it is counted)
    meter = opened(tree.open())
    during = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    meter.close()
    meter.close()
    assert (during - before, len(os.listdir("/proc/self/fd")) - before) == (5, 0)  # noqa: PTH208

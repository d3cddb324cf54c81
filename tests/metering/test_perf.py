"""Perf events: what is found in fake trees of event sources, and the real system call on the kernel's software events.

The software PMU (type 1) is on every machine: its event 0 counts the nanoseconds of one CPU, so that with a scale of
1e-9 it is a counter of exactly 1 W; its event 9 is counted and never moves.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from energybench.metering.counter import Counter
from energybench.metering.perf import (
    REGISTER_RANGE_J,
    SYSTEM_EVENTS,
    Event,
    EventRegister,
    find_events,
    paranoid,
    permission_remedy,
)

ROOT = Path(__file__).parents[2]
UNIT_J = 2.0**-32
CLOCK, DUMMY = "event=0x00", "event=0x09"
DISABLE = 0x2401  # PERF_EVENT_IOC_DISABLE of linux/perf_event.h


class Source:
    """Folders that stand for /sys/bus/event_source/devices and /sys/devices/system/cpu."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "devices"
        self.cpus = folder / "cpu"
        self.root.mkdir()
        self.cpus.mkdir()

    def pmu(self, cpumask: str | None = "0\n", type: str = "23\n", name: str = "power") -> None:
        (self.root / name / "events").mkdir(parents=True)
        (self.root / name / "type").write_text(type)
        if cpumask is not None:
            (self.root / name / "cpumask").write_text(cpumask)

    def event(
        self,
        name: str,
        config: str,
        scale: str | None = "2.3283064365386962890625e-10",
        unit: str | None = "Joules",
        pmu: str = "power",
    ) -> None:
        """The kernel ends some of these files with a new line and some without."""
        folder = self.root / pmu / "events"
        (folder / name).write_text(f"{config}\n")
        if scale is not None:
            (folder / f"{name}.scale").write_text(scale)
        if unit is not None:
            (folder / f"{name}.unit").write_text(f"{unit}\n")

    def cpu(self, number: int, package: int | str, die: int | None = 0) -> None:
        topology = self.cpus / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{package}\n")
        if die is not None:
            (topology / "die_id").write_text(f"{die}\n")

    def found(self) -> dict[str, Event]:
        return find_events(self.root, self.cpus)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def test_a_server_with_two_sockets_has_packages_memory_and_one_platform(source: Source) -> None:
    source.pmu("0,28\n")
    source.event("energy-cores", "event=0x01")
    source.event("energy-pkg", "event=0x02")
    source.event("energy-ram", "event=0x03")
    source.event("energy-gpu", "event=0x04")
    source.event("energy-psys", "event=0x05")
    source.cpu(0, 0)
    source.cpu(28, 1)
    assert list(source.found().values()) == [
        Event("package:0", 23, 2, 0, UNIT_J, "perf_event power/energy-pkg/ on CPU 0"),
        Event("package:1", 23, 2, 28, UNIT_J, "perf_event power/energy-pkg/ on CPU 28"),
        Event("dram:0", 23, 3, 0, UNIT_J, "perf_event power/energy-ram/ on CPU 0"),
        Event("dram:1", 23, 3, 28, UNIT_J, "perf_event power/energy-ram/ on CPU 28"),
        Event("psys:0", 23, 5, 0, UNIT_J, "perf_event power/energy-psys/ on CPU 0"),
    ]
    assert all(name == event.domain for name, event in source.found().items())


def test_the_topology_tells_the_package_not_the_order_of_the_cpus(source: Source) -> None:
    source.pmu("0-1\n")
    source.event("energy-pkg", "event=0x02")
    source.event("energy-psys", "event=0x05")
    source.cpu(0, 10)
    source.cpu(1, 2)
    assert {name: event.cpu for name, event in source.found().items()} == {"package:2": 1, "package:10": 0, "psys:0": 1}
    assert list(source.found()) == ["package:2", "package:10", "psys:0"]


def test_dies_with_a_counter_each_are_named_as_the_powercap_tree_names_them(source: Source) -> None:
    source.pmu("0,24,48,72\n")
    source.event("energy-pkg", "event=0x02")
    source.event("energy-ram", "event=0x03")
    for cpu, package, die in ((0, 0, 0), (24, 0, 1), (48, 1, 0), (72, 1, 1)):
        source.cpu(cpu, package, die)
    assert {name: event.cpu for name, event in source.found().items()} == {
        "package:0-die-0": 0,
        "package:0-die-1": 24,
        "package:1-die-0": 48,
        "package:1-die-1": 72,
        "dram:0-die-0": 0,
        "dram:0-die-1": 24,
        "dram:1-die-0": 48,
        "dram:1-die-1": 72,
    }


def test_a_package_with_a_single_die_beside_one_with_two_is_named_by_its_die_too(source: Source) -> None:
    source.pmu("0,24,48\n")
    source.event("energy-pkg", "event=0x02")
    for cpu, package, die in ((0, 0, 0), (24, 0, 1), (48, 1, 0)):
        source.cpu(cpu, package, die)
    assert list(source.found()) == ["package:0-die-0", "package:0-die-1", "package:1-die-0"]


def test_packages_of_several_dies_with_one_counter_each_are_named_without_a_die(source: Source) -> None:
    source.pmu("0,64\n")
    source.event("energy-pkg", "event=0x02")
    source.cpu(0, 0, die=0)
    source.cpu(64, 1, die=8)
    assert list(source.found()) == ["package:0", "package:1"]


def test_an_old_kernel_that_knows_no_dies_gives_packages(source: Source) -> None:
    source.pmu("0,8\n")
    source.event("energy-pkg", "event=0x02")
    source.cpu(0, 0, die=None)
    source.cpu(8, 1, die=None)
    assert {name: event.cpu for name, event in source.found().items()} == {"package:0": 0, "package:1": 8}


def test_one_counter_that_is_named_twice_is_counted_once(source: Source) -> None:
    source.pmu("1,0\n")
    source.event("energy-pkg", "event=0x02")
    source.cpu(0, 0)
    source.cpu(1, 0)
    assert {name: event.cpu for name, event in source.found().items()} == {"package:0": 0}


def test_a_machine_without_the_pmu_has_no_events(source: Source) -> None:
    source.cpu(0, 0)
    assert source.found() == {}
    assert find_events(source.root / "nowhere", source.cpus) == {}


def test_the_pmu_of_single_cores_is_no_package(source: Source) -> None:
    source.pmu(name="power_core")
    source.event("energy-core", "event=0x01", pmu="power_core")
    source.event("energy-pkg", "event=0x02", pmu="power_core")
    source.cpu(0, 0)
    assert source.found() == {}


@pytest.mark.parametrize("type", ["", "power\n", "-1\n", "4294967296\n", "\xff\n"])
def test_a_malformed_type_leaves_no_events(source: Source, type: str) -> None:
    source.pmu(type=type)
    source.event("energy-pkg", "event=0x02")
    source.cpu(0, 0)
    assert source.found() == {}


@pytest.mark.parametrize("cpumask", [None, "", "\n", "all\n", "0,\n", "0-\n", "-1\n", "0 28\n", "1-0\n"])
def test_a_missing_or_malformed_list_of_cpus_leaves_no_events(source: Source, cpumask: str | None) -> None:
    source.pmu(cpumask)
    source.event("energy-pkg", "event=0x02")
    source.event("energy-psys", "event=0x05")
    source.cpu(0, 0)
    source.cpu(1, 1)
    assert source.found() == {}


@pytest.mark.parametrize(
    ("config", "scale", "unit"),
    [
        ("event=0x02", "1.0", "Watts"),
        ("event=0x02", "1.0", "joules"),
        ("event=0x02", "1.0", ""),
        ("event=0x02", "1.0", None),
        ("event=0x02", None, "Joules"),
        ("event=0x02", "", "Joules"),
        ("event=0x02", "half", "Joules"),
        ("event=0x02", "0", "Joules"),
        ("event=0x02", "-1e-9", "Joules"),
        ("event=0x02", "nan", "Joules"),
        ("event=0x02", "inf", "Joules"),
        ("", "1.0", "Joules"),
        ("event=", "1.0", "Joules"),
        ("event=pkg", "1.0", "Joules"),
        ("event=0x02,umask=0x01", "1.0", "Joules"),
        ("event=0x10000000000000000", "1.0", "Joules"),
    ],
)
def test_a_malformed_event_is_left_out_and_leaves_the_others(
    source: Source, config: str, scale: str | None, unit: str | None
) -> None:
    source.pmu()
    source.event("energy-pkg", config, scale, unit)
    source.event("energy-ram", "event=0x03")
    source.cpu(0, 0)
    assert list(source.found()) == ["dram:0"]


@pytest.mark.parametrize("package", ["", "none", "-1"])
def test_a_cpu_of_an_unknown_package_is_left_out_and_leaves_the_others(source: Source, package: str) -> None:
    source.pmu("0,1,2\n")
    source.event("energy-pkg", "event=0x02")
    source.cpu(0, package)
    source.cpu(1, 1)  # CPU 2 has no topology at all, as an offline one
    assert {name: event.cpu for name, event in source.found().items()} == {"package:1": 1}


def software_event(source: Source, config: str) -> Event:
    """The kernel's own software event as `energy-pkg`: 1e-9 J per count, on a CPU on which this process may run."""
    cpu = min(os.sched_getaffinity(0))
    source.pmu(f"{cpu}\n", type="1\n")
    source.event("energy-pkg", config, scale="1e-9")
    source.cpu(cpu, 0)
    return source.found()["package:0"]


def opened(event: Event) -> EventRegister:
    """The event, or a skip where this kernel, container or user gets no system-wide events."""
    try:
        return EventRegister(event)
    except OSError as error:
        pytest.skip(f"system-wide perf events are refused here (perf_event_paranoid is {paranoid()}): {error}")


def perf_descriptors() -> set[int]:
    """The perf events that this process holds open."""
    held = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = link.readlink()
        except OSError:  # the one through which the folder is listed
            continue
        if "perf_event" in target.name:
            held.add(int(link.name))
    return held


def test_an_event_counts_one_joule_a_second_against_the_clock(source: Source) -> None:
    event = software_event(source, CLOCK)
    before_open = time.monotonic()
    register = opened(event)
    counter = Counter(register, event.unit_j, alive=register.alive)
    before_first = time.monotonic()
    counter.read()
    after_first = time.monotonic()
    joules = []
    for _ in range(10):
        time.sleep(0.03)
        before_last = time.monotonic()
        joules.append(counter.read().joules)
        after_last = time.monotonic()
    *_, last = joules
    assert last is not None
    # The readings lie between the looks at the clock around them, however late this process is served; 1 % is for the
    # kernel's two clocks, which are disciplined apart.
    assert 0.99 * (before_last - after_first) <= last <= 1.01 * (after_last - before_first)
    assert joules == sorted(joules)  # type: ignore[type-var]
    assert register() * event.unit_j <= 1.01 * (time.monotonic() - before_open)  # it began at 0
    register.close()


def test_two_registers_of_one_event_count_apart(source: Source) -> None:
    event = software_event(source, CLOCK)
    first = opened(event)
    time.sleep(0.1)
    second = EventRegister(event)
    younger, older = second(), first()
    assert older - younger >= 0.09e9
    second.close()
    assert first() > older
    first.close()


def test_an_event_that_stands_still_is_zero_joules_and_one_that_is_no_longer_counted_is_absent(source: Source) -> None:
    event = software_event(source, DUMMY)
    held = perf_descriptors()
    register = opened(event)
    (descriptor,) = perf_descriptors() - held
    counter = Counter(register, event.unit_j, tick_s=1e-4, alive=register.alive)
    counter.read()
    time.sleep(0.01)
    assert (counter.read().joules, counter.read().trouble) == (0.0, "")
    # The kernel switches an event off when its CPU goes offline. Its last count stays readable.
    fcntl.ioctl(descriptor, DISABLE)
    assert register() == 0
    reading = counter.read()
    assert reading.joules is None
    assert "no longer counts" in reading.trouble
    register.close()


def test_a_short_answer_is_an_error_and_no_count(source: Source) -> None:
    event = software_event(source, CLOCK)
    held = perf_descriptors()
    register = opened(event)
    (descriptor,) = perf_descriptors() - held
    reader, writer = os.pipe()
    os.write(writer, b"12345678")
    os.dup2(reader, descriptor, inheritable=False)
    with pytest.raises(OSError, match="8 bytes of 16") as raised:
        register()
    assert raised.value.errno == errno.EIO
    for used in (reader, writer):
        os.close(used)
    with pytest.raises(OSError, match="0 bytes of 16"):  # as the kernel answers for an event in its error state
        register.alive()
    register.close()


def test_the_descriptor_stays_in_this_process_and_is_given_back_once(source: Source) -> None:
    event = software_event(source, CLOCK)
    held = perf_descriptors()
    register = opened(event)
    (descriptor,) = perf_descriptors() - held
    assert os.get_inheritable(descriptor) is False
    register.close()
    assert perf_descriptors() == held
    with pytest.raises(OSError) as raised:
        register()
    assert raised.value.errno == errno.EBADF
    register.close()


def test_a_refusal_keeps_the_kernels_reason_and_names_the_event(source: Source) -> None:
    event = software_event(source, CLOCK)
    opened(event).close()
    held = perf_descriptors()
    with pytest.raises(FileNotFoundError) as unknown_pmu:
        EventRegister(replace(event, type=2**31 - 1))
    assert unknown_pmu.value.filename == event.door
    with pytest.raises(OSError) as unknown_cpu:
        EventRegister(replace(event, cpu=999_999))
    assert unknown_cpu.value.errno in (errno.EINVAL, errno.ENODEV)  # no such CPU, or an offline one
    assert perf_descriptors() == held


def test_a_machine_whose_system_call_is_not_known_is_refused(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    event = software_event(source, CLOCK)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="riscv64") as raised:
        EventRegister(event)
    assert raised.value.errno == errno.ENOSYS


OPEN = """
import json, sys
from pathlib import Path
from energybench.metering.perf import EventRegister, find_events
status = Path("/proc/self/status").read_text()
(effective,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
try:
    EventRegister(find_events(Path(sys.argv[1]), Path(sys.argv[2]))["package:0"]).close()
    refused = None
except OSError as error:
    refused = [type(error).__name__, error.filename]
print(json.dumps([effective, refused]))
"""
SYS_ADMIN, PERFMON = 1 << 21, 1 << 38


@pytest.mark.parametrize("capabilities", ["-perfmon,-sys_admin", "-all,+perfmon", "-all"])
def test_a_process_may_open_events_with_the_capability_or_where_the_setting_allows_it(
    source: Source, capabilities: str
) -> None:
    event = software_event(source, CLOCK)
    command = [sys.executable, "-c", OPEN, str(source.root), str(source.cpus)]
    setting = paranoid()
    if setting is None:
        pytest.skip("this kernel has no perf events")
    if os.geteuid() == 0:
        opened(event).close()  # what is refused to a full root is refused for other reasons than capabilities
        if shutil.which("setpriv") is None:
            pytest.skip("running as root, and there is no setpriv to drop root's capabilities")
        command = ["setpriv", f"--bounding-set={capabilities}", *command]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode and "setpriv" in done.stderr:
        pytest.skip(f"this root may not drop capabilities: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    effective, refused = json.loads(done.stdout)
    if os.geteuid() == 0:
        assert bool(int(effective, 16) & PERFMON) is ("+perfmon" in capabilities)
    allowed = setting <= 0 or bool(int(effective, 16) & (PERFMON | SYS_ADMIN))
    assert refused == (None if allowed else ["PermissionError", event.door])


def test_the_setting_is_the_kernels_and_the_remedy_names_its_commands() -> None:
    path = Path("/proc/sys/kernel/perf_event_paranoid")
    assert paranoid() == (int(path.read_text()) if path.exists() else None)
    remedy = permission_remedy()
    assert "sudo sysctl kernel.perf_event_paranoid=0" in remedy
    assert "/etc/sysctl.d" in remedy
    assert "sudo setcap cap_perfmon+ep $(readlink -f $(which python3))" in remedy


def test_this_machines_own_packages_draw_a_plausible_power() -> None:
    events = {name: event for name, event in find_events(SYSTEM_EVENTS).items() if name.startswith("package")}
    if not events:
        pytest.skip("this machine has no PMU `power`: it has no RAPL, or is a virtual machine")
    registers = {name: opened(event) for name, event in events.items()}
    counters = {name: Counter(register, events[name].unit_j) for name, register in registers.items()}
    started = time.monotonic()
    before = {name: counter.read().joules for name, counter in counters.items()}
    while time.monotonic() - started < 0.5:
        sum(range(10_000))
    after = {name: counter.read().joules for name, counter in counters.items()}
    seconds = time.monotonic() - started
    for register in registers.values():
        register.close()
    for name in events:
        start_j, end_j = before[name], after[name]
        assert start_j is not None
        assert end_j is not None
        assert 0 < end_j - start_j < 1000 * seconds
        assert end_j < REGISTER_RANGE_J

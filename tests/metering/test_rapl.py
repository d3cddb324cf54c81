"""RAPL on fake powercap trees: what is found, what is added, and what a refusal says."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from energybench.errors import MeterError
from energybench.metering import MeterOptions, Meters, open_meters
from energybench.model import Provenance


def rapl(powercap: Any) -> Meters:
    return open_meters(MeterOptions(names=("rapl",), powercap_root=powercap.root))


def names(meters: Meters) -> list[str]:
    return [domain.name for domain in meters.domains]


def test_a_server_with_two_sockets_gives_packages_and_memory_and_no_core(powercap: Any) -> None:
    for number in (0, 1):
        powercap.zone(f"intel-rapl:{number}", f"package-{number}")
        powercap.zone(f"intel-rapl:{number}/intel-rapl:{number}:0", "core")
        powercap.zone(f"intel-rapl:{number}/intel-rapl:{number}:1", "dram")
    meters = rapl(powercap)
    assert names(meters) == ["package:0", "package:1", "dram:0", "dram:1"]
    assert all(d.in_total and d.provenance is Provenance.MEASURED and d.meter == "rapl" for d in meters.domains)
    window = meters.open_window()
    powercap.set("intel-rapl:0", 1_000_000)
    powercap.set("intel-rapl:1", 2_500_000)
    powercap.set("intel-rapl:1/intel-rapl:1:1", 250_000)
    powercap.set("intel-rapl:0/intel-rapl:0:0", 900_000)
    joules = window.close().joules
    assert joules == {"package:0": 1.0, "package:1": 2.5, "dram:0": 0.0, "dram:1": 0.25}
    meters.close()


def test_the_platform_counter_is_reported_and_never_added(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0")
    powercap.zone("intel-rapl:1", "psys")
    meters = rapl(powercap)
    assert {d.name: d.in_total for d in meters.domains} == {"package:0": True, "psys:0": False}
    meters.close()


def test_zone_numbers_are_hexadecimal_and_the_name_tells_the_socket(powercap: Any) -> None:
    powercap.zone("intel-rapl:9", "psys")
    powercap.zone("intel-rapl:a", "package-1")
    powercap.zone("intel-rapl:b", "package-0")
    powercap.zone("intel-rapl:b/intel-rapl:b:1", "dram")
    meters = rapl(powercap)
    assert names(meters) == ["package:0", "package:1", "dram:0", "psys:0"]
    window = meters.open_window()
    powercap.set("intel-rapl:a", 3_000_000)
    assert window.close().joules["package:1"] == 3.0
    meters.close()


def test_one_package_shown_through_two_doors_is_counted_once_through_the_register(powercap: Any) -> None:
    powercap.zone("intel-rapl/intel-rapl:0", "package-0")
    powercap.zone("intel-rapl-mmio/intel-rapl-mmio:0", "package-0")
    meters = rapl(powercap)
    assert names(meters) == ["package:0"]
    assert "intel-rapl:0" in meters.domains[0].note
    assert [d.state for d in meters.diagnoses] == ["ok", "shadowed"]
    meters.close()


def test_the_class_folder_with_its_links_shows_each_zone_once(powercap: Any) -> None:
    powercap.zone("intel-rapl/intel-rapl:0", "package-0")
    powercap.zone("intel-rapl/intel-rapl:0/intel-rapl:0:0", "dram")
    (powercap.root / "intel-rapl:0").symlink_to(powercap.root / "intel-rapl" / "intel-rapl:0")
    (powercap.root / "intel-rapl:0:0").symlink_to(powercap.root / "intel-rapl" / "intel-rapl:0" / "intel-rapl:0:0")
    meters = rapl(powercap)
    assert names(meters) == ["package:0", "dram:0"]
    assert [d.state for d in meters.diagnoses] == ["ok", "ok"]
    meters.close()


def test_every_die_of_a_package_is_a_domain_of_its_own(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0-die-0")
    powercap.zone("intel-rapl:1", "package-0-die-1")
    meters = rapl(powercap)
    assert names(meters) == ["package:0-die-0", "package:0-die-1"]
    meters.close()


def test_the_other_door_is_taken_where_the_first_cannot_be_read(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0", uj="garbage")  # type: ignore[arg-type]
    powercap.zone("intel-rapl-mmio:0", "package-0", uj=5)
    meters = rapl(powercap)
    assert "intel-rapl-mmio:0" in meters.domains[0].note
    meters.close()


def test_a_wrap_inside_a_window_is_added_with_the_range(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0", uj=262_143_000_000)
    meters = rapl(powercap)
    window = meters.open_window()
    powercap.set("intel-rapl:0", 671_150)
    assert window.close().joules["package:0"] == pytest.approx(1.0)
    meters.close()


def test_a_fall_without_a_stated_range_is_absent_and_said_never_negative(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0", uj=5_000_000, range_uj=None)
    meters = rapl(powercap)
    window = meters.open_window()
    powercap.set("intel-rapl:0", 1_000_000)
    closed = window.close()
    assert closed.joules == {"package:0": None}
    assert closed.error_j == {"package:0": None}
    assert "range is unknown" in closed.warnings[0]
    later = meters.open_window()
    powercap.set("intel-rapl:0", 1_500_000)
    assert later.close().joules == {"package:0": 0.5}
    meters.close()


@pytest.mark.parametrize("content", ["", "garbage", "-5"])
def test_a_counter_that_breaks_in_a_window_is_absent_and_leaves_the_others(powercap: Any, content: str) -> None:
    powercap.zone("intel-rapl:0", "package-0")
    powercap.zone("intel-rapl:0/intel-rapl:0:0", "dram")
    meters = rapl(powercap)
    window = meters.open_window()
    powercap.set("intel-rapl:0", content)
    powercap.set("intel-rapl:0/intel-rapl:0:0", 2_000_000)
    closed = window.close()
    assert closed.joules == {"package:0": None, "dram:0": 2.0}
    assert any("package:0 could not be read at the end" in warning for warning in closed.warnings)
    meters.close()


def test_live_counters_that_wrap_several_times_in_a_window_match_watts_times_seconds(powercap: Any, live: Any) -> None:
    small_uj = 600_000_000  # wraps every 0.75 s at 800 W; the real ones hold 262 kJ
    package = powercap.zone("intel-rapl:0", "package-0", range_uj=small_uj)
    memory = powercap.zone("intel-rapl:0/intel-rapl:0:0", "dram")
    live({package: (800.0, small_uj), memory: (20.0, 262_143_328_850)})
    meters = rapl(powercap)
    window = meters.open_window()
    with window.lap("first"):
        time.sleep(0.5)
    with window.lap("rest"):
        time.sleep(1.6)
    closed = window.close()
    # The writer may be late by tens of milliseconds where the machine is busy: 60 ms at both ends.
    assert closed.joules["package:0"] == pytest.approx(800 * closed.seconds, abs=800 * 0.12)
    assert closed.joules["dram:0"] == pytest.approx(20 * closed.seconds, abs=20 * 0.12)
    for lap in closed.laps:
        assert lap.joules["package:0"] == pytest.approx(800 * lap.seconds, abs=800 * 0.12)
    meters.close()


def test_hundreds_of_short_windows_over_many_wraps_add_up_to_the_long_one(powercap: Any, live: Any) -> None:
    small_uj = 400_000_000
    package = powercap.zone("intel-rapl:0", "package-0", range_uj=small_uj)
    live({package: (600.0, small_uj)})
    meters = rapl(powercap)
    whole = meters.open_window()
    parts = []
    while whole.peek().seconds < 1.5:
        part = meters.open_window()
        time.sleep(0.005)
        parts.append(part.close().joules["package:0"])
    total = whole.close().joules["package:0"]
    assert total is not None
    assert min(p for p in parts if p is not None) >= 0
    assert sum(p for p in parts if p is not None) <= total + 1e-6
    assert max(p for p in parts if p is not None) < 0.5 * small_uj * 1e-6
    meters.close()


def test_a_root_from_the_environment_is_used(powercap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    powercap.zone("intel-rapl:0", "package-0")
    monkeypatch.setenv("ENERGYBENCH_POWERCAP_ROOT", str(powercap.root))
    meters = open_meters(MeterOptions(names=("rapl",)))
    assert names(meters) == ["package:0"]
    meters.close()


def test_a_root_that_is_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match=r"nowhere is not a folder"):
        open_meters(MeterOptions(names=("rapl",), powercap_root=tmp_path / "nowhere"))


def test_auto_without_any_counter_says_why_and_goes_on(tmp_path: Path) -> None:
    meters = open_meters(MeterOptions(powercap_root=tmp_path, estimate=False))
    states = {d.meter: d.state for d in meters.diagnoses}
    assert (states["rapl"], states["estimate"]) == ("absent", "off")
    assert all(domain.meter not in ("rapl", "estimate") for domain in meters.domains)
    meters.close()


def test_auto_estimates_the_memory_where_rapl_covers_only_the_package(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0")
    meters = open_meters(MeterOptions(powercap_root=powercap.root))
    assert [d.name for d in meters.domains if d.meter in ("rapl", "estimate")] == ["package:0", "ram"]
    meters.close()
    powercap.zone("intel-rapl:0/intel-rapl:0:0", "dram")
    meters = open_meters(MeterOptions(powercap_root=powercap.root))
    assert [d.name for d in meters.domains if d.meter in ("rapl", "estimate")] == ["package:0", "dram:0"]
    meters.close()


ASK = """
import json, sys
from pathlib import Path
from energybench.metering import MeterOptions, open_meters
meters = open_meters(MeterOptions(powercap_root=Path(sys.argv[1]), estimate=False))
print(json.dumps([[d.device, d.state, d.reason, d.remedy] for d in meters.diagnoses if d.meter == "rapl"]))
print(json.dumps([d.name for d in meters.domains if d.meter == "rapl"]))
"""


def test_a_counter_for_root_only_is_named_with_the_command_that_opens_it(powercap: Any, refused: Any) -> None:
    secret = powercap.zone("intel-rapl:0", "package-0")
    powercap.zone("intel-rapl:0/intel-rapl:0:0", "dram")
    command = [sys.executable, "-c", ASK, str(powercap.root)]
    done = refused(secret, command)
    assert done.returncode == 0, done.stderr
    diagnoses, found = (json.loads(line) for line in done.stdout.splitlines())
    device, state, reason, remedy = diagnoses[0]
    assert (device, state) == ("package:0", "no-permission")
    assert "CVE-2020-8694" in reason
    assert f"chmod a+r {secret}" in remedy
    assert found == ["dram:0"]


EVENTS = {"type": "1", "cpumask": "0", "events/energy-pkg": "event=0x00", "events/energy-pkg.scale": "1e-9"}


def test_where_only_root_may_read_the_files_perf_event_opens_the_same_domain(powercap: Any, tmp_path: Path) -> None:
    """The event is a software one, the CPU's clock in nanoseconds: a package of exactly one watt."""
    powercap.zone("intel-rapl:0", "package-0", uj="unreadable")  # type: ignore[arg-type]
    pmu = tmp_path / "devices" / "power"
    (pmu / "events").mkdir(parents=True)
    for name, text in (EVENTS | {"events/energy-pkg.unit": "Joules"}).items():
        (pmu / name).write_text(f"{text}\n")
    options = MeterOptions(names=("rapl",), powercap_root=powercap.root, events_root=tmp_path / "devices")
    try:
        meters = open_meters(options)
    except MeterError as error:
        if "refused" not in str(error):
            raise
        pytest.skip(f"this kernel refuses perf_event_open here: {error}")
    assert names(meters) == ["package:0"]
    assert "perf_event power/energy-pkg/ on CPU 0" in meters.domains[0].note
    window = meters.open_window()
    time.sleep(0.3)
    closed = window.close()
    assert closed.joules["package:0"] == pytest.approx(closed.seconds, rel=0.1)
    meters.close()


def test_a_tree_from_elsewhere_is_not_completed_with_this_machines_events(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0", uj="unreadable")  # type: ignore[arg-type]
    with pytest.raises(MeterError) as refused:
        rapl(powercap)
    assert "perf_event" not in str(refused.value)
    assert "which is no number" in str(refused.value)


def test_dies_that_repeat_one_counter_are_counted_once(powercap: Any, live: Any) -> None:
    dies = [powercap.zone(f"intel-rapl:{die}", f"package-0-die-{die}") for die in (0, 1)]
    other = powercap.zone("intel-rapl:2", "package-1-die-0")
    third = powercap.zone("intel-rapl:3", "package-1-die-1")
    same = {"watts": 300.0}
    live({dies[0]: (same["watts"], 262_143_328_850), other: (150.0, 262_143_328_850), third: (90.0, 262_143_328_850)})
    dies[1].unlink()
    dies[1].symlink_to(dies[0])  # one register behind two files, as those processors have it
    meters = rapl(powercap)
    assert names(meters) == ["package:0-die-0", "package:1-die-0", "package:1-die-1"]
    (shadowed,) = [d for d in meters.diagnoses if d.state == "shadowed"]
    assert (shadowed.device, "repeats package:0-die-0" in shadowed.reason) == ("package:0-die-1", True)
    meters.close()


def test_calibration_sees_how_often_the_writer_writes(powercap: Any, live: Any) -> None:
    live({powercap.zone("intel-rapl:0", "package-0"): (100.0, 262_143_328_850)})
    meters = rapl(powercap)
    assert meters.domains[0].tick_s == 0.001  # documented
    meters.calibrate()
    tick_s = meters.domains[0].tick_s
    assert tick_s is not None
    assert 0.001 <= tick_s < 0.02  # a writer that sleeps 1 ms between two values, on a machine that may be busy
    meters.close()


def test_a_missing_range_is_said_before_it_costs_a_window(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0", range_uj=None)
    meters = rapl(powercap)
    assert "its range is not stated" in meters.diagnoses[0].reason
    assert "range_j" not in meters.diagnoses[0].facts
    meters.close()


def test_a_zone_that_vanishes_in_a_window_is_absent_and_one_that_comes_back_goes_on(powercap: Any) -> None:
    file = powercap.zone("intel-rapl:0", "package-0", uj=7)
    powercap.zone("intel-rapl:0/intel-rapl:0:0", "dram")
    meters = rapl(powercap)
    window = meters.open_window()
    file.unlink()
    time.sleep(0.05)  # longer than a counter may stand still before it is asked whether it is there
    powercap.set("intel-rapl:0/intel-rapl:0:0", 2_000_000)
    closed = window.close()
    assert closed.joules == {"package:0": None, "dram:0": 2.0}
    assert "is gone" in closed.warnings[0]
    powercap.set("intel-rapl:0", 100)
    meters.open_window().close()  # finds the new file
    window = meters.open_window()
    powercap.set("intel-rapl:0", 3_000_100)
    assert window.close().joules["package:0"] == 3.0
    meters.close()


def mean_share(shape: str, period_s: float, seconds: float) -> float:
    """Integral over `seconds` of a power that is 1 at its highest: on and off, or rising from 0, in each period."""
    whole, rest_s = divmod(seconds, period_s)
    part_s = min(rest_s, period_s / 2) if shape == "square" else rest_s**2 / (2 * period_s)
    return whole * period_s / 2 + part_s


@pytest.mark.parametrize(("shape", "period_s"), [("square", 0.4), ("square", 5.0), ("ramp", 0.7)])
def test_power_that_changes_is_counted_as_it_is(powercap: Any, live: Any, shape: str, period_s: float) -> None:
    small_uj = 600_000_000  # at 450 W in the mean it wraps every 1.3 s
    package = powercap.zone("intel-rapl:0", "package-0", range_uj=small_uj)
    started_s = time.monotonic()
    live({package: (900.0, small_uj)}, shape=shape, period_s=period_s, started_s=started_s)
    meters = rapl(powercap)
    begin_s = time.monotonic()
    window = meters.open_window()
    time.sleep(2.7)
    closed = window.close()
    end_s = time.monotonic()
    begin, end = (mean_share(shape, period_s, when_s - started_s) for when_s in (begin_s, end_s))
    assert closed.joules["package:0"] == pytest.approx(900 * (end - begin), abs=900 * 0.12)
    meters.close()

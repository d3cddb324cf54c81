"""Windows, laps and the fence, on counters that are set by hand."""

from __future__ import annotations

import math
import platform
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import MeterError
from energybench.metering import MeterOptions, Meters, open_meters
from energybench.metering.counter import Counter, Reading
from energybench.metering.meter import Resolution
from energybench.model import Domain, Mark, Provenance


class Dial:
    """A meter of one domain whose joules the test turns up."""

    name = "dial"
    heartbeat_s: float | None = None

    def __init__(self, period_s: float = 0.0, step_j: float = 0.0, log: list[str] | None = None) -> None:
        self.joules = 0.0
        self.domains = (Domain("package:0", self.name, Provenance.MEASURED),)
        self.resolution = {"package:0": Resolution(step_j, period_s)}
        self.closed = 0
        self._log = [] if log is None else log

    def read(self) -> dict[str, Reading]:
        self._log.append("read")
        return {"package:0": Reading(self.joules)}

    def calibrate(self) -> None:
        self.resolution = {"package:0": Resolution(0.0, 0.025)}

    def conditions(self) -> dict[str, float]:
        return {"dial_temperature_c": 40.0}

    def comparability(self) -> dict[str, Any]:
        return {"dial": 1}

    def close(self) -> None:
        self.closed += 1


def test_a_window_is_the_difference_of_its_ends() -> None:
    dial = Dial()
    meters = Meters([dial])
    dial.joules = 5.0
    window = meters.open_window("a case")
    dial.joules = 12.5
    closed = window.close()
    assert closed.joules == {"package:0": 7.5}
    assert closed.label == "a case"
    assert closed.seconds > 0
    assert meters.conditions() == {"dial_temperature_c": 40.0}
    assert meters.comparability()["dial"] == 1


def test_laps_nest_and_overlap_and_land_in_order_of_ending() -> None:
    dial = Dial()
    window = Meters([dial]).open_window()
    outer, first, second = window.lap("outer"), window.lap("first"), window.lap("second")
    outer.__enter__()
    dial.joules += 1
    first.__enter__()
    dial.joules += 2
    second.__enter__()
    dial.joules += 4
    first.__exit__(None, None, None)
    dial.joules += 8
    outer.__exit__(None, None, None)
    second.__exit__(None, None, None)
    closed = window.close()
    assert [(lap.label, lap.joules["package:0"]) for lap in closed.laps] == [
        ("first", 6),
        ("outer", 15),
        ("second", 12),
    ]
    assert closed.joules["package:0"] == 15


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=10))
def test_laps_side_by_side_add_up_to_their_window(steps: list[float]) -> None:
    dial = Dial()
    window = Meters([dial]).open_window()
    for step in steps:
        with window.lap("epoch"):
            dial.joules += step
    closed = window.close()
    parts = [lap.joules["package:0"] for lap in closed.laps_named("epoch")]
    assert len(parts) == len(steps)
    assert math.fsum(part for part in parts if part is not None) == pytest.approx(closed.joules["package:0"], abs=1e-6)
    assert sum(lap.seconds for lap in closed.laps) <= closed.seconds


def test_a_lap_left_by_an_exception_is_kept() -> None:
    dial = Dial()
    window = Meters([dial]).open_window()

    def diverge() -> None:
        with window.lap("epoch"):
            dial.joules += 3
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        diverge()
    assert [lap.joules["package:0"] for lap in window.close().laps] == [3]


def test_a_lap_still_open_when_its_window_closes_is_said() -> None:
    window = Meters([Dial()]).open_window()
    lap = window.lap("epoch")
    lap.__enter__()
    closed = window.close()
    lap.__exit__(None, None, None)
    assert closed.laps == ()
    assert "'epoch' was still open" in closed.warnings[0]


def test_a_closed_window_refuses_a_second_close_and_new_laps() -> None:
    window = Meters([Dial()]).open_window("one")
    window.close()
    with pytest.raises(MeterError, match="closed already"):
        window.close()
    with pytest.raises(MeterError, match="'epoch' cannot be opened"):
        window.lap("epoch").__enter__()


def test_closed_meters_open_no_window_and_close_once() -> None:
    dial = Dial()
    meters = Meters([dial])
    meters.close()
    meters.close()
    assert dial.closed == 1
    with pytest.raises(MeterError, match="meters are closed"):
        meters.open_window("late")


def test_a_peek_closes_nothing() -> None:
    dial = Dial()
    window = Meters([dial]).open_window()
    with window.lap("epoch"):
        dial.joules = 2.0
    assert window.peek().joules == {"package:0": 2.0}
    assert [lap.label for lap in window.peek().laps] == ["epoch"]
    dial.joules = 3.0
    assert window.close().joules == {"package:0": 3.0}


def test_without_any_meter_a_window_carries_seconds_only() -> None:
    meters = Meters()
    window = meters.open_window()
    time.sleep(0.01)
    closed = window.close()
    assert closed.seconds >= 0.01
    assert (closed.joules, closed.error_j, meters.domains) == ({}, {}, ())


def test_a_window_of_enough_periods_is_not_marked() -> None:
    window = Meters([Dial(period_s=1e-4)]).open_window()
    time.sleep(0.005)
    assert window.close().warnings == ()


def test_the_fence_waits_before_every_reading_and_only_where_cuda_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    state = {"initialised": False}
    cuda = SimpleNamespace(
        is_initialized=lambda: state["initialised"],
        device_count=lambda: 3,
        synchronize=lambda index: log.append(f"fence {index}"),
    )
    context = SimpleNamespace(_cuda_hasPrimaryContext=lambda index: index != 1)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, _C=context))
    meters = Meters([Dial(log=log)])
    meters.open_window().close()
    assert log == ["read", "read"]
    log.clear()
    state["initialised"] = True
    window = meters.open_window()
    with window.lap("epoch"):
        log.append("work")
    window.peek()
    window.close()
    fenced = ["fence 0", "fence 2", "read"]
    assert log == [*fenced, *fenced, "work", *fenced, "read", *fenced]


def test_a_window_reads_the_slowest_meter_farthest_from_the_code_and_the_clock_outside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []

    class Named(Dial):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name
            self.domains = (Domain(name, name, Provenance.MEASURED),)
            self.resolution = {}

        def read(self) -> dict[str, Reading]:
            log.append(self.name)
            return {self.name: Reading(0.0)}

    meters = Meters([Named("fast"), Named("slow")])
    real = time.perf_counter

    def clock() -> float:
        log.append("clock")
        return real()

    monkeypatch.setattr("energybench.metering.window.time.perf_counter", clock)
    monkeypatch.setattr("energybench.metering.window.fence", lambda: log.append("fence"))
    window = meters.open_window()
    log.append("code")
    window.close()
    monkeypatch.undo()
    assert log == ["fence", "clock", "slow", "fast", "code", "fence", "fast", "slow", "clock"]


def test_calibration_puts_the_measured_tick_into_domains_and_marks() -> None:
    meters = Meters([Dial(period_s=1.0)])
    assert meters.domains[0].tick_s == 1.0
    assert meters.shortest_sound_s == 20.0
    meters.calibrate()
    assert meters.domains[0].tick_s == 0.025
    assert meters.shortest_sound_s == pytest.approx(0.5)
    window = meters.open_window()
    assert not window.is_long_enough
    assert window.close().marks == (Mark.TOO_SHORT,)


def test_every_domain_names_its_host() -> None:
    (domain,) = Meters([Dial()]).domains
    assert domain.host == platform.node()
    assert domain.identity == (platform.node(), "package:0")


def test_windows_know_where_they_lie_since_the_meters_were_opened() -> None:
    meters = Meters([Dial()])
    first = meters.open_window()
    closed = first.close()
    second = meters.open_window()
    second.close()
    assert 0 <= first.start_s < first.end_s <= second.start_s < second.end_s
    assert first.end_s - first.start_s == pytest.approx(closed.seconds)


def test_the_trace_tells_cumulative_joules_and_nothing_where_continuity_broke() -> None:
    class Breaking(Dial):
        breaks = 0

        def read(self) -> dict[str, Reading]:
            return {"package:0": Reading(self.joules, self.breaks)}

    dial, seen = Breaking(), []
    meters = Meters([dial])

    def sink(time_s: float, seconds: float, joules: Any) -> None:
        seen.append((time_s, seconds, joules["package:0"]))
        dial.joules += 5
        dial.breaks = int(len(seen) >= 3)

    meters.trace(50.0, sink)
    assert seen == []
    window = meters.open_window()
    deadline = time.monotonic() + 20
    while len(seen) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    window.close()
    meters.close()
    assert [joules for _, _, joules in seen[:6]] == [0, 5, 10, None, 20, 25]
    seconds = [seconds for _, seconds, _ in seen]
    assert seconds == sorted(seconds)
    assert abs(seen[0][0] - time.time()) < 60


def test_a_second_process_on_the_same_package_marks_the_windows_that_it_overlaps(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0")
    options = MeterOptions(names=("rapl",), powercap_root=powercap.root)
    meters = open_meters(options)
    alone = meters.open_window()
    assert Mark.SHARED not in alone.close().marks
    code = (
        "import sys; from pathlib import Path; from energybench.metering import MeterOptions, open_meters\n"
        "meters = open_meters(MeterOptions(names=('rapl',), powercap_root=Path(sys.argv[1])))\n"
        "window = meters.open_window(); print('metering', flush=True); input()\n"
        "print(*window.close().marks, flush=True)"
    )
    window = meters.open_window()
    command = [sys.executable, "-c", code, str(powercap.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "metering\n"
        shared = window.close()
        theirs, _ = other.communicate("\n")
    assert Mark.SHARED in shared.marks
    assert f"cpu (process {other.pid})" in shared.warnings[-1]
    assert "shared" in theirs.split()
    again = meters.open_window()
    assert Mark.SHARED not in again.close().marks
    meters.close()


def test_the_heartbeat_keeps_a_small_counter_whole_while_nobody_reads_it() -> None:
    class Small(Dial):
        """400 J of range at 800 W: it wraps every 0.5 s, and the test reads it only at both ends."""

        def __init__(self) -> None:
            super().__init__()
            self.started = time.monotonic()
            self.counter = Counter(self.register, 1e-3, 400_000)
            self.heartbeat_s = self.counter.heartbeat_s

        def register(self) -> int:
            return int((time.monotonic() - self.started) * 800e3) % 400_000

        def read(self) -> dict[str, Reading]:
            return {"package:0": self.counter.read()}

    meters = Meters([Small()])
    threads = threading.active_count()
    window = meters.open_window()
    assert threading.active_count() == threads + 1
    time.sleep(1.3)
    closed = window.close()
    assert closed.joules["package:0"] == pytest.approx(800 * closed.seconds, rel=0.05)
    meters.close()
    assert threading.active_count() == threads


def test_no_thread_where_no_counter_can_wrap() -> None:
    threads = threading.active_count()
    meters = open_meters(MeterOptions(names=("estimate",)))
    meters.open_window().close()
    assert threading.active_count() == threads
    meters.close()

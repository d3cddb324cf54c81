"""Windows, laps and the fence, on counters that are set by hand."""

from __future__ import annotations

import math
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
from energybench.metering.window import random_error_j
from energybench.model import Domain, Provenance


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


def test_a_window_under_twenty_update_periods_is_marked_and_not_patched() -> None:
    dial = Dial(period_s=0.1)
    window = Meters([dial]).open_window()
    dial.joules = 1.0
    closed = window.close()
    assert closed.joules == {"package:0": 1.0}
    assert "too short to be sound (under 20 update periods of 0.1 s)" in closed.warnings[0]


def test_a_window_of_enough_periods_is_not_marked() -> None:
    window = Meters([Dial(period_s=1e-4)]).open_window()
    time.sleep(0.005)
    assert window.close().warnings == ()


def test_the_random_error_is_that_of_uniform_lateness_at_both_ends_and_of_the_step() -> None:
    # 300 W with a counter that ticks every 100 ms: sqrt(30^2 + 30^2) / sqrt(12) J.
    assert random_error_j(1500.0, 5.0, Resolution(0.0, 0.1)) == pytest.approx(math.sqrt(2 * 30**2) / math.sqrt(12))
    assert random_error_j(0.0, 5.0, Resolution(1.0, 0.1)) == pytest.approx(math.sqrt(2) / math.sqrt(12))
    assert random_error_j(1500.0, 5.0, Resolution(0.0, 0.0)) == 0


def test_the_stated_error_covers_a_simulated_ticking_counter() -> None:
    power_w, tick_s, length_s = 300.0, 0.1, 5.0
    errors = []
    for phase in range(200):
        start = phase * tick_s / 200
        for jitter in range(10):
            end = start + length_s + jitter * tick_s / 10
            shown = power_w * tick_s * (math.floor(end / tick_s) - math.floor(start / tick_s))
            errors.append(shown - power_w * (end - start))
    spread = math.sqrt(sum(error**2 for error in errors) / len(errors))
    assert spread == pytest.approx(random_error_j(power_w * length_s, length_s, Resolution(0.0, tick_s)), rel=0.1)


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

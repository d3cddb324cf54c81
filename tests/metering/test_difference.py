"""Two ends of a window made into joules, errors and marks, on readings that are written down."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.metering.counter import Counter, Reading
from energybench.metering.difference import SHORTEST_TICKS, End, Ground, difference, random_error_j
from energybench.metering.meter import Resolution
from energybench.metering.scope import Busy
from energybench.model import Mark, Window

PACKAGE = "package:0"


def between(first: Reading, last: Reading, seconds: float = 10.0, period_s: float = 1e-3) -> Window:
    ground = Ground({PACKAGE: Resolution(6.1e-5, period_s)})
    return difference(End(0.0, {PACKAGE: first}), End(seconds, {PACKAGE: last}), ground, "x")


def test_the_random_error_is_that_of_uniform_lateness_at_both_ends_and_of_the_step() -> None:
    # 300 W with a counter that ticks every 100 ms: sqrt(30^2 + 30^2) / sqrt(12) J.
    assert random_error_j(1500.0, 5.0, Resolution(0.0, 0.1)) == pytest.approx(math.sqrt(2 * 30**2) / math.sqrt(12))
    assert random_error_j(0.0, 5.0, Resolution(1.0, 0.1)) == pytest.approx(math.sqrt(2) / math.sqrt(12))
    assert random_error_j(1500.0, 5.0, Resolution(0.0, 0.0)) == 0


def test_each_end_counts_with_the_power_just_before_it() -> None:
    idle_then_load = random_error_j(1500.0, 5.0, Resolution(0.0, 0.1), 60.0, 400.0)
    assert idle_then_load == pytest.approx(math.hypot(6.0, 40.0) / math.sqrt(12))
    window = between(Reading(0.0, power_w=60.0), Reading(1500.0, power_w=400.0), 5.0, 0.1)
    assert window.error_j[PACKAGE] == pytest.approx(idle_then_load, rel=1e-3)


@pytest.mark.parametrize("period_s", [0.01, 0.1])
def test_the_stated_error_covers_a_simulated_ticking_counter_whose_power_changes(period_s: float) -> None:
    begin_w, end_w, length_s = 100.0, 400.0, 5.0

    def energy_j(t: float) -> float:
        return begin_w * min(t, 3.0) + end_w * max(0.0, t - 3.0)

    errors = []
    for phase in range(100):
        for jitter in range(10):
            start = phase * period_s / 100
            end = start + length_s + jitter * period_s / 10
            shown = [energy_j(math.floor(t / period_s + 1e-9) * period_s) for t in (start, end)]
            errors.append(shown[1] - shown[0] - (energy_j(end) - energy_j(start)))
    bias = sum(errors) / len(errors)
    spread = math.sqrt(sum((error - bias) ** 2 for error in errors) / len(errors))
    stated = random_error_j(energy_j(length_s), length_s, Resolution(0.0, period_s), begin_w, end_w)
    assert spread == pytest.approx(stated, rel=0.1)
    assert abs(bias) <= (end_w - begin_w) * period_s  # late at both ends: only a change of power leaves something


@given(
    power_w=st.floats(1, 900),
    tick_s=st.sampled_from([1e-3, 1e-2, 0.1]),
    start_s=st.floats(1.1, 2.0),
    length_s=st.floats(0.001, 20.0),
    beats=st.lists(st.floats(0, 1), max_size=6),
    modulus_j=st.floats(25_000, 262_144),  # more than 20 s at the highest plausible power: nothing wraps unseen
    phase=st.floats(0, 1),
)
def test_any_window_over_a_wrapping_ticking_counter_is_never_negative_and_inside_its_bound(
    power_w: float,
    tick_s: float,
    start_s: float,
    length_s: float,
    beats: list[float],
    modulus_j: float,
    phase: float,
) -> None:
    """Constant power, any phase of tick and wrap, any order of heartbeats: |error| <= sqrt(6) u, all of its range."""
    modulus = int(modulus_j / 1e-6)
    now = [0.0]

    def show() -> int:
        ticks = math.floor(now[0] / tick_s)
        return (int(phase * modulus) + int(ticks * tick_s * power_w / 1e-6)) % modulus

    counter = Counter(show, 1e-6, modulus, lambda: now[0], tick_s=tick_s)

    def at(t: float) -> Reading:
        now[0] = t
        return counter.read()

    for warm_up_s in (0.0, 0.5, 1.05):
        at(warm_up_s)
    first = at(start_s)
    for share in sorted(beats):
        at(start_s + share * length_s)
    last = at(start_s + length_s)
    resolution = Resolution(1e-6, tick_s)
    window = difference(
        End(start_s, {PACKAGE: first}), End(start_s + length_s, {PACKAGE: last}), Ground({PACKAGE: resolution}), ""
    )
    joules, u = window.joules[PACKAGE], window.error_j[PACKAGE]
    assert joules is not None
    assert u is not None
    assert joules >= 0
    # Two errors uniform in [0, P T): their difference reaches P T = sqrt(6) u. The power itself is known to a tick.
    assert abs(joules - power_w * length_s) <= math.sqrt(6) * u * 1.25 + 1e-3
    assert (Mark.TOO_SHORT in window.marks) == (window.seconds < SHORTEST_TICKS * tick_s)


def test_a_short_window_is_marked_and_not_patched() -> None:
    window = between(Reading(0.0), Reading(1.0), seconds=1.9, period_s=0.1)
    assert window.marks == (Mark.TOO_SHORT,)
    assert window.joules == {PACKAGE: 1.0}
    assert "too short to be sound (under 20 update periods of 0.1 s)" in window.warnings[0]
    assert between(Reading(0.0), Reading(1.0), seconds=2.1, period_s=0.1).marks == ()


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (Reading(None, 0, "GPU is lost"), Reading(5.0), "could not be read at the start: GPU is lost"),
        (Reading(1.0), Reading(None, 0, "GPU is lost"), "could not be read at the end: GPU is lost"),
        (Reading(1.0, 0), Reading(2.0, 1, "it was reset"), "has no value: it was reset"),
    ],
)
def test_a_lost_counter_is_absent_marked_and_said(first: Reading, last: Reading, words: str) -> None:
    window = between(first, last)
    assert window.joules == window.error_j == {PACKAGE: None}
    assert window.marks == (Mark.LOST,)
    assert words in window.warnings[0]


def test_a_counter_that_does_not_move_for_a_second_is_questioned_and_kept_as_read() -> None:
    window = between(Reading(7.0), Reading(7.0))
    assert window.joules == {PACKAGE: 0.0}
    assert "stood still for 10 s" in window.warnings[0]
    assert between(Reading(7.0), Reading(7.0), seconds=0.5).warnings == ()


def test_in_the_process_scope_a_package_counts_with_the_share_of_the_busy_time() -> None:
    ground = Ground({PACKAGE: Resolution(0.0, 1e-3), "dram:0": Resolution(0.0, 1e-3)}, frozenset({PACKAGE}))
    start = End(0.0, {PACKAGE: Reading(0.0), "dram:0": Reading(0.0)}, Busy(5.0, 100.0))
    end = End(10.0, {PACKAGE: Reading(400.0), "dram:0": Reading(20.0)}, Busy(10.0, 120.0))
    window = difference(start, end, ground, "")
    assert window.joules == {PACKAGE: pytest.approx(100.0), "dram:0": 20.0}
    error = window.error_j[PACKAGE]
    whole = difference(start, end, Ground(ground.resolution), "").error_j[PACKAGE]
    assert error is not None
    assert whole is not None
    assert error > whole / 4  # the share itself is known to a clock tick only


def test_without_busy_time_there_is_nothing_to_attribute() -> None:
    ground = Ground({PACKAGE: Resolution(0.0, 1e-3)}, frozenset({PACKAGE}))
    end = Busy(5.0, 100.0)
    window = difference(End(0.0, {PACKAGE: Reading(0.0)}, end), End(1.0, {PACKAGE: Reading(9.0)}, end), ground, "")
    assert window.joules == {PACKAGE: None}
    assert window.marks == (Mark.LOST,)
    assert "cannot be attributed" in window.warnings[0]

"""Two ends of a window made into joules, errors and marks, on readings that are written down."""

from __future__ import annotations

import math
from itertools import pairwise

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


TICKS = st.sampled_from([1e-3, 1e-2, 0.1])


@st.composite
def courses(draw: st.DrawFn) -> tuple[float, float, float, list[tuple[float, float]]]:
    """(tick, start, end, [(from when, watts)]): any power, but the same for 25 ticks before and after each end."""
    tick_s = draw(TICKS)
    settled_s = 25 * tick_s + 0.2
    start_s = 2 * settled_s + draw(st.floats(0, 1))
    between = sorted(draw(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 900)), max_size=5)))
    last_s = start_s + settled_s + (between[-1][0] if between else 0.0)
    end_s = last_s + settled_s + draw(st.floats(0, 1))
    begin_w, end_w = draw(st.floats(1, 900)), draw(st.floats(1, 900))
    pieces = [(0.0, begin_w), *((start_s + settled_s + when, watts) for when, watts in between), (last_s, end_w)]
    return tick_s, start_s, end_s, pieces


def energy_j(pieces: list[tuple[float, float]], t: float) -> float:
    ends = [when for when, _ in pieces[1:]] + [math.inf]
    return math.fsum(watts * max(0.0, min(t, end) - when) for (when, watts), end in zip(pieces, ends, strict=True))


@given(
    course=courses(),
    beats=st.lists(st.floats(0, 1), max_size=8),
    modulus_j=st.floats(25_000, 262_144),  # more than the longest window at the highest plausible power
    phase=st.floats(0, 1),
)
def test_any_course_of_power_any_wrap_and_any_heartbeats_are_additive_never_negative_and_inside_the_error_bar(
    course: tuple[float, float, float, list[tuple[float, float]]], beats: list[float], modulus_j: float, phase: float
) -> None:
    tick_s, start_s, end_s, pieces = course
    modulus = int(modulus_j / 1e-6)
    now = [0.0]

    def show() -> int:
        ticked_s = math.floor(now[0] / tick_s) * tick_s
        return (int(phase * modulus) + int(energy_j(pieces, ticked_s) / 1e-6)) % modulus

    counter = Counter(show, 1e-6, modulus, lambda: now[0], tick_s=tick_s)

    def at(t: float) -> End:
        now[0] = t
        return End(t, {PACKAGE: counter.read()})

    settled_s = 25 * tick_s + 0.2
    for before_s in (start_s - settled_s, start_s - settled_s / 2):
        at(before_s)
    ends = [at(start_s)]
    ends += [at(start_s + share * (end_s - settled_s - start_s)) for share in sorted(beats)]
    at(end_s - settled_s)
    at(end_s - settled_s / 2)
    ends.append(at(end_s))
    ground = Ground({PACKAGE: Resolution(1e-6, tick_s)})
    window = difference(ends[0], ends[-1], ground, "")
    joules, u = window.joules[PACKAGE], window.error_j[PACKAGE]
    assert joules is not None
    assert u is not None
    parts = [difference(first, last, ground, "").joules[PACKAGE] for first, last in pairwise(ends)]
    assert all(part is not None and part >= 0 for part in parts)
    assert math.fsum(part for part in parts if part is not None) == pytest.approx(joules, abs=1e-6)
    # Two errors uniform in [0, P T): each end may be late by its whole range, sqrt(12) times its share of u, and the
    # power before an end is known to one tick of ten.
    truth_j = energy_j(pieces, end_s) - energy_j(pieces, start_s)
    assert abs(joules - truth_j) <= math.sqrt(12) * u * 1.2 + 1e-3
    assert (Mark.TOO_SHORT in window.marks) == (window.seconds < SHORTEST_TICKS * tick_s)


@given(power_w=st.floats(1, 900), tick_s=TICKS, start_s=st.floats(0, 1), length_s=st.floats(1e-3, 1.9))
def test_a_first_window_without_a_past_takes_its_own_mean_power_for_its_ends(
    power_w: float, tick_s: float, start_s: float, length_s: float
) -> None:
    now = [start_s]
    counter = Counter(lambda: int(math.floor(now[0] / tick_s) * tick_s * power_w / 1e-6), 1e-6, None, lambda: now[0])
    start = End(now[0], {PACKAGE: counter.read()})
    now[0] += length_s
    window = difference(start, End(now[0], {PACKAGE: counter.read()}), Ground({PACKAGE: Resolution(0, tick_s)}), "")
    error_j = window.error_j[PACKAGE]
    joules = window.joules[PACKAGE]
    assert joules is not None
    assert error_j == pytest.approx(joules / length_s * tick_s / math.sqrt(6), rel=0.2, abs=1e-6)


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


def test_a_counter_and_its_integrated_power_that_disagree_are_said() -> None:
    ground = Ground({"gpu:0": Resolution(1e-3, 0.1), "gpu:0/integral": Resolution(1e-4, 0.1)}, checked=True)

    def apart(integrated_j: float, seconds: float = 10.0) -> tuple[str, ...]:
        start = End(0.0, {name: Reading(0.0) for name in ground.resolution})
        end = End(seconds, {"gpu:0": Reading(1000.0), "gpu:0/integral": Reading(integrated_j)})
        return difference(start, end, ground, "").warnings

    assert apart(970.0) == ()
    assert apart(900.0) == ("gpu:0: 1000 J by its counter, 900 J by its power: -10.0 %",)
    assert not any("by its power" in text for text in apart(900.0, seconds=1.0))  # too short to tell

"""Unwrapping a finite register, against exact integer arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.metering.counter import PLAUSIBLE_MAX_W, Counter, CounterResetError


class Register:
    """A register that has counted `total` units, shows them modulo `modulus`, and carries its own clock."""

    def __init__(self, modulus: int | None, start: int = 0) -> None:
        self.modulus = modulus
        self.total = start
        self.now_s = 0.0

    def show(self) -> int:
        return self.total if self.modulus is None else self.total % self.modulus

    def clock(self) -> float:
        return self.now_s


@given(
    modulus=st.integers(2, 2**40),
    start=st.integers(0, 2**50),
    data=st.data(),
)
def test_any_steps_below_the_range_add_up_exactly_and_never_fall(modulus: int, start: int, data: st.DataObject) -> None:
    register = Register(modulus, start)
    counter = Counter(register.show, 1.0, modulus, register.clock)
    assert counter.read().joules == 0
    before = 0.0
    for step in data.draw(st.lists(st.integers(0, modulus - 1), max_size=20)):
        register.total += step
        register.now_s += step / PLAUSIBLE_MAX_W
        reading = counter.read()
        assert reading.joules == register.total - start
        assert reading.joules >= before
        assert reading.breaks == 0
        before = reading.joules


@given(modulus=st.integers(1000, 10**9), data=st.data())
def test_whoever_reads_in_between_changes_no_later_reading(modulus: int, data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.tuples(st.integers(0, (modulus - 1) // 4), st.booleans()), min_size=1, max_size=12))
    register = Register(modulus)
    watched, alone = (Counter(register.show, 1.0, modulus, register.clock) for _ in range(2))
    watched.read()
    alone.read()
    unread = 0
    for step, heartbeat in steps:
        if unread + step >= modulus:  # both are read at least once per wrap, as the heartbeat sees to
            watched.read()
            alone.read()
            unread = 0
        register.total += step
        register.now_s += step / PLAUSIBLE_MAX_W
        unread += step
        if heartbeat:
            watched.read()
    assert watched.read()[:3] == alone.read()[:3]


def test_a_unit_scales_the_joules() -> None:
    register = Register(None)
    counter = Counter(register.show, 1e-6, None, register.clock)
    counter.read()
    register.total = 2_500_000
    assert counter.read().joules == pytest.approx(2.5)


def test_a_fall_without_a_known_range_breaks_continuity_and_adds_nothing() -> None:
    register = Register(None, 1000)
    counter = Counter(register.show, 1.0, None, register.clock)
    first = counter.read()
    register.total = 10
    fallen = counter.read()
    assert (fallen.joules, fallen.breaks) == (first.joules, first.breaks + 1)
    assert "range is unknown" in fallen.trouble
    register.total = 15
    assert counter.read().joules == 5


def test_a_pause_in_which_the_register_may_have_wrapped_twice_breaks_continuity() -> None:
    register = Register(1000)
    counter = Counter(register.show, 1.0, 1000, register.clock)
    counter.read()
    register.total, register.now_s = 10, 1000 / PLAUSIBLE_MAX_W
    assert counter.read().breaks == 0
    register.total, register.now_s = 20, 2.1 * 1000 / PLAUSIBLE_MAX_W
    reading = counter.read()
    assert reading.breaks == 1
    assert "unseen" in reading.trouble


def test_a_fall_that_no_power_explains_is_a_reset_and_not_a_wrap() -> None:
    register = Register(262_143_328_850, 100_000_000_000)
    counter = Counter(register.show, 1e-6, register.modulus, register.clock)
    counter.read()
    register.total, register.now_s = 5_000_000, 0.5  # a wrap would mean 162 kJ in half a second
    reading = counter.read()
    assert (reading.joules, reading.breaks) == (0, 1)
    assert "it was reset" in reading.trouble
    register.total, register.now_s = 7_000_000, 1.0
    assert counter.read().joules == pytest.approx(2.0)


def test_a_register_that_was_found_anew_breaks_continuity_even_where_its_value_grew() -> None:
    values: list[int | Exception] = [100, CounterResetError("made anew"), 900, 950]

    def read() -> int:
        value = values.pop(0)
        if isinstance(value, Exception):
            raise value
        return value

    counter = Counter(read, 1.0, 1000, lambda: 0.0)
    assert counter.read().joules == 0
    lost = counter.read()
    assert (lost.joules, lost.breaks, lost.trouble) == (None, 1, "made anew")
    assert counter.read().joules == 0
    assert counter.read().joules == 50


def test_a_register_that_stands_still_is_asked_whether_it_is_alive() -> None:
    register = Register(None, 100)
    asked: list[float] = []

    def alive() -> None:
        asked.append(register.now_s)
        raise OSError("the file is gone")

    counter = Counter(register.show, 1.0, None, register.clock, tick_s=0.001, alive=alive)
    counter.read()
    register.now_s = 0.019
    assert counter.read().joules == 0
    register.now_s = 0.05
    gone = counter.read()
    assert (gone.joules, gone.trouble) == (None, "the file is gone")
    assert asked == [0.05]


def test_power_is_a_mean_over_a_moment_before_the_reading() -> None:
    register = Register(None)
    counter = Counter(register.show, 1.0, None, register.clock, tick_s=0.01)  # ten ticks: 0.1 s
    assert counter.read().power_w is None
    powers = []
    for step in range(1, 41):
        register.now_s = step * 0.05
        register.total += 10 if step <= 20 else 2  # 200 W, then 40 W
        powers.append(counter.read().power_w)
    assert powers[0] is None
    assert powers[19] == pytest.approx(200)
    assert powers[-1] == pytest.approx(40)


@pytest.mark.parametrize("shown", [(5000, 10), (10, 5000)])
def test_a_register_beyond_its_stated_range_breaks_continuity(shown: tuple[int, int]) -> None:
    values = iter(shown)
    counter = Counter(lambda: next(values), 1.0, 1000, lambda: 0.0)
    counter.read()
    assert counter.read().breaks == 1


def test_an_unreadable_register_gives_no_joules_and_loses_none() -> None:
    def values() -> Iterator[int]:
        yield 100
        yield -1
        yield 160

    register = values()

    def read() -> int:
        value = next(register)
        if value < 0:
            raise OSError(5, "Input/output error")
        return value

    counter = Counter(read, 1.0, 1000, lambda: 0.0)
    counter.read()
    lost = counter.read()
    assert lost.joules is None
    assert lost.trouble == "Input/output error"
    assert counter.read().joules == 60


def test_the_heartbeat_is_half_the_time_to_a_wrap_at_the_highest_plausible_power() -> None:
    assert Counter(lambda: 0, 1e-6, 65_532_610_987).heartbeat_s == pytest.approx(65_532.610987 / (2 * PLAUSIBLE_MAX_W))
    assert Counter(lambda: 0, 1e-6, None).heartbeat_s is None

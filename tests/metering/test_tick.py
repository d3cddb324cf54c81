"""How often a register is updated, on registers with a known rhythm and a clock of their own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.metering.tick import measure_tick_s


class Rhythm:
    """A register that counts one up every `tick_s`; each look at it takes `look_s` of its own clock."""

    def __init__(self, tick_s: float, look_s: float = 1e-6) -> None:
        self.now_s, self.looks = 0.0, 0
        self._tick_s, self._look_s = tick_s, look_s

    def __call__(self) -> int:
        self.looks += 1
        self.now_s += self._look_s
        return int(self.now_s / self._tick_s)

    def clock(self) -> float:
        return self.now_s


@given(st.floats(1e-4, 2e-3))
def test_the_tick_is_the_time_between_two_changes(tick_s: float) -> None:
    register = Rhythm(tick_s)
    assert measure_tick_s(register, 0.05, clock=register.clock) == pytest.approx(tick_s, abs=5e-6)


def test_a_register_that_hardly_moves_has_no_measured_tick() -> None:
    register = Rhythm(1.0, look_s=1e-3)
    assert measure_tick_s(register, 3.5, clock=register.clock) is None


def test_it_stops_when_it_has_seen_enough() -> None:
    register = Rhythm(1e-3)
    measure_tick_s(register, 100.0, clock=register.clock)
    assert register.now_s < 0.02


def test_a_register_that_cannot_be_read_has_no_tick() -> None:
    def broken() -> int:
        raise ValueError("energy_uj holds ''")

    assert measure_tick_s(broken, 0.1) is None

"""Dies that repeat one counter, and dies that do not, on registers that a clock drives."""

from __future__ import annotations

import time
from collections.abc import Callable

from energybench.metering.mirrored import mirrors

RANGE_UJ = 65_532_610_987


def ticking(watts: float, start_uj: int = 0, tick_s: float = 1e-3) -> Callable[[], int]:
    """A register in microjoules that is updated every `tick_s`, as a kernel shows it."""
    began = time.monotonic()

    def read() -> int:
        ticks = int((time.monotonic() - began) / tick_s)
        return (start_uj + int(ticks * tick_s * watts * 1e6)) % RANGE_UJ

    return read


def test_a_register_shown_twice_is_one() -> None:
    register = ticking(200.0)
    dies = {f"package:0-die-{n}": (register, RANGE_UJ) for n in range(4)}
    assert mirrors(dies, 1e-6) == {f"package:0-die-{n}": "package:0-die-0" for n in (1, 2, 3)}


def test_a_wrap_in_between_hides_no_mirror() -> None:
    register = ticking(200.0, start_uj=RANGE_UJ - 6_000_000)
    assert mirrors({"a": (register, RANGE_UJ), "b": (register, RANGE_UJ)}, 1e-6) == {"b": "a"}


def test_dies_that_draw_half_a_percent_apart_count_each_on_its_own() -> None:
    assert mirrors({"a": (ticking(200.0), RANGE_UJ), "b": (ticking(201.0), RANGE_UJ)}, 1e-6) == {}


def test_equal_values_at_the_start_are_no_proof() -> None:
    assert mirrors({"a": (ticking(180.0, 7), RANGE_UJ), "b": (ticking(120.0, 7), RANGE_UJ)}, 1e-6) == {}


def test_two_pairs_are_two_counters() -> None:
    first, second = ticking(150.0), ticking(210.0)
    dies = {"a": (first, RANGE_UJ), "b": (second, RANGE_UJ), "c": (first, RANGE_UJ), "d": (second, RANGE_UJ)}
    assert mirrors(dies, 1e-6) == {"c": "a", "d": "b"}


def test_a_package_that_draws_too_little_to_tell_is_counted_whole() -> None:
    register = ticking(1.0)
    started = time.monotonic()
    assert mirrors({"a": (register, RANGE_UJ), "b": (register, RANGE_UJ)}, 1e-6, at_most_s=0.2) == {}
    assert time.monotonic() - started < 5


def test_a_register_that_breaks_is_no_mirror() -> None:
    def broken() -> int:
        raise OSError(5, "Input/output error")

    assert mirrors({"a": (ticking(200.0), RANGE_UJ), "b": (broken, RANGE_UJ)}, 1e-6) == {}

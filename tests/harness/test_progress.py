"""The progress line: what it says, where it draws, and that it wipes what it drew."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from energybench.harness import progress
from energybench.harness.forecast import Forecast
from energybench.harness.plan import Plan
from energybench.harness.progress import PLAIN_EVERY_S, Progress
from energybench.model import Estimate, Window

Started = Callable[..., tuple[Progress, "Output"]]


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress.time, "monotonic", made.monotonic)
    return made


class Output(io.StringIO):
    """Stands for the duplicate of standard output."""

    def fileno(self) -> int:
        raise OSError

    @property
    def last(self) -> list[str]:
        """The parts of the line that was drawn last."""
        return self.getvalue().rpartition("\x1b[K")[0].rpartition("G ")[2].split(", ")


@pytest.fixture
def started(session_of: Callable[..., Any], clock: Clock) -> Started:
    def start(*cases: Any, column: int = 0, live: bool = True, pue: float = 1.0, **earlier: Any) -> Any:
        writer = SimpleNamespace(width_of_current_line=column)
        config: Any = SimpleNamespace(
            get_verbosity=lambda: -1,  # opens nothing; the output is put in below
            getoption=lambda name, default=None: "fd",
            get_terminal_writer=lambda: writer,
        )
        session = session_of(*cases, pue=pue)
        made = Progress(config, session)
        output = Output()
        made._out, made._live, made._forecast = output, live, Forecast(session, earlier)
        return made, output

    return start


def window(seconds: float, joules: float, **more: float | None) -> Window:
    return Window(seconds, {"package:0": joules, "dram:0": 0.0, **more})


def test_it_says_which_case_of_how_many_the_laps_the_energy_so_far_and_what_is_left(
    started: Started, running: Any, clock: Clock
) -> None:
    first, second, *others = (running(position, f"f.py::test_x[{name}]") for position, name in enumerate("abcd", 1))
    drawn, output = started(first, second, *others)
    drawn(first, "round 1/1", None)
    assert output.last == ["[1/4] a", "round 1/1", "0.0 s"]  # nothing is known of what is left
    clock.now = 60.0
    first.finish(60.0, 3600.0)
    drawn.round_done(first)
    drawn(second, "round 1/1", None)
    clock.now = 70.0
    drawn(second, "epoch", window(10.0, 1800.0))
    assert output.last == ["[2/4] b", "epoch 1", "10 s", "1.50 Wh so far", "at least 2:00 left"]


def test_energy_so_far_is_that_of_the_total_with_the_pue(started: Started, running: Any) -> None:
    only = running()
    drawn, output = started(only, pue=1.5)
    drawn(only, "round 1/1", None)
    drawn(only, "epoch", Window(1.0, {"package:0": 3600.0, "dram:0": 0.0, "psys:0": 9e9}))
    assert "1.50 Wh so far" in output.last
    drawn(only, "epoch", Window(2.0, {"package:0": 7200.0, "dram:0": None}))  # a part of it is not known
    assert not any("so far" in part for part in output.last)


def test_epochs_are_counted_to_their_number_and_tell_what_is_left(started: Started, running: Any) -> None:
    only = running(id="f.py::test_x[a]")
    only.planned = Plan(5)
    drawn, output = started(only)
    drawn(only, "round 1/1", None)
    drawn(only, "epoch", window(10.0, 3600.0))
    assert output.last == ["[1/1] a", "epoch 1 of 5", "0.0 s", "1.00 of about 5.00 Wh", "about 40 s left"]
    only.planned = Plan(5, patience=2)  # it may end sooner: no time is promised
    drawn(only, "epoch", window(10.0, 3600.0))
    assert output.last == ["[1/1] a", "epoch 2 of at most 5", "0.0 s", "1.00 Wh so far"]
    only.planned = Plan(2)  # it trains longer than was planned
    drawn(only, "epoch", window(10.0, 3600.0))
    assert output.last == ["[1/1] a", "epoch 3", "0.0 s", "1.00 Wh so far"]


def test_the_rest_of_the_running_round_is_what_its_projection_says(started: Started, running: Any) -> None:
    only = running(id="f.py::test_x[a]")
    drawn, output = started(only)
    drawn(only, "round 1/1", None)
    so_far = window(10.0, 3600.0)
    drawn(only, "epoch", so_far)
    drawn.project(only, so_far, "at the end 3 Wh", Estimate("STEP", 10800.0, None, {"seconds": 40.0}))
    assert output.last[2:] == ["at the end 3 Wh", "1.00 of about 3.00 Wh", "about 30 s left"]
    drawn.project(only, so_far, "at the end at most 3 Wh", None)  # a bound tells no time
    assert output.last[2:] == ["at the end at most 3 Wh", "0.0 s", "1.00 Wh so far"]


def test_where_every_case_has_a_budget_rounds_are_held_against_the_sum(started: Started, running: Any) -> None:
    first, second = (
        running(n, f"f.py::test_x[{n}]", rounds=2, warmup=int(n == 1), max_kwh=0.002, iterations=1) for n in (1, 2)
    )
    drawn, output = started(first, second, pue=1.5)
    drawn(first, "warm-up", None)
    drawn(first, "epoch", window(1.0, 7200.0))
    assert "0 of 8.00 Wh of IT energy allowed" in output.last  # no budget is about a warm-up
    first.finish(1.0, 7200.0, warmup=True)
    drawn.round_done(first)
    drawn(first, "round 1/2", None)
    drawn(first, "epoch", window(1.0, 3600.0))
    assert "1.00 of 8.00 Wh of IT energy allowed" in output.last
    first.finish(1.0, 7200.0)
    drawn.round_done(first)
    drawn(first, "round 2/2", None)
    drawn(first, "epoch", window(1.0, 3600.0))
    assert "3.00 of 8.00 Wh of IT energy allowed" in output.last


def test_parts_that_do_not_fit_are_left_out_whole_the_least_needed_first(started: Started, running: Any) -> None:
    only = running(id="f.py::test_x[quite_a_long_name]")
    only.planned = Plan(40)
    drawn, output = started(only, column=4)
    drawn(only, "round 1/1", None)
    so_far = window(3600.0, 36e6)
    drawn(only, "epoch", so_far)
    assert output.last[2:] == ["about 39:00:00 left"]  # of 74 columns; the energy so far would be 82
    projection = Estimate("STEP", 3.6e9, None, {"seconds": 7200.0})
    drawn.project(only, so_far, "at the end 1000 kWh (900 to 1100)", projection)
    assert output.last == ["[1/1] quite_a_long_name", "epoch 1 of 40", "about 1:00:00 left"]


def test_interleaved_it_names_the_round_beside_the_laps_and_counts_rounds_instead_of_cases(
    started: Started, running: Any, clock: Clock
) -> None:
    cases = [running(n, f"f.py::test_x[{n}]", rounds=3) for n in range(1, 5)]
    drawn, output = started(*cases, live=False)
    done = 0
    drawn.count = lambda: (done, 12)
    clock.now = PLAIN_EVERY_S
    drawn(cases[2], "warm-up", None)
    assert output.getvalue() == "\nenergybench: [1/12 rounds] 3, warm-up, 0.0 s\n"
    for one in cases:
        one.finish(15.0, 900.0)
        drawn.round_done(one)
    done, clock.now = 4, 60.0
    drawn(cases[0], "round 2/3", None)
    clock.now = 90.0
    drawn(cases[0], "epoch", window(10.0, 450.0))
    last = output.getvalue().rpartition("energybench: ")[2]
    # Eight rounds of 15 s and 900 J are not over, and 10 s of one of them are.
    assert last == "[5/12 rounds] 1, round 2/3, epoch 1, 30 s, 1.12 of about 3.00 Wh, about 1:50 left\n"


def test_what_was_drawn_is_wiped_from_where_pytest_stood(started: Started, running: Any) -> None:
    drawn, output = started(running(), column=10)
    drawn(running(), "round 1/1", None)
    assert output.getvalue().startswith("\x1b[11G ")
    assert output.getvalue().endswith("\x1b[K\x1b[11G")
    drawn.clear()
    assert output.getvalue().endswith("\x1b[11G\x1b[J")
    wiped = output.getvalue()
    drawn.clear()
    assert output.getvalue() == wiped


def test_without_room_it_draws_on_the_next_line_and_returns(started: Started, running: Any) -> None:
    drawn, output = started(running(), column=60)
    drawn(running(), "round 1/1", None)
    assert output.getvalue().startswith("\n[1/1]")
    assert output.getvalue().endswith("\r\x1b[A\x1b[61G")


def test_off_a_terminal_a_plain_line_appears_now_and_then_only(started: Started, running: Any, clock: Clock) -> None:
    one = running()
    drawn, output = started(one, live=False)
    drawn(one, "round 1/1", None)
    assert output.getvalue() == ""
    clock.now = PLAIN_EVERY_S
    drawn(one, "epoch", window(1.0, 1.0))
    assert output.getvalue().count("energybench: [1/1] resnet18-none, epoch 1") == 1
    clock.now += PLAIN_EVERY_S / 2
    drawn(one, "epoch", window(1.0, 1.0))
    assert output.getvalue().count("\nenergybench:") == 1
    assert "\x1b" not in output.getvalue()


def test_a_projection_is_shown_with_the_laps_until_the_next_round(started: Started, running: Any) -> None:
    one, so_far = running(rounds=2), window(10.0, 1800.0)
    drawn, output = started(one)
    drawn(one, "round 1/2", None)
    drawn(one, "epoch", so_far)
    drawn.project(one, so_far, "at the end 5.13 Wh (4.90 to 5.36)", None)
    assert output.last == [
        "[1/1] resnet18-none",
        "epoch 1",
        "at the end 5.13 Wh (4.90 to 5.36)",
    ]  # so far 80 columns go
    drawn(one, "eval", so_far)
    assert output.last[1:3] == ["epoch 1 eval 1", "at the end 5.13 Wh (4.90 to 5.36)"]
    drawn(one, "round 2/2", None)
    assert "5.13 Wh" not in ", ".join(output.last)


def test_off_a_terminal_a_projection_waits_for_the_next_plain_line(
    started: Started, running: Any, clock: Clock
) -> None:
    one, so_far = running(), window(10.0, 1800.0)
    drawn, output = started(one, live=False)
    drawn(one, "round 1/1", None)
    drawn.project(one, so_far, "at the end 5.13 Wh (4.90 to 5.36)", None)
    assert output.getvalue() == ""
    clock.now = PLAIN_EVERY_S
    drawn(one, "epoch", so_far)
    assert output.getvalue().endswith("epoch 1, at the end 5.13 Wh (4.90 to 5.36), 30 s, 500 mWh so far\n")


def test_under_q_nothing_is_opened_and_no_earlier_run_is_read(running: Any, session_of: Callable[..., Any]) -> None:
    config: Any = SimpleNamespace(get_verbosity=lambda: -1)
    asked: list[str] = []
    quiet = Progress(config, session_of(running()), lambda: asked.append("earlier") or {})  # type: ignore[func-returns-value]
    assert quiet._out is None
    quiet(running(), "round 1/1", None)
    quiet.round_done(running())
    quiet.close()
    assert asked == []

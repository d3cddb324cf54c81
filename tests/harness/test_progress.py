"""The progress line: what it says, where it draws, and that it wipes what it drew."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from energybench.harness import progress
from energybench.harness.progress import PLAIN_EVERY_S, Progress
from energybench.model import Window


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


def started(column: int = 0, *, live: bool) -> tuple[Progress, Output]:
    writer = SimpleNamespace(width_of_current_line=column)
    config: Any = SimpleNamespace(
        get_verbosity=lambda: -1,  # opens nothing; the output is put in below
        getoption=lambda name, default=None: "fd",
        get_terminal_writer=lambda: writer,
    )
    made = Progress(config, cases=4)
    output = Output()
    made._out, made._live = output, live
    return made, output


def case(position: int, id: str = "f.py::test_x[resnet18-none]") -> Any:
    return SimpleNamespace(position=position, id=id)


def test_it_says_which_case_of_how_many_the_laps_the_energy_so_far_and_what_is_left(clock: Clock) -> None:
    drawn, output = started(live=True)
    drawn(case(1), "round 1/1", None)
    assert "[1/4] resnet18-none, round 1/1" in output.getvalue()
    clock.now = 60.0
    drawn.round_done(3600.0)
    second = case(2, "f.py::test_plain")
    drawn(second, "round 1/1", None)
    clock.now = 70.0
    drawn(second, "epoch", Window(10.0, {"package:0": 1800.0, "dram:0": None}))
    drawn_last = output.getvalue().rpartition("[2/4]")[2]
    assert "epoch 1" in drawn_last
    assert "1.50 Wh so far" in drawn_last
    assert "about 3:00 left" in drawn_last  # one case took a minute, three are left


def test_interleaved_it_names_the_round_beside_the_laps_and_counts_rounds_instead_of_cases(clock: Clock) -> None:
    drawn, output = started(live=False)
    done, first = 0, case(1)
    drawn.count = lambda: (done, 12)
    clock.now = PLAIN_EVERY_S
    drawn(case(3), "warm-up", None)
    assert output.getvalue() == "\nenergybench: [1/12 rounds] resnet18-none, warm-up, 0.0 s\n"
    done, clock.now = 4, 60.0
    drawn.round_done(3600.0)
    drawn(first, "round 2/3", None)
    clock.now = 90.0
    drawn(first, "epoch", Window(30.0, {"package:0": 1800.0}))
    last = output.getvalue().rpartition("energybench: ")[2]
    assert last.startswith("[5/12 rounds] resnet18-none, round 2/3, epoch 1, 30 s, 1.50 Wh so far")
    assert last.endswith("about 2:00 left\n")  # four rounds took a minute, eight are left


def test_what_was_drawn_is_wiped_from_where_pytest_stood(clock: Clock) -> None:
    drawn, output = started(live=True, column=10)
    drawn(case(1), "round 1/1", None)
    assert output.getvalue().startswith("\x1b[11G ")
    assert output.getvalue().endswith("\x1b[K\x1b[11G")
    drawn.clear()
    assert output.getvalue().endswith("\x1b[11G\x1b[J")
    wiped = output.getvalue()
    drawn.clear()
    assert output.getvalue() == wiped


def test_without_room_it_draws_on_the_next_line_and_returns(clock: Clock) -> None:
    drawn, output = started(live=True, column=60)
    drawn(case(1), "round 1/1", None)
    assert output.getvalue().startswith("\n[1/4]")
    assert output.getvalue().endswith("\r\x1b[A\x1b[61G")


def test_off_a_terminal_a_plain_line_appears_now_and_then_only(clock: Clock) -> None:
    drawn, output = started(live=False)
    drawn(case(1), "round 1/1", None)
    assert output.getvalue() == ""
    clock.now = PLAIN_EVERY_S
    drawn(case(1), "epoch", Window(1.0, {"package:0": 1.0}))
    assert output.getvalue().count("energybench: [1/4] resnet18-none, epoch 1") == 1
    clock.now += PLAIN_EVERY_S / 2
    drawn(case(1), "epoch", Window(1.0, {"package:0": 1.0}))
    assert output.getvalue().count("\nenergybench:") == 1
    assert "\x1b" not in output.getvalue()


def test_a_projection_is_shown_with_the_laps_until_the_next_round(clock: Clock) -> None:
    drawn, output = started(live=True)
    drawn(case(1), "round 1/2", None)
    running, so_far = case(1), Window(10.0, {"package:0": 1800.0})
    drawn(running, "epoch", so_far)
    drawn.project(running, so_far, "at the end 5.13 Wh (4.90 to 5.36)")
    drawn_at_once = output.getvalue().rpartition("[1/4] resnet18-none, ")[2]
    assert drawn_at_once.startswith("epoch 1, at the end 5.13 Wh (4.90 to 5.36), 0.0 s")  # as far as 80 columns go
    drawn(running, "eval", so_far)
    assert "epoch 1 eval 1" in output.getvalue().rpartition("[1/4]")[2]
    assert "5.13 Wh" in output.getvalue().rpartition("[1/4]")[2]
    drawn(running, "round 2/2", None)
    assert "5.13 Wh" not in output.getvalue().rpartition("[1/4]")[2]


def test_off_a_terminal_a_projection_waits_for_the_next_plain_line(clock: Clock) -> None:
    drawn, output = started(live=False)
    running, so_far = case(1), Window(10.0, {"package:0": 1800.0})
    drawn(running, "round 1/1", None)
    drawn.project(running, so_far, "at the end 5.13 Wh (4.90 to 5.36)")
    assert output.getvalue() == ""
    clock.now = PLAIN_EVERY_S
    drawn(running, "epoch", so_far)
    assert output.getvalue().endswith("epoch 1, at the end 5.13 Wh (4.90 to 5.36), 30 s, 500 mWh so far\n")


def test_under_q_nothing_is_opened() -> None:
    config: Any = SimpleNamespace(get_verbosity=lambda: -1)
    quiet = Progress(config, cases=1)
    assert quiet._out is None
    quiet(case(1), "round 1/1", None)
    quiet.close()

"""The epochs of a round as its laps and notes tell them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.harness.training import Training
from energybench.model import Window


def run(training: Training, label: str, joules: float | None, seconds: float = 1.0) -> None:
    """One lap from its begin to its end."""
    lap = training.begin(label)
    training.end(lap, Window(seconds, {"package:0": joules}, label=label), training.count)
    training.leave(lap)


def joules(training: Training) -> list[float | None]:
    return [epoch.joules for epoch in training.epochs()]


def test_an_epoch_has_what_follows_it_and_the_first_one_what_came_before() -> None:
    training = Training(["package:0"])
    run(training, "eval", 1.0)
    for _ in range(3):
        run(training, "epoch", 10.0, 2.0)
        run(training, "eval", 3.0, 0.5)
        run(training, "checkpoint", 0.5, 0.25)
    assert joules(training) == [14.5, 13.5, 13.5]
    assert [epoch.seconds for epoch in training.epochs()] == [3.75, 2.75, 2.75]
    assert training.counted_j == 41.5


def test_until_its_validation_is_over_the_last_epoch_has_the_mean_of_what_followed_the_others() -> None:
    training = Training(["package:0"])
    for after in (2.0, 4.0):
        run(training, "epoch", 10.0)
        run(training, "eval", after)
    run(training, "epoch", 10.0)
    assert joules(training) == [12.0, 14.0, 13.0]
    assert training.counted_j == 36.0
    run(training, "eval", 5.0)
    training.note(0.5, {})
    assert joules(training) == [12.0, 14.0, 15.0]


def test_a_lap_inside_another_one_is_counted_once() -> None:
    training = Training(["package:0"])
    whole = training.begin("training")
    for _ in range(2):
        epoch = training.begin("epoch")
        run(training, "forward", 4.0)
        training.end(epoch, Window(1.0, {"package:0": 10.0}, label="epoch"), training.count)
        training.leave(epoch)
    training.end(whole, Window(2.0, {"package:0": 21.0}, label="training"), training.count)
    training.leave(whole)
    assert joules(training) == [10.0, 10.0]


def test_a_lap_that_was_left_by_an_exception_is_no_epoch() -> None:
    training = Training(["package:0"])
    lap = training.begin("epoch")
    training.leave(lap)
    assert training.count == 0
    run(training, "epoch", 10.0)
    assert joules(training) == [10.0]


def test_an_absent_reading_makes_its_epoch_absent() -> None:
    training = Training(["package:0"])
    run(training, "epoch", 10.0)
    run(training, "eval", None)
    run(training, "epoch", 10.0)
    assert joules(training) == [None, None]  # what follows the second is not known either
    training.note(0.1, {})
    assert joules(training) == [None, 10.0]
    assert training.counted_j is None


def test_settings_hold_from_the_running_or_the_next_epoch_and_a_loss_is_of_the_last_one() -> None:
    training = Training(["package:0"])
    assert not training.note(2.3, {"lr": 0.1, "batch": 32})  # an untrained model's loss is nobody's
    run(training, "epoch", 10.0)
    assert training.note(1.0, {})
    training.note(None, {"lr": 0.01})
    epoch = training.begin("epoch")
    assert not training.note(0.8, {"batch": 64})  # inside: no epoch has ended by it
    training.end(epoch, Window(1.0, {"package:0": 9.0}, label="epoch"), training.count)
    training.leave(epoch)
    run(training, "epoch", 9.0)
    first, second, third = training.epochs()
    assert (first.settings, first.loss) == ({"lr": 0.1, "batch": 32}, 1.0)
    assert (second.settings, second.loss) == ({"lr": 0.01, "batch": 64}, 0.8)
    assert (third.settings, third.loss) == ({"lr": 0.01, "batch": 64}, None)
    assert training.lacks_last_loss_only
    assert list(training.noted().values()) == [
        {"lr": 0.1, "batch": 32, "loss": 1.0},
        {"lr": 0.01, "batch": 64, "loss": 0.8},
        {"lr": 0.01, "batch": 64},
    ]


def test_of_an_epoch_that_nothing_was_told_of_there_are_no_notes() -> None:
    training = Training(["package:0"])
    run(training, "epoch", 10.0)
    assert training.noted() == {}


@given(st.lists(st.tuples(st.floats(0.1, 1e6), st.lists(st.floats(0.0, 1e6), max_size=3)), min_size=1, max_size=8))
def test_the_epochs_add_up_to_all_laps(course: list[tuple[float, list[float]]]) -> None:
    training = Training(["package:0"])
    for epoch_j, after in course:
        run(training, "epoch", epoch_j)
        for lap_j in after:
            run(training, "eval", lap_j)
    training.note(1.0, {})
    total = math.fsum(epoch.joules or 0.0 for epoch in training.epochs())
    assert total == pytest.approx(math.fsum(j + math.fsum(after) for j, after in course))
    assert training.counted_j == pytest.approx(total)

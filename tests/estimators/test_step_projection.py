"""The projection: the paper's formulas by hand, what it refuses, what it warns of."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.estimators.step import EarlyStopping, Epoch, EstimateError, Power, Projection, TooEarlyError, width

SIX = tuple(Epoch(10.0 + (k < 2), joules) for k, joules in enumerate((130.0, 110.0, 100.0, 102.0, 98.0, 100.0)))


def training(count: int, level: float = 100.0, spread: float = 0.01, seed: int = 0, **settings: object) -> list[Epoch]:
    draw = random.Random(seed)
    return [Epoch(10.0, level * (1 + draw.gauss(0, spread)), settings) for _ in range(count)]


def test_the_energy_form_is_the_papers() -> None:
    # 130 + 110 + (10 - 2) / 3 x (100 + 102 + 98)
    found = Projection(10, window=3, skip=2).after(SIX[:5])
    assert found.method == "STEP, energy form"
    assert found.joules == pytest.approx(240 + 8 / 3 * 300)
    assert found.basis["window"] == [3, 5]
    assert found.basis["window_mean_j"] == 100
    assert found.basis["seconds"] == pytest.approx(22 + 8 * 10)


def test_the_power_form_is_mean_power_times_the_time_that_was_seen_and_is_left() -> None:
    # 300 J / 30 s = 10 W; 22 s before the window, (10 - 2) x 10 s from it on
    found = Projection(10, window=3, skip=2, form="power").after(SIX[:5])
    assert found.joules == pytest.approx(10 * (22 + 80))
    energy = Projection(10, window=3, skip=2).after(SIX[:5])
    assert width(found) > width(energy)  # the two forms differ by 20 J, which is in its interval


def test_a_power_series_gives_the_power_form_its_power() -> None:
    power = Power(0.0, tuple(float(s) for s in range(1, 53)), (9.0,) * 52, (11.0, 22.0, 32.0, 42.0, 52.0))
    assert Projection(10, 3, 2, "power").after(SIX[:5], power=power).joules == pytest.approx(9 * (22 + 80))


def test_what_was_metered_behind_the_window_counts_as_it_was() -> None:
    found = Projection(10, window=2, skip=2).after(SIX)
    assert found.joules == pytest.approx(sum(epoch.joules or 0 for epoch in SIX) + 4 * 101)


def test_the_first_epoch_is_never_in_a_window_that_is_found() -> None:
    found = Projection(10).after(SIX[:2])
    assert found.basis["window"] == [2, 2]
    assert found.joules == pytest.approx(240 + 8 * 110)
    assert found.warnings == ("the window is one epoch, which has no spread: 2 % is assumed beside the one before it",)


def test_a_change_of_level_begins_the_window_anew() -> None:
    seen = [*training(8), *training(6, 130.0, seed=1)]
    found = Projection(50).after(seen)
    assert found.basis["window"] == [9, 14]
    assert found.basis["stable_by"] == "all but the first epoch; the epochs' energies change at epoch 9"
    assert found.basis["window_mean_j"] == pytest.approx(130, rel=0.02)


def test_it_is_estimated_anew_after_each_epoch_and_becomes_tight() -> None:
    seen = training(40, spread=0.02)
    said = [Projection(40).after(seen[:count]) for count in range(2, 41)]
    widths = [width(one) for one in said]
    assert widths[-1] == 0
    assert widths[0] > 0.05 > widths[20]
    assert said[-1].warnings == ("all epochs have ended: this is the sum of their readings, nothing is projected",)


def test_it_uses_nothing_but_what_was_seen() -> None:
    seen = training(6)
    other = [replace(epoch, seconds=99.0) for epoch in training(20, 500.0)]
    both = [[*seen, *rest][:6] for rest in (training(20), other)]
    assert Projection(26).after(both[0]) == Projection(26).after(both[1])


@given(st.lists(st.floats(50, 200), min_size=2, max_size=15), st.integers(1, 200), st.floats(1e-3, 1e6))
def test_the_interval_holds_the_estimate_and_what_was_spent_already(
    joules: list[float], left: int, factor: float
) -> None:
    seen = [Epoch(1.0, value) for value in joules]
    try:
        found = Projection(len(seen) + left).after(seen)
        scaled = Projection(len(seen) + left).after([Epoch(1.0, value * factor) for value in joules])
    except EstimateError:  # by chance a running total
        return
    assert found.interval is not None
    assert math.fsum(joules) <= found.interval[0] <= found.joules <= found.interval[1]
    assert scaled.joules == pytest.approx(found.joules * factor) or scaled.basis["window"] != found.basis["window"]


def test_with_early_stopping_the_number_of_epochs_is_predicted_too() -> None:
    losses = [2.0, 1.0, 0.6, 0.45, 0.42, 0.41]
    seen = [replace(epoch, loss=loss) for epoch, loss in zip(training(6), losses, strict=True)]
    rule = EarlyStopping(3, 0.05, 30)
    found = Projection().after(seen, rule)
    low, high = found.basis["epochs_interval"]
    assert 6 < low <= found.basis["epochs"] <= high <= 30
    assert found.joules == pytest.approx(100 * found.basis["epochs"], rel=0.02)
    fixed = Projection().after(seen, round(found.basis["epochs"]))
    assert width(found) >= width(fixed)
    ended = [*seen, replace(seen[0], loss=0.41)]
    assert Projection().after(ended, rule).basis["epochs"] == 7


def test_a_change_of_batch_inside_what_was_seen_restarts_the_window() -> None:
    seen = [*training(8, batch=64), *training(1, 90.0, batch=128), *training(4, 70.0, batch=128)]
    found = Projection(40).after(seen)
    assert found.basis["window"] == [10, 13]
    assert found.warnings[0] == "batch 64 to 128 at epoch 9: the window begins behind it"
    with pytest.raises(TooEarlyError, match=r"Epoch 9 is the first after a change \(batch 64 to 128\)"):
        Projection(40).after(seen[:9])


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("lr", 0.1, 0.01), ("optimizer", "adam", "sgd"), ("frozen", 3, 0), ("batch", 64, 128), ("data", "a", "b")],
)
def test_a_change_behind_a_given_window_is_warned_of(name: str, before: object, after: object) -> None:
    seen = [*training(6, **{name: before}), *training(2, **{name: after})]
    found = Projection(40, window=4, skip=2).after(seen)
    assert found.warnings == (f"{name} {before} to {after} at epoch 7, behind the window",)


def test_a_learning_rate_that_changes_inside_the_window_is_said_and_restarts_nothing() -> None:
    seen = [*training(5, lr=0.1), *training(5, seed=2, lr=0.01)]
    found = Projection(40).after(seen)
    assert found.basis["window"][0] == 2
    assert found.warnings == ("lr 0.1 to 0.01 at epoch 6, inside the window",)


def test_changes_that_are_planned_are_warned_of() -> None:
    found = Projection(40).after(training(6), ahead={30: "optimizer", 3: "lr"})
    assert found.warnings == ("optimizer changes at epoch 30, behind the window",)


def test_epochs_behind_a_given_window_that_cost_something_else_are_said() -> None:
    found = Projection(40, window=5, skip=1).after([*training(6), *training(4, 130.0, seed=3)])
    assert found.warnings[0].startswith("the 4 epochs behind the window cost +3")


def broken(joules: float | None = 100.0, seconds: float = 10.0) -> list[Epoch]:
    return [*training(2), Epoch(seconds, joules), *training(2)]


@pytest.mark.parametrize(
    ("rule", "seen", "said"),
    [
        (Projection(4), training(5), "5 epochs have ended already, more than the 4 that are planned"),
        (Projection(), training(5), "How many epochs are planned"),
        (Projection(40), broken(None), "Epoch 3 of run has no energy reading"),
        (Projection(40), broken(0.0), "Epoch 3 of run has 0 J: its meter read nothing"),
        (Projection(40), broken(float("nan")), "Epoch 3 of run has nan J"),
        (Projection(40), broken(seconds=0.0), "Epoch 3 of run took 0 s, which is no duration"),
        (Projection(40), [Epoch(1.0, 10.0 * k) for k in range(1, 6)], "of run grow from epoch to epoch like a running"),
        (Projection(40, form="flops"), training(5), "no form 'flops'"),
        (Projection(40, window=0), training(5), "one epoch or more, not 0"),
        (Projection(40, skip=-1), training(5), "0 or more, not -1"),
    ],
)
def test_bad_input_is_a_sentence_and_no_number(rule: Projection, seen: list[Epoch], said: str) -> None:
    with pytest.raises(EstimateError, match=said):
        replace(rule, source="run").after(seen)


@pytest.mark.parametrize(
    ("rule", "count", "said"),
    [
        (Projection(40), 1, "One epoch has ended; it pays for warming up"),
        (Projection(40), 0, "No epoch has ended"),
        (Projection(40, window=5), 5, r"takes 5 epochs; of the 5 that have ended 4 are stable \(from epoch 2\)"),
        (Projection(40, window=5, skip=10), 12, "takes 5 epochs after the first 10, but only 12 have ended"),
        (Projection(40, skip=12), 12, "takes the epochs after the first 12, but only 12 have ended"),
    ],
)
def test_too_few_epochs_for_the_window_are_too_early(rule: Projection, count: int, said: str) -> None:
    with pytest.raises(TooEarlyError, match=said):
        rule.after(training(count))


def test_a_window_of_the_first_epoch_alone_must_be_asked_for() -> None:
    found = Projection(5, window=1).after(training(1))
    assert found.joules == pytest.approx(500, rel=0.05)
    assert width(found) > 0.1
    assert "2 % is assumed" in found.warnings[0]


def test_early_stopping_without_losses_is_refused() -> None:
    with pytest.raises(EstimateError, match="the validation loss of every epoch; 5 of 5 have none"):
        Projection().after(training(5), EarlyStopping(3, 0.0, 50))

"""What a power series must be, and the stable epoch that it shows."""

from __future__ import annotations

import random
import sys
from dataclasses import replace

import pytest

from energybench.estimators import EstimateError
from energybench.estimators.step import Epoch, Power, Projection, TooEarlyError
from energybench.estimators.step.power import from_samples, settled


def watts_at(second: float, change: float, draw: random.Random) -> float:
    """Epochs of 20 s, the last fifth at less power; before `change` loading with another rhythm."""
    length = 10 if second < change else 20
    return 200 + 60 * (second % length < 0.8 * length) + draw.gauss(0, 3)


def series(seconds: int, change: float, step_s: float = 1.0) -> Power:
    draw = random.Random(1)
    times = [k * step_s for k in range(int(seconds / step_s) + 1)]
    power = from_samples(times, [watts_at(time, change, draw) for time in times], "p.csv")
    return replace(power, ends_s=tuple(20.0 * k for k in range(1, seconds // 20 + 1)))


def test_joules_between_two_times_take_a_step_by_its_share() -> None:
    power = Power(0.0, (1.0, 2.0, 4.0), (10.0, 20.0, 30.0))
    assert power.joules(0.5, 3.0) == 5 + 20 + 30
    assert power.joules(0.0, 4.0) == 90
    assert power.joules(5.0, 6.0) == 0


def test_samples_are_joined_by_straight_lines() -> None:
    assert from_samples([0, 1, 2], [10, 20, 0], "p").watts == (15.0, 10.0)


@pytest.mark.parametrize("step_s", [0.1, 0.5, 1.0])
def test_the_epoch_after_the_change_is_stable_at_any_rate_of_one_hertz_or_more(step_s: float) -> None:
    told = settled(series(400, 150, step_s))
    assert told.epoch in (7, 8, 9)  # the change lies in the eighth epoch, index 7
    assert "the regime changes after" in told.said
    assert "400 samples of 1 s" in told.said


def test_a_series_of_one_regime_is_stable_from_the_start() -> None:
    told = settled(series(400, 0))
    assert told.epoch == 0
    assert "no change of regime" in told.said


@pytest.mark.parametrize(
    ("power", "said"),
    [
        (series(400, 150, 5.0), "a sample every 5 s; the method is made for one a second"),
        (series(80, 0), "80 samples of 1 s; 100 are needed"),
        (replace(series(400, 0), ends_s=()), "does not say where its epochs end"),
        (
            Power(0.0, (*map(float, range(1, 200)), 260.0, 261.0), (9.0,) * 201, (20.0,)),
            "a gap of 61 s",
        ),
    ],
)
def test_of_a_series_that_does_not_fit_nothing_is_told(power: Power, said: str) -> None:
    told = settled(power)
    assert told.epoch is None
    assert said in told.said


def test_a_long_series_is_averaged_and_says_so() -> None:
    power = series(400, 150, 0.1)
    slow = Power(0.0, tuple(20 * time for time in power.seconds), power.watts, tuple(20 * end for end in power.ends_s))
    assert "4000 samples of 2 s" in settled(slow).said


def test_without_numpy_the_energies_have_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "energybench.estimators.step.profile", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    told = settled(series(400, 150))
    assert (told.epoch, "numpy is not installed" in told.said) == (None, True)


def test_the_projection_begins_its_window_where_power_is_stable() -> None:
    power = series(400, 150)
    seen = [Epoch(end - begin, power.joules(begin, end)) for begin, end in power.spans]
    found = Projection(100).after(seen, power=power)
    assert found.basis["window"][0] in (8, 9, 10)
    assert found.basis["stable_by"].startswith("matrix profile and FLUSS on 400 samples of 1 s")


def test_before_an_epoch_has_ended_since_power_became_stable_it_is_too_early() -> None:
    power = series(400, 150)
    seen = [Epoch(end - begin, power.joules(begin, end)) for begin, end in power.spans[:8]]
    with pytest.raises(TooEarlyError, match=r"No epoch has ended since power became stable \(matrix profile"):
        Projection(100).after(seen, power=replace(power, ends_s=power.ends_s[:8]))


def test_where_power_tells_nothing_the_projection_says_how_it_was_told() -> None:
    power = series(400, 150, 5.0)
    seen = [Epoch(20.0, 100.0 + k % 2) for k in range(20)]
    found = Projection(100).after(seen, power=power)
    assert found.warnings[0].endswith("made for one a second: the stable epoch is told by the epochs' energies")


@pytest.mark.parametrize(
    ("seconds", "watts", "said"),
    [
        ([0, 1], [1, 1], "has 2 samples of power"),
        ([0, 1, 1], [1, 1, 1], "do not grow: 1 s follows 1 s"),
        ([0, 1, 2, 3, 40, 41], [1] * 6, "a gap of 37 s after second 3"),
        ([0, 1, 2], [1, -1, 1], "Sample 2 of p.csv is -1 W"),
        ([0, 1, 2], [1, float("nan"), 1], "Sample 2 of p.csv is nan W"),
    ],
)
def test_impossible_samples_are_refused(seconds: list[float], watts: list[float], said: str) -> None:
    with pytest.raises(EstimateError, match=said):
        from_samples(seconds, watts, "p.csv")

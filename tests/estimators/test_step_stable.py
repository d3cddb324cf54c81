"""From which epoch on energies are alike."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.estimators.step.stable import stable_from


def noisy(levels: list[float], spread: float = 0.01, seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [level * (1 + draw.gauss(0, spread)) for level in levels]


@pytest.mark.parametrize("change", [1, 3, 8, 15])
@pytest.mark.parametrize("factor", [0.8, 1.15, 1.5])
def test_a_known_change_of_level_is_found_where_it_is(change: int, factor: float) -> None:
    levels = [100.0] * change + [100.0 * factor] * (20 - change)
    assert stable_from(noisy(levels)) == change


def test_of_several_changes_the_last_counts() -> None:
    assert stable_from(noisy([150.0] * 4 + [100.0] * 5 + [120.0] * 6)) == 9


def test_a_warm_up_that_fades_is_left_out() -> None:
    found = stable_from(noisy([100 * (1 + 0.5 * 0.4**i) for i in range(20)], 0.005))
    assert 2 <= found <= 6


def test_noise_alone_is_no_change() -> None:
    found = [stable_from(noisy([100.0] * 30, spread, seed)) for spread in (0.005, 0.03) for seed in range(50)]
    assert sum(start > 0 for start in found) <= 5


def test_levels_within_one_percent_are_alike_however_sure_they_differ() -> None:
    assert stable_from([100.0, 100.1] * 20 + [100.9, 100.8] * 20) == 0


def test_one_epoch_cannot_tell_a_new_level_from_an_outlier_and_two_can() -> None:
    before = noisy([100.0] * 12)
    assert stable_from([*before, 130.0]) == 0
    assert stable_from([*before, 130.0, 131.0]) == 12


def test_a_checkpoint_now_and_then_is_no_change() -> None:
    assert stable_from(noisy([100.0, 100.0, 100.0, 140.0] * 5 + [100.0, 100.0])) == 0


def test_two_epochs_that_agree_do_not_make_the_third_a_change() -> None:
    assert stable_from([102.0, 100.0, 100.0]) == 0


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=25), st.floats(1e-3, 1e3))
def test_the_unit_of_energy_does_not_matter(joules: list[float], factor: float) -> None:
    start = stable_from(joules)
    assert 0 <= start <= max(0, len(joules) - 2)
    scaled = [value * factor for value in joules]
    assert stable_from(scaled) == start or min(joules) * 1.0001 > max(joules)

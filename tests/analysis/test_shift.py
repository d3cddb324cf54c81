"""What all cases share, and what each has beside it."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.effects import Effect, log_effect
from energybench.analysis.report import SessionNoise
from energybench.analysis.shift import FEWEST, two_levels
from energybench.analysis.stats import INFINITE

QUIET = SessionNoise(0.0, 0.0, paired=True)
NOISY = SessionNoise(0.02, 0.01)


def effects(changes: list[float], seed: int = 0, rounds: int = 3, sd: float = 0.01) -> list[Effect]:
    rng = random.Random(seed)

    def side(change: float) -> list[float]:
        return [100 * math.exp(change + rng.gauss(0, sd)) for _ in range(rounds)]

    return [log_effect(side(0.0), side(change)) for change in changes]


def test_the_shift_is_the_median_and_residuals_are_what_is_beside_it() -> None:
    given_effects = effects([0.03] * 9 + [0.13])
    levels = two_levels(given_effects, NOISY, 0.03)
    assert levels.shift is not None
    assert levels.shift.value == pytest.approx(0.03, abs=0.01)
    for effect in levels.effects:
        assert effect.residual is not None
        assert effect.residual.value == pytest.approx(effect.worse - levels.shift.value)
    last = levels.effects[-1].residual
    assert last is not None
    assert last.value == pytest.approx(0.10, abs=0.02)


def test_the_test_of_a_case_holds_rounds_and_both_noises() -> None:
    (levels, quiet) = (two_levels(effects([0.0] * 8), noise, 0.03) for noise in (NOISY, QUIET))
    for noisy, still in zip(levels.effects, quiet.effects, strict=True):
        assert noisy.test is not None
        assert still.test is not None
        assert noisy.residual is not None
        assert noisy.test.se**2 == pytest.approx(still.test.se**2 + 2 * 0.02**2 + 2 * 0.01**2)
        assert noisy.residual.se**2 == pytest.approx(still.test.se**2 + 2 * 0.01**2)
        assert noisy.between == pytest.approx(math.sqrt(2 * 0.02**2 + 2 * 0.01**2))
        assert still.between == 0


def test_the_shift_is_held_against_whole_sessions() -> None:
    noisy, quiet = (two_levels(effects([0.0] * 8), noise, 0.03).shift for noise in (NOISY, QUIET))
    assert noisy is not None
    assert quiet is not None
    assert noisy.se**2 == pytest.approx(quiet.se**2 + 2 * 0.02**2 + math.pi / 2 * 2 * 0.01**2 / 8)


def test_degrees_of_freedom_of_a_learnt_noise_make_the_shift_less_certain() -> None:
    learnt = SessionNoise(0.02, 0.01, sessions=10, common_df=9)
    shift = two_levels(effects([0.0] * 36), learnt, 0.03).shift
    known = two_levels(effects([0.0] * 36), NOISY, 0.03).shift
    assert shift is not None
    assert known is not None
    assert 9 <= shift.df < 12
    assert known.df > 1000 or known.df == INFINITE


def test_few_cases_share_nothing_and_keep_their_own_variances() -> None:
    given_effects = effects([0.0] * (FEWEST - 1))
    levels = two_levels(given_effects, QUIET, 0.03)
    assert levels.shift is None
    for before, after in zip(given_effects, levels.effects, strict=True):
        assert after.residual is None
        assert before.test is not None
        assert after.test is not None
        assert (after.test.value, after.test.se) == pytest.approx((before.test.value, before.test.se))


def test_one_round_a_side_is_in_the_median_with_the_declared_noise() -> None:
    levels = two_levels(effects([0.05] * 10, rounds=1), QUIET, 0.03)
    assert levels.shift is not None
    assert levels.shift.se**2 == pytest.approx(math.pi / 2 * 2 * 0.03**2 / 10)
    assert all(effect.test is None and effect.residual is None for effect in levels.effects)


def test_a_run_held_against_itself_has_no_shift_to_test() -> None:
    same = [log_effect([100.0, 101.0], [100.0, 101.0]) for _ in range(6)]
    levels = two_levels(same, QUIET, 0.03)
    assert levels.shift is not None
    assert levels.shift.value == 0


@given(st.lists(st.floats(-0.5, 0.5), min_size=FEWEST, max_size=20), st.floats(-0.5, 0.5))
def test_a_change_of_all_moves_the_shift_alone(changes: list[float], more: float) -> None:
    plain, moved = (two_levels(effects([c + by for c in changes]), NOISY, 0.03) for by in (0.0, more))
    assert plain.shift is not None
    assert moved.shift is not None
    assert moved.shift.value == pytest.approx(plain.shift.value + more, abs=1e-9)
    for before, after in zip(plain.effects, moved.effects, strict=True):
        assert before.residual is not None
        assert after.residual is not None
        assert after.residual.value == pytest.approx(before.residual.value, abs=1e-9)

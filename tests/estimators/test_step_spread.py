"""The prediction interval against dense algebra, and by hand."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from energybench.estimators.step.spread import (
    ASSUMED,
    DECLARED,
    DECLARED_DF,
    NEWEST,
    WANDERING,
    Part,
    Scatter,
    below,
    error_of_sum,
    learnt,
    quantile,
)

WINDOWS = st.lists(st.floats(90, 110), min_size=1, max_size=12)


def dense(window: list[float], left: int, ratio: float) -> tuple[float, float, float]:
    """(weight without the prior, scale of the error, degrees of freedom) from whole covariance matrices."""
    w = len(window)
    places = np.arange(w + left)
    covariance = np.eye(w + left) + ratio * np.minimum.outer(places, places)
    contrast = np.concatenate([np.full(w, -left / w), np.ones(left)])
    differences = np.diff(np.eye(w), axis=0)
    inside = differences @ covariance[:w, :w] @ differences.T
    steps = differences @ np.array(window)
    squares = float(steps @ np.linalg.solve(inside, steps)) if w > 1 else 0.0
    df = DECLARED_DF + w - 1
    total = DECLARED_DF * (DECLARED * np.mean(window)) ** 2 + squares
    log_determinant = float(np.linalg.slogdet(inside)[1]) if w > 1 else 0.0
    weight = math.exp(-0.5 * log_determinant) * total ** (-df / 2)
    return weight, math.sqrt(total / df * float(contrast @ covariance @ contrast)), df


@given(WINDOWS, st.integers(1, 30))
def test_each_part_is_that_of_the_covariances_of_a_local_level(window: list[float], left: int) -> None:
    expected = [dense(window, left, ratio) for ratio, _ in WANDERING]
    weights = [likely * weight for (_, likely), (weight, _, _) in zip(WANDERING, expected, strict=True)]
    parts = error_of_sum(window, left)
    assert [part.weight for part in parts] == pytest.approx([weight / sum(weights) for weight in weights], rel=1e-6)
    assert [part.scale for part in parts] == pytest.approx([scale for _, scale, _ in expected], rel=1e-6)
    assert [part.df for part in parts] == [df for _, _, df in expected]


def test_without_wandering_it_is_the_prediction_interval_of_a_sum_by_hand() -> None:
    # s2 = (1 x (0.02 x 100)^2 + (99 - 101)^2 / 2) / 2 = 3 J^2; M + M^2 / w = 3 + 9 / 2
    part = error_of_sum([99.0, 101.0], 3)[0]
    assert part.scale == pytest.approx(math.sqrt(3 * 7.5))
    assert part.df == 2


def test_one_epoch_takes_its_spread_from_the_one_before_it() -> None:
    alone, beside = error_of_sum([100.0], 5), error_of_sum([100.0], 5, before=120.0)
    assert alone[0].scale == pytest.approx(0.02 * 100 * math.sqrt(5 + 25))
    assert beside[0].df == alone[0].df + 1
    assert beside[0].scale > alone[0].scale
    assert error_of_sum([100.0, 101.0], 5, before=120.0) == error_of_sum([100.0, 101.0], 5)


@given(WINDOWS, st.integers(1, 60))
def test_more_epochs_left_are_a_wider_interval(window: list[float], left: int) -> None:
    assert quantile(error_of_sum(window, left + 1), 0.95) > quantile(error_of_sum(window, left), 0.95)


@given(
    st.lists(
        st.tuples(st.floats(0.1, 1), st.floats(-50, 50), st.floats(0.01, 30), st.floats(1, 30)), min_size=1, max_size=5
    ),
    st.floats(0.02, 0.98),
)
def test_a_quantile_of_a_mixture_is_where_its_distribution_reaches_it(rows: list[tuple[float, ...]], p: float) -> None:
    whole = math.fsum(row[0] for row in rows)
    mixture = [Part(weight / whole, centre, scale, df) for weight, centre, scale, df in rows]
    place = quantile(mixture, p)
    reached = sum(part.weight * student.cdf((place - part.centre) / part.scale, part.df) for part in mixture)
    assert reached == pytest.approx(p, abs=1e-4)
    assert below(mixture, place) == pytest.approx(reached, abs=1e-9)


def test_where_only_the_number_of_epochs_is_open_its_steps_are_the_quantiles() -> None:
    mixture = [Part(0.5, 10.0, 0.0, 3), Part(0.3, -5.0, 0.0, 3), Part(0.2, 20.0, 0.0, 3)]
    assert [quantile(mixture, p) for p in (0.05, 0.3, 0.5, 0.9)] == [-5.0, -5.0, 10.0, 20.0]


@pytest.mark.parametrize("step", [0.0, 0.003])
def test_the_interval_covers_nine_of_ten_sums_or_somewhat_more(step: float) -> None:
    draw = random.Random(7)
    inside = 0
    for _ in range(200):
        level, values = 100.0, []
        for _ in range(45):
            level *= 1 + draw.gauss(0, step)
            values.append(level * (1 + draw.gauss(0, 0.01)))
        window, rest = values[:10], values[10:]
        error = math.fsum(rest) - len(rest) * math.fsum(window) / len(window)
        inside += abs(error) <= quantile(error_of_sum(window, len(rest)), 0.95)
    assert 0.85 <= inside / 200 <= 1


def scattered(relative: float, count: int, seed: int = 0) -> list[list[float]]:
    chance = random.Random(seed)
    return [[200.0, *(100 * (1 + relative * chance.gauss(0, 1)) for _ in range(4))] for _ in range(count)]


def test_the_scatter_of_earlier_trainings_is_learnt_without_their_first_epochs() -> None:
    found = learnt(scattered(0.05, 60))
    assert found.relative == pytest.approx(0.05, rel=0.15)
    assert (found.df, found.trainings) == (DECLARED_DF, 60)
    assert found.said == f"the {100 * found.relative:.2g} % of 60 earlier trainings is taken"


@pytest.mark.parametrize(
    "trainings", [[], scattered(0.05, 5), [[100.0, 90.0]] * 20, [[200.0, 100.0, 100.0, 100.0]] * 20]
)
def test_what_tells_no_scatter_leaves_the_declared_one(trainings: list[list[float]]) -> None:
    assert learnt(trainings) == ASSUMED
    assert ASSUMED.said == "2 % is assumed"


def test_only_the_newest_trainings_count() -> None:
    quiet, busy = scattered(0.01, 500), scattered(0.08, NEWEST, seed=1)
    assert learnt([*quiet, *busy]) == learnt(busy)
    assert learnt([*busy, *quiet]).relative == pytest.approx(0.01, rel=0.15)


def test_a_busy_machine_widens_the_interval_in_proportion_where_nothing_else_is_known() -> None:
    declared = error_of_sum([100.0], 5)
    wide = error_of_sum([100.0], 5, scatter=Scatter(3 * DECLARED, DECLARED_DF, 30))
    assert [part.scale for part in wide] == pytest.approx([3 * part.scale for part in declared])

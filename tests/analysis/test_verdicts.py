"""From effects to verdicts."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.effects import Effect, log_effect
from energybench.analysis.stats import INFINITE, Difference
from energybench.analysis.verdicts import Judgement, judge_all, points_rule, relative_rule
from energybench.model import Verdict

ENERGY = relative_rule(0.05, 0.03)
ACCURACY = points_rule(0.005, 0.01)


def judge(effect: Effect) -> Judgement:
    (judgement,) = judge_all([effect], ENERGY)
    return judgement


def certain(change: float) -> Effect:
    worse = math.log1p(change)
    return Effect(worse, Difference(worse, 1e-4, INFINITE), 1e-4, 3)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (0.20, Verdict.REGRESSED),
        (0.05, Verdict.REGRESSED),
        (0.049, Verdict.OK),
        (0.0, Verdict.OK),
        (-0.04, Verdict.OK),
        (-0.20, Verdict.IMPROVED),
    ],
)
def test_a_certain_change_is_judged_by_the_margin(change: float, verdict: Verdict) -> None:
    assert judge(certain(change)).verdict is verdict


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (0.20, Verdict.REGRESSED),
        (0.09, Verdict.REGRESSED),
        (0.08, Verdict.INCONCLUSIVE),
        (0.001, Verdict.INCONCLUSIVE),
        (-0.05, Verdict.INCONCLUSIVE),
        (-0.20, Verdict.IMPROVED),
    ],
)
def test_one_round_claims_only_what_is_beyond_three_times_the_noise(change: float, verdict: Verdict) -> None:
    found = judge(log_effect([100.0], [100.0 * (1 + change)]))
    assert found.verdict is verdict
    assert found.reason.startswith("one round, assumed noise 3 %")
    assert found.interval is None
    assert found.change == pytest.approx(change)


def test_one_round_says_how_many_would_settle_it() -> None:
    assert judge(log_effect([100.0], [102.0])).reason == (
        "one round, assumed noise 3 %: +2.0 % is below three times that; about 5 rounds a side would settle it"
    )


def test_identical_rounds_are_no_change_however_few() -> None:
    for rounds in ([100.0], [100.0, 103.0], [5.0, 5.0, 5.0]):
        found = judge(log_effect(rounds, rounds))
        assert (found.verdict, found.reason, found.change) == (Verdict.OK, "identical rounds", 0.0)


def test_rounds_without_any_spread_fall_back_on_the_declared_noise() -> None:
    found = judge(log_effect([100.0, 100.0], [104.0, 104.0]))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason.startswith("rounds without spread")


def test_noise_that_hides_the_margin_is_inconclusive_with_advice() -> None:
    found = judge(log_effect([100.0, 104.0, 96.0], [101.0, 97.0, 103.0]))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason.endswith("crosses the margin; about 8 rounds a side would settle it")
    at_margin = judge(Effect(0.0485, Difference(0.0485, 0.02, 4), 0.03, 3))
    assert "more than 100 rounds" in at_margin.reason


def test_the_interval_is_shown_as_a_relative_change_around_the_estimate() -> None:
    found = judge(log_effect([100.0, 101.0, 99.0], [120.0, 121.0, 122.0]))
    assert found.interval is not None
    assert found.interval[0] < found.change < found.interval[1]
    assert found.verdict is Verdict.REGRESSED
    assert found.reason.endswith("beyond the margin with confidence")


def test_a_fall_in_accuracy_is_worse() -> None:
    fall, rise = (Effect(w, Difference(w, 0.001, INFINITE), 0.001, 3) for w in (0.10, -0.10))
    judged = judge_all([fall, rise], ACCURACY)
    assert [found.verdict for found in judged] == [Verdict.REGRESSED, Verdict.IMPROVED]
    assert [found.change for found in judged] == pytest.approx([-0.10, 0.10])


def test_ten_points_less_are_a_regression_with_one_round_too() -> None:
    (found,) = judge_all([Effect(0.10)], ACCURACY)
    assert found.verdict is Verdict.REGRESSED
    assert found.reason == "one round, assumed noise 1 point"


@given(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=5), st.lists(st.floats(0.5, 2.0), min_size=1, max_size=5))
def test_no_judgement_is_ever_nan_and_ok_is_never_above_the_margin(a: list[float], b: list[float]) -> None:
    found = judge(log_effect(a, b))
    numbers = [found.change, *(found.interval or ()), *([] if found.p is None else [found.p])]
    assert all(math.isfinite(number) for number in numbers)
    if found.verdict is Verdict.OK:
        assert found.change < 0.05
        assert len(a) > 1 or a == b
    if found.verdict is Verdict.REGRESSED:
        assert found.change >= 0.05 - 1e-9


def simulate(rounds: int, changes: list[float], runs: int, noise: float = 0.015) -> list[list[Judgement]]:
    random_ = random.Random(20260101)

    def side(change: float) -> list[float]:
        return [(1 + change) * random_.lognormvariate(0, noise) for _ in range(rounds)]

    return [judge_all([log_effect(side(0.0), side(change)) for change in changes], ENERGY) for _ in range(runs)]


def test_false_alarms_are_rare_and_real_ones_are_found() -> None:
    """36 cases at 1.5 % noise and 5 rounds, one of them 10 % worse: 2,880 cases in all."""
    runs = simulate(5, [0.10, *[0.0] * 35], runs=80)
    unchanged = Counter(found.verdict for run in runs for found in run[1:])
    assert unchanged[Verdict.REGRESSED] + unchanged[Verdict.IMPROVED] <= 0.005 * unchanged.total()
    assert sum(any(found.verdict is Verdict.REGRESSED for found in run[1:]) for run in runs) <= 0.05 * len(runs)
    assert unchanged[Verdict.OK] >= 0.9 * unchanged.total()
    worse = Counter(run[0].verdict for run in runs)
    assert worse[Verdict.REGRESSED] >= 0.8 * len(runs)
    assert worse[Verdict.OK] == 0


def test_a_case_at_the_margin_is_called_ok_in_at_most_one_of_twenty() -> None:
    """The level of the non-inferiority test, at 3 rounds: 2,000 cases that are worse by exactly the margin."""
    found = Counter(judgement.verdict for run in simulate(3, [0.05] * 40, runs=50) for judgement in run)
    assert found[Verdict.OK] / found.total() <= 0.06

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
from energybench.analysis.verdicts import Judgement, judge_all, judge_shift, points_rule, relative_rule
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


def moved(value: float, se: float = 0.01) -> Difference:
    return Difference(value, se, INFINITE)


@pytest.mark.parametrize(
    ("change", "canary", "verdict", "said"),
    [
        (0.10, None, Verdict.REGRESSED, "no canary tells"),
        (0.10, 0.0, Verdict.REGRESSED, "the canary changed by +0.0 %"),
        (0.10, 0.04, Verdict.REGRESSED, "the canary changed by +4.1 %"),
        (0.10, 0.09, Verdict.INCONCLUSIVE, "the environment drifted: the canary changed by +9.4 %"),
        (0.10, -0.09, Verdict.REGRESSED, "the canary changed by -8.6 %"),
        (-0.10, -0.09, Verdict.INCONCLUSIVE, "the environment drifted"),
        (-0.10, 0.0, Verdict.IMPROVED, "the canary"),
        (0.0, None, Verdict.OK, "interval"),
        (0.04, None, Verdict.INCONCLUSIVE, "crosses the margin"),
    ],
)
def test_a_shift_is_a_claim_of_its_own_that_the_canary_explains(
    change: float, canary: float | None, verdict: Verdict, said: str
) -> None:
    found = judge_shift(moved(change), ENERGY, canary=canary)
    assert found.verdict is verdict
    assert said in found.reason
    assert found.change == pytest.approx(math.expm1(change))


def test_each_of_several_looks_may_use_its_part_of_the_level() -> None:
    change = moved(0.05, 0.024)  # p = 0.019
    assert judge_shift(change, ENERGY, canary=None).verdict is Verdict.REGRESSED
    assert judge_shift(change, ENERGY, canary=None, looks=3).verdict is Verdict.INCONCLUSIVE
    case = Effect(0.06, moved(0.06, 0.03), 0.03, 3)  # p = 0.023
    assert judge_all([case], ENERGY)[0].verdict is Verdict.REGRESSED
    assert judge_all([case], ENERGY, looks=3)[0].verdict is Verdict.INCONCLUSIVE
    fine = Effect(0.0, moved(0.0, 0.028), 0.03, 3)  # p of "not beyond the margin": 0.041
    assert judge_all([fine], ENERGY)[0].verdict is Verdict.OK
    assert judge_all([fine], ENERGY, looks=3)[0].verdict is Verdict.INCONCLUSIVE


def beside(worse: float, shift: float) -> Effect:
    """A case that changed by `worse`, of which `shift` is what all did."""
    return Effect(worse, moved(worse, 0.03), 0.01, 3, residual=moved(worse - shift, 0.01), between=0.03)


def test_a_case_is_blamed_for_what_it_has_beside_the_others() -> None:
    drift = 0.06
    others, lone = [beside(drift, drift) for _ in range(20)], beside(drift + 0.10, drift)
    judged = judge_all([*others, lone], ENERGY)
    assert {found.verdict for found in judged[:-1]} == {Verdict.INCONCLUSIVE}
    assert judged[-1].verdict is Verdict.REGRESSED
    assert "+10.5 % beside the other cases" in judged[-1].reason


def test_neither_a_change_without_a_residual_nor_a_residual_without_a_change_is_a_regression() -> None:
    judged = judge_all([beside(0.10, 0.09), beside(0.01, -0.09)], ENERGY)
    assert Verdict.REGRESSED not in {found.verdict for found in judged}


def test_cases_that_moved_with_a_shift_that_is_a_claim_are_regressed_too() -> None:
    shift = judge_shift(moved(0.10), ENERGY, canary=0.0)
    judged = judge_all([beside(0.10, 0.10) for _ in range(6)] + [beside(0.02, 0.10)], ENERGY, shift=shift)
    assert {found.verdict for found in judged[:-1]} == {Verdict.REGRESSED}
    assert "all cases moved, by +10.5 %" in judged[0].reason
    assert judged[-1].verdict is not Verdict.REGRESSED


def test_where_sessions_alone_span_the_margin_no_rounds_are_asked_for() -> None:
    found = judge(Effect(0.0, moved(0.0, 0.05), 0.01, 3, between=0.049))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "which no rounds make less" in found.reason
    assert found.rounds is None


def test_every_case_may_have_a_margin_of_its_own() -> None:
    rules = [relative_rule(margin, 0.03) for margin in (0.05, 0.30)]
    judged = judge_all([certain(0.20), certain(0.20)], rules)
    assert [found.verdict for found in judged] == [Verdict.REGRESSED, Verdict.OK]

"""How much worse, and what the rounds can tell."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.effects import accuracy_effect, evaluation_size, log_effect
from energybench.model import Round, Window

scipy_stats = pytest.importorskip("scipy.stats")


@given(st.lists(st.floats(1.0, 1e6), min_size=2, max_size=6), st.floats(0.1, 10))
def test_scaling_the_unit_changes_no_effect(joules: list[float], unit: float) -> None:
    other = [value * 1.1 for value in joules]
    before, after = (log_effect([v * k for v in joules], [v * k for v in other]) for k in (1.0, unit))
    assert before.worse == pytest.approx(math.log(1.1), abs=1e-9)
    assert after.worse == pytest.approx(before.worse, abs=1e-9)


def test_one_round_on_a_side_allows_no_test() -> None:
    effect = log_effect([100.0], [110.0, 120.0])
    assert effect.test is None
    assert effect.rounds == 1


def test_the_meters_error_is_the_least_spread_of_a_round() -> None:
    effect = log_effect([100.0, 100.0], [110.0, 110.0], error_baseline=0.03, error_candidate=0.04)
    assert effect.test is not None
    assert effect.test.se == pytest.approx(math.sqrt(0.03**2 / 2 + 0.04**2 / 2))


def test_same_seeds_are_paired(make_case: Any) -> None:
    old = make_case("a", [1.0] * 3, accuracy=[0.90, 0.80, 0.70])
    new = make_case("a", [1.0] * 3, accuracy=[0.89, 0.78, 0.69])
    effect = accuracy_effect(old, new, same_images=True)
    assert effect is not None
    assert effect.test is not None
    paired = scipy_stats.ttest_rel([0.90, 0.80, 0.70], [0.89, 0.78, 0.69], alternative="greater")
    assert effect.test.p_above(0.0) == pytest.approx(paired.pvalue)


def test_other_seeds_are_two_samples(make_case: Any) -> None:
    old = make_case("a", [1.0] * 3, accuracy=[0.90, 0.80, 0.70])
    rounds = tuple(Round(Window(1.0), {"accuracy": v}, seed=s) for s, v in ((7, 0.89), (8, 0.78), (9, 0.69)))
    new = make_case("a", rounds=rounds)
    effect = accuracy_effect(old, new, same_images=True)
    assert effect is not None
    assert effect.test is not None
    unpaired = scipy_stats.ttest_ind([0.90, 0.80, 0.70], [0.89, 0.78, 0.69], equal_var=False, alternative="greater")
    assert effect.test.p_above(0.0) == pytest.approx(unpaired.pvalue)


def test_half_an_image_is_the_least_error_on_the_same_images(make_case: Any) -> None:
    old = make_case("a", [1.0, 1.0], accuracy=[0.9, 0.8], metrics={"total": 250})
    new = make_case("a", [1.0, 1.0], accuracy=[0.8, 0.7], metrics={"total": 250})
    effect = accuracy_effect(old, new, same_images=True)
    assert effect is not None
    assert effect.test is not None
    assert effect.worse == pytest.approx(0.1)
    assert effect.test.se == pytest.approx(0.5 / 250)


def test_other_images_have_their_binomial_error(make_case: Any) -> None:
    old = make_case("a", [1.0, 1.0], accuracy=[0.9, 0.9], facts={"evaluation_images": 100})
    new = make_case("a", [1.0, 1.0], accuracy=[0.8, 0.8], facts={"evaluation_images": 400})
    effect = accuracy_effect(old, new, same_images=False)
    assert effect is not None
    assert effect.test is not None
    assert effect.test.se == pytest.approx(math.sqrt(0.9 * 0.1 / 100 + 0.8 * 0.2 / 400))


def test_a_side_without_accuracy_has_no_effect(make_case: Any) -> None:
    assert accuracy_effect(make_case(), make_case(accuracy=[0.9]), same_images=True) is None


def test_the_size_of_the_evaluation_set_is_what_rounds_recorded_before_facts(make_case: Any) -> None:
    assert evaluation_size(make_case(metrics={"total": 250}, facts={"evaluation_images": 9})) == 250
    assert evaluation_size(make_case(facts={"evaluation_images": 9})) == 9
    assert evaluation_size(make_case()) is None


def test_accuracies_are_paired_on_the_seeds_of_the_side_that_has_fewer(make_case: Any) -> None:
    old = make_case(joules=[1.0] * 5, accuracy=[0.90, 0.80, 0.70, 0.95, 0.60])
    new = make_case(joules=[1.0] * 3, accuracy=[0.89, 0.78, 0.70])
    for pair, sign in (((old, new), 1), ((new, old), -1)):
        effect = accuracy_effect(*pair, same_images=True)
        assert effect is not None
        assert effect.rounds == 3
        assert effect.worse == pytest.approx(sign * 0.01)

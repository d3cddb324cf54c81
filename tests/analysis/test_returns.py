"""What energy bought."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.analysis.returns import Reached, Returns, accuracy_per_kwh, macs_per_parameter, returns, until
from energybench.model import Case


def test_figures_of_a_case_that_trained_to_its_target(make_case: Any) -> None:
    after = {"flops": 7200.0, "parameters": 60}
    case = make_case(
        joules=[360.0, 720.0],
        accuracy=[0.9, 0.9],
        metrics={"images": 1200.0, "reached": 1.0},
        facts={"compression": {"after": after}, "parameters": 100},
    )
    assert returns(case) == Returns(
        j_per_sample=pytest.approx(0.45),
        macs_param=60.0,
        accuracy_per_kwh=pytest.approx((0.9 / 1e-4 + 0.9 / 2e-4) / 2),
        to_accuracy_j=540.0,
        to_accuracy_s=2.0,
    )


@pytest.mark.parametrize("reached", [[1.0, 0.0], [1.0, None], [None, None]])
def test_a_target_that_one_round_missed_has_no_energy(make_case: Any, reached: list[float | None]) -> None:
    case = make_case(joules=[100.0, 100.0])
    rounds = tuple(
        type(one)(one.window, {} if value is None else {"reached": value})
        for one, value in zip(case.rounds, reached, strict=True)
    )
    assert returns(Case(case.id, rounds, domains=case.domains)).to_accuracy_j is None


def test_what_was_not_recorded_is_absent(make_case: Any) -> None:
    assert returns(make_case(joules=[100.0])) == Returns()
    assert returns(Case("f")) == Returns()


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"compression": None},
        {"compression": {"after": {"flops": 0, "parameters": 1}}},
        {"compression": {"after": 1}},
    ],
)
def test_unusable_counts_are_absent(facts: dict[str, Any]) -> None:
    assert macs_per_parameter(facts) is None


def test_parameters_of_the_case_stand_in_for_those_of_its_report() -> None:
    assert macs_per_parameter({"parameters": 50, "compression": {"after": {"flops": 1000}}}) == 10


def test_energy_to_accuracy_is_cumulative_and_ends_at_the_first_hit() -> None:
    accuracies, joules = [0.5, 0.8, 0.79, 0.9], [10.0, 20.0, 30.0, 40.0]
    assert until(0.8, accuracies, joules, [1.0, 1.0, 1.0, 1.0]) == Reached(2, 30.0, 2.0)
    assert until(0.85, accuracies, joules) == Reached(4, 100.0)
    assert until(0.95, accuracies, joules) is None
    with pytest.raises(ValueError, match="zip"):
        until(0.99, [0.5], joules)


def test_accuracy_per_kwh_is_over_what_was_spent_by_then() -> None:
    assert accuracy_per_kwh([0.5, 0.6], [3.6e6, 3.6e6]) == pytest.approx((0.5, 0.3))

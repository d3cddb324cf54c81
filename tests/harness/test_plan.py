"""What a test says of the length of its training, or what its workload declares."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.errors import UsageError
from energybench.harness.plan import Plan, checked_plan, plan_of


def test_a_plan_is_a_number_of_epochs_and_perhaps_a_rule() -> None:
    assert checked_plan(90, None, 0.0) == Plan(90)
    assert checked_plan(90, 3, 0.05) == Plan(90, 3, 0.05)
    assert checked_plan(90, 0, 0.05).patience is None  # as the lab's recipes have it: 0 turns it off
    assert checked_plan(0, None, 0.0) == Plan(0)
    assert checked_plan(None, None, 0.0) == Plan(None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((-1, None, 0.0), r"plan\(epochs=...\) is a whole number of at least 0, or None, not -1"),
        ((True, None, 0.0), "not True"),
        ((2.5, None, 0.0), "not 2.5"),
        ((9, -1, 0.0), r"plan\(patience=...\) is a whole number of epochs, 0 or None .*, not -1"),
        ((9, 3, -0.1), r"plan\(min_delta=...\) is a number of at least 0, not -0.1"),
        ((9, 3, float("nan")), "not nan"),
        ((None, 3, 0.0), r"plan\(patience=...\) needs epochs="),
    ],
)
def test_what_is_no_plan_is_refused(given: tuple[Any, Any, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        checked_plan(*given)


@pytest.mark.parametrize(
    ("inputs", "plan"),
    [
        ({"epochs": 5}, Plan(5)),
        ({"recipe": {"epochs": 5, "patience": 3, "min_delta": 0.05, "lr": 0.1}}, Plan(5, 3, 0.05)),
        ({"epochs": 7, "recipe": {"epochs": 5, "patience": 3}}, Plan(7)),
        ({"recipe": {"epochs": 5, "patience": 0}}, Plan(5)),
        ({"recipe": {"epochs": "five"}}, None),
        ({"recipe": "long"}, None),
        ({"model": "a"}, None),
    ],
)
def test_a_declared_workload_stands_in_where_it_states_epochs(inputs: dict[str, Any], plan: Plan | None) -> None:
    assert plan_of(inputs) == plan

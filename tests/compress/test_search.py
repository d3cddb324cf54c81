"""Bisection against an exhaustive scan, tolerances in whole examples, and what a bad `evaluate` gets."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from energybench.compress.search import Candidates, Evaluation, Tolerance, largest_passing, search
from energybench.errors import CompressionError


@pytest.mark.parametrize("capacity", range(33))
def test_a_monotone_curve_gives_the_capacity_in_at_most_7_calls(capacity: int) -> None:
    calls: list[int] = []

    def passes(index: int) -> bool:
        calls.append(index)
        return index <= capacity

    threshold = largest_passing(passes, 32, verify=True)
    assert (threshold.index, threshold.monotone) == (capacity, True)
    assert len(calls) == len(set(calls)) <= 7  # with the reference evaluation: 8


@given(st.integers(1, 70), st.data())
def test_a_monotone_curve_of_any_length_gives_what_a_scan_gives(last: int, data: st.DataObject) -> None:
    capacity = data.draw(st.integers(0, last))
    threshold = largest_passing(lambda index: index <= capacity, last)
    assert threshold.index == capacity
    assert len(threshold.tried) - 1 <= math.ceil(math.log2(last + 1))


@given(st.lists(st.booleans(), min_size=32, max_size=32), st.booleans())
def test_on_any_curve_the_result_was_tried_and_passed(curve: list[bool], verify: bool) -> None:
    threshold = largest_passing(lambda index: curve[index - 1], 32, verify=verify)
    assert threshold.index == 0 or curve[threshold.index - 1]
    assert threshold.tried[threshold.index]
    assert threshold.monotone == all(passed for index, passed in threshold.tried.items() if index < threshold.index)


@given(st.integers(1, 29), st.integers(2, 8))
def test_a_dip_beside_the_threshold_is_found_and_the_scan_gives_the_largest(dip: int, width: int) -> None:
    curve = [index != dip and index < dip + width for index in range(1, 33)]
    exhaustive = max((index for index in range(1, 33) if curve[index - 1]), default=0)
    threshold = largest_passing(lambda index: curve[index - 1], 32, verify=True)
    if threshold.index != exhaustive:  # only where bisection never came near the dip's other side
        assert width > 2
    elif threshold.index > dip and dip in threshold.tried:
        assert not threshold.monotone


@pytest.mark.parametrize(
    ("points", "size", "reference", "accuracy", "met"),
    [
        (0.01, 250, 0.9, 0.892, True),  # 2 further errors, floor(2.5) = 2 allowed
        (0.01, 250, 0.9, 0.888, False),
        (0.01, 1000, 0.962, 0.952, True),
        (0.01, 1000, 0.962, 0.951, False),
        (0.29, 100, 1.0, 0.71, True),  # 0.29 * 100 is 28.999999999999996 in floats
        (0.01, 50, 0.9, 0.88, False),
        (0.01, None, 0.9, 0.89, True),
        (0.01, None, 0.9, 0.8899, False),
        (0.0, None, 0.9, 0.95, True),
    ],
)
def test_tolerance_counts_whole_examples(
    points: float, size: int | None, reference: float, accuracy: float, met: bool
) -> None:
    assert Tolerance(points, size).met(reference, accuracy) is met


def test_too_few_examples_for_the_tolerance_are_mentioned() -> None:
    assert "50 examples" in Tolerance(0.01, 50).notes(0.9)[0]
    assert Tolerance(0.01, 100).notes(0.9) == ()


def test_a_relative_tolerance_is_a_share_of_the_reference() -> None:
    tolerance = Tolerance(0.05, 200, relative=True)
    assert tolerance.extra_errors(0.8) == 8
    assert tolerance.met(0.8, 0.76)
    assert not tolerance.met(0.8, 0.755)
    assert not Tolerance(0.05, relative=True).met(0.8, 0.7599)
    assert "of the reference" in Tolerance(0.01, 50, relative=True).notes(0.9)[0]


@pytest.mark.parametrize("returned", [float("nan"), -0.1, 97.5, None, "good"])
def test_evaluate_must_return_an_accuracy(returned: object) -> None:
    with pytest.raises(CompressionError, match=r"evaluate returned .* \[0, 1\]"):
        Evaluation(lambda model: returned)(nn.Identity())


def test_a_tensor_with_one_value_is_an_accuracy() -> None:
    assert Evaluation(lambda model: torch.tensor(0.5))(nn.Identity()) == 0.5


def _scripted(accuracies: dict[float, float]) -> tuple[list[float], Candidates, Evaluation]:
    state = [0.0]
    candidates = Candidates(
        [1.0, 2.0, 3.0, 4.0], 0.0, lambda value: state.__setitem__(0, value), lambda: state.__setitem__(0, 0.0)
    )
    return state, candidates, Evaluation(lambda model: accuracies[state[0]])


def test_the_model_ends_at_the_chosen_value_and_the_curve_lists_what_was_tried() -> None:
    state, candidates, evaluation = _scripted({0: 0.9, 1: 0.9, 2: 0.895, 3: 0.5, 4: 0.1})
    found = search(nn.Identity(), candidates, evaluation, Tolerance(0.01))
    assert (state[0], found.value) == (2.0, 2.0)
    assert found.evidence.accuracy_compressed == 0.895
    assert found.evidence.evaluations == evaluation.calls
    assert set(found.evidence.curve) >= {(0.0, 0.9), (2.0, 0.895), (3.0, 0.5)}


def test_where_nothing_passes_the_model_is_restored_and_the_report_says_so() -> None:
    state, candidates, evaluation = _scripted({0: 0.9, 1: 0.5, 2: 0.4, 3: 0.3, 4: 0.1})
    found = search(nn.Identity(), candidates, evaluation, Tolerance(0.01))
    assert (state[0], found.value) == (0.0, None)
    assert found.evidence.accuracy_compressed == 0.9
    assert "no compression" in found.notes[0]


def test_an_evaluate_that_raises_leaves_the_model_as_it_was() -> None:
    state, candidates, evaluation = _scripted({0: 0.9})
    with pytest.raises(KeyError):
        search(nn.Identity(), candidates, evaluation, Tolerance(0.01))
    assert state[0] == 0.0


def test_a_loss_counts_from_a_given_reference_and_the_models_own_accuracy_is_still_reported() -> None:
    state, candidates, evaluation = _scripted({0: 0.9, 1: 0.88, 2: 0.86, 3: 0.84, 4: 0.1})
    found = search(nn.Identity(), candidates, evaluation, Tolerance(0.05), reference=0.91)
    assert state[0] == 2.0
    assert found.evidence.accuracy_reference == 0.9


def test_values_of_one_key_are_evaluated_once() -> None:
    state, candidates, evaluation = _scripted({0: 0.9, 1: 0.9, 2: 0.9, 3: 0.1, 4: 0.1})
    shared = Candidates(
        candidates.grid, 0.0, candidates.apply, candidates.restore, key=lambda value: value > 2, untouched=False
    )
    found = search(nn.Identity(), shared, evaluation, Tolerance(0.01))
    assert evaluation.calls == 2
    assert found.value is None  # the passing values leave the model as it is
    assert state[0] == 0.0

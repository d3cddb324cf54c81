"""What is due, what the workload's hash covers, and what recorded values become."""

from __future__ import annotations

import enum
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import UsageError
from energybench.harness.case import Measured, plain_facts, plain_inputs, plain_metrics, workload_hash
from energybench.harness.marker import CaseOptions
from energybench.model import Round, Window

PLAIN = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=5)


def measured(rounds: int = 3, warmup: int = 0, params: dict[str, Any] | None = None) -> Measured:
    item: Any = SimpleNamespace(nodeid="f.py::test_x[a]", callspec=SimpleNamespace(params=params or {}))
    return Measured(item, CaseOptions(rounds, warmup, tuple(range(rounds))), 1)


def test_warm_ups_are_due_first_and_only_while_a_round_is_due() -> None:
    case = measured(rounds=2, warmup=2)
    assert case.due() == [-1, -1, 0, 1]
    case.warmups.append(Round(Window(1.0)))
    case.rounds[1] = Round(Window(1.0))
    assert case.due() == [-1, 0]
    case.rounds[0] = Round(Window(2.0))
    assert case.due() == []
    assert [round.window.seconds for round in case.ordered()] == [2.0, 1.0]


def looking(*looks: int) -> Measured:
    case = measured(rounds=looks[0])
    case.options = replace(case.options, looks=looks, seeds=tuple(range(looks[-1])))
    return case


def test_a_case_that_goes_on_has_the_rounds_of_the_next_look_due_and_keeps_its_own() -> None:
    case = looking(2, 4)
    case.rounds = {index: Round(Window(1.0)) for index in range(2)}
    assert not case.has_further_look
    case.replayed, case.held = True, []
    assert case.has_further_look
    assert case.resting
    case.go_on()
    assert (case.due(), case.resting, case.replayed, len(case.rounds)) == ([2, 3], False, False, 2)
    case.replayed = True
    assert not case.has_further_look


@pytest.mark.parametrize(("there", "rounds"), [([], 2), ([0, 1], 2), ([0, 1, 2], 4), ([3], 4), (range(9), 9), ([8], 9)])
def test_rounds_taken_over_bring_the_case_to_the_look_that_they_belong_to(there: list[int], rounds: int) -> None:
    case = looking(2, 4, 9)
    case.rounds = {index: Round(Window(1.0)) for index in there}
    case.catch_up()
    assert case.options.rounds == rounds
    assert case.options.looks[case.look] == rounds


def test_other_options_count_for_the_look_that_was_reached() -> None:
    case = looking(2, 4)
    case.look = 1
    case.choose(replace(case.options, rounds=2, warmup=1))
    assert (case.options.rounds, case.options.warmup) == (4, 1)
    case.choose(CaseOptions(3, 0, (0, 1, 2)))
    assert case.options.rounds == 3


def test_the_markers_margins_go_with_the_case() -> None:
    case = measured()
    assert case.frozen((), {}, 1.0, {}).margins == {}
    case.options = replace(case.options, margins={"energy": 0.1})
    assert case.frozen((), {}, 1.0, {}).margins == {"energy": 0.1}


@given(PLAIN, st.randoms())
def test_the_order_of_the_inputs_does_not_change_the_hash(inputs: dict[str, Any], random: Any) -> None:
    pairs = list(inputs.items())
    random.shuffle(pairs)
    assert workload_hash(dict(pairs)) == workload_hash(inputs)


@given(PLAIN, PLAIN)
def test_different_inputs_have_different_hashes(one: dict[str, Any], other: dict[str, Any]) -> None:
    from json import dumps

    same = dumps(one, sort_keys=True) == dumps(other, sort_keys=True)
    assert (workload_hash(one) == workload_hash(other)) is same


def test_declared_inputs_stand_in_for_the_parameters() -> None:
    case = measured(params={"model": "a"})
    assert case.workload == workload_hash({"model": "a"})
    case.inputs = {"model": "b"}
    assert case.workload == workload_hash({"model": "b"})


def test_an_input_that_is_no_json_is_refused() -> None:
    with pytest.raises(UsageError, match="declare names and numbers"):
        workload_hash({"loss": object()})


def test_a_parameter_object_counts_by_its_type_so_that_no_address_gets_in() -> None:
    class Net:
        pass

    assert measured(params={"m": Net(), "f": len, "n": 3}).params == {
        "m": f"{test_a_parameter_object_counts_by_its_type_so_that_no_address_gets_in.__name__}.<locals>.Net",
        "f": "len",
        "n": 3,
    }


def test_metrics_become_floats_and_what_is_not_finite_is_absent_with_a_warning() -> None:
    numpy = pytest.importorskip("numpy")
    numbers, warnings = plain_metrics({"a": 1, "b": True, "c": numpy.float32(0.5), "d": math.inf, "e": math.nan})
    assert numbers == {"a": 1.0, "b": 1.0, "c": 0.5, "d": None, "e": None}
    assert warnings == ["d was recorded as inf: stored as absent", "e was recorded as nan: stored as absent"]


@pytest.mark.parametrize("value", ["0.9", b"1", None, [0.5], {}])
def test_a_metric_that_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match=f"takes a number, not {type(value).__name__}"):
        plain_metrics({"accuracy": value})


def test_facts_are_strict_json_whatever_is_put_in() -> None:
    import json

    numpy = pytest.importorskip("numpy")
    facts = plain_facts(
        {"rate": numpy.float64(0.5), "n": numpy.int64(3), "bad": [math.nan, (1, 2)], "kind": dict, 5: {"x": {1}}}
    )
    assert json.loads(json.dumps(facts, allow_nan=False)) == {
        "rate": 0.5,
        "n": 3,
        "bad": [None, [1, 2]],
        "kind": "dict",
        "5": {"x": [1]},
    }


class Half(enum.Enum):
    FP16 = 1
    BF16 = 2


def test_paths_enums_and_dtypes_are_told_apart_and_sets_have_one_order() -> None:
    torch = pytest.importorskip("torch")
    facts = plain_facts(
        {
            "data": Path("x.csv"),
            "half": Half.BF16,
            "dtype": torch.bfloat16,
            "loss": torch.tensor(0.5),
            "augment": {"mix", "crop", 3},
        }
    )
    assert facts == {
        "data": "x.csv",
        "half": "Half.BF16",
        "dtype": "torch.bfloat16",
        "loss": 0.5,
        "augment": ["crop", "mix", 3],
    }
    assert plain_inputs({"half": Half.FP16, "optimizer": dict}) == {"half": "Half.FP16", "optimizer": "dict"}


@pytest.mark.parametrize("value", [object(), [1, object()], {"a": (object(),)}])
def test_an_input_that_its_type_alone_would_stand_for_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match=r"energy\.workload\(net=\.\.\.\) holds a object, which is not plain JSON"):
        plain_inputs({"net": value})

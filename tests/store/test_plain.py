"""Rounds read by the column are the rounds that are read one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import StoreError
from energybench.model import Case, Columns, Domain, LateRounds, Provenance, Round, Window
from energybench.store import case_from_record, case_record
from energybench.store.plain import plain_rounds

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-(10**6), 10**6)
READINGS = NUMBERS | st.none()
NAMES = st.sampled_from(["package:0", "dram:0", "gpu:0"])
METRICS = st.sampled_from(["accuracy", "epochs", "total"])


def numbers_of(names: Sequence[str], numbers: st.SearchStrategy[Any] = READINGS) -> st.SearchStrategy[dict[str, Any]]:
    """A number under each name, in their order, or none."""
    return st.tuples(*[numbers] * len(names)).map(lambda values: dict(zip(names, values, strict=True)))


@st.composite
def rounds_alike(draw: st.DrawFn) -> tuple[Round, ...]:
    """Rounds with the same names in each, and numbers alone."""
    domains, metrics, conditions = (draw(st.lists(names, unique=True, max_size=3)) for names in (NAMES, METRICS, NAMES))
    has_laps, label = draw(st.booleans()), draw(st.sampled_from(["", "round"]))
    laps = st.builds(
        Window,
        seconds=st.floats(0, 1e6),
        joules=numbers_of(domains),
        error_j=numbers_of(domains),
        label=st.sampled_from(["epoch", "eval"]),
        notes=st.just({}) | st.fixed_dictionaries({"loss": NUMBERS, "optimizer": st.text(max_size=3)}),
    )
    rounds = st.builds(
        Round,
        window=st.builds(
            Window,
            seconds=st.floats(0, 1e6),
            joules=numbers_of(domains),
            error_j=numbers_of(domains),
            laps=st.lists(laps, min_size=has_laps, max_size=3 * has_laps).map(tuple),
            label=st.just(label),
        ),
        metrics=numbers_of(metrics),
        seed=st.integers(),
        started=st.text(max_size=3),
        conditions=numbers_of(conditions, NUMBERS),
        session=st.text(max_size=3),
    )
    return tuple(draw(st.lists(rounds, min_size=1, max_size=4)))


@given(rounds_alike())
def test_plain_rounds_are_read_by_the_column_and_made_when_asked_for(rounds: tuple[Round, ...]) -> None:
    read = case_from_record("c", json.loads(json.dumps(case_record(Case("c", rounds)))), None)
    assert isinstance(read.rounds, LateRounds)
    assert read.columns == Columns.of(rounds)
    assert read.rounds == rounds
    assert rounds == read.rounds
    assert [*read.rounds] == [*rounds]
    assert (read.rounds[-1], read.rounds[1:], len(read.rounds)) == (rounds[-1], rounds[1:], len(rounds))
    assert repr(read.rounds) == repr(rounds)
    assert read == Case("c", rounds)


DOMAINS = (Domain("package:0", "rapl", Provenance.MEASURED),)


LAP = {"label": "epoch", "seconds": 1.0, "joules": {"package:0": 40.0}, "error_j": {"package:0": 0.1}}


def record(**changes: Any) -> dict[str, Any]:
    """A record of three plain rounds, of which the second is changed."""
    plain = Round(Window(2.0, {"package:0": 80.0}, {"package:0": 0.1}), {"accuracy": 0.9, "epochs": 4.0}, session="s")
    found = case_record(Case("c", (plain,) * 3, domains=DOMAINS))
    found["rounds"][1] = {**found["rounds"][1], **changes}
    return deepcopy(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"joules": {}},
        {"joules": {"dram:0": 1.0}},
        {"metrics": {"epochs": 4.0, "accuracy": 0.9}},  # in another order
        {"laps": []},
        {"laps": [LAP]},
        {"marks": ["shared"]},
        {"warnings": ["hot"]},
        {"iterations": 4},
        {"trace": {"file": "t", "start_s": 0.0, "end_s": 1.0}},
        {"conditions": {"gpu:0_temperature_c": 50.0}},
        {"a_key_of_a_newer_energybench": 1},
        {"joules": {"package:0": 1e308}, "metrics": {"accuracy": 1.7e308, "epochs": 4.0}},  # more than a float, summed
    ],
    ids=str,
)
def test_other_rounds_are_read_one_by_one(changes: dict[str, Any]) -> None:
    stored = record(**changes)
    assert plain_rounds(stored["rounds"]) is None
    case = case_from_record("c", stored, None)
    assert isinstance(case.rounds, tuple)
    assert len(case.rounds) == 3
    assert case.columns.seconds == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seconds": -1.0}, "seconds -1.0"),
        ({"seconds": None}, "seconds None"),
        ({"seconds": "2"}, "'2' instead of a number"),
        ({"seconds": True}, "True instead of a number"),
        ({"joules": {"package:0": math.inf}}, "inf instead of a number"),
        ({"joules": {"package:0": math.nan}}, "nan instead of a number"),
        ({"joules": {"package:0": 10**400}}, "too large"),
        ({"joules": {"package:0": "80"}}, "'80' instead of a number"),
        ({"joules": {"package:0": True}}, "True instead of a number"),
        ({"joules": [80.0]}, "items"),
        ({"error_j": None}, "items"),
        ({"error_j": ""}, "items"),
        ({"metrics": []}, "items"),
        ({"metrics": {"accuracy": False, "epochs": 4.0}}, "False instead of a number"),
        ({"seed": "zero"}, "zero"),
    ],
    ids=str,
)
def test_damage_is_found_before_a_round_is_asked_for(changes: dict[str, Any], said: str) -> None:
    stored = record(**changes)
    assert plain_rounds(stored["rounds"]) is None
    with pytest.raises(StoreError, match=f"is damaged .*{said}"):
        case_from_record("c", stored, None)


def lapped(**changes: Any) -> dict[str, Any]:
    """A record of three rounds of two laps, of which one is changed."""
    found = record()
    for stored in found["rounds"]:
        stored["laps"] = [deepcopy(LAP), deepcopy(LAP)]
    found["rounds"][1]["laps"][1] |= changes
    return found


def test_laps_are_counted_as_epochs_before_they_are_made() -> None:
    case = case_from_record("c", lapped(), None)
    assert isinstance(case.rounds, LateRounds)
    assert case.columns.epochs == (2.0, 2.0, 2.0)
    assert case.columns == Columns.of(tuple(case.rounds))
    assert [lap.seconds for lap in case.rounds[1].window.laps] == [1.0, 1.0]
    assert case_from_record("c", lapped(label="eval"), None).epochs == (2.0, 1.0, 2.0)


@pytest.mark.parametrize(
    "changes",
    [{"joules": {"dram:0": 1.0}}, {"marks": ["shared"]}, {"warnings": ["hot"]}, {"laps": []}, {"key_of_a_newer": 1}],
    ids=str,
)
def test_rounds_with_other_laps_are_read_one_by_one(changes: dict[str, Any]) -> None:
    stored = lapped(**changes)
    assert plain_rounds(stored["rounds"]) is None
    case = case_from_record("c", stored, None)
    assert isinstance(case.rounds, tuple)
    assert case.columns.epochs == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seconds": -1.0}, "seconds -1.0"),
        ({"joules": {"package:0": True}}, "True instead of a number"),
        ({"error_j": {"package:0": math.nan}}, "nan instead of a number"),
        ({"notes": ["loss"]}, "instead of an object"),
    ],
    ids=str,
)
def test_damage_of_a_lap_is_found_before_it_is_asked_for(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(StoreError, match=f"is damaged .*{said}"):
        case_from_record("c", lapped(**changes), None)


@pytest.mark.parametrize("rounds", [[], {}, "rounds", [1], [[]], ["ab"], None, 3], ids=str)
def test_what_is_no_list_of_objects_has_no_columns(rounds: Any) -> None:
    assert plain_rounds(rounds) is None


def test_a_round_without_joules_or_seconds_has_no_columns() -> None:
    assert plain_rounds([{"seconds": 1.0}]) is None
    assert plain_rounds([{"joules": {}}]) is None

"""A case as a record and back."""

from __future__ import annotations

import json
import math
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import StoreError
from energybench.model import Case, Domain, Provenance, Round, Status, Window
from energybench.store import SCHEMA, case_from_record, case_record

NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(max_size=8)
BY_NAME = st.dictionaries(NAMES, NUMBERS, max_size=3)
SECONDS = st.floats(min_value=0, max_value=1e9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TEXTS = st.lists(NAMES, max_size=2).map(tuple)
LAPS = st.builds(Window, seconds=SECONDS, joules=BY_NAME, error_j=BY_NAME, label=NAMES, warnings=TEXTS)
WINDOWS = st.builds(
    Window,
    seconds=SECONDS,
    joules=BY_NAME,
    error_j=BY_NAME,
    laps=st.lists(LAPS, max_size=2).map(tuple),
    label=NAMES,
    warnings=TEXTS,
)
ROUNDS = st.builds(
    Round,
    window=WINDOWS,
    metrics=BY_NAME,
    seed=st.integers(),
    started=NAMES,
    conditions=st.dictionaries(NAMES, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    session=NAMES,
)
DOMAINS = st.builds(
    Domain,
    name=NAMES,
    meter=NAMES,
    provenance=st.sampled_from(Provenance),
    in_total=st.booleans(),
    gain_rel=st.none() | st.floats(0, 1),
    device=NAMES,
    note=NAMES,
)
CASES = st.builds(
    Case,
    id=NAMES,
    rounds=st.lists(ROUNDS, max_size=2).map(tuple),
    warmups=st.lists(ROUNDS, max_size=1).map(tuple),
    search=st.lists(WINDOWS, max_size=1).map(tuple),
    pretraining=st.lists(WINDOWS, max_size=1).map(tuple),
    domains=st.lists(DOMAINS, max_size=2).map(tuple),
    params=st.dictionaries(NAMES, JSON, max_size=2),
    facts=st.dictionaries(NAMES, JSON, max_size=2),
    workload=NAMES,
    comparability=st.dictionaries(NAMES, JSON, max_size=2),
    status=st.sampled_from(Status),
    warnings=TEXTS,
    pue=st.floats(1, 3),
)


@given(CASES)
def test_every_case_survives_the_way_through_strict_json(case: Case) -> None:
    text = json.dumps(case_record(case), allow_nan=False)
    assert case_from_record(case.id, json.loads(text), case.params) == case


@given(st.floats(), st.floats())
def test_what_is_not_a_number_is_stored_as_absent(joules: float, fact: float) -> None:
    case = Case("f", (Round(Window(1.0, {"gpu:0": joules})),), facts={"x": [fact]})
    record = json.loads(json.dumps(case_record(case), allow_nan=False))
    assert record["rounds"][0]["joules"]["gpu:0"] == (joules if math.isfinite(joules) else None)
    assert record["facts"]["x"] == [fact if math.isfinite(fact) else None]


class Opaque:
    """An object whose text holds its address."""


def test_objects_are_stored_without_memory_addresses() -> None:
    numpy = pytest.importorskip("numpy")
    facts = {"o": Opaque(), "p": PurePosixPath("a/b"), "n": numpy.float32(0.5), 3: (1, 2), "s": {"b", "a"}}
    record = case_record(Case("f", facts=facts))
    assert record["facts"]["o"].endswith(".Opaque")
    assert record["facts"] | {"o": ""} == {"o": "", "p": "a/b", "n": 0.5, "3": [1, 2], "s": ["a", "b"]}


def test_a_lone_surrogate_does_not_spoil_the_file() -> None:
    assert case_record(Case("f", facts={"x": "a\ud800"}))["facts"]["x"] == "a?"


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0])
def test_a_broken_clock_is_refused(seconds: float) -> None:
    with pytest.raises(StoreError, match="its clock is broken"):
        case_record(Case("f", (Round(Window(seconds)),)))


def test_a_newer_schema_is_refused_with_advice(make_case: Any) -> None:
    record = case_record(make_case()) | {"schema": SCHEMA + 1}
    with pytest.raises(StoreError, match=r"newer energybench .* Upgrade"):
        case_from_record("f", record, None)


@pytest.mark.parametrize("record", [{}, {"schema": "1"}, {"schema": True}, [], "text", {"schema": 0}])
def test_a_record_that_is_not_ours_is_refused(record: Any) -> None:
    with pytest.raises(StoreError, match="no schema number"):
        case_from_record("f", record, None)


@pytest.mark.parametrize(
    "damage",
    [
        {"rounds": [{"seconds": "3", "joules": {}}]},
        {"rounds": [{"seconds": None, "joules": {}}]},
        {"rounds": [{"joules": {}}]},
        {"rounds": [{"seconds": 1.0, "joules": {"a": True}}]},
        {"rounds": [{"seconds": 1.0, "joules": [1.0]}]},
        {"rounds": 5},
        {"status": "wonderful"},
        {"unit": "kWh"},
        {"pue": 0.5},
        {"pue": None},
        {"domains": [{"name": "a", "meter": "b", "provenance": "guessed", "in_total": True}]},
    ],
)
def test_a_damaged_record_is_refused_by_name(damage: dict[str, Any], make_case: Any) -> None:
    with pytest.raises(StoreError, match=r"^f\.py::test_x: its 'energybench' object is damaged \(.+\)\. Restore"):
        case_from_record("f.py::test_x", case_record(make_case()) | damage, None)


def test_unknown_keys_of_the_same_schema_are_left_alone(make_case: Any) -> None:
    case = make_case()
    assert case_from_record(case.id, case_record(case) | {"later": 1}, None) == case

"""A case as a record and back."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.errors import StoreError
from energybench.model import Case, Domain, Mark, Provenance, Round, Span, Status, Window
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
FINITE = st.floats(allow_nan=False, allow_infinity=False)
CONDITIONS = st.dictionaries(NAMES, FINITE, max_size=2)
TEXTS = st.lists(NAMES, max_size=2).map(tuple)
MARKS = st.lists(st.sampled_from(Mark), max_size=3).map(tuple)
NOTES = st.dictionaries(
    st.sampled_from(["loss", "lr", "optimizer"]), st.one_of(SECONDS, st.text(max_size=9)), max_size=2
)
LAPS = st.builds(
    Window, seconds=SECONDS, joules=BY_NAME, error_j=BY_NAME, label=NAMES, warnings=TEXTS, marks=MARKS, notes=NOTES
)
WINDOWS = st.builds(
    Window,
    seconds=SECONDS,
    joules=BY_NAME,
    error_j=BY_NAME,
    laps=st.lists(LAPS, max_size=2).map(tuple),
    label=NAMES,
    warnings=TEXTS,
    marks=MARKS,
)
ROUNDS = st.builds(
    Round,
    window=WINDOWS,
    metrics=BY_NAME,
    seed=st.integers(),
    started=NAMES,
    conditions=CONDITIONS,
    conditions_end=CONDITIONS,
    iterations=st.integers(1, 10**6),
    trace=st.none() | st.builds(Span, file=NAMES, start_s=FINITE, end_s=FINITE),
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
    host=NAMES,
    tick_s=st.none() | st.floats(0, 10),
)
CASES = st.builds(
    Case,
    id=NAMES,
    rounds=st.lists(ROUNDS, max_size=2).map(tuple),
    warmups=st.lists(ROUNDS, max_size=1).map(tuple),
    search=st.lists(WINDOWS, max_size=1).map(tuple),
    pretraining=st.lists(WINDOWS, max_size=1).map(tuple),
    domains=st.lists(DOMAINS, max_size=2, unique_by=lambda domain: domain.name).map(tuple),
    params=st.dictionaries(NAMES, JSON, max_size=2),
    facts=st.dictionaries(NAMES, JSON, max_size=2),
    workload=NAMES,
    comparability=st.dictionaries(NAMES, JSON, max_size=2),
    status=st.sampled_from(Status),
    warnings=TEXTS,
    pue=st.floats(1, 3),
    idle_w=BY_NAME,
)


@given(CASES)
def test_every_case_survives_the_way_through_strict_json(case: Case) -> None:
    text = json.dumps(case_record(case), allow_nan=False)
    read = case_from_record(case.id, json.loads(text), case.params)
    assert read == case
    # A domain's host and tick are no part of its equality; what was derived from the fields is no part of the record.
    whole = replace(read, rounds=tuple(read.rounds))
    assert {**asdict(whole), "_derived": None} == {**asdict(case), "_derived": None}


OPTIONAL = {
    "case": {"idle_w"},
    "round": {"error_j", "conditions", "conditions_end", "iterations", "trace", "net_j", "marks", "laps", "label"},
    "domain": {"gain_rel", "device", "note", "host", "tick_s"},
}


def test_what_is_empty_is_left_out_and_reads_as_it_did_before(make_case: Any) -> None:
    record = case_record(make_case())
    assert OPTIONAL["case"].isdisjoint(record)
    assert OPTIONAL["round"].isdisjoint(record["rounds"][0])
    assert OPTIONAL["domain"].isdisjoint(record["domains"][0])
    read = case_from_record("f", record, None)
    assert (read.idle_w, read.marks, read.domains[0].host, read.domains[0].tick_s) == ({}, (), "", None)
    assert (read.rounds[0].conditions_end, read.rounds[0].iterations, read.rounds[0].trace) == ({}, 1, None)


def test_a_record_says_what_was_marked_repeated_and_traced() -> None:
    lap = Window(0.5, {"gpu:0": 50.0}, label="epoch", marks=(Mark.LOST,))
    window = Window(2.0, {"gpu:0": 300.0}, laps=(lap,), marks=(Mark.TOO_SHORT, Mark.SHARED))
    round = Round(window, conditions_end={"gpu:0_temperature_c": 71.0}, iterations=4, trace=Span("s.trace.csv", 3.5, 9))
    domain = Domain("gpu:0", "nvml", Provenance.MEASURED, host="box", tick_s=0.02)
    record = json.loads(json.dumps(case_record(Case("f", (round,), domains=(domain,), idle_w={"gpu:0": 25.0}))))
    stored = record["rounds"][0]
    assert stored["marks"] == ["too-short", "shared"]
    assert stored["laps"][0]["marks"] == ["lost"]
    assert stored["conditions_end"] == {"gpu:0_temperature_c": 71.0}
    assert stored["iterations"] == 4
    assert stored["trace"] == {"file": "s.trace.csv", "start_s": 3.5, "end_s": 9}
    assert (record["domains"][0]["host"], record["domains"][0]["tick_s"]) == ("box", 0.02)
    assert record["idle_w"] == {"gpu:0": 25.0}


def test_net_joules_stand_beside_the_gross_and_are_never_read_back() -> None:
    domains = (
        Domain("gpu:0", "nvml", Provenance.MEASURED),
        Domain("package:0", "rapl", Provenance.MEASURED),
        Domain("psys:0", "rapl", Provenance.MEASURED, in_total=False),
    )
    rounds = (
        Round(Window(2.0, {"gpu:0": 300.0, "package:0": 100.0, "psys:0": 500.0})),
        Round(Window(2.0, {"gpu:0": None, "package:0": 100.0})),
    )
    case = Case("f", rounds, rounds[:1], domains=domains, idle_w={"gpu:0": 25.0, "package:0": 10.5, "psys:0": 90.0})
    record = case_record(case)
    assert record["rounds"][0]["net_j"] == 400.0 - 2.0 * 35.5
    assert record["warmups"][0]["net_j"] == 400.0 - 2.0 * 35.5
    assert "net_j" not in record["rounds"][1]
    record["rounds"][0]["net_j"] = -1.0
    assert case_from_record("f", record, None) == case
    unknown = case_record(Case("f", rounds, domains=domains, idle_w={"gpu:0": 25.0, "package:0": None}))
    assert "net_j" not in unknown["rounds"][0]


def test_a_mark_of_a_newer_version_becomes_a_warning_of_its_window(make_case: Any) -> None:
    record = case_record(make_case(epochs=1))
    record["rounds"][0] |= {"marks": ["molten", "shared"], "warnings": ["hot"]}
    record["rounds"][0]["laps"][0]["marks"] = ["frozen"]
    window = case_from_record("f", record, None).rounds[0].window
    assert window.marks == (Mark.SHARED,)
    assert window.warnings[0] == "hot"
    assert ["'molten'" in warning for warning in window.warnings] == [False, True]
    assert window.laps[0].marks == ()
    assert "'frozen'" in window.laps[0].warnings[0]


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


@pytest.mark.parametrize("end_s", [math.nan, math.inf])
def test_a_trace_of_a_broken_clock_is_refused(end_s: float) -> None:
    with pytest.raises(StoreError, match=r"^f: a trace from 0\.0 to (nan|inf) seconds .* its clock is broken"):
        case_record(Case("f", (Round(Window(1.0), trace=Span("s.trace.csv", 0.0, end_s)),)))


def test_a_round_of_no_call_is_refused() -> None:
    with pytest.raises(StoreError, match="f: a round of 0 calls"):
        case_record(Case("f", (Round(Window(1.0), iterations=0),)))


def test_a_newer_schema_is_refused_with_advice(make_case: Any) -> None:
    record = case_record(make_case()) | {"schema": SCHEMA + 1}
    with pytest.raises(StoreError, match=r"newer energybench .* Upgrade"):
        case_from_record("f", record, None)


@pytest.mark.parametrize("record", [{}, {"schema": "1"}, {"schema": True}, [], "text", {"schema": 0}])
def test_a_record_that_is_not_ours_is_refused(record: Any) -> None:
    with pytest.raises(StoreError, match="no schema number"):
        case_from_record("f", record, None)


DAMAGED_ROUNDS: list[dict[str, Any]] = [
    {"iterations": 0},
    {"iterations": 1.5},
    {"iterations": True},
    {"iterations": None},
    {"trace": {"start_s": 0.0, "end_s": 1.0}},
    {"trace": {"file": "s.trace.csv", "start_s": 0.0}},
    {"trace": {"file": "s.trace.csv", "start_s": 0.0, "end_s": None}},
    {"trace": {"file": "s.trace.csv", "start_s": math.nan, "end_s": 1.0}},
    {"trace": {"file": "s.trace.csv", "start_s": 0.0, "end_s": "1"}},
    {"trace": "s.trace.csv"},
    {"marks": "too-short"},
    {"marks": [5]},
    {"marks": None},
    {"conditions_end": {"cpu_temperature_c": "hot"}},
    {"seed": math.inf},
    {"metrics": {"accuracy": 10**400}},
]


@pytest.mark.parametrize(
    "damage",
    [
        {"rounds": [{"seconds": "3", "joules": {}}]},
        {"rounds": [{"seconds": None, "joules": {}}]},
        {"rounds": [{"joules": {}}]},
        {"rounds": [{"seconds": 1.0, "joules": {"a": True}}]},
        {"rounds": [{"seconds": 1.0, "joules": [1.0]}]},
        {"rounds": 5},
        *({"rounds": [{"seconds": 1.0, "joules": {}} | part]} for part in DAMAGED_ROUNDS),
        {"idle_w": {"package:0": "12"}},
        {"idle_w": 12.0},
        {"domains": [{"name": "a", "meter": "b", "provenance": "measured", "in_total": True, "tick_s": "1"}]},
        {"status": "wonderful"},
        {"unit": "kWh"},
        {"pue": 0.5},
        {"pue": None},
        {"domains": [{"name": "a", "meter": "b", "provenance": "guessed", "in_total": True}]},
        {"domains": [{"name": "a", "meter": "b", "provenance": "measured", "in_total": "false"}]},
        {"domains": [{"name": "a", "meter": "b", "provenance": "measured", "in_total": True}] * 2},
        {"warnings": "hot"},
        {"warnings": None},
    ],
)
def test_a_damaged_record_is_refused_by_name(damage: dict[str, Any], make_case: Any) -> None:
    with pytest.raises(StoreError, match=r"^f\.py::test_x: its 'energybench' object is damaged \(.+\)\. Restore"):
        case_from_record("f.py::test_x", case_record(make_case()) | damage, None)


def test_unknown_keys_of_the_same_schema_are_left_alone(make_case: Any) -> None:
    case = make_case()
    assert case_from_record(case.id, case_record(case) | {"later": 1}, None) == case


def test_what_was_noted_of_an_epoch_is_stored_with_its_lap() -> None:
    lap = Window(0.5, {"gpu:0": 50.0}, label="epoch", notes={"loss": float("nan"), "lr": 0.1, "frozen": ["stem"]})
    stored = case_record(Case("f", (Round(Window(2.0, {"gpu:0": 300.0}, laps=(lap,))),)))
    assert stored["rounds"][0]["laps"][0]["notes"] == {"loss": None, "lr": 0.1, "frozen": ["stem"]}
    assert "notes" not in stored["rounds"][0]
    stored["rounds"][0]["laps"][0]["notes"] = ["loss"]
    with pytest.raises(StoreError, match=r"damaged \(notes \['loss'\] instead of an object\)"):
        case_from_record("f", stored, {})

"""Laps of frameworks, which say when something begins and when it ends."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from energybench.integrations.recorder import OpenLaps, numbers


def test_ending_a_lap_ends_what_was_left_open_in_it(energy: Any) -> None:
    laps = OpenLaps(energy)
    laps.begin("epoch")
    laps.begin("eval")
    laps.end("epoch")
    assert energy.events == ["+epoch", "+eval", "-eval", "-epoch"]
    assert laps.ended == {"epoch": 1}


def test_an_end_without_a_beginning_is_nothing(energy: Any) -> None:
    laps = OpenLaps(energy)
    laps.begin("epoch")
    laps.end("eval")
    assert energy.events == ["+epoch"]


def test_laps_that_an_error_left_are_ended_with_it(energy: Any) -> None:
    laps = OpenLaps(energy)
    laps.begin("epoch")
    laps.begin("eval")
    error = RuntimeError("out of memory")
    laps.abandon(error)
    assert energy.events == ["+epoch", "+eval", "!eval RuntimeError", "!epoch RuntimeError"]


@given(calls=st.lists(st.tuples(st.booleans(), st.sampled_from(("epoch", "eval", "batch")))))
def test_whatever_begins_and_ends_laps_are_properly_nested(remembered: Any, calls: list[tuple[bool, str]]) -> None:
    energy = remembered()
    laps = OpenLaps(energy)
    for begins, label in calls:
        (laps.begin if begins else laps.end)(label)
    for label in ("epoch", "eval", "batch") * len(calls):
        laps.end(label)
    stack: list[str] = []
    for event in energy.events:
        if event[0] == "+":
            stack.append(event[1:])
        else:
            assert stack.pop() == event[1:]
    assert stack == []


def test_only_what_is_one_number_is_recorded() -> None:
    assert numbers({"a": 1, "b": "2", "c": [1.0], "d": None, "e": True, "f": 0.5}) == {"a": 1.0, "f": 0.5}

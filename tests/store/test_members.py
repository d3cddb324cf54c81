"""A document read an element at a time says what `json.loads` says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.store.members import parsed

NAMES = st.sampled_from(["benchmarks", "a", "b", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.builds(json.dumps, VALUES, indent=st.sampled_from([None, 0, 1]))


def by_element(text: str, taken: list[Any] | None = None) -> Any:
    """What `parsed` gives with elements that are taken as they are, and noted in `taken`."""

    def take(element: Any) -> Any:
        if taken is not None:
            taken.append(element)
        return element

    return parsed(text, "benchmarks", take)


@given(TEXTS)
def test_a_whole_document_is_what_json_makes_of_it(text: str) -> None:
    taken: list[Any] = []
    found = by_element(text, taken)
    assert found == json.loads(text)
    if isinstance(found, dict) and isinstance(found.get("benchmarks"), list):
        assert taken == found["benchmarks"]
    else:
        assert not taken


@given(TEXTS, st.data())
def test_a_damaged_document_is_refused_where_json_refuses_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 3)))
    damaged = text[:start] + data.draw(st.sampled_from(["", ",", "]", "}", ":", '"', " ", "1"])) + text[end:]
    expected, place = outcome(json.loads, damaged)
    found, found_place = outcome(by_element, damaged)
    assert found == expected
    assert abs(found_place - place) <= 1  # versions of Python point at a stray comma, or behind it


def outcome(read: Callable[[str], Any], text: str) -> tuple[Any, int]:
    """What is read of it, or where it is refused."""
    try:
        return read(text), -1
    except json.JSONDecodeError as error:
        return "refused", error.pos


def test_elements_are_taken_before_the_next_is_read() -> None:
    """A fault in the second element comes after the first was taken: no tree of the whole list is made."""
    taken: list[Any] = []
    with pytest.raises(json.JSONDecodeError):
        by_element('{"benchmarks": [{"a": 1}, {"a": }]}', taken)
    assert taken == [{"a": 1}]


def test_the_list_holds_what_was_taken_of_each() -> None:
    assert parsed('{"a": [1, 2], "benchmarks": [1, 2]}', "benchmarks", lambda element: 10 * element) == {
        "a": [1, 2],
        "benchmarks": [10, 20],
    }


def test_of_two_lists_of_one_name_the_last_counts_as_in_json() -> None:
    assert by_element('{"benchmarks": [1], "benchmarks": [2]}') == {"benchmarks": [2]}


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("text", ['{{"a": {}}}', '{{"benchmarks": [{}]}}', "[{}]"])
def test_what_is_no_json_is_refused(text: str, constant: str) -> None:
    with pytest.raises(ValueError, match=f"^{constant} is not JSON"):
        by_element(text.format(constant))

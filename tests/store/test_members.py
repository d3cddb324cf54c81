"""A document read an element at a time says what `json.loads` says."""

from __future__ import annotations

import io
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


CHUNKS = st.sampled_from([1, 2, 3, 7, 1 << 18])


def by_element(text: str, taken: list[Any] | None = None, chunk: int = 5) -> Any:
    """What `parsed` gives with elements that are taken as they are, and noted in `taken`."""

    def take(element: Any) -> Any:
        if taken is not None:
            taken.append(element)
        return element

    return parsed(io.BytesIO(text.encode()), "benchmarks", take, chunk=chunk)


@given(TEXTS, CHUNKS)
def test_a_whole_document_is_what_json_makes_of_it(text: str, chunk: int) -> None:
    taken: list[Any] = []
    found = by_element(text, taken, chunk)
    assert found == json.loads(text)
    if isinstance(found, dict) and isinstance(found.get("benchmarks"), list):
        assert taken == found["benchmarks"]
    else:
        assert not taken


@given(TEXTS, CHUNKS, st.data())
def test_a_damaged_document_is_refused_as_json_refuses_it(text: str, chunk: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 3)))
    damaged = text[:start] + data.draw(st.sampled_from(["", ",", "]", "}", ":", '"', " ", "1", "é"])) + text[end:]
    expected = outcome(lambda: json.loads(damaged)) if damaged.strip() else "empty"
    assert outcome(lambda: by_element(damaged, chunk=chunk)) == expected


def outcome(read: Callable[[], Any]) -> Any:
    """What is read of it, or in which words it is refused."""
    try:
        return read()
    except json.JSONDecodeError as error:
        return str(error)
    except EOFError:
        return "empty"


@pytest.mark.parametrize(
    "text", ["1234567", "-12.5e3", "[1, 23456789]", "true", '"a string of some length"', "nul", "1 2"]
)
def test_a_value_does_not_end_where_what_was_read_ends(text: str) -> None:
    assert outcome(lambda: by_element(text, chunk=2)) == outcome(lambda: json.loads(text))


def test_a_mark_before_the_text_is_none_of_it() -> None:
    assert parsed(io.BytesIO(b"\xef\xbb\xbf{}"), "benchmarks", str) == {}


@pytest.mark.parametrize("data", [b"", b" \n\t ", b"\xef\xbb\xbf"])
def test_an_empty_file_is_told_from_a_torn_one(data: bytes) -> None:
    with pytest.raises(EOFError):
        parsed(io.BytesIO(data), "benchmarks", str)


@pytest.mark.parametrize("data", [b'{"a": "\xff"}', b'{"a": 1, "b": "\xc3'])
def test_what_is_no_utf8_is_refused_at_its_place_in_the_whole_file(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError) as expected:
        data.decode()
    with pytest.raises(UnicodeDecodeError) as found:
        parsed(io.BytesIO(data), "benchmarks", str, chunk=2)
    assert str(found.value) == str(expected.value)


def test_elements_are_taken_before_the_next_is_read() -> None:
    """A fault in the second element comes after the first was taken: no tree of the whole list is made."""
    taken: list[Any] = []
    with pytest.raises(json.JSONDecodeError):
        by_element('{"benchmarks": [{"a": 1}, {"a": }]}', taken)
    assert taken == [{"a": 1}]


def test_the_list_holds_what_was_taken_of_each() -> None:
    found = parsed(io.BytesIO(b'{"a": [1, 2], "benchmarks": [1, 2]}'), "benchmarks", lambda element: 10 * element)
    assert found == {"a": [1, 2], "benchmarks": [10, 20]}


def test_of_two_lists_of_one_name_the_last_counts_as_in_json() -> None:
    assert by_element('{"benchmarks": [1], "benchmarks": [2]}') == {"benchmarks": [2]}


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("text", ['{{"a": {}}}', '{{"benchmarks": [{}]}}', "[{}]"])
def test_what_is_no_json_is_refused(text: str, constant: str) -> None:
    with pytest.raises(ValueError, match=f"^{constant} is not JSON"):
        by_element(text.format(constant))

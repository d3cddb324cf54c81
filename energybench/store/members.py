"""JSON objects of which one long list is taken an element at a time.

A file of thousands of cases as one tree of objects needs several times its own size in memory, nearly all of it for a
moment: what is kept of an entry is small. Taken one by one, an entry is still in the processor's cache when it is
looked at, and its memory serves the next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json import JSONDecodeError
from typing import Any, NoReturn

_past_space = re.compile(r"[ \t\n\r]*").match


def parsed(text: str, key: str, take: Callable[[Any], Any]) -> Any:
    """What `json.loads` gives, but for a list under `key` of the outermost object: that holds `take(element)` of each.

    Raises JSONDecodeError as `json.loads` does, and ValueError for NaN and the infinities, which are no JSON; what
    `take` raises comes through.
    """
    position = _skip(text, 0)
    if text[position : position + 1] != "{":
        return _DECODER.decode(text)
    found: dict[str, Any] = {}
    position = _skip(text, position + 1)
    if text[position : position + 1] == "}":
        return _whole(text, position + 1, found)
    while True:
        if text[position : position + 1] != '"':
            raise JSONDecodeError("Expecting property name enclosed in double quotes", text, position)
        name, position = _DECODER.raw_decode(text, position)
        position = _skip(text, position)
        if text[position : position + 1] != ":":
            raise JSONDecodeError("Expecting ':' delimiter", text, position)
        position = _skip(text, position + 1)
        if name == key and text[position : position + 1] == "[":
            found[name], position = _elements(text, position, take)
        else:
            found[name], position = _DECODER.raw_decode(text, position)
        position, ends = _delimiter(text, position, "}")
        if ends:
            return _whole(text, position, found)


def _elements(text: str, position: int, take: Callable[[Any], Any]) -> tuple[list[Any], int]:
    """What was taken from the list that begins at `position`, and where it ends."""
    found: list[Any] = []
    position = _skip(text, position + 1)
    if text[position : position + 1] == "]":
        return found, position + 1
    while True:
        element, position = _DECODER.raw_decode(text, position)
        found.append(take(element))
        position, ends = _delimiter(text, position, "]")
        if ends:
            return found, position


def _delimiter(text: str, position: int, end: str) -> tuple[int, bool]:
    """Where the next element begins, and whether there is none: `end` came instead of a comma."""
    position = _skip(text, position)
    met = text[position : position + 1]
    if met == end:
        return position + 1, True
    if met != ",":
        raise JSONDecodeError("Expecting ',' delimiter", text, position)
    return _skip(text, position + 1), False


def _whole(text: str, position: int, found: dict[str, Any]) -> dict[str, Any]:
    position = _skip(text, position)
    if position != len(text):
        raise JSONDecodeError("Extra data", text, position)
    return found


def _skip(text: str, position: int) -> int:
    match = _past_space(text, position)
    return position if match is None else match.end()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)

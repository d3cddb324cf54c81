"""JSON files of which one long list is taken an element at a time.

A file of thousands of cases as one text and one tree of objects needs several times its own size in memory, nearly all
of it for a moment: what is kept of an entry is small. Taken one by one, an entry is still in the processor's cache when
it is looked at, and its memory serves the next.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from json import JSONDecodeError
from typing import Any, BinaryIO, NoReturn

CHUNK = 1 << 18
"""bytes that are read at once: some forty entries of ten rounds"""


def parsed(file: BinaryIO, key: str, take: Callable[[Any], Any], *, chunk: int = CHUNK) -> Any:
    """What `json.load` gives, but for a list under `key` of the outermost object: that holds `take(element)` of each.

    The file is UTF-8, with or without a mark before the text. Raises EOFError where it holds nothing but white space,
    JSONDecodeError and UnicodeDecodeError as `json.load` does, and ValueError for NaN and the infinities, which are no
    JSON; what `take` raises comes through.
    """
    try:
        return _document(_Source(file, chunk), key, take)
    except (JSONDecodeError, UnicodeDecodeError):
        file.seek(0)
        _DECODER.decode(file.read().decode("utf-8-sig"))  # fails too, and says where in the whole file
        raise


class _Source:
    """A file as far as it was read; what was parsed of it is dropped."""

    def __init__(self, file: BinaryIO, chunk: int) -> None:
        self._read = file.read
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode  # editors of Windows put a mark before it
        self._chunk = chunk
        self._text = ""
        self._position = 0
        self._at_end = False
        self._length = 0

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        self._position = self._past(_SPACE).end()
        return self._text[self._position : self._position + 1]

    def step(self, over: re.Pattern[str], message: str) -> str:
        """Step over one of the signs that `over` names, with the white space about it, and return it."""
        match = self._past(over)
        if match[1] is None:
            self.refuse(message)
        self._position = match.end()
        return match[1]

    def value(self) -> Any:
        """The value that begins here."""
        size = self._chunk
        if len(self._text) - self._position < 2 * self._length and not self._at_end:
            self._more(size)  # one as long as the last may not be whole yet: not to be parsed in vain
        while True:
            try:
                found, end = _DECODER.raw_decode(self._text, self._position)
            except JSONDecodeError:
                if self._at_end:
                    raise
            else:
                if self._at_end or self._text[end : end + 1] in _ENDS:  # 1 may go on as 1.5, or as 12
                    self._length = end - self._position
                    self._position = end
                    return found
            self._more(size)
            size *= 2  # a value that is larger than what is read at once shall not be tried too often

    def refuse(self, message: str) -> NoReturn:
        """Say that something else was expected here."""
        raise JSONDecodeError(message, self._text, self._past(_SPACE).end())

    def _past(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """The match at this place; more is read where it might go on."""
        while True:
            match = pattern.match(self._text, self._position)
            assert match is not None, "every part of the patterns is optional"
            if match.end() < len(self._text) or self._at_end:
                return match
            self._more(self._chunk)

    def _more(self, size: int) -> None:
        data = self._read(size)
        self._at_end = not data
        self._text = self._text[self._position :] + self._decode(data, final=self._at_end)
        self._position = 0


def _document(source: _Source, key: str, take: Callable[[Any], Any]) -> Any:
    first = source.peek()
    if not first:
        raise EOFError("nothing but white space")
    found = _members(source, key, take) if first == "{" else source.value()
    if source.peek():
        source.refuse("Extra data")
    return found


def _members(source: _Source, key: str, take: Callable[[Any], Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    source.step(_OPENING, "")
    if source.peek() == "}":
        source.step(_AFTER_MEMBER, "")
        return found
    while True:
        if source.peek() != '"':
            source.refuse("Expecting property name enclosed in double quotes")
        name = source.value()
        source.step(_COLON, "Expecting ':' delimiter")
        found[name] = _elements(source, take) if name == key and source.peek() == "[" else source.value()
        if source.step(_AFTER_MEMBER, "Expecting ',' delimiter") == "}":
            return found


def _elements(source: _Source, take: Callable[[Any], Any]) -> list[Any]:
    found: list[Any] = []
    source.step(_OPENING, "")
    if source.peek() == "]":
        source.step(_AFTER_ELEMENT, "")
        return found
    while True:
        found.append(take(source.value()))
        if source.step(_AFTER_ELEMENT, "Expecting ',' delimiter") == "]":
            return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_ENDS = tuple(" \t\n\r,:]}")
"""what may follow a value"""
_DECODER = json.JSONDecoder(parse_constant=_no_constant)
_SPACE, _OPENING, _COLON, _AFTER_MEMBER, _AFTER_ELEMENT = (
    re.compile(rf"[ \t\n\r]*({signs})?[ \t\n\r]*") for signs in ("", r"[{\[]", ":", r"[,}]", r"[,\]]")
)

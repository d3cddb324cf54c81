"""Texts from a run as they may stand in a picture: one line, printable, short; and names that tell cases apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from unicodedata import east_asian_width

from energybench.model import Case

ELLIPSIS = "…"


def printable(text: str) -> str:
    """One line without control characters: white space becomes a space, what has no glyph the replacement character."""
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "\ufffd" for sign in text)


def columns(text: str) -> int:
    """How many letters wide a text is; a sign of East Asian scripts is as wide as two."""
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def brief(text: str, most: int = 30) -> str:
    """`text` in at most `most` columns: its middle is left out, since the ends of an id tell most."""
    line = printable(text)
    if columns(line) <= most:
        return line
    end = most // 3
    return f"{_cut(line, most - end - 1)}{ELLIPSIS}{_cut(line[::-1], end)[::-1]}"


def case_names(cases: Sequence[tuple[str, Case]], *, several: bool = False) -> list[str]:
    """A name for each (run, case): the part in brackets, with the function where two share that, with the run where
    `several`.
    """
    names = [case.short_id for _, case in cases]
    counts = Counter((run, name) for (run, _), name in zip(cases, names, strict=True))
    names = [
        f"{name} ({case.function.removeprefix('test_')})" if counts[run, name] > 1 and name != case.function else name
        for (run, case), name in zip(cases, names, strict=True)
    ]
    return [f"{name}, {run}" if several else name for (run, _), name in zip(cases, names, strict=True)]


def listed(names: Sequence[str], most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(brief(name, 40) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def counted(number: int, word: str) -> str:
    """`1 case`, `3 cases`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def _cut(text: str, most: int) -> str:
    taken, width = 0, 0
    for sign in text:
        width += columns(sign)
        if width > most:
            break
        taken += 1
    return text[:taken]

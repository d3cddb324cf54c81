"""What of the table of cases is shown: its columns, the order of its rows, and what groups them.

Names are those of `energybench.reports.case_columns`. `param:NAME` is a parameter of the cases, `metric:NAME` a number
that their rounds recorded.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from energybench.errors import UsageError

COLUMNS = (
    "case",
    "study",
    "model",
    "compressor",
    "kwh",
    "joules",
    "error",
    "spread",
    "accuracy",
    "epochs",
    "compression",
    "search",
    "seconds",
    "power",
    "per-epoch",
    "per-sample",
    "co2e",
    "cost",
    "rounds",
    "status",
    "provenance",
    "measured",
)
GROUPS = ("model", "compressor", "study", "none")
PARAM, METRIC = "param:", "metric:"
_DIRECTIONS = {"asc": False, "desc": True}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the table of cases is laid out."""

    columns: tuple[str, ...] = ()
    """none: as many as fit the width; those named here are all shown, whatever the width"""
    sort: tuple[tuple[str, bool], ...] = ()
    """(column, whether the largest comes first), the decisive one first; none: as measured"""
    group_by: str = ""
    """`model`, `compressor`, `study`, `param:NAME`, `none`; empty: by study and model, or not at all where sorted"""

    @property
    def params(self) -> tuple[str, ...]:
        """The parameters that it names."""
        named = (*self.columns, *(name for name, _ in self.sort), self.group_by)
        return tuple(dict.fromkeys(name.removeprefix(PARAM) for name in named if name.startswith(PARAM)))

    def check(self, params: Iterable[Mapping[str, Any]]) -> None:
        """Raises UsageError where it names a parameter that none of the cases has."""
        known = dict.fromkeys(name for each in params for name in each)
        for name in self.params:
            if name not in known:
                there = f"they have {', '.join(known)}" if known else "they have none"
                raise UsageError(f"no case has a parameter {name!r}: {there}")


AS_MEASURED = Layout()


def columns(text: str) -> tuple[str, ...]:
    """`case,kwh,param:lr` as names of columns. Raises UsageError for one that there is not."""
    return tuple(dict.fromkeys(_column(name) for name in _words(text, "columns", "kwh,accuracy")))


def sort(text: str) -> tuple[tuple[str, bool], ...]:
    """`model,kwh:desc` as columns, each with whether the largest comes first. Raises UsageError."""
    keys = []
    for word in _words(text, "columns to sort by", "kwh or kwh:desc"):
        name, colon, direction = word.rpartition(":")
        if colon and direction in _DIRECTIONS:
            keys.append((_column(name), _DIRECTIONS[direction]))
        else:
            keys.append((_column(word), False))
    return tuple(keys)


def group_by(text: str) -> str:
    """What groups the rows. Raises UsageError."""
    name = text.strip()
    if name in GROUPS or _is_prefixed(name, PARAM):
        return name
    raise UsageError(f"cases are grouped by {', '.join(GROUPS[:-1])}, {PARAM}NAME or {GROUPS[-1]}, not by {text!r}")


def _column(word: str) -> str:
    """The name of a column; `name` is another word for `case`."""
    name = "case" if word == "name" else word
    if name in COLUMNS or _is_prefixed(name, PARAM) or _is_prefixed(name, METRIC):
        return name
    close = difflib.get_close_matches(word, COLUMNS, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise UsageError(f"there is no column {word!r}{hint}; there are {', '.join(COLUMNS)}, {PARAM}NAME and {METRIC}NAME")


def _is_prefixed(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and len(name) > len(prefix)


def _words(text: str, what: str, example: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UsageError(f"expected names of {what}, such as {example}, not {text!r}")
    return words

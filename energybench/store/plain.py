"""Stored rounds that hold numbers alone, checked and read by the column.

Nearly all rounds of a large file look alike: the same keys, finite numbers under each. A set of types and a sum over
all values tell so in a tenth of the time that the rounds take as objects, for which most readers never ask.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from itertools import chain
from typing import Any

from energybench.model import Columns

_BY_NAME = ("joules", "error_j", "metrics", "conditions", "conditions_end")
_KEYS = frozenset(("seconds", "seed", "started", "session", "net_j", *_BY_NAME))
"""what a plain round may hold; with laps, marks, warnings, notes, iterations, a trace or unknown keys it is none"""
_NUMBERS = {float, int}  # not bool, of which the type is another


def plain_columns(records: Any) -> Columns | None:
    """The columns of the `rounds` of a record; None where they are not plain, or in any way not as they should be.

    None says nothing against them: `parsing` then takes them one by one, and finds the words where one is damaged.
    """
    if type(records) is not list or not records:
        return None
    try:
        return _columns(records)
    except (KeyError, TypeError, OverflowError):
        return None


def _columns(records: list[dict[str, Any]]) -> Columns | None:
    count = len(records)
    parts = _transposed(records)
    if parts is None or not parts.keys() <= _KEYS:
        return None
    seconds = parts["seconds"]
    seeds = parts.get("seed") or (0,) * count
    started, sessions = (parts.get(key) or ("",) * count for key in ("started", "session"))
    found = [_transposed(parts[key]) if key in parts else {} for key in _BY_NAME]
    known = [columns for columns in found if columns is not None]
    if len(known) < len(found) or "joules" not in parts:
        return None
    numbers = [*seconds, *chain.from_iterable(chain.from_iterable([columns.values() for columns in known]))]
    if not _are_finite(numbers) or min(seconds) < 0:
        return None
    if set(map(type, seeds)) != {int} or set(map(type, started)) != {str} or set(map(type, sessions)) != {str}:
        return None
    joules, error_j, metrics, at_start, at_end = known
    epochs = metrics.get("epochs") or ()
    return Columns(
        seconds,
        joules,
        error_j,
        metrics,
        tuple([float(e) if e >= 0 else None for e in epochs]) or (None,) * count,
        at_start,
        at_end,
        seeds,
        started,
        tuple(map(sys.intern, sessions)),
    )


def _transposed(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[Any, ...]] | None:
    """Key -> its value in each row; None where the rows have not the same keys in the same order.

    Raises TypeError where one is no object.
    """
    keys = list(map(list, rows))
    if keys.count(keys[0]) < len(keys):
        return None
    # The same few names in thousands of cases: one object of each.
    return dict(zip(map(sys.intern, keys[0]), zip(*map(dict.values, rows), strict=True), strict=True))


def _are_finite(values: list[Any]) -> bool:
    """Whether these are numbers, and no infinite one among them. Finite ones of a larger sum than a float holds are
    taken for such: rare enough to be looked at one by one.
    """
    return set(map(type, values)) <= _NUMBERS and math.isfinite(sum(values))

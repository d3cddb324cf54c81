"""Stored rounds that hold numbers alone, with laps that do, checked and read by the column.

Nearly all rounds of a file look alike: the same keys, finite numbers under each. A set of types and a sum over all
values tell so in a tenth of the time that the rounds take as objects, for which most readers never ask.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence, Set
from itertools import chain
from types import NoneType
from typing import Any, TypeVar

from energybench.model import Columns, LapColumns, LateRounds

_OF_A_WINDOW = frozenset(("seconds", "joules", "error_j", "label"))
_BY_NAME = ("error_j", "metrics", "conditions", "conditions_end")
_OF_A_ROUND = _OF_A_WINDOW.union(_BY_NAME, ("laps", "seed", "started", "session", "net_j"))
"""what a plain round may hold; with marks, warnings, iterations, a trace or unknown keys it is none"""
_NOTHING: dict[str, Any] = {}
_NUMBERS = {float, int}  # not bool, of which the type is another
T = TypeVar("T")
Named = dict[str, tuple[Any, ...]]


class _NotPlainError(Exception):
    """Something else than the keys and kinds of values that nearly all rounds have."""


def plain_rounds(records: Any) -> LateRounds | None:
    """The `rounds` of a record; None where they are not plain, or in any way not as they should be.

    None says nothing against them: `parsing` then takes them one by one, and finds the words where one is damaged.
    """
    if type(records) is not list or not records:
        return None
    try:
        return _rounds(records)
    except (KeyError, TypeError, OverflowError, _NotPlainError):
        return None


def _rounds(records: list[dict[str, Any]]) -> LateRounds:
    parts, count = _transposed(records, _OF_A_ROUND), len(records)
    seconds, joules = parts["seconds"], _transposed(parts["joules"])
    error_j, metrics, at_start, at_end = [_transposed(parts[key]) if key in parts else {} for key in _BY_NAME]
    _check_numbers(seconds, joules, error_j, metrics, known=(at_start, at_end))
    laps = _laps(_all(list, parts["laps"])) if "laps" in parts else None
    columns = Columns(
        seconds=seconds,
        joules=joules,
        error_j=error_j,
        metrics=metrics,
        epochs=_epochs(metrics.get("epochs") or (None,) * count, laps),
        conditions=at_start,
        conditions_end=at_end,
        seeds=_all(int, parts["seed"]) if "seed" in parts else (0,) * count,
        started=_all(str, parts["started"]) if "started" in parts else ("",) * count,
        sessions=_names(parts, "session", count),
        labels=_names(parts, "label", count),
    )
    return LateRounds(columns, laps)


def _laps(of_rounds: Sequence[list[dict[str, Any]]]) -> LapColumns | None:
    rows = list(chain.from_iterable(of_rounds))
    if not rows:
        return None
    # Epochs have notes and evaluations have none, which are the only keys in which laps of one round differ.
    bare = [{key: lap[key] for key in lap if key != "notes"} if "notes" in lap else lap for lap in rows]
    parts, count = _transposed(bare, _OF_A_WINDOW), len(rows)
    seconds, joules = parts["seconds"], _transposed(parts["joules"])
    error_j = _transposed(parts["error_j"]) if "error_j" in parts else {}
    _check_numbers(seconds, joules, error_j)
    return LapColumns(
        counts=tuple(map(len, of_rounds)),
        seconds=seconds,
        joules=joules,
        error_j=error_j,
        labels=_names(parts, "label", count),
        notes=_all(dict, tuple([lap.get("notes", _NOTHING) for lap in rows])),
    )


def _epochs(recorded: Sequence[float | None], laps: LapColumns | None) -> tuple[float | None, ...]:
    """As `Round.epochs` has them."""
    known = tuple([None if value is None or value < 0 else float(value) for value in recorded])
    if laps is None:
        return known
    marked = [labels.count("epoch") for labels in laps.by_round(laps.labels)]
    return tuple([float(count) if count else value for count, value in zip(marked, known, strict=True)])


def _transposed(rows: Sequence[dict[str, Any]], allowed: Set[str] | None = None) -> Named:
    """Key -> its value in each row, which all have the same keys in the same order, none but those `allowed`.

    Raises TypeError where one is no object.
    """
    keys = list(map(list, rows))
    if keys.count(keys[0]) < len(keys) or (allowed is not None and not allowed >= dict.keys(rows[0])):
        raise _NotPlainError
    # The same few names in thousands of cases: one object of each.
    return dict(zip(map(sys.intern, keys[0]), zip(*map(dict.values, rows), strict=True), strict=True))


def _check_numbers(seconds: Sequence[Any], *readings: Named, known: Sequence[Named] = ()) -> None:
    """Whether all are numbers, and no infinite one among them; readings may be absent.

    Finite ones of a larger sum than a float holds are taken for infinite: rare enough to be looked at one by one.
    """
    values = [*seconds, *_values(*readings, *known)]
    kinds = set(map(type, values))
    if NoneType in kinds and None not in seconds and None not in _values(*known):
        kinds.remove(NoneType)
        values = [value for value in values if value is not None]
    if not kinds <= _NUMBERS or not math.isfinite(sum(values)) or min(seconds) < 0:
        raise _NotPlainError


def _values(*named: Named) -> list[Any]:
    return list(chain.from_iterable(chain.from_iterable([columns.values() for columns in named])))


def _names(parts: Named, key: str, count: int) -> tuple[str, ...]:
    """One object of each name that thousands of rounds have; empty where they have none."""
    return tuple(map(sys.intern, _all(str, parts[key]))) if key in parts else ("",) * count


def _all(kind: type[T], values: tuple[Any, ...]) -> tuple[T, ...]:
    if set(map(type, values)) != {kind}:
        raise _NotPlainError
    return values

"""What a file says of its session: the top-level object `energybench`, checked before anybody reads from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from energybench.errors import StoreError
from energybench.store.record import SCHEMA

_TEXTS = ("status", "session", "version", "started", "carbon_source", "currency")
_LISTS_OF_TEXT = ("notes", "warnings")
_LISTS_OF_OBJECTS = ("diagnoses", "unmeasured", "canary", "projections")
_OBJECTS = ("rank", "trace", "idle_w", "gate", "looks")


def checked_session(value: Any) -> Mapping[str, Any]:
    """The session's object; empty where the file has none. Keys that this version does not know are left alone.

    Raises StoreError where it was written by a newer schema, or where a known key holds what does not belong there:
    a file that was edited by hand is refused here, and not by whoever stumbles over the value later.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _damaged(f"{_shown(value)} instead of an object")
    schema = value.get("schema", SCHEMA)
    if not _is_whole(schema) or schema < 1:
        raise _damaged(f"schema {_shown(schema)} instead of a whole number from 1 up")
    if schema > SCHEMA:
        raise StoreError(
            f"written by a newer energybench (schema {schema}, this one reads up to {SCHEMA}). Upgrade energybench to "
            f"read it."
        )
    for key, item in value.items():
        expected = _expected(key, item)
        if expected:
            raise _damaged(f"{key} {_shown(item)} instead of {expected}")
    lists = (*_LISTS_OF_TEXT, *_LISTS_OF_OBJECTS)
    return {key: item for key, item in value.items() if item is not None or key not in lists}


def _expected(key: str, item: Any) -> str:
    """What `key` should hold, in words; empty where it does. Absent is absent: null is allowed everywhere."""
    if item is None:
        return ""
    if key in _TEXTS and not isinstance(item, str):
        return "a text"
    if key in _LISTS_OF_TEXT and not _is_list_of(item, str):
        return "a list of texts"
    if key in _LISTS_OF_OBJECTS and not _is_list_of(item, dict):
        return "a list of objects"
    if key in _OBJECTS and not isinstance(item, dict):
        return "an object"
    if key == "canary" and not all(map(_is_look, item)):
        return "joules, seconds and calls as numbers"
    if key == "rank" and not _is_whole(item.get("rank", 0)):
        return "a rank with a whole number"
    if key == "pue" and not _is_number(item, 1.0):
        return "a number >= 1"
    if key in ("carbon_g_per_kwh", "price_per_kwh") and not _is_number(item, 0.0):
        return "a number >= 0"
    if key == "projections" and not all(map(_is_projection, item)):
        return "estimates with joules, low and high as numbers"
    return ""


def _is_look(look: Mapping[str, Any]) -> bool:
    """One reading of the canary: joules by domain, seconds and calls, and the same for its part on the GPU."""
    joules, gpu = look.get("joules"), look.get("gpu")
    counted = [look.get("seconds"), look.get("calls"), *(joules.values() if isinstance(joules, dict) else ())]
    return (
        isinstance(joules, (dict, type(None)))
        and all(number is None or _is_number(number, -math.inf) for number in counted)
        and (gpu is None or (isinstance(gpu, dict) and _is_look(gpu)))
    )


def _is_projection(entry: Mapping[str, Any]) -> bool:
    """A round that was ended early, with the estimate of its energy."""
    estimate, pue = entry.get("estimate"), entry.get("pue")
    if not isinstance(estimate, dict) or not isinstance(entry.get("case"), str):
        return False
    basis, warnings = estimate.get("basis"), estimate.get("warnings")
    ends = [estimate.get(end) for end in ("low", "high")]
    return (
        _is_number(estimate.get("joules"), 0.0)
        and all(end is None or _is_number(end, 0.0) for end in ends)
        and (pue is None or _is_number(pue, 1.0))
        and (basis is None or (isinstance(basis, dict) and _is_basis(basis)))
        and (warnings is None or isinstance(warnings, list))
    )


def _is_basis(basis: Mapping[str, Any]) -> bool:
    """What an estimate looked at, as far as it is shown."""
    interval = basis.get("epochs_interval")
    counts = [basis[name] for name in ("epochs", "epochs_seen", "confidence") if name in basis]
    return all(_is_number(count, 0.0) for count in counts) and (
        interval is None or (isinstance(interval, list) and len(interval) == 2)
    )


def _is_list_of(item: Any, kind: type) -> bool:
    return isinstance(item, list) and all(isinstance(part, kind) for part in item)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any, least: float) -> bool:
    try:
        return (isinstance(value, float) or _is_whole(value)) and math.isfinite(value) and value >= least
    except OverflowError:  # an integer beyond every float
        return False


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _damaged(what: str) -> StoreError:
    return StoreError(f"its top-level object 'energybench' is damaged ({what}). Restore the file or measure again.")

"""How large a change matters, case by case: what a marker says, what a file of margins says, and which of them counts.

The file is TOML with one table; where a number stands alone, it is the margin of energy:

    [margins]
    "resnet18-*" = 0.1
    "benches/test_epoch.py::test_epoch[vgg16-*]" = {energy = 0.08, accuracy = 0.01}

A pattern is held against the whole id of a case and against its part in brackets. Only `*` and `?` are wild: brackets
stand for themselves, as ids have them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energybench.errors import UsageError
from energybench.model import Case

if TYPE_CHECKING:
    from energybench.analysis.report import CompareOptions

METRICS = ("energy", "accuracy", "seconds", "epochs", "power")
"""What may have a margin: accuracy as a share (0.01 = 1 point), the others relative (0.1 = 10 %)."""


def margin_for(case: Case, metric: str, options: CompareOptions) -> float:
    """The margin of `metric` for this case: its own, else the first fitting pattern's that names it, else the default.

    A share for accuracy (0.005 = half a point), relative for the rest (0.05 = 5 %). `case.margins` comes from the
    case's marker, which knows the case better than a pattern does.
    """
    own = case.margins.get(metric)
    if own is not None:
        return own
    for pattern, margins in options.margins.items():
        if metric in margins and fits(pattern, case.id):
            return margins[metric]
    return options.accuracy_margin if metric == "accuracy" else options.margin


def read_margins(path: Path | str) -> Mapping[str, Mapping[str, float]]:
    """Pattern -> metric -> margin, in the order of the file: the first that fits counts.

    Raises UsageError for a file that cannot be read or is not TOML, without a table `margins` or with anything else,
    for an unknown metric, and for a margin that is no number between 0 and 1.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"the margins {path} cannot be read: {reason}.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the margins {path} are not TOML: {error}.") from None
    table = data.get("margins")
    if not isinstance(table, dict) or len(data) > 1:
        others = ", ".join(sorted(data.keys() - {"margins"}))
        has = f"it has {others}" if others else "it has none" if table is None else "`margins` is none"
        raise UsageError(f'the margins {path} hold one table, [margins], with lines such as "resnet18-*" = 0.1; {has}.')
    try:
        return {pattern: as_margins(value, repr(pattern)) for pattern, value in table.items()}
    except UsageError as error:
        raise UsageError(f"the margins {path}: {error}") from None


def as_margins(value: Any, what: str) -> dict[str, float]:
    """`0.1` (energy) or `{"energy": 0.1, "accuracy": 0.01}` as metric -> margin; `what` begins the complaint.

    Raises UsageError for an unknown metric, an empty table, and a margin that is no number between 0 and 1.
    """
    table = value if isinstance(value, Mapping) else {"energy": value}
    if not table:
        raise UsageError(f"{what} names no metric: give a number (energy), or some of {', '.join(METRICS)}")
    for metric, margin in table.items():
        if metric not in METRICS:
            raise UsageError(f"{what} gives a margin to {metric!r}, which is no metric: choose of {', '.join(METRICS)}")
        if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin < 1:
            of = f" of {metric}" if isinstance(value, Mapping) else ""
            raise UsageError(f"{what}: the margin{of} is a number between 0 and 1 (0.05 = 5 %), not {margin!r}")
    return {str(metric): float(margin) for metric, margin in table.items()}


def without_case(patterns: Iterable[str], ids: Iterable[str]) -> tuple[str, ...]:
    """The patterns that fit none of the case ids: misspelt, or for cases that are gone."""
    known = tuple(ids)
    return tuple(pattern for pattern in patterns if not any(fits(pattern, id) for id in known))


def fits(pattern: str, id: str) -> bool:
    """Whether the pattern fits the case's whole id or its part in brackets."""
    literal = pattern.replace("[", "[[]")
    return fnmatchcase(id, literal) or fnmatchcase(Case(id).short_id, literal)

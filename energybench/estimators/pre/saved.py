"""A fitted predictor as a JSON file: what it learned from, where that came from, its coefficients and its errors.

A file is never executed: it holds numbers, and reading it fits again from its observations, which takes milliseconds.
The coefficients are there for readers in other languages, and to notice a file that was edited or fitted by another
version: they must come out again. Boosted trees have no such form; they are only fitted again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from energybench.errors import UsageError
from energybench.estimators.pre.check import ErrorRow
from energybench.estimators.pre.crossing import Crossed, cross
from energybench.estimators.pre.observation import FEATURES, Observation
from energybench.estimators.pre.regression import METHODS

KIND = "energybench PRE"
SCHEMA = 1
_AGREE = 1e-6
"""relative difference of two coefficients that are the same"""


@dataclass(frozen=True, slots=True)
class Used:
    """A run that was learned from."""

    file: str
    sha256: str
    created: str
    cases: int
    """of its cases, those that taught something"""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a file says."""

    crossed: Crossed
    runs: tuple[Used, ...]
    left_out: Mapping[str, int]
    """reason -> cases that taught nothing"""
    errors: tuple[ErrorRow, ...]
    """with whole models and devices left out, when it was fitted"""
    versions: Mapping[str, str]
    created: str
    """ISO 8601 with offset"""


def used(path: Path, created: str, cases: int) -> Used:
    """A run's file with its hash."""
    return Used(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), created, cases)


def to_text(saved: Saved) -> str:
    """Strict JSON."""
    predictor = saved.crossed.predictor
    document = {
        "kind": KIND,
        "schema": SCHEMA,
        "method": predictor.method,
        "created": saved.created,
        "versions": dict(saved.versions),
        "runs": [asdict(run) for run in saved.runs],
        "left_out": dict(saved.left_out),
        "errors": [asdict(row) for row in saved.errors],
        "fitted": predictor.as_record(),
        "observations": [_record(each) for each in saved.crossed.observations],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def from_text(text: str, source: str) -> Saved:
    """Read what `to_text` wrote.

    Raises UsageError where it is no such file, is damaged, comes from a newer version, or where its coefficients do not
    follow from its observations.
    """
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("kind") != KIND:
            raise UsageError(f"{source} is no fitted predictor: `energybench estimate fit -o FILE` writes one")
        if document["schema"] > SCHEMA:
            raise UsageError(
                f"{source} was written by a newer energybench (schema {document['schema']}); upgrade to read it"
            )
        method = document["method"]
        if method not in METHODS:
            raise ValueError(f"method {method!r}")
        observations = tuple(_observation(record) for record in document["observations"])
        saved = Saved(
            crossed=cross(observations, method),
            runs=tuple(_of(Used, record) for record in document["runs"]),
            left_out={str(reason): int(count) for reason, count in document["left_out"].items()},
            errors=tuple(_of(ErrorRow, record) for record in document["errors"]),
            versions={str(name): str(version) for name, version in document["versions"].items()},
            created=str(document["created"]),
        )
        fitted = document["fitted"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{source} is damaged ({what}); fit it again") from error
    if not _agree(fitted, saved.crossed.predictor.as_record()):
        raise UsageError(
            f"the coefficients in {source} do not follow from the observations in it: it was edited, or the version "
            f"that wrote it ({saved.versions.get('energybench', 'unknown')}) fits in another way. Fit it again"
        )
    return saved


def _record(each: Observation) -> dict[str, Any]:
    return {key: value for key, value in asdict(each).items() if value is not None}


def _observation(record: Mapping[str, Any]) -> Observation:
    features = {str(name): _positive(value, name) for name, value in record["features"].items()}
    unknown = features.keys() - FEATURES.keys()
    if unknown:
        raise ValueError(f"unknown feature {min(unknown)!r}")
    return Observation(
        model=str(record["model"]),
        device=str(record["device"]),
        features=features,
        images=_positive(record["images"], "images"),
        epoch_s=_positive(record["epoch_s"], "epoch_s"),
        epoch_j=_positive(record["epoch_j"], "epoch_j"),
        meters=str(record["meters"]),
        source=str(record["source"]),
        cases=int(record["cases"]),
    )


def _of(kind: type[Any], record: Mapping[str, Any]) -> Any:
    names = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in record.items() if name in names})


def _positive(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"{name} {value!r} instead of a positive number")
    return float(value)


def _agree(one: Any, other: Any) -> bool:
    """Whether two records are the same but for rounding."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_agree(one[key], other[key]) for key in one)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=_AGREE, abs_tol=_AGREE)
    if isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str):
        return len(one) == len(other) and all(_agree(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)

"""What was asked of one case: `@pytest.mark.energybench(...)` between the ini file and the command line.

A command-line option beats a marker, since `pytest benches/test_epoch.py --energy-rounds 5` must mean what it says; a
marker beats the ini file, since it knows its own case better than the project's default does.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from energybench.errors import UsageError
from energybench.harness.options import EnergyOptions

MARKER = "@pytest.mark.energybench"
KEYWORDS = ("rounds", "warmup", "seeds", "iterations", "max_kwh", "max_j_per_sample", "min_accuracy", "margin")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a case may cost and must reach, whatever any baseline did; None: no such limit."""

    max_kwh: float | None = None
    """mean IT energy of a round"""
    max_j_per_sample: float | None = None
    """IT joules for each image, sample or token that the rounds recorded"""
    min_accuracy: float | None = None
    """mean accuracy of the rounds, a share"""


@dataclass(frozen=True, slots=True)
class CaseOptions:
    """How one case is measured: rounds and warm-up rounds, the seed of each round, calls a round, budget, margins."""

    rounds: int
    warmup: int
    seeds: tuple[int, ...]
    """of the rounds; with looks, of those of the last look"""
    iterations: int | Literal["auto"] = 1
    """calls of the target inside each metered round; `auto`: as many as make 20 counter ticks"""
    budget: Budget = field(default_factory=Budget)
    margins: Mapping[str, float] = field(default_factory=dict)
    """metric -> the change that matters for this case"""
    looks: tuple[int, ...] = ()
    """numbers of rounds after which the gate looks at the case; empty where it has its own number of rounds"""

    def seed(self, index: int) -> int:
        """Seed of round `index`; warm-up rounds (negative index) use the first round's."""
        return self.seeds[max(0, index)]


def case_options(options: EnergyOptions, marker: Mapping[str, Any] | None, command_line: frozenset[str]) -> CaseOptions:
    """The case's own options: the marker's where the command line is silent, else the session's.

    `command_line` holds the names that were given on the command line (they beat the marker; the ini file does not).
    Raises UsageError for an unknown keyword, a bad value, or seeds that do not fit the rounds.
    """
    given = dict(marker or {})
    for name in given:
        if name not in KEYWORDS:
            close = difflib.get_close_matches(name, KEYWORDS, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"{MARKER} has no keyword {name!r} (known: {', '.join(sorted(KEYWORDS))}){hint}")

    def chosen(name: str) -> Any:
        session = getattr(options, name, None)
        return session if name in command_line or name not in given else given[name]

    rounds, warmup, seeds = (
        _whole(chosen("rounds"), "rounds", 1),
        _whole(chosen("warmup"), "warmup", 0),
        chosen("seeds"),
    )
    iterations = chosen("iterations")
    if iterations is not None and iterations != "auto" and (type(iterations) is not int or iterations < 1):
        raise UsageError(f'{MARKER}(iterations=...) is a whole number of at least 1 or "auto", not {iterations!r}')
    if seeds is not None:
        listed = isinstance(seeds, list | tuple | range)
        if not listed or not seeds or not all(isinstance(seed, int) for seed in seeds):
            raise UsageError(f"{MARKER}(seeds=...) is a list of whole numbers, not {seeds!r}")
        seeds = tuple(seeds)
    looks = _looks(options, given, command_line)
    if "seeds" in command_line and "rounds" not in command_line:
        rounds = len(seeds)
    most = looks[-1] if looks else rounds or (len(seeds) if seeds else 1)
    if seeds is not None and most > len(seeds):
        last = " at the last look" if looks else ""
        raise UsageError(f"{most} rounds{last} but {len(seeds)} seeds: give one seed per round")
    return CaseOptions(
        rounds=looks[0] if looks else most,
        warmup=warmup or 0,
        seeds=seeds[:most] if seeds else tuple(range(most)),
        iterations=iterations or 1,
        budget=_budget(given),
        margins=_margins(given),
        looks=looks,
    )


def _looks(options: EnergyOptions, given: Mapping[str, Any], command_line: frozenset[str]) -> tuple[int, ...]:
    """The looks where the case takes part in them; a number of rounds that is nearer to the case stands above them."""
    own = bool({"rounds", "seeds"}.intersection(command_line) or {"rounds", "seeds"}.intersection(given))
    return () if options.looks is None or (own and "looks" not in command_line) else options.looks


def _whole(value: Any, name: str, least: int) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise UsageError(f"{MARKER}({name}=...) is a whole number of at least {least}, not {value!r}")
    return value


def _budget(given: Mapping[str, Any]) -> Budget:
    limits = {name: given.get(name) for name in ("max_kwh", "max_j_per_sample", "min_accuracy")}
    units = {"max_kwh": "kWh", "max_j_per_sample": "joules"}
    for name, unit in units.items():
        value = limits[name]
        if value is not None and not (_is_number(value) and 0 < value < math.inf):
            raise UsageError(f"{MARKER}({name}=...) is a number of {unit} above 0, not {value!r}")
    least = limits["min_accuracy"]
    if least is not None and not (_is_number(least) and 0 < least <= 1):
        raise UsageError(f"{MARKER}(min_accuracy=...) is a share above 0 and at most 1, not {least!r}")
    return Budget(**limits)


def _margins(given: Mapping[str, Any]) -> Mapping[str, float]:
    if given.get("margin") is None:
        return {}
    from energybench.analysis.margins import as_margins

    return as_margins(given["margin"], f"{MARKER}(margin=...)")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)

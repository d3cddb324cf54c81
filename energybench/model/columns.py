"""The rounds of a case by quantity: what means, tests and tables ask for."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeVar, overload

from energybench.model.round import Round
from energybench.model.window import Mark, Window

Column = tuple[float | None, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Columns:
    """One sequence per quantity, in the order of the rounds; None where a round has no value."""

    seconds: tuple[float, ...] = ()
    joules: Mapping[str, Column] = field(default_factory=dict)
    """by domain"""
    error_j: Mapping[str, Column] = field(default_factory=dict)
    """by domain: random error in joules (one standard deviation)"""
    metrics: Mapping[str, Column] = field(default_factory=dict)
    """by the name under which the case recorded it"""
    epochs: Column = ()
    conditions: Mapping[str, Column] = field(default_factory=dict)
    """by name, at the start of each round"""
    conditions_end: Mapping[str, Column] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    started: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """of the rounds' windows"""
    sessions: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    """of all rounds, each once"""

    @classmethod
    def of(cls, rounds: Sequence[Round]) -> Columns:
        """The columns of `rounds`."""
        return cls(
            seconds=tuple([round.window.seconds for round in rounds]),
            joules=_by_name([round.window.joules for round in rounds]),
            error_j=_by_name([round.window.error_j for round in rounds]),
            metrics=_by_name([round.metrics for round in rounds]),
            epochs=tuple([round.epochs for round in rounds]),
            conditions=_by_name([round.conditions for round in rounds]),
            conditions_end=_by_name([round.conditions_end for round in rounds]),
            seeds=tuple([round.seed for round in rounds]),
            started=tuple([round.started for round in rounds]),
            labels=tuple([round.window.label for round in rounds]),
            sessions=tuple([round.session for round in rounds]),
            marks=tuple(dict.fromkeys([mark for round in rounds for mark in round.window.marks])),
        )

    def metric(self, name: str) -> Column:
        """What each round recorded under `name`."""
        return self.metrics.get(name) or self._absent

    def total_j(self, names: Iterable[str]) -> Column:
        """Joules of each round over the domains `names`; None where one of them is absent (see `Window.total_j`)."""
        total: Column | None = None
        for name in names:
            column = self.joules.get(name) or self._absent
            total = column if total is None else _sum(total, column)
        return self._absent if total is None else total

    @property
    def _absent(self) -> Column:
        return (None,) * len(self.seconds)


@dataclass(frozen=True, slots=True)
class LapColumns:
    """The laps of all rounds of a case, one after the other, by quantity."""

    counts: tuple[int, ...]
    """laps of each round"""
    seconds: tuple[float, ...]
    joules: Mapping[str, Column]
    error_j: Mapping[str, Column]
    labels: tuple[str, ...]
    notes: tuple[Mapping[str, Any], ...]

    def by_round(self, values: Sequence[T]) -> list[Sequence[T]]:
        """`values`, of which each lap has one, parted by the rounds."""
        ends = [*accumulate(self.counts)]
        return [values[end - count : end] for end, count in zip(ends, self.counts, strict=True)]

    def windows(self) -> list[tuple[Window, ...]]:
        """The laps of each round."""
        every = [
            Window(seconds, _at(self.joules, index), _at(self.error_j, index), label=label, notes=notes)
            for index, (seconds, label, notes) in enumerate(zip(self.seconds, self.labels, self.notes, strict=True))
        ]
        return [tuple(laps) for laps in self.by_round(every)]


class LateRounds(Sequence[Round]):
    """Rounds of which the columns are known, made into objects when one is first asked for.

    Only for rounds of which the columns say all: neither they nor their laps have marks, warnings or a trace, and each
    is one call. A comparison of thousands of stored cases asks for columns alone. It equals the tuple of the same
    rounds.
    """

    __slots__ = ("_laps", "_made", "columns")

    def __init__(self, columns: Columns, laps: LapColumns | None = None) -> None:
        self.columns = columns
        self._laps = laps
        self._made: tuple[Round, ...] | None = None

    @overload
    def __getitem__(self, index: int) -> Round: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Round, ...]: ...

    def __getitem__(self, index: int | slice) -> Round | tuple[Round, ...]:
        return self._rounds[index]

    def __iter__(self) -> Iterator[Round]:
        return iter(self._rounds)

    def __len__(self) -> int:
        return len(self.columns.seconds)

    def __eq__(self, other: object) -> bool:
        return self._rounds == tuple(other) if isinstance(other, (tuple, LateRounds)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a tuple of rounds, which hold mappings

    def __repr__(self) -> str:
        return repr(self._rounds)

    @property
    def _rounds(self) -> tuple[Round, ...]:
        if self._made is None:
            laps = [()] * len(self) if self._laps is None else self._laps.windows()
            self._made = tuple([self._round(*each) for each in enumerate(laps)])
        return self._made

    def _round(self, index: int, laps: tuple[Window, ...]) -> Round:
        own = self.columns
        return Round(
            Window(own.seconds[index], _at(own.joules, index), _at(own.error_j, index), laps, own.labels[index]),
            _at(own.metrics, index),
            own.seeds[index],
            own.started[index],
            _at(own.conditions, index),
            _at(own.conditions_end, index),
            session=own.sessions[index],
        )


def _by_name(rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    names = dict.fromkeys([name for row in rows for name in row])
    return {name: tuple([row.get(name) for row in rows]) for name in names}


def _at(columns: Mapping[str, Column], index: int) -> dict[str, Any]:
    return {name: column[index] for name, column in columns.items()}


def _sum(a: Column, b: Column) -> Column:
    if None in a or None in b:
        return tuple([None if x is None or y is None else x + y for x, y in zip(a, b, strict=True)])
    return tuple(map(operator.add, a, b))

"""One benchmark case while it is being measured; `Measured.frozen` turns it into the value that the rest works on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest

from energybench.errors import UsageError
from energybench.harness.marker import CaseOptions
from energybench.harness.plan import Plan, plan_of
from energybench.model import Case, Domain, Round, Status, Window

if TYPE_CHECKING:
    from energybench.harness.projecting import Projected

WARMUP = -1
"""index of a warm-up round"""


@dataclass
class Measured:
    """The mutable record of one case in this session; nothing else in the harness changes over time."""

    item: pytest.Item
    options: CaseOptions
    position: int
    """1-based position among the session's cases"""
    rounds: dict[int, Round] = field(default_factory=dict)
    warmups: list[Round] = field(default_factory=list)
    cold: int = 0
    """of them, those of an interrupted session: they are kept, and this process is warmed up all the same"""
    passes: int = 0
    """passes of this session that have begun"""
    apart: dict[str, list[Window]] = field(default_factory=lambda: {"search": [], "pretraining": []})
    """all windows apart of this session: what it spent"""
    last_apart: dict[str, tuple[int, list[Window]]] = field(default_factory=dict)
    """those of the last pass that had any, with that pass: a search is paid once, however many rounds repeat it"""
    earlier_apart: dict[str, tuple[Window, ...]] = field(default_factory=dict)
    """the same from an interrupted session; counts only where this session did not have to do it again"""
    inputs: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    status: Status = Status.OK
    adopted: bool = False
    """earlier rounds have been looked for"""
    properties: tuple[tuple[str, object], ...] = ()
    """the item's user properties as it was collected"""
    reused: int = 0
    measured: int = 0
    """rounds and warm-ups measured in this session"""
    announced: bool = False
    """pytest was told that the case has started"""
    measured_this_pass: bool = False
    body_runs: bool = False
    """the test's own body is running, which the end of a round may end"""
    restarted: bool = False
    """this pass ended before its round: it was prepared with another seed than the round that is due"""
    replayed: bool = False
    """all rounds are finished and were handed to pytest-benchmark"""
    call_seconds: float = 0.0
    passed: bool = False
    ended: bool = False
    look: int = 0
    """looks at the gate that are over, where the case takes part in them"""
    held: list[pytest.TestReport] | None = None
    """the reports of its last pass, until the gate has looked at it"""
    record: dict[str, Any] | None = None
    """what was handed to pytest-benchmark, changed when the case's status is known"""
    plan: Plan | None = None
    """what the test of this pass said of its length, with energy.plan(...)"""
    projected: Projected | None = None
    """the round that its projection ended, and the case with it"""

    @property
    def id(self) -> str:
        """Node id, which is pytest-benchmark's fullname."""
        return self.item.nodeid

    @property
    def planned(self) -> Plan | None:
        """What the test said of its length, else what its workload declares."""
        return self.plan if self.plan is not None else plan_of(self.inputs)

    @property
    def round_done(self) -> bool:
        """Whether this pass ended with a finished round while more are due: the item runs again, silently."""
        return (self.measured_this_pass or self.restarted) and not self.replayed and bool(self.due())

    @property
    def resting(self) -> bool:
        """Whether nothing of it is to run now: it is over, or waits for the gate's look."""
        return self.ended or self.held is not None

    @property
    def has_further_look(self) -> bool:
        """Whether its rounds are complete for this look, and may not be all."""
        return self.replayed and self.look + 1 < len(self.options.looks)

    def go_on(self) -> None:
        """Take part in the next look: the finished pass does not count, its rounds do."""
        self.held, self.record, self.replayed = None, None, False
        self.look += 1
        self.options = self._for_look(self.options)

    def choose(self, options: CaseOptions) -> None:
        """Take other options (energy.pedantic names its own), at the look that the case has reached."""
        self.options = self._for_look(options)

    def catch_up(self) -> None:
        """After rounds were taken over from an interrupted sweep: be at the look that they belong to."""
        while self.rounds and self.look + 1 < len(self.options.looks) and max(self.rounds) >= self.options.rounds:
            self.look += 1
            self.options = self._for_look(self.options)

    def _for_look(self, options: CaseOptions) -> CaseOptions:
        return replace(options, rounds=options.looks[self.look]) if options.looks else options

    @property
    def params(self) -> dict[str, Any]:
        """The case's parameters, objects by their type's name (a repr with an address differs in every run)."""
        callspec = getattr(self.item, "callspec", None)
        return {name: _plain(value) for name, value in (callspec.params if callspec else {}).items()}

    def due(self) -> list[int]:
        """Indices of the rounds that are still to be measured, warm-ups first; empty when the case is complete."""
        missing = [index for index in range(self.options.rounds) if index not in self.rounds]
        if not missing:
            return []
        return [WARMUP] * max(0, self.options.warmup - (len(self.warmups) - self.cold)) + missing

    @property
    def workload(self) -> str:
        """Hash of the declared inputs; of the parameters where nothing was declared."""
        return workload_hash(self.inputs or self.params)

    def take_apart(self, kind: str, window: Window) -> None:
        """Take a window that was metered outside the rounds."""
        self.apart[kind].append(window)
        number, windows = self.last_apart.get(kind, (self.passes, []))
        self.last_apart[kind] = (self.passes, [*windows, window] if number == self.passes else [window])

    def _paid(self, kind: str) -> tuple[Window, ...]:
        _, windows = self.last_apart.get(kind, (0, []))
        return tuple(windows) or self.earlier_apart.get(kind, ())

    def ordered(self) -> tuple[Round, ...]:
        """The finished rounds by index."""
        return tuple(self.rounds[index] for index in sorted(self.rounds))

    def frozen(
        self,
        domains: Sequence[Domain],
        comparability: Mapping[str, Any],
        pue: float,
        idle_w: Mapping[str, float | None],
    ) -> Case:
        """The case as a value, with what is known by now."""
        return Case(
            id=self.id,
            rounds=self.ordered(),
            warmups=tuple(self.warmups),
            search=self._paid("search"),
            pretraining=self._paid("pretraining"),
            domains=tuple(domains),
            params=self.params,
            facts={**self.facts, **({"workload": dict(self.inputs)} if self.inputs else {})},
            workload=self.workload,
            comparability=dict(comparability),
            status=self.status,
            warnings=tuple(dict.fromkeys(self.warnings)),
            pue=pue,
            idle_w=dict(idle_w),
            margins=dict(self.options.margins),
        )


def workload_hash(inputs: Mapping[str, Any]) -> str:
    """16 hex digits over the declared inputs as canonical JSON. Raises UsageError where one is not JSON."""
    try:
        text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"a declared input of the workload is not plain JSON ({error}): declare names and numbers"
        ) from None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts` as strict JSON values: tensors' and numpy's scalars become numbers, NaN and infinities null.

    Paths, dtypes and members of an Enum become their text, sets sorted lists, other objects their type's name.
    """
    return {str(name): _plain(value) for name, value in facts.items()}


def plain_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The same of declared inputs, which must differ wherever the work does: an object's type would not say that.

    Raises UsageError for an object that has no such text.
    """
    for name, value in inputs.items():
        odd = next(_objects(value), None)
        if odd is not None:
            raise UsageError(
                f"energy.workload({name}=...) holds a {type(odd).__qualname__}, which is not plain JSON: another one "
                "could not be told from it. Declare names and numbers"
            )
    return plain_facts(inputs)


def _objects(value: Any) -> Iterator[Any]:
    """What `_plain` can only name by its type."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _objects(inner)
    elif not (_is_plain(value) or _is_scalar(value) or _text(value) or isinstance(value, type) or callable(value)):
        yield value


def plain_metrics(metrics: Mapping[str, Any]) -> tuple[dict[str, float | None], list[str]]:
    """Recorded metrics as finite floats, None where one is not finite, and a warning for each such.

    Raises UsageError for a value that is no number.
    """
    numbers: dict[str, float | None] = {}
    warnings: list[str] = []
    for name, value in metrics.items():
        try:
            if isinstance(value, str | bytes):
                raise TypeError(value)
            number = float(value)
        except (TypeError, ValueError):
            raise UsageError(
                f"energy.record({name}=...) takes a number, not {type(value).__name__}; whatever else is worth knowing "
                f"goes to energy.facts({name}=...)"
            ) from None
        if math.isfinite(number):
            numbers[name] = number
        else:
            numbers[name] = None
            warnings.append(f"{name} was recorded as {number}: stored as absent")
    return numbers, warnings


def _plain(value: Any) -> Any:
    if _is_plain(value):
        return value if not isinstance(value, float) or math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, set | frozenset):  # in an order that does not depend on the process
        return sorted((_plain(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True))
    if _is_scalar(value):
        return _plain(value.item())
    text = _text(value)
    if text is not None:
        return text
    if isinstance(value, type) or callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return type(value).__qualname__


def _is_plain(value: Any) -> bool:
    return (value is None or isinstance(value, bool | int | float | str)) and not isinstance(value, Enum)


def _is_scalar(value: Any) -> bool:
    """A tensor without dimensions, or one of numpy's scalars."""
    return callable(getattr(value, "item", None)) and getattr(value, "shape", None) == ()


def _text(value: Any) -> str | None:
    """Of a value that a text stands for; None of others."""
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, PurePath):
        return str(value)
    # torch's own names, which torch need not be imported for.
    is_name = type(value).__module__ == "torch" and type(value).__name__ in ("dtype", "device", "layout")
    return str(value) if is_name else None

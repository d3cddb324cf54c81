"""Predictions held against what was measured, each by a predictor that never saw that model, or that device.

    rows = check(runs)
    table = errors(rows)

`check` leaves out every model, and every device where there are three, predicts each of its cases, and makes the
interval from the folds among the rest, so that neither the middle nor the interval has seen what it is judged by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from energybench.errors import UsageError
from energybench.estimators import formulas
from energybench.estimators.pre.crossing import GROUPS, LEVEL, MINIMUM_GROUPS, Crossed, cross
from energybench.estimators.pre.observation import Observation, merged, observe
from energybench.estimators.pre.predictor import QUANTITIES
from energybench.model import Run


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One quantity of one case beside its prediction."""

    source: str
    """run and case"""
    quantity: str
    """`power_w`, `epoch_s` or `epoch_j`: W, s, J"""
    left_out: str
    """what was left out: `model` or `device`"""
    group: str
    """which one"""
    measured: float
    predicted: float
    interval: tuple[float, float] | None
    """None where the rest has too few configurations for its level"""
    formulas: Mapping[str, float] = field(default_factory=dict)
    """of energy: what each calculator says with the true seconds, in joules"""

    @property
    def error(self) -> float:
        """Absolute error as a share of what was measured."""
        return abs(self.predicted - self.measured) / self.measured

    @property
    def covered(self) -> bool | None:
        """Whether the interval holds what was measured; None where there is no interval."""
        return None if self.interval is None else self.interval[0] <= self.measured <= self.interval[1]


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """What a method's errors came to over the cases."""

    method: str
    """`PRE`, or a calculator's name"""
    quantity: str
    left_out: str
    """empty for a calculator, which learns nothing"""
    cases: int
    mean_error: float
    """mean absolute percentage error (MAPE), as a share"""
    median_error: float
    coverage: float | None = None
    """share of the cases that lie in their interval; None where none has one"""


def check(runs: Iterable[Run], method: str = "ridge", level: float = LEVEL) -> tuple[CheckRow, ...]:
    """A row per quantity and case of the runs. Cases of several meters are judged each among its own.

    Raises UsageError where no part of the runs has enough models for one to be left out.
    """
    seen = observe(runs)
    rows: list[CheckRow] = []
    for meters in dict.fromkeys(each.meters for each in seen.taken):
        rows += check_observations([each for each in seen.taken if each.meters == meters], method, level)
    if not rows:
        models = len({each.model for each in seen.taken})
        raise UsageError(
            f"the runs hold {models} {'model' if models == 1 else 'models'} whose epochs were metered; leaving one out "
            f"needs {MINIMUM_GROUPS} at least"
        )
    return tuple(rows)


def check_observations(
    observations: Sequence[Observation],
    method: str = "ridge",
    level: float = LEVEL,
    follow: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> tuple[CheckRow, ...]:
    """The same on observations of one kind of meter; none where there are too few groups.

    What is left out is taken through `follow`, by which a command shows how far it has come.
    """
    rows: list[CheckRow] = []
    for by in GROUPS:
        groups = dict.fromkeys(getattr(each, by) for each in observations)
        if len(groups) < MINIMUM_GROUPS:
            continue
        for group in follow(list(groups)):
            rest = merged(each for each in observations if getattr(each, by) != group)
            try:
                crossed = cross(rest, method)
            except UsageError:
                return ()
            for each in observations:
                if getattr(each, by) == group:
                    rows += [_row(crossed, each, quantity, by, level) for quantity in QUANTITIES]
    return tuple(rows)


def errors(rows: Iterable[CheckRow]) -> tuple[ErrorRow, ...]:
    """A line per quantity and what was left out, then one per calculator, on the cases it can answer."""
    given = tuple(rows)
    found: list[ErrorRow] = []
    for by in GROUPS:
        for quantity in QUANTITIES:
            of = [row for row in given if row.left_out == by and row.quantity == quantity]
            if of:
                held = [row.covered for row in of if row.covered is not None]
                off = [row.error for row in of]
                coverage = sum(held) / len(held) if held else None
                found.append(ErrorRow("PRE", quantity, by, len(of), sum(off) / len(off), median(off), coverage))
    once = {row.source: row for row in given if row.formulas}
    for name in formulas.NAMES:
        off = [abs(row.formulas[name] - row.measured) / row.measured for row in once.values() if name in row.formulas]
        if off:
            found.append(ErrorRow(name, "epoch_j", "", len(off), sum(off) / len(off), median(off)))
    return tuple(found)


def _row(crossed: Crossed, each: Observation, quantity: str, by: str, level: float) -> CheckRow:
    predictor = crossed.predictor
    beside = formulas.beside(each.features.get("device_w"), each.epoch_s, each.utilisation, each.memory_gb)
    return CheckRow(
        source=each.source,
        quantity=quantity,
        left_out=by,
        group=getattr(each, by),
        measured=getattr(each, quantity),
        predicted=predictor.predict(quantity, each),
        interval=crossed.interval(quantity, each, by, level),
        formulas={one.name: one.joules for one in beside if one.joules is not None} if quantity == "epoch_j" else {},
    )

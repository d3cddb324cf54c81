"""Model x environment: does the machine decide which model is cheap? After del Rey et al., arXiv 2307.05520.

Joules of two machines are never compared. With several runs every value is ln J less the run's own mean over the cells
that all runs share, and an environment is a setting on one machine, so that its cells hold that machine's rounds alone.
In the analysis of variance the runs are blocks, which takes out the same: what is left of the environments is how
settings differ within a machine, and the interaction is which models a setting, or a machine, favours.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from energybench.analysis.anova import Anova, Observation, two_way
from energybench.analysis.interactions_cells import Cell, cells_of, described
from energybench.analysis.interactions_choice import Choice, choices
from energybench.analysis.interactions_ranks import RankCorrelation, rank_correlations
from energybench.analysis.interactions_runs import (
    MEASURE,
    doubts,
    protocol_of,
    refuse_other_work,
    refuse_two_kinds,
)
from energybench.analysis.labels import labels
from energybench.errors import UsageError
from energybench.model import Run

PAPER_ETA = 0.914
"""partial eta squared of the interaction of architecture and training environment, as del Rey et al. state it"""
PAPER_SAVING = 0.8068
"""their largest saving by the right combination"""
PAPER_LOSS = 0.02
"""the F1 that it costs at most, as a share"""


@dataclass(frozen=True, slots=True)
class Interactions:
    """The table and all that is made of it."""

    runs: Mapping[str, Run]
    protocol: str
    models: tuple[str, ...]
    environments: tuple[str, ...]
    cells: tuple[Cell, ...]
    machines: Mapping[str, str]
    """letter -> the machine in words"""
    baselines: Mapping[str, float]
    """run -> mean ln J over the cells that all runs share: the run's own baseline"""
    shared: int
    """cells that all runs share"""
    missing: tuple[tuple[str, str], ...]
    """(model, environment) without a cell"""
    anova: Anova
    ranks: tuple[RankCorrelation, ...]
    loss: float
    """share of accuracy or macro F1 that a choice may cost"""
    choices: tuple[Choice, ...]
    notes: tuple[str, ...] = ()

    def found(self, model: str, environment: str) -> tuple[Cell, ...]:
        """The cells of one place of the table, one of each run that has it."""
        return tuple(cell for cell in self.cells if (cell.model, cell.environment) == (model, environment))

    def effect(self, model: str, environment: str) -> float | None:
        """Energy of an epoch over the run's own baseline, by the geometric mean of the rounds; None where missing."""
        rounds = [
            math.log(epoch.joules) - self.baselines[cell.run]
            for cell in self.found(model, environment)
            for epoch in cell.epochs
        ]
        return math.exp(math.fsum(rounds) / len(rounds)) if rounds else None


def interactions(runs: Sequence[Run], *, loss: float = PAPER_LOSS) -> Interactions:
    """The table of one or several runs.

    Raises UsageError for a run given twice or without cells, for joules of two kinds, for one model or one environment,
    and for runs that share no cell or declare different work for the same one.
    """
    names = labels(runs)
    named = dict(zip(names, runs, strict=True))
    protocol = protocol_of(named)
    notes: list[str] = []
    every: list[Cell] = []
    for label, run in named.items():
        cells, said = cells_of(run, label, protocol)
        notes += [f"{label}: {text}" if len(named) > 1 else text for text in said]
        if not cells:
            raise UsageError(f"{label} has no epoch with joules in its {protocol} cases. {MEASURE}.")
        every += cells
    refuse_two_kinds(every)
    refuse_other_work(every)
    machines = _machines(every)
    letters = {cell.machine: letter for letter, cell in machines.items()}
    several = len(machines) > 1
    every = [
        replace(cell, environment=f"{cell.setting} @{letters[cell.machine]}" if several else cell.setting)
        for cell in every
    ]
    models, environments = (
        tuple(dict.fromkeys(getattr(cell, key) for cell in every)) for key in ("model", "environment")
    )
    if len(models) < 2 or len(environments) < 2:
        what, there = ("model", models) if len(models) < 2 else ("environment", environments)
        raise UsageError(
            f"There is only one {what}, {there[0]}: an interaction needs two models and two environments. {MEASURE}."
        )
    shared = _shared(every, names)
    baselines = {
        label: _mean([cell.log_joules for cell in every if cell.run == label and (cell.model, cell.setting) in shared])
        for label in names
    }
    places = {(cell.model, cell.environment) for cell in every}
    values = [
        Observation(cell.model, cell.environment, math.log(epoch.joules), cell.run)
        for cell in every
        for epoch in cell.epochs
    ]
    return Interactions(
        runs=named,
        protocol=protocol,
        models=models,
        environments=environments,
        cells=tuple(every),
        machines=described(machines),
        baselines=baselines,
        shared=len(shared),
        missing=tuple((m, e) for m in models for e in environments if (m, e) not in places),
        anova=two_way(values),
        ranks=rank_correlations(every),
        loss=loss,
        choices=choices(every, loss),
        notes=(*notes, *doubts(named, every)),
    )


def _machines(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Letter -> a cell of that machine, in the order in which they come."""
    first = {cell.machine: cell for cell in reversed(cells)}
    order = list(dict.fromkeys(cell.machine for cell in cells))
    return {_letter(number): first[machine] for number, machine in enumerate(order)}


def _letter(number: int) -> str:
    letters = string.ascii_uppercase
    return letters[number] if number < len(letters) else f"{letters[number % len(letters)]}{number // len(letters)}"


def _shared(cells: Sequence[Cell], names: Sequence[str]) -> set[tuple[str, str]]:
    """(model, setting) that every run has."""
    of = {label: {(cell.model, cell.setting) for cell in cells if cell.run == label} for label in names}
    shared = set.intersection(*of.values())
    if not shared:
        said = "; ".join(
            f"{label} has {', '.join(dict.fromkeys(cell.setting for cell in cells if cell.run == label))}"
            for label in names
        )
        raise UsageError(
            f"The runs share no cell (model and setting), so there is nothing to hold each against: {said}. "
            "Measure one setting, such as cpu-b32-t1-fp32, on every machine."
        )
    return shared


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

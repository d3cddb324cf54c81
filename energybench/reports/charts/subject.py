"""What charts are made of: runs, and what was read or computed of them beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from energybench.analysis.report import Report
from energybench.analysis.study import Study, is_study_case, study_table
from energybench.analysis.trend import Trend
from energybench.model import Case, Estimate, Run

SHARES = (0.2, 0.4, 0.8)
"""of the epochs that have ended, after which STEP is asked"""


@dataclass(frozen=True, slots=True)
class Training:
    """The epochs of one round, and what STEP makes of them."""

    run: str
    case: str
    """full id"""
    number: int
    """of the round; 1 is the first"""
    seconds: tuple[float, ...]
    """of each epoch"""
    joules: tuple[float, ...]
    """of each epoch, IT joules of the in-total domains"""
    window: tuple[int, int] | None = None
    """the stable epochs: index of the first, index behind the last; None where STEP finds none"""
    found: str = ""
    """how the window was found, or why there is none"""
    projections: Mapping[float, Estimate] = field(default_factory=dict)
    """share of the epochs that had ended -> the projection of their whole energy made then"""

    @property
    def total_j(self) -> float:
        """Of all epochs, as metered."""
        return sum(self.joules)


@dataclass(frozen=True, slots=True)
class Traced:
    """Power over time of one round, from its trace."""

    run: str
    case: str
    """full id"""
    number: int
    """of the round; 1 is the first"""
    points: tuple[tuple[float, float], ...]
    """(seconds since the round began, watts of the in-total domains)"""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the charts of one report are about. `energybench.commands.subject` fills it from the store."""

    runs: tuple[Run, ...]
    """those that are shown, in the order given"""
    comparison: Report | None = None
    """a baseline and the last of the runs"""
    trends: tuple[Trend, ...] = ()
    """energy of the runs' cases through the store's history"""
    trainings: tuple[Training, ...] = ()
    traced: tuple[Traced, ...] = ()
    pue: float | None = None
    """for all kWh; None: the runs' own, or 1 where these differ"""
    _derived: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """made once for all charts"""

    @property
    def cases(self) -> tuple[tuple[str, Case], ...]:
        """(name of the run, case) of every run."""
        return tuple((run.name, case) for run in self.runs for case in run.cases)

    @property
    def several(self) -> bool:
        """Whether there are several runs, so that a case's name needs its run's."""
        return len(self.runs) > 1

    @property
    def study(self) -> Study:
        """The study's rows of the runs that hold study cases; none where no run does."""
        found: Study | None = self._derived.get("study")
        if found is None:
            holding = [run for run in self.runs if any(map(is_study_case, run.cases))]
            found = study_table(holding) if holding else Study({}, ())
            self._derived["study"] = found
        return found

    @property
    def factor(self) -> float:
        """The PUE by which every case's joules are multiplied where a chart shows kWh."""
        if self.pue is not None:
            return self.pue
        own = {case.pue for _, case in self.cases}
        return own.pop() if len(own) == 1 else 1.0

    @property
    def pue_note(self) -> tuple[str, ...]:
        """What a reader must know of the PUE; empty where it is 1 and the runs say no other."""
        if self.pue is None and len({case.pue for _, case in self.cases}) > 1:
            return ("The runs have different PUEs: energy is shown at PUE 1.",)
        return () if self.factor == 1 else (f"Energy includes the data centre: PUE {self.factor:g}.",)

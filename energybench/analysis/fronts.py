"""Which cases of a model give the most accuracy for their energy, in the baseline and in the candidate.

A case is on the front where no other case of its group is as cheap and as accurate and better in one of the two. By the
means of both, so that two cases within one another's noise may change places: the verdicts say what is certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple

from energybench.analysis.pareto import front
from energybench.analysis.report import COMPARED, Report
from energybench.model import Case, Status


@dataclass(frozen=True, slots=True)
class FrontChange:
    """The front of one group of cases that both runs have."""

    group: str
    """test function and model: `finetune vgg16`"""
    baseline: tuple[str, ...]
    """ids of the cases on it, the cheapest first"""
    candidate: tuple[str, ...]

    @property
    def joined(self) -> tuple[str, ...]:
        """On the candidate's front only."""
        return tuple(id for id in self.candidate if id not in self.baseline)

    @property
    def left(self) -> tuple[str, ...]:
        """On the baseline's front only."""
        return tuple(id for id in self.baseline if id not in self.candidate)


def front_changes(report: Report) -> tuple[FrontChange, ...]:
    """The fronts of every group in which the energy of at least two cases was compared, and both runs have an accuracy.

    Cases that only one run has are left out: a front that they alone moved is no change of the code.
    """
    groups: dict[str, list[tuple[_Placed, _Placed]]] = {}
    for pair in report.pairs:
        energy = report.of(pair.case, "energy")
        if energy is None or energy.verdict not in COMPARED or pair.baseline is None or pair.candidate is None:
            continue
        old, new = _placed(pair.baseline), _placed(pair.candidate)
        if old is not None and new is not None:
            groups.setdefault(_group(pair.candidate), []).append((old, new))
    return tuple(
        FrontChange(group, _on_front(old for old, _ in both), _on_front(new for _, new in both))
        for group, both in groups.items()
        if len(both) > 1
    )


class _Placed(NamedTuple):
    """A case by its means, as cases on a front are sorted."""

    joules: float
    id: str
    accuracy: float
    offers: bool
    """False of a case that ended below its accuracy tolerance: it offers nothing, however little it took"""


def _placed(case: Case) -> _Placed | None:
    joules, accuracy = case.mean_verdict_j, case.mean_metric("accuracy")
    if joules is None or accuracy is None:
        return None
    return _Placed(joules, case.id, accuracy, case.status is not Status.FAILED_ACCURACY)


def _on_front(cases: Iterable[_Placed]) -> tuple[str, ...]:
    """Their ids, the cheapest first."""
    offered = [case for case in cases if case.offers]
    on = front([(case.joules, case.accuracy) for case in offered])
    return tuple([case.id for case in sorted(compress(offered, on))])


def _group(case: Case) -> str:
    declared = case.facts.get("workload")
    sources = [case.params, declared if isinstance(declared, Mapping) else {}]
    model = next((str(s[key]) for s in sources for key in ("model", "model_name") if s.get(key)), "")
    return f"{case.function.removeprefix('test_')} {model}".strip()

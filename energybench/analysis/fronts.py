"""Which cases of a model give the most accuracy for their energy, in the baseline and in the candidate.

A case is on the front where no other case of its group is as cheap and as accurate and better in one of the two. By the
means of both, so that two cases within one another's noise may change places: the verdicts say what is certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
    groups: dict[str, list[tuple[Case, Case]]] = {}
    for pair in report.pairs:
        energy = report.of(pair.case, "energy")
        if energy is None or energy.verdict not in COMPARED:
            continue
        if pair.baseline is not None and pair.candidate is not None and _is_placed(pair.baseline, pair.candidate):
            groups.setdefault(_group(pair.candidate), []).append((pair.baseline, pair.candidate))
    return tuple(
        FrontChange(group, _on_front(old for old, _ in both), _on_front(new for _, new in both))
        for group, both in groups.items()
        if len(both) > 1
    )


def _is_placed(*cases: Case) -> bool:
    return all(None not in _place(case) for case in cases)


def _place(case: Case) -> tuple[float | None, float | None]:
    return case.mean_verdict_j, case.mean_metric("accuracy")


def _on_front(cases: Iterable[Case]) -> tuple[str, ...]:
    """A case that ended below its accuracy tolerance offers nothing, however little it took."""
    offered = [case for case in cases if case.status is not Status.FAILED_ACCURACY]
    places = [_place(case) for case in offered]
    found = [(place, case.id) for place, case, on in zip(places, offered, front(places), strict=True) if on]
    return tuple(id for _, id in sorted(found, key=lambda item: (item[0][0] or 0.0, item[1])))


def _group(case: Case) -> str:
    declared = case.facts.get("workload")
    sources = [case.params, declared if isinstance(declared, Mapping) else {}]
    model = next((str(s[key]) for s in sources for key in ("model", "model_name") if s.get(key)), "")
    return f"{case.function.removeprefix('test_')} {model}".strip()

"""Cases by model and compressor: which panel a case is drawn in, and its colour and mark, the same in every chart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from energybench.analysis.row import workload
from energybench.analysis.stats import sample_variance, t_quantile
from energybench.analysis.study import CAPACITY, CONTROLS, INFERENCE
from energybench.model import Case, Provenance
from energybench.reports.charts.chart import Cell, Field
from energybench.reports.charts.frame import Key
from energybench.reports.charts.names import case_names, counted
from energybench.reports.charts.palette import INK, NEUTRAL, SERIES
from energybench.reports.charts.subject import Subject
from energybench.units import JOULES_PER_KWH, Scale

PANELS = 9
MOST_SERIES = 16
"""names of series that still get colours and marks of their own"""
MARKERS = "os^Dv<>p"
_NOT_TRAINED = (*CONTROLS, CAPACITY, INFERENCE)


@dataclass(frozen=True, slots=True)
class Placed:
    """A case with what it is drawn as."""

    run: str
    case: Case
    name: str
    """unique among the subject's cases"""
    model: str
    """the panel; the test function where no model is named"""
    compressor: str
    """the series; empty where no compressor is named"""


@dataclass(frozen=True, slots=True)
class Panel:
    """Cases that are drawn in one pair of axes."""

    title: str
    cases: tuple[Placed, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Of a series."""

    colour: str
    marker: str


def placed(subject: Subject) -> tuple[Placed, ...]:
    """Every case of the subject, in stored order."""
    found: tuple[Placed, ...] | None = subject._derived.get("placed")
    if found is None:
        cases = subject.cases
        names = case_names(cases, several=subject.several)
        found = tuple(
            Placed(run, case, name, _declared(case, "model") or case.function, _declared(case, "compressor"))
            for (run, case), name in zip(cases, names, strict=True)
        )
        subject._derived["placed"] = found
    return found


def trained(subject: Subject) -> tuple[Placed, ...]:
    """Without the controls, inferences and capacities of the study, which are no alternatives to a training."""
    return tuple(one for one in placed(subject) if workload(one.case).get("protocol") not in _NOT_TRAINED)


def panels(cases: Sequence[Placed], *, several: bool = False) -> tuple[tuple[Panel, ...], int]:
    """A panel per model (and run), and how many cases are left out: the panels of most energy are drawn."""
    groups: dict[str, list[Placed]] = {}
    for one in cases:
        groups.setdefault(f"{one.model}, {one.run}" if several else one.model, []).append(one)
    largest = sorted(groups, key=lambda name: -max(one.case.mean_j or 0.0 for one in groups[name]))[:PANELS]
    made = tuple(Panel(name, tuple(group)) for name, group in groups.items() if name in set(largest))
    return made, len(cases) - sum(len(panel.cases) for panel in made)


def looks(subject: Subject) -> dict[str, Look]:
    """Compressor -> its look; `none` is ink. Beyond MOST_SERIES names all look alike, and no legend can tell them."""
    names = list(dict.fromkeys(one.compressor for one in placed(subject)))
    others = [name for name in names if name not in ("none", "")]
    if len(others) > MOST_SERIES:
        return dict.fromkeys(names, Look(SERIES[0], "o"))
    found = {
        name: Look(SERIES[i % len(SERIES)], MARKERS[(i + i // len(SERIES)) % len(MARKERS)])
        for i, name in enumerate(others)
    }
    return {**found, "none": Look(INK, "o"), "": Look(SERIES[0], "o")}


def keys(looks: dict[str, Look], names: Iterable[str], *, line: str = "") -> list[Key]:
    """The legend's entries of the compressors that are drawn; none where all look alike."""
    shown = [name for name in dict.fromkeys(names) if name]
    if len(shown) < 2 or len({looks[name] for name in shown}) < len(shown):
        return []
    return [Key(name, looks[name].colour, looks[name].marker, line=line) for name in shown]


def left_to_table(number: int, word: str = "case") -> tuple[str, ...]:
    """The note on what is not drawn; empty of nothing."""
    return (f"{counted(number, f'more {word}')} in the table only.",) if number > 0 else ()


def cut_note(ends: Iterable[float], low: float, high: float) -> tuple[str, ...]:
    """Said where a bar ends outside of `low` to `high`, where the axis does."""
    return ("Bars that reach beyond the axis are cut.",) if any(not low <= end <= high for end in ends) else ()


def provenance_note(cases: Iterable[Case]) -> tuple[str, ...]:
    """Said where joules are not a counter's or a sensor's."""
    every = list(cases)
    found = {case.provenance for case in every}
    if Provenance.ESTIMATED in found:
        least = min((share for case in every if (share := case.measured_share) is not None), default=0.0)
        if not any(case.measured_share for case in every):
            return ("Energy is estimated from utilisation, not measured.",)
        return (f"Part of the energy is estimated from utilisation: up to {100 * (1 - least):.0f} % of a case's.",)
    return ("The joules are replayed, not measured.",) if Provenance.REPLAYED in found else ()


def known(values: Iterable[float | None]) -> list[float]:
    """Those that are there and finite."""
    return [value for value in values if value is not None and math.isfinite(value)]


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """(mean, low, high): the 95 % interval of the mean of two values or more, by Student's t."""
    middle = math.fsum(values) / len(values)
    reach = t_quantile(0.025, len(values) - 1) * math.sqrt(sample_variance(values) / len(values))
    return middle, middle - reach, middle + reach


def kwh_field(name: str, title: str, scale: Scale, digits: int = 3) -> Field:
    """A column of kWh that a reader sees on `scale`."""
    return Field(name, f"{title}, {scale.unit}", JOULES_PER_KWH / scale.factor, digits)


def with_run(subject: Subject, run: str, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """A row of numbers, led by the run where there are several."""
    return (run, *cells) if subject.several else tuple(cells)


def run_field(subject: Subject) -> tuple[Field, ...]:
    """The column for `with_run`."""
    return (Field("run", "run"),) if subject.several else ()


def muted(status_ok: bool, colour: str) -> str:
    """The colour of a case that counts, else grey."""
    return colour if status_ok else NEUTRAL


def _declared(case: Case, key: str) -> str:
    value = workload(case).get(key, case.params.get(key))
    return "" if value is None else str(value)

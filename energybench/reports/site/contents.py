"""What stands on the pages of a site, as values that the templates only lay out. Text is text; escaping is theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from energybench.analysis.trend import Segment, Strand, Trend
from energybench.model import Run
from energybench.reports.case_columns import total_j
from energybench.reports.page.contents import Drawn, Table, anchor
from energybench.reports.page.headline import provenance
from energybench.reports.text import branch
from energybench.store import RunEntry
from energybench.units import energy, percent, significant, watt_hours

_TITLES = {"energy": "IT energy", "accuracy": "accuracy", "seconds": "seconds"}
Href = Callable[[str], str]
"""run name -> the link to its page, empty where it has none"""


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in the index."""

    name: str
    href: str
    """empty where the file cannot be read"""
    stored: str
    commit: str
    branch: str
    status: str
    cases: str
    energy: str
    provenance: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A level of a case: since when, how high, and how it changed."""

    metric: str
    since: str
    href: str
    stored: str
    commit: str
    runs: int
    level: str
    change: str
    interval: str
    p: str
    provenance: str = ""
    """of joules; empty for what is none"""
    tone: str = ""
    """`good` or `bad` of a change, or nothing"""


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A case in the index."""

    id: str
    short_id: str
    href: str
    runs: int
    steps: int
    newest: Level | None
    """the level of its energy now; None without a reading"""


@dataclass(frozen=True, slots=True)
class MachineIndex:
    """What one machine measured: newest run first."""

    name: str
    anchor: str
    runs: tuple[RunLine, ...]
    cases: tuple[CaseLine, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """The first page."""

    machines: tuple[MachineIndex, ...]
    made: str


@dataclass(frozen=True, slots=True)
class CasePage:
    """The page of one case on one machine."""

    id: str
    short_id: str
    machine: str
    levels: tuple[Level, ...]
    notes: tuple[str, ...]
    drawn: Drawn | None
    """the trend of its energy; None where there are not two runs to draw"""
    table: Table | None
    made: str


def machine_index(
    machine: str, entries: Sequence[RunEntry], cases: Sequence[CaseLine], href: Href, number: int
) -> MachineIndex:
    """`entries` are all files of the machine's folder, read, the newest first."""
    lines = tuple(_run_line(entry, href) for entry in entries)
    return MachineIndex(machine or "(no machine folder)", f"machine-{number}-{anchor(machine)}", lines, tuple(cases))


def case_line(trend: Trend, href: str, run_href: Href) -> CaseLine:
    """A case with its energy's newest level."""
    runs = sum(len(strand.points) for strand in trend.strands)
    line = CaseLine(trend.case, trend.short_id, href, runs, trend.steps, None)
    if not trend.strands:
        return line
    # Strands stand in the order in which they began; the one that was measured last need not be the last to begin.
    newest = max(trend.strands, key=lambda strand: _number(strand.points[-1].run))
    segment = newest.segments[-1]
    is_break = newest is not trend.strands[0] and len(newest.segments) == 1
    return replace(line, newest=_level(trend.metric, segment, newest, run_href, is_break=is_break))


def case_page(machine: str, trends: Mapping[str, Trend], run_href: Href, drawn: Drawn | None, made: str) -> CasePage:
    """The page of a case, of whose metrics `trends` has one each; `drawn` is its energy's."""
    first = trends["energy"]
    levels = tuple(level for trend in trends.values() for level in _levels(trend, run_href))
    return CasePage(
        id=first.case,
        short_id=first.short_id,
        machine=machine,
        levels=levels,
        notes=tuple(note for trend in trends.values() for note in _notes(trend)),
        drawn=drawn,
        table=None if drawn is None else drawn.table,
        made=made,
    )


def _run_line(entry: RunEntry, href: Href) -> RunLine:
    run = entry.run
    if run is None:
        return RunLine(entry.name, "", "-", "-", "-", "unreadable", "-", "-", "-", entry.error)
    commit = str(run.commit.get("id") or "")[:10]
    return RunLine(
        name=entry.name,
        href=href(entry.name),
        stored=run.created[:16].replace("T", " ") or "-",
        commit=f"{commit}{'+' if run.commit.get('dirty') else ''}" or "-",
        branch=branch(run) or "-",
        status=entry.status or "-",
        cases=str(len(run.cases)),
        energy=_energy(run),
        provenance=provenance(run.cases),
    )


def _energy(run: Run) -> str:
    """Of all rounds with the cases' PUE; of the cases that were read, which is said."""
    joules = [total_j(case, (round.window for round in case.rounds)) for case in run.cases]
    known = [value * case.pue for value, case in zip(joules, run.cases, strict=True) if value is not None]
    if not known:
        return "-"
    return watt_hours(sum(known)) + ("" if len(known) == len(joules) else f" ({len(known)} of {len(joules)} cases)")


def _levels(trend: Trend, href: Href) -> tuple[Level, ...]:
    return tuple(
        _level(trend.metric, segment, strand, href, is_break=bool(number) and place == 0)
        for number, strand in enumerate(trend.strands)
        for place, segment in enumerate(strand.segments)
    )


def _number(run: str) -> tuple[int, str]:
    """Sorts runs of one folder as they were stored: numbers only count up, while a clock may be set back."""
    number = run.partition("_")[0]
    return (int(number) if number.isascii() and number.isdigit() else 0), run


def _level(metric: str, segment: Segment, strand: Strand, href: Href, *, is_break: bool) -> Level:
    since = segment.points[0]
    change, interval, tone = "not comparable" if is_break else "-", "-", ""
    if segment.change is not None:
        change = _difference(metric, segment.change)
        worse = segment.change > 0 if metric != "accuracy" else segment.change < 0
        tone = "bad" if worse else "good"
    if segment.interval is not None:
        interval = " .. ".join(_difference(metric, end) for end in segment.interval)
    return Level(
        metric=_TITLES[metric],
        since=since.run,
        href=href(since.run),
        stored=since.created[:10] or "-",
        commit=since.commit[:10] or "-",
        runs=len(segment.points),
        level=_value(metric, segment.level),
        change=change,
        interval=interval,
        p="-" if segment.p is None else "<0.0001" if segment.p < 0.0001 else f"{segment.p:.4f}",
        provenance="" if strand.provenance is None else strand.provenance.value,
        tone=tone,
    )


def _value(metric: str, value: float) -> str:
    if metric == "accuracy":
        return f"{100 * value:.2f} %"
    return energy(value) if metric == "energy" else f"{significant(value, 4)} s"


def _difference(metric: str, change: float) -> str:
    return f"{100 * change:+.2f} points" if metric == "accuracy" else percent(change)


def _notes(trend: Trend) -> list[str]:
    title = _TITLES[trend.metric]
    notes = [
        f"{title}: {strand.points[0].run} does not continue what was measured before it; they differ in "
        f"{', '.join(strand.why)}."
        for strand in trend.strands[1:]
    ]
    if trend.left_out:
        notes.append(f"{title}: left out: {', '.join(trend.left_out)}.")
    return notes

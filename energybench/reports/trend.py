"""Trends as a table of levels with a line of blocks per case, and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from energybench.analysis.changepoints import LEVEL
from energybench.analysis.trend import Point, Segment, Strand, Trend
from energybench.model import Provenance
from energybench.reports.table import Column, render
from energybench.units import Scale, energy_scale, percent, time_scale

SCHEMA = 1
_BLOCKS = "▁▂▃▄▅▆▇█"
_POINTS = 60
"""blocks of a line: the newest"""
_NAMED = 8
_TITLES = {
    "energy": "IT energy, geometric mean of the rounds",
    "accuracy": "Accuracy, mean of the rounds",
    "seconds": "Seconds, geometric mean of the rounds",
}
_UNITS = {"energy": "J", "accuracy": "share", "seconds": "s"}


def trend_text(trends: Sequence[Trend], metric: str, *, runs: Sequence[str], width: int = 80) -> str:
    """A row per level, a line of blocks per case, breaks, what was left out. `runs`: those looked at, oldest first."""
    span = runs[0] if len(runs) == 1 else f"{len(runs)} runs that ended ok, {runs[0]} to {runs[-1]}"
    names = _names(trends)
    parts = [f"{_TITLES[metric]}: {span}", _levels(trends, metric, names, width)]
    parts.append("\n".join(_lines(trends, metric, names)))
    parts.append("\n".join([*_breaks(trends, names), *_left_out(trends, names)]))
    return "\n\n".join(part for part in [*parts, _summary(trends)] if part)


def trend_json(trends: Sequence[Trend], metric: str, *, machine: str) -> str:
    """Strict JSON: cases, their strands, their segments with level, change, interval and p, their points.

    `unit` is that of levels and points; `change` is relative, for accuracy a difference of shares; `noise` likewise.
    """
    document = {
        "schema": SCHEMA,
        "metric": metric,
        "unit": _UNITS[metric],
        "machine": machine,
        "p_level": LEVEL,
        "cases": [
            {
                "case": one.case,
                "steps": one.steps,
                "strands": [_strand_record(strand) for strand in one.strands],
                "left_out": list(one.left_out),
            }
            for one in trends
        ],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def sparkline(values: Sequence[float]) -> str:
    """A block per value, from the least to the greatest; values that are all equal lie in the middle."""
    least, most = min(values), max(values)
    if most <= least:
        return _BLOCKS[3] * len(values)
    return "".join(_BLOCKS[min(7, int(8 * (value - least) / (most - least)))] for value in values)


def _names(trends: Sequence[Trend]) -> dict[str, str]:
    """Case id -> its name in a row: the part in brackets; with the function, or all of the id, where two share that."""
    names = {one.case: one.short_id for one in trends}
    for longer in (_with_function, lambda one: one.case):
        counts = Counter(names.values())
        names |= {one.case: longer(one) for one in trends if counts[names[one.case]] > 1}
    return names


def _with_function(trend: Trend) -> str:
    return f"{trend.short_id} ({trend.case.partition('[')[0].rpartition('::')[2]})"


def _levels(trends: Sequence[Trend], metric: str, names: dict[str, str], width: int) -> str:
    rows = [
        (one, strand, segment, number)
        for one in trends
        for number, strand in enumerate(one.strands)
        for segment in strand.segments
    ]
    if not rows:
        return ""
    scale = _scale(metric, [segment.level for _, _, segment, _ in rows])
    first = [segment.points[0] for _, _, segment, _ in rows]
    columns = [
        Column("case", tuple(names[one.case] for one, _, _, _ in rows), left=True),
        Column("since", tuple(point.run for point in first), left=True),
        Column("stored", tuple(point.created[:10] or "-" for point in first), drop=4, left=True),
        Column("commit", tuple(_short(point.commit) for point in first), drop=3, left=True),
        Column("runs", tuple(str(len(segment.points)) for _, _, segment, _ in rows), drop=2),
        Column(scale.unit, tuple(scale.text(segment.level, 4) for _, _, segment, _ in rows)),
        Column("change", tuple(_change(metric, strand, segment, number) for _, strand, segment, number in rows)),
        Column("95 % interval", tuple(_interval(metric, segment) for _, _, segment, _ in rows), drop=1),
        Column("p", tuple(_p(segment) for _, _, segment, _ in rows), drop=5),
        *_provenance(rows),
    ]
    groups = [one.case for one, _, _, _ in rows]
    return render(columns, width, groups if len(set(groups)) < len(groups) else ())


def _provenance(rows: Sequence[tuple[Trend, Strand, Segment, int]]) -> list[Column]:
    """Shown where the joules are not a counter's or a sensor's."""
    said = tuple(str(strand.provenance or "-") for _, strand, _, _ in rows)
    plain = {"-", Provenance.MEASURED.value, Provenance.INTEGRATED.value}
    return [] if plain.issuperset(said) else [Column("energy", said, left=True)]


def _scale(metric: str, values: Sequence[float]) -> Scale:
    if metric == "accuracy":
        return Scale("acc %", 0.01)
    return energy_scale(values) if metric == "energy" else time_scale(values)


def _change(metric: str, strand: Strand, segment: Segment, number: int) -> str:
    if segment is strand.segments[0]:
        return "break" if number else "-"
    return f"{100 * segment.change:+.2f} points" if metric == "accuracy" and segment.change else percent(segment.change)


def _interval(metric: str, segment: Segment) -> str:
    if segment.interval is None:
        return "-"
    low, high = segment.interval
    return (
        f"{100 * low:+.2f} .. {100 * high:+.2f}" if metric == "accuracy" else f"{100 * low:+.1f} .. {100 * high:+.1f}"
    )


def _p(segment: Segment) -> str:
    if segment.p is None:
        return "-"
    return "<0.0001" if segment.p < 0.0001 else f"{segment.p:.4f}"


def _short(commit: str) -> str:
    """Seven digits, and the plus of a tree with uncommitted changes."""
    return f"{commit[:7]}{'+' if commit.endswith('+') else ''}" or "-"


def _lines(trends: Sequence[Trend], metric: str, names: dict[str, str]) -> list[str]:
    """A line of blocks per case: all its values on one scale, breaks between strands as bars."""
    shown = [(one, values) for one in trends if len(values := [p.value for s in one.strands for p in s.points]) > 1]
    widest = max((len(names[one.case]) for one, _ in shown), default=0)
    lines = []
    for one, values in shown:
        blocks = iter(sparkline(values))
        drawn = "|".join("".join(next(blocks) for _ in strand.points) for strand in one.strands)
        scale = _scale(metric, values)
        ends = f"{scale.text(min(values), 4)} .. {scale.text(max(values), 4)} {scale.unit.removeprefix('acc ')}"
        noise = f"{100 * one.strands[-1].noise:.2g} {'points' if metric == 'accuracy' else '%'}"
        quiet = f", {noise} from run to run" if len(one.strands[-1].points) > 1 else ""
        lines.append(f"{names[one.case].ljust(widest)}  {drawn[-_POINTS:]}  {ends}{quiet}")
    return lines


def _breaks(trends: Sequence[Trend], names: dict[str, str]) -> Iterator[str]:
    """Why a series ends: once for all the cases of a run that differ alike."""
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in trends:
        for strand in one.strands[1:]:
            alike.setdefault((strand.points[0].run, strand.why), []).append(names[one.case])
    for (run, why), cases in alike.items():
        more = f" and {len(cases) - _NAMED} more" if len(cases) > _NAMED else ""
        yield (
            f"{', '.join(cases[:_NAMED])}{more}: {run} does not continue what was measured before it; they differ in "
            f"{', '.join(why)}."
        )


def _left_out(trends: Sequence[Trend], names: dict[str, str]) -> Iterator[str]:
    for one in trends:
        if one.left_out:
            more = f" and {len(one.left_out) - _NAMED} more" if len(one.left_out) > _NAMED else ""
            yield f"{names[one.case]}: left out: {', '.join(one.left_out[:_NAMED])}{more}."


def _summary(trends: Sequence[Trend]) -> str:
    steps = sum(one.steps for one in trends)
    cases = f"{len(trends)} case{'' if len(trends) == 1 else 's'}"
    longest = max((len(strand.points) for one in trends for strand in one.strands), default=0)
    if longest < 4:
        return f"{cases}: too few runs for a step, which takes two runs on either side."
    found = f"{steps} change{'' if steps == 1 else 's'} of level" if steps else "No change of level"
    return f"{found} in {cases} (p, corrected for the places searched, at most {LEVEL:g})."


def _strand_record(strand: Strand) -> dict[str, Any]:
    return {
        "why": list(strand.why),
        "provenance": None if strand.provenance is None else strand.provenance.value,
        "noise": strand.noise,
        "segments": [_segment_record(segment) for segment in strand.segments],
    }


def _segment_record(segment: Segment) -> dict[str, Any]:
    since = segment.points[0]
    return {
        "since": {"run": since.run, "created": since.created, "commit": since.commit or None},
        "level": segment.level,
        "change": segment.change,
        "interval": None if segment.interval is None else list(segment.interval),
        "p": segment.p,
        "points": [_point_record(point) for point in segment.points],
    }


def _point_record(point: Point) -> dict[str, Any]:
    return {
        "run": point.run,
        "created": point.created,
        "commit": point.commit or None,
        "value": point.value,
        "rounds": point.rounds,
    }

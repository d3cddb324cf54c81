"""The tables of the study's report: outcomes by protocol, what differences are made of, what joules bought."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from energybench.analysis import paper
from energybench.analysis.decompose import TERMS, Decomposition
from energybench.analysis.efficiency import efficiency
from energybench.analysis.returns import returns
from energybench.analysis.row import NOISE, Ratio, Row
from energybench.analysis.study import ANOTHER_SEED, EARLY_STOPPING, Study
from energybench.model import Status
from energybench.reports.part import Part
from energybench.reports.table import Column
from energybench.units import Scale, energy_scale, significant, time_scale, watt_hour_scale

MAIN = (EARLY_STOPPING, "finetune")
_LARGEST_LOG = 700.0


def tables(rows: Sequence[Row], pue: float | None) -> list[Part]:
    """A table per protocol and test function, the paper's first; then what the differences and joules are made of."""
    parts = [_outcomes(rows, key, pue, first=not number) for number, key in enumerate(_protocols(rows))]
    for make in (_decompositions, _efficiencies):
        part = make(rows, pue)
        if part is not None:
            parts.append(part)
    return parts


def side_by_side(study: Study) -> Part:
    """Relative saving of each model and compressor in every run: ratios compare machines that joules cannot."""
    names = tuple(study.runs)
    found = {(row.run, _label(row, study.rows)): row for row in study.rows if row.baseline is not None}
    labels = list(dict.fromkeys(label for _, label in found))
    cells = {name: tuple(_beside(found.get((name, label))) for label in labels) for name in names}
    columns = (
        Column("case", tuple(labels), left=True),
        *(Column(name, cells[name]) for name in names),
    )
    lines = (
        "Saving of energy in percent of none's in the same run, with its 95 % interval; in parentheses where the "
        "accuracy is beyond the tolerance. The search is not charged.",
    )
    return Part("Runs side by side", columns, lines=lines)


def _protocols(rows: Sequence[Row]) -> list[tuple[str, str]]:
    keys = list(dict.fromkeys((row.protocol, row.study) for row in rows))
    return sorted(keys, key=lambda key: (key != MAIN, key[0] != EARLY_STOPPING))


def _outcomes(every: Sequence[Row], key: tuple[str, str], pue: float | None, *, first: bool) -> Part:
    rows = [row for row in _by_model(every) if (row.protocol, row.study) == key]
    joules = [_with_pue(row, pue) for row in rows]
    wh = watt_hour_scale(joules)
    s = time_scale(row.case.mean_seconds for row in rows)
    pues = sorted({row.case.pue if pue is None else pue for row in rows})
    columns = (
        Column("case", tuple(row.case.short_id for row in rows), left=True),
        Column("acc %", tuple("-" if row.accuracy is None else f"{100 * row.accuracy:.1f}" for row in rows)),
        Column("points", tuple(_points(row.loss) for row in rows), drop=4),
        Column("setting", tuple(_setting(row.compression) for row in rows), drop=6, left=True),
        Column("rate", tuple(_rate(row) for row in rows), drop=1),
        Column("effect", tuple(_effect(row) for row in rows), drop=8, left=True),
        Column("epochs", tuple("-" if row.epochs is None else f"{row.epochs:.3g}" for row in rows)),
        Column("to target", tuple(_metric(row, "epochs_to_target") for row in rows), drop=3),
        Column("perplexity", tuple(_metric(row, "perplexity") for row in rows), drop=3),
        Column(s.unit, tuple(s.text(row.case.mean_seconds) for row in rows), drop=2),
        Column(wh.unit, tuple(wh.text(value) for value in joules)),
        Column("saving", tuple(_saving(row, row.energy) for row in rows)),
        Column("95 % interval", tuple(_saving_interval(row.energy) for row in rows), drop=9),
        Column("net", tuple(_saving(row, row.with_search) for row in rows)),
        Column("the paper", tuple(_stated(row) for row in rows), drop=7, left=True),
        *_status(rows),
    )
    factor = f"PUE {pues[0]:g}" if len(pues) == 1 else f"PUE {pues[0]:g} to {pues[-1]:g}"
    title = f"{key[0].capitalize()} (test_{key[1]}), mean of the rounds, {factor}"
    return Part(title, columns, _groups(rows), (*_below(rows), *(_legend(every) if first else [])))


def _below(rows: Sequence[Row]) -> list[str]:
    """What failed, and what is to be known of single rows."""
    lines = []
    for status in (Status.FAILED, Status.PARTIAL):
        named = [row.case.short_id for row in rows if row.case.status is status]
        lines += [f"Ended as {status.value}: {', '.join(named)}."] if named else []
    lines += [f"{row.case.short_id}: {'; '.join(row.signatures)}." for row in rows if row.signatures]
    return [*lines, *(f"{row.case.short_id}: {note}." for row in rows for note in row.notes)]


def _legend(rows: Sequence[Row]) -> list[str]:
    """How to read all tables of outcomes, said once."""
    lines = []
    if any(row.energy is not None for row in rows):
        line = "In percent: rate of compression; saving of energy beside none's; net: the search charged too."
        if not all(row.is_accurate for row in rows):
            line += " In parentheses: no saving, since the accuracy is beyond its tolerance, or the target not reached."
        lines.append(line)
    bands = {row.model: row.band for row in rows if row.band is not None}
    if bands:
        seen = {row.model: row.energy for row in rows if row.protocol == ANOTHER_SEED and row.energy is not None}
        said = ", ".join(_band(model, band, seen.get(model)) for model, band in bands.items())
        lines.append(f"A/A band (none with another seed beside none), which a difference must leave too: {said}.")
    if any(row.energy is not None and len(row.case.rounds) < 2 for row in rows):
        lines.append(
            f"One round: a noise of {100 * NOISE:g} % is assumed, and a difference below three times that says nothing."
        )
    return lines


def _band(model: str, band: float, seen: Ratio | None) -> str:
    """`resnet18 0.3 % (-26 to +35 %)`: few rounds leave the band itself uncertain."""
    said = f"{model} {100 * math.expm1(band):.1f} %"
    return said if seen is None else f"{said} ({100 * (seen.low - 1):+.0f} to {100 * (seen.high - 1):+.0f} %)"


def _decompositions(every: Sequence[Row], pue: float | None) -> Part | None:
    del pue  # cancels in every ratio
    pairs = [(row, row.decomposition) for row in _by_model(every) if row.decomposition is not None]
    if not pairs:
        return None
    heads = ("epochs", "x s/epoch", "x power")
    terms: list[Column] = []
    for head, term in zip(heads, TERMS, strict=True):
        known = [split.intervals.get(term) for _, split in pairs]
        terms.append(Column(head, tuple(_factor(split.terms[term]) for _, split in pairs)))
        terms.append(Column(f"{head.removeprefix('x ')} 95 %", tuple(map(_factors, known)), drop=2))
    columns = (
        Column("case", tuple(_label(row, every) for row, _ in pairs), left=True),
        Column("energy", tuple(_factor(split.total) for _, split in pairs)),
        Column("energy 95 %", tuple(_factors(split.interval) for _, split in pairs), drop=1),
        *terms,
        Column("mostly", tuple(_mostly(row, split) for row, split in pairs), left=True),
    )
    lines = ("Ratios to none; the three factors multiply to the energy exactly. Intervals: 95 %, Welch on logarithms.",)
    return Part("What a difference is made of", columns, _groups([row for row, _ in pairs]), lines)


def _efficiencies(every: Sequence[Row], pue: float | None) -> Part | None:
    rows = _by_model(every)
    found = [efficiency(row.case) for row in rows]
    bought = [returns(row.case) for row in rows]
    first, stable = energy_scale(f.first_epoch_j for f in found), energy_scale(f.stable_epoch_j for f in found)
    sample, token = energy_scale(b.j_per_sample for b in bought), energy_scale(f.j_per_token for f in found)
    factors = [row.case.pue if pue is None else pue for row in rows]

    def numbers(values: Sequence[float | None]) -> tuple[str, ...]:
        return tuple("-" if value is None else significant(value) for value in values)

    columns = (
        Column("case", tuple(_label(row, every) for row in rows), left=True),
        Column(f"1st epoch {first.unit}", _on(first, [f.first_epoch_j for f in found]), drop=4),
        Column(f"later {stable.unit}", _on(stable, [f.stable_epoch_j for f in found]), drop=3),
        Column("W", numbers([f.power_w for f in found])),
        Column(f"{sample.unit}/sample", _on(sample, [b.j_per_sample for b in bought]), drop=1),
        Column(f"{token.unit}/token", _on(token, [f.j_per_token for f in found]), drop=1),
        Column(
            "acc/kWh",
            numbers(
                [
                    None if f.accuracy_per_kwh is None else f.accuracy_per_kwh / factor
                    for f, factor in zip(found, factors, strict=True)
                ]
            ),
            drop=2,
        ),
        Column("GFLOP/s", numbers([f.gflop_per_s for f in found]), drop=5),
        Column("GB/s", numbers([f.gb_per_s for f in found]), drop=6),
        Column("FLOP/B", numbers([f.flops_per_byte for f in found]), drop=7),
        Column("MAC/param", numbers([b.macs_param for b in bought]), drop=8),
    )
    if all(column.is_empty for column in columns[1:]):
        return None
    lines = [
        "IT joules. later: mean of the epochs after the first. sample: an image or whatever else a round counted, "
        "trained on or run by inference. acc/kWh: accuracy as a share over kWh with PUE."
    ]
    if any(b.macs_param is not None for b in bought):
        lines.append("MAC/param: multiply-adds of a forward pass of one example over the parameters.")
    covers = dict.fromkeys(f.covers for f in found if f.covers)
    if covers:
        lines.append(f"FLOP and bytes: {'; '.join(covers)}; bytes by the sizes of the tensors.")
    return Part("What a case got out of its joules", columns, _groups(rows), tuple(lines))


def _by_model(rows: Sequence[Row]) -> list[Row]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.model, []).append(row)
    return [row for group in groups.values() for row in group]


def _label(row: Row, every: Sequence[Row]) -> str:
    """The bracketed id; with its function where other functions' cases stand in the same table."""
    several = len({other.study for other in every}) > 1
    return f"{row.study} {row.case.short_id}" if several else row.case.short_id


def _with_pue(row: Row, pue: float | None) -> float | None:
    joules = row.case.mean_j
    return None if joules is None else joules * (row.case.pue if pue is None else pue)


def _groups(rows: Sequence[Row]) -> tuple[str, ...]:
    """The model of each row, where rules between the models help; nothing where every model has one row."""
    models = tuple(row.model for row in rows)
    return models if len(set(models)) < len(models) else ()


def _setting(report: Mapping[str, Any]) -> str:
    """What the compressor was set to: `17 bits truncate`, `amount 0.203`, `energy 0.9`; a chain's parts in order."""
    if report.get("parts"):
        return " + ".join(_setting(part) for part in report["parts"])
    words = [f"{key} {value:.3g}" for key in ("amount", "energy", "budget") if (value := report.get(key)) is not None]
    if report.get("bits") is not None:
        words.append(f"{report['bits']} bits")
    rule = report.get("rule") or (report.get("given") or {}).get("rule")
    words += [str(word) for word in (rule, report.get("structure"), report.get("dtype")) if word]
    return " ".join(words) or "-"


def _rate(row: Row) -> str:
    return "-" if row.rate is None or row.compressor == "none" else f"{100 * row.rate:.1f}"


def _effect(row: Row) -> str:
    effect = row.compression.get("effect")
    return "-" if effect in (None, "unchanged") and row.compressor == "none" else str(effect or "-")


def _stated(row: Row) -> str:
    return (paper.stated(row.model, row.compressor) or "-") if (row.protocol, row.study) == MAIN else "-"


def _status(rows: Sequence[Row]) -> list[Column]:
    if all(row.case.status is Status.OK for row in rows):
        return []
    return [Column("status", tuple(row.case.status.value for row in rows), drop=5, left=True)]


def _metric(row: Row, name: str) -> str:
    value = row.case.mean_metric(name)
    return "-" if value is None else f"{value:.3g}"


def _points(loss: float | None) -> str:
    return "-" if loss is None else f"{-100 * loss + 0.0:+.2f}"


def _saving(row: Row, ratio: Ratio | None) -> str:
    if ratio is None:
        return "-"
    text = f"{100 * ratio.saving:+.1f}"
    return text if row.is_accurate else f"({text})"


def _saving_interval(ratio: Ratio | None) -> str:
    if ratio is None:
        return "-"
    low, high = ratio.saving_interval
    return f"{100 * low:+.1f} .. {100 * high:+.1f}"


def _beside(row: Row | None) -> str:
    if row is None or row.energy is None:
        return "-"
    return f"{_saving(row, row.energy)} [{_saving_interval(row.energy)}]"


def _mostly(row: Row, split: Decomposition) -> str:
    return row.cause if row.energy is not None else split.label


def _factor(log: float) -> str:
    return f"{math.exp(min(log, _LARGEST_LOG)):.3f}"


def _factors(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{_factor(interval[0])} .. {_factor(interval[1])}"


def _on(scale: Scale, values: Sequence[float | None]) -> tuple[str, ...]:
    return tuple(scale.text(value) for value in values)

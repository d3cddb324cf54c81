"""The study for people: the paper's table with its claims judged, as text and as Markdown."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from energybench.analysis.claims import judge
from energybench.analysis.cycle import full_cycles
from energybench.analysis.evidence import Claim, Judged
from energybench.analysis.row import workload
from energybench.analysis.study import Study
from energybench.model import Case, weakest
from energybench.reports.curve import Curve, capacity_columns, curves, layer_lines
from energybench.reports.cycle import cycle_part
from energybench.reports.part import Part, as_markdown, as_text, filled
from energybench.reports.study_tables import side_by_side, tables
from energybench.reports.table import Column

WIDTH = 80


def study_text(study: Study, *, width: int = WIDTH, pue: float | None = None) -> str:
    """Per run: tables by protocol, decomposition, efficiency, capacity, full cycle, claims; then the runs side by side.

    kWh include PUE (`pue`, else each case's own).
    """
    blocks = []
    for run in study.runs:
        blocks.append("\n".join([run, *(f"  {filled(line, width - 2, '  ')}" for line in _heading(study, run))]))
        blocks += [as_text(part, width) for part in _parts(study, run, pue)]
        claims = _claims(study, run)
        blocks.append("\n".join(["What the paper states, and what this run says of it", *_claim_lines(claims, width)]))
        blocks.append(summary(claims))
    if len(study.runs) > 1:
        blocks.append(as_text(side_by_side(study), width))
    return "\n\n".join(blocks)


def study_markdown(study: Study, *, pue: float | None = None) -> str:
    """The same as Markdown, all columns shown."""
    blocks = []
    for run in study.runs:
        blocks.append(f"# {run}\n\n" + "\n".join(f"- {line}" for line in _heading(study, run)))
        blocks += [as_markdown(part) for part in _parts(study, run, pue)]
        claims = _claims(study, run)
        table = Part(
            "What the paper states, and what this run says of it",
            (
                Column("claim", tuple(c.text for c in claims), left=True),
                Column("the paper", tuple(c.paper for c in claims), left=True),
                Column("here", tuple(c.here for c in claims), left=True),
                Column("judgement", tuple(c.judgement.value for c in claims), left=True),
                Column("reason", tuple(c.reason for c in claims), left=True),
            ),
            lines=(summary(claims),),
        )
        blocks.append(as_markdown(table))
    if len(study.runs) > 1:
        blocks.append(as_markdown(side_by_side(study)))
    return "\n\n".join(blocks)


def summary(claims: Sequence[Claim]) -> str:
    """`Of 26 claims 3 reproduced, 14 not reproduced, 9 not testable here.`"""
    counts = Counter(claim.judgement for claim in claims)
    return f"Of {len(claims)} claims {', '.join(f'{counts[judged]} {judged.value}' for judged in Judged)}."


def _claims(study: Study, run: str) -> tuple[Claim, ...]:
    return judge(study.of(run), [case for name, case in study.capacity if name == run])


def _heading(study: Study, run: str) -> list[str]:
    """What all figures of the run rest on: cases, rounds, profile, data, where the joules come from."""
    cases = [*(row.case for row in study.of(run)), *(case for name, case in study.capacity if name == run)]
    counts = sorted({len(case.rounds) for case in cases})
    rounds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    weak = weakest(case.provenance for case in cases if case.provenance is not None)
    devices = dict.fromkeys(d.device for case in cases for d in case.domains if d.in_total and d.device)
    lines = [
        f"{len(cases)} study cases of {rounds} round{'' if counts == [1] else 's'}; "
        f"profile {_declared(cases, 'profile')}; data {_declared(cases, 'data')}",
        "; ".join([f"energy {'not read' if weak is None else weak.value}", *devices]),
    ]
    status = study.runs[run].session.get("status", "ok")
    return lines if status == "ok" else [*lines, f"the run ended as {status}"]


def _declared(cases: Sequence[Case], key: str) -> str:
    return ", ".join(dict.fromkeys(str(workload(case).get(key, "not stated")) for case in cases))


def _parts(study: Study, run: str, pue: float | None) -> list[Part]:
    drawn = [curve for curve in curves(study) if curve.run == run]
    parts = tables(study.of(run), pue)
    cycles = full_cycles(study.of(run))
    parts += [cycle_part(cycles)] if cycles else []
    return [*parts, _capacity(drawn)] if drawn else parts


def _capacity(drawn: Sequence[Curve]) -> Part:
    lines = []
    if any(curve.source == "search" for curve in drawn):
        lines.append("From the searches of the fine-tunes: the candidates that they tried.")
    lines += [line for curve in drawn if curve.layers for line in layer_lines(curve, WIDTH).splitlines()]
    title = "Steganographic capacity: low bits free to overwrite, and the accuracy there"
    models = tuple(curve.model for curve in drawn)
    return Part(title, tuple(capacity_columns(drawn)), models if len(set(models)) < len(models) else (), tuple(lines))


def _claim_lines(claims: Sequence[Claim], width: int) -> list[str]:
    lines = []
    for claim in claims:
        lines.append(filled(f"{claim.judgement.value}: {claim.text}", width, "  "))
        figures = f"paper: {claim.paper}; here: {claim.here}"
        lines += [textwrap.indent(filled(text, width - 4, ""), "    ") for text in (figures, claim.reason)]
    return lines

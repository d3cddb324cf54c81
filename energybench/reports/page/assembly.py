"""A report put together from what was read and compared: the charts are drawn here, the layout is the template's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from energybench.analysis.claims import judge
from energybench.analysis.report import Report
from energybench.model import Run
from energybench.reports.charts.chart import Field, Numbers
from energybench.reports.charts.registry import CHARTS
from energybench.reports.charts.subject import Subject
from energybench.reports.page.cases import case_tables
from energybench.reports.page.contents import Absence, Drawn, Headline, Judgement, Page, Table, renamed
from energybench.reports.page.drawing import pictures
from energybench.reports.page.headline import energy_label, headline
from energybench.reports.page.judgement import judgement, verdict_tile
from energybench.reports.page.surroundings import cautions, environment
from energybench.reports.study import summary


def page(
    subject: Subject,
    reports: Sequence[Report] = (),
    baseline: Run | None = None,
    *,
    title: str = "",
    notes: Sequence[str] = (),
    made: str = "",
    home: str = "",
) -> Page:
    """The whole report. `subject` has the candidates, which the charts show; `baseline` is beside them in tables.

    `reports` hold the candidates against the baseline, in their order. `notes` concern the page as a whole; `home` is
    the address of the site that it belongs to. Draws every chart, which takes most of the time.
    """
    every = (*([] if baseline is None else [baseline]), *subject.runs)
    different = subject.pue is None and len({case.pue for run in every for case in run.cases}) > 1
    pue = 1.0 if different else subject.pue
    said = [*notes, *(["The runs have different PUEs: energy is shown at PUE 1."] if different else [])]
    charts, absences = drawn(subject if pue == subject.pue else replace(subject, pue=pue))
    return Page(
        title=title or _title(subject.runs, baseline),
        headlines=_headlines(subject.runs, reports, baseline, pue, said),
        judgements=_judgements(reports),
        charts=charts,
        cases=renamed(case_tables([*subject.runs, *([] if baseline is None else [baseline])], pue)),
        claims=_claims(subject),
        environment=renamed(environment(every)),
        cautions=cautions(every),
        absences=absences,
        energy_label=energy_label(case for run in subject.runs for case in run.cases),
        made=made,
        home=home,
    )


def drawn(subject: Subject) -> tuple[tuple[Drawn, ...], tuple[Absence, ...]]:
    """Every chart that there is something to draw for, and why the others are not there."""
    made = [(kind, kind.make(subject)) for kind in CHARTS.values()]
    charts = [chart for _, chart in made if chart is not None]
    found = tuple(Drawn(chart, svg) for chart, svg in zip(charts, pictures(charts), strict=True))
    return found, tuple(Absence(kind.line, kind.absent) for kind, chart in made if chart is None)


def _judgements(reports: Sequence[Report]) -> tuple[Judgement, ...]:
    found = [judgement(report) for report in reports]
    tables = renamed([one.table for one in found])
    return tuple(replace(one, table=table) for one, table in zip(found, tables, strict=True))


def _title(runs: Sequence[Run], baseline: Run | None) -> str:
    names = ", ".join(run.name for run in runs)
    return f"Energy of {names}" if baseline is None else f"Energy of {names} against {baseline.name}"


def _headlines(
    runs: Sequence[Run], reports: Sequence[Report], baseline: Run | None, pue: float | None, notes: Sequence[str]
) -> tuple[Headline, ...]:
    """The candidates with their verdicts, then the baseline."""
    found = []
    for place, run in enumerate(runs):
        one = headline(run, pue)
        if place < len(reports):
            one = replace(one, tiles=(verdict_tile(reports[place]), *one.tiles))
        found.append(one)
    if baseline is not None:
        one = headline(baseline, pue)
        said = {sentence for headline in found for sentence in headline.sentences}
        found.append(replace(one, role="baseline", sentences=tuple(s for s in one.sentences if s not in said)))
    if notes and found:
        found[0] = replace(found[0], sentences=(*notes, *found[0].sentences))
    return tuple(found)


def _claims(subject: Subject) -> tuple[Table, ...]:
    """The study's claims, per run that holds study cases."""
    study = subject.study
    tables = []
    for run in study.runs:
        claims = judge(study.of(run), [case for name, case in study.capacity if name == run])
        fields = tuple(
            Field(name, title)
            for name, title in (
                ("claim", "claim"),
                ("paper", "the paper"),
                ("here", "here"),
                ("judgement", "judgement"),
                ("reason", "reason"),
            )
        )
        rows = tuple((c.text, c.paper, None if c.here == "-" else c.here, c.judgement.value, c.reason) for c in claims)
        caption = "What the paper states, and what this run says of it"
        of = f"{caption}: {run}" if len(study.runs) > 1 else caption
        tables.append(Table("claims", of, Numbers(fields, rows), (summary(claims),)))
    return renamed(tables)

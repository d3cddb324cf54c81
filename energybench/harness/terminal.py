"""What the terminal shows of a session: where the joules come from, a line per round, the table at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from energybench.harness.case import Measured
from energybench.harness.engine import Sweep
from energybench.harness.factors import stated_factors
from energybench.harness.options import EnergyOptions
from energybench.harness.projecting import TIGHT
from energybench.model import Domain, Provenance
from energybench.reports.factors import stated
from energybench.reports.layout import Layout
from energybench.reports.part import as_text
from energybench.reports.projections import projection_part
from energybench.units import duration, watt_hours

if TYPE_CHECKING:
    from energybench.harness.baseline import Baseline

_MARKUP: Mapping[str, Mapping[str, bool]] = {
    "red": {"red": True},
    "green": {"green": True},
    "yellow": {"yellow": True},
    "faint": {"light": True},
}


def header(sweep: Sweep) -> list[str]:
    """After collection: which domains are measured, integrated, estimated or absent, and why."""
    options = sweep.options
    rounds = "/".join(map(str, sorted({case.options.rounds for case in sweep.cases.values()})))
    lines = [
        f"energybench: {len(sweep.cases)} case{'' if len(sweep.cases) == 1 else 's'}, "
        f"{rounds} round{'' if rounds == '1' else 's'} each"
        f"{', interleaved' if options.interleave else ''}{_looks(options)}, "
        f"PUE {options.pue:g}, store {sweep.storage if options.save else 'off'}"
    ]
    if sweep.disabled:
        return [*lines, "energybench: --benchmark-disable: every case is called once and not metered"]
    assert sweep.meters is not None
    if options.scope == "process":
        lines.append("energybench: scope process: package joules x this process tree's share of the busy CPU time")
    if options.idle_s:
        lines.append(f"energybench: the idle machine is watched for {options.idle_s:g} s first: leave it alone")
    if options.project:
        ends = f"; a case ends once its energy is known to {100 * TIGHT:g} %" if options.stop_after else ""
        lines.append(f"energybench: rounds are projected from their epochs while they run{ends}")
    lines += [f"energybench: {name}: {text}" for name, text in stated(stated_factors(options))]
    if sweep.trace is not None:
        lines.append(f"energybench: trace: joules of every domain at {sweep.trace_hz:g} Hz, in {sweep.trace.name}")
    for provenance in Provenance:
        domains = [d for d in sweep.meters.domains if d.provenance is provenance]
        if domains:
            lines.append(f"energybench: {provenance}: {_domains(domains)}")
    if not sweep.meters.domains:
        lines.append("energybench: no energy counter and no estimate: seconds and accuracy only")
    lines += [
        f"energybench: advice: {diagnosis.device}: {diagnosis.remedy}"
        for diagnosis in sweep.meters.diagnoses
        if diagnosis.state == "ok" and diagnosis.remedy
    ]
    lines += [
        f"energybench: {diagnosis.state}: {diagnosis.device or diagnosis.meter}: {diagnosis.reason}"
        for diagnosis in sweep.meters.diagnoses
        if diagnosis.state != "ok"
    ]
    return lines


def _looks(options: EnergyOptions) -> str:
    return f", looks at the gate after {', '.join(map(str, options.looks))} rounds" if options.looks else ""


def _domains(domains: Sequence[Domain]) -> str:
    return ", ".join(
        domain.name
        + f" ({domain.meter})"
        + ("" if domain.in_total else ", not in the total")
        + (f", {domain.note}" if domain.note else "")
        for domain in domains
    )


def round_line(sweep: Sweep, case: Measured) -> str:
    """One line for the rounds that a pass has just finished."""
    frozen = sweep.frozen(case)
    head = f"[{case.position}/{len(sweep.cases)}] {frozen.short_id}"
    if case.projected is not None:
        return f"{head}: {case.projected.reason}"
    if not frozen.rounds:
        return f"{head}: no finished round" if case.ended else f"{head}: warm-up done"
    last = frozen.rounds[-1]
    count = f"round {len(frozen.rounds)}/{case.options.rounds}"
    parts = [count, duration(last.window.seconds)]
    joules = last.window.total_j(frozen.total_domains)
    if joules is not None:
        parts.append(f"{watt_hours(joules * sweep.options.pue)} {frozen.provenance}")
    accuracy, epochs = last.metrics.get("accuracy"), last.metrics.get("epochs")
    if accuracy is not None:
        parts.append(f"accuracy {accuracy:.3g}")
    if epochs is not None:
        parts.append(f"{epochs:.0f} epoch{'' if round(epochs) == 1 else 's'}")
    if case.options.looks and case.resting:
        parts.append(f"{case.look + 1} of {len(case.options.looks)} looks")
    if case.reused:
        parts.append(f"{case.reused} from the interrupted sweep")
    if case.ended and case.status != "ok":
        parts.append(str(case.status))
    return f"{head}: {', '.join(parts)}"


def write_between(config: pytest.Config, line: str) -> None:
    """Write a line between two passes, where pytest's capture is suspended; nothing under -q."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and config.get_verbosity() >= 0:
        reporter.write(_fresh(config) + line)


def case_letter(
    sweep: Sweep, case: Measured, config: pytest.Config, outcome: str
) -> tuple[str, str, tuple[str, dict[str, bool]]]:
    """Category, letter and word for a finished case: its figures stand where other tests have a dot."""
    line = f"{_fresh(config)}{round_line(sweep, case)} "  # the blank keeps a following letter apart
    return outcome, line, (outcome.upper(), {"red": True} if outcome == "failed" else {})


def _fresh(config: pytest.Config) -> str:
    """A newline, unless the cursor is at the start of a line already."""
    return "\n" if config.get_terminal_writer().width_of_current_line else ""


def check_layout(sweep: Sweep) -> None:
    """Raises UsageError where the table at the end is asked for a parameter that no case has."""
    if sweep.cases:
        layout_of(sweep.options).check(case.params for case in sweep.cases.values())


def layout_of(options: EnergyOptions) -> Layout:
    """How the table at the end is laid out."""
    return Layout(options.columns, options.sort, options.group_by)


def summary(reporter: pytest.TerminalReporter, sweep: Sweep, stored: str, baseline: Baseline | None = None) -> None:
    """The table at the end, what was projected, the gate's verdicts, the notes, and where the run was stored."""
    from energybench.reports.text import run_table

    cases, session = sweep.results(), sweep.session_record()
    width = int(reporter.config.get_terminal_writer().fullwidth)
    report = baseline.made if baseline is not None else None
    reporter.write_sep("-", "energybench")  # unlike `section` it leaves no empty line behind itself
    if cases:
        _write(reporter, run_table(cases, width=width, session=session, layout=layout_of(sweep.options)))
    projected = projection_part(session)
    if projected is not None:
        _write(reporter, as_text(projected, width))
    notes = list(sweep.notes)
    if report is not None and baseline is not None:
        from energybench.reports.comparison import verdict_table
        from energybench.reports.comparison_words import describe_noise

        reporter.section(f"against {baseline.run.name}", sep="-")
        _write(reporter, verdict_table(report, width=width, with_exit=False))
        if report.noise is not None:  # the table says it
            notes = [note for note in notes if note != describe_noise(report.noise)]
    for note in notes:
        reporter.write_line(f"note: {note}")
    if stored:
        reporter.write_line(stored)


def _write(reporter: pytest.TerminalReporter, text: str) -> None:
    """Tables in pytest's own colours: --color, NO_COLOR and FORCE_COLOR are its business."""
    writer = reporter.config.get_terminal_writer()
    if writer.hasmarkup:
        from energybench.reports.colour import coloured

        text = coloured(text, lambda word, style: writer.markup(word, **_MARKUP[style]))
    reporter.write_line(text)

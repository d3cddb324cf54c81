"""Where the runs were measured, with what, by which code: what a reader needs to judge or to repeat them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from energybench.model import Case, Run
from energybench.reports.charts.chart import Cell, Field
from energybench.reports.factors import stated
from energybench.reports.page.contents import Caution, Table, numbers
from energybench.reports.text import branch

_ELSEWHERE = {"diagnoses", "notes", "warnings", "unmeasured", "canary", "projections", "session", "schema", "status"}
"""keys of the session that stand in a table of their own, or say nothing to a reader"""
_FACTORS = {"carbon_g_per_kwh", "carbon_source", "price_per_kwh", "currency", "pue"}


def environment(runs: Sequence[Run]) -> tuple[Table, ...]:
    """What each run says of itself, side by side; the devices; what was found of each meter."""
    found = [_said(run) for run in runs]
    keys = list(dict.fromkeys(key for said in found for key in said))
    fields = [Field("what", "what"), *(Field(run.name, run.name) for run in runs)]
    rows = [(key, *(said.get(key) for said in found)) for key in keys]
    tables = [Table("runs", "Runs, machine, code and options", numbers(fields, rows))]
    tables += [table for table in (_devices(runs), _diagnoses(runs)) if table.numbers.rows]
    return tuple(tables)


def cautions(runs: Sequence[Run]) -> tuple[Caution, ...]:
    """Every warning once, with the cases that it is of: of the session first, then marks, then cases and rounds."""
    several = len(runs) > 1
    whole: dict[str, None] = {}
    marked: dict[str, dict[str, None]] = {}
    of_cases: dict[str, dict[str, None]] = {}
    for run in runs:
        ahead = f"{run.name}: " if several else ""
        whole.update(dict.fromkeys(f"{ahead}{text}" for text in _of_session(run)))
        for case in run.cases:
            name = f"{ahead}{case.short_id}"
            for mark in case.marks:
                marked.setdefault(f"marked {mark.value}", {})[name] = None
            for text in _of_case(case):
                of_cases.setdefault(text, {})[name] = None
    alone = [Caution(text) for text in whole]
    return (*alone, *(Caution(text, tuple(names)) for text, names in (*marked.items(), *of_cases.items())))


def _of_session(run: Run) -> Iterable[str]:
    for key in ("warnings", "notes"):
        yield from map(str, run.session.get(key) or ())
    for diagnosis in run.session.get("diagnoses") or ():
        if diagnosis.get("state") != "ok":
            device = diagnosis.get("device") or diagnosis.get("meter")
            yield f"{device}: {diagnosis.get('state')}: {diagnosis.get('reason')}"
    for item in run.session.get("unmeasured") or ():
        yield f"{item.get('fullname')}: not measured, it ended as {item.get('status', 'failed')}"


def _of_case(case: Case) -> Iterable[str]:
    yield from case.warnings
    for round in case.rounds:
        yield from round.window.warnings


def _said(run: Run) -> dict[str, str]:
    """What the run says of itself, in the order of importance; what it does not say is left out."""
    cpu: Mapping[str, Any] = run.machine.get("cpu") or {}
    count = f", {cpu['count']} logical" if cpu.get("count") else ""
    python = f"{run.machine.get('python_implementation', '')} {run.machine.get('python_version', '')}"
    sessions = dict.fromkeys(round.session for case in run.cases for round in case.rounds if round.session)
    said = {
        "file": run.source,
        "status": run.session.get("status"),
        "stored": run.created,
        "cases": len(run.cases),
        "machine": " ".join(str(run.machine.get(key) or "") for key in ("node", "system", "release", "machine")),
        "CPU": f"{cpu.get('brand_raw') or ''}{count}",
        "Python": python,
        "commit": run.commit.get("id"),
        "branch": branch(run),
        "uncommitted changes": {True: "yes", False: "no"}.get(run.commit.get("dirty", None)),
        "PUE": f"{run.pue:g}",
        **dict(stated(run.session)),
        "session": ", ".join(sessions) or run.session.get("session"),
    }
    said |= {key: value for key, value in run.session.items() if key not in _ELSEWHERE | _FACTORS | said.keys()}
    texts = {key: _text(value).strip() for key, value in said.items()}
    return {key: text for key, text in texts.items() if text not in ("", "-")}


def _text(value: Any) -> str:
    """A stored option in words."""
    if value is None or value == {} or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _devices(runs: Sequence[Run]) -> Table:
    several = len(runs) > 1
    found: dict[tuple[Cell, ...], None] = {}
    for run in runs:
        for case in run.cases:
            for d in case.domains:
                total = "yes" if d.in_total else "no"
                found[
                    d.name,
                    run.name if several else None,
                    d.meter,
                    d.provenance.value,
                    total,
                    d.gain_rel,
                    d.tick_s,
                    d.device or None,
                    d.host or None,
                    d.note or None,
                ] = None
    fields = (
        Field("domain", "domain"),
        Field("run", "run"),
        Field("meter", "meter"),
        Field("provenance", "provenance"),
        Field("in_total", "in total"),
        Field("gain_error_rel", "gain error, %", 100.0, 2),
        Field("tick_s", "update, ms", 1000.0),
        Field("device", "device"),
        Field("host", "host"),
        Field("note", "note"),
    )
    return Table("devices", "Domains and devices", numbers(fields, list(found)))


def _diagnoses(runs: Sequence[Run]) -> Table:
    keys = ("meter", "device", "state", "reason", "remedy")
    several = len(runs) > 1
    rows = [
        (*(_text(diagnosis.get(key)) or None for key in keys), run.name if several else None)
        for run in runs
        for diagnosis in run.session.get("diagnoses") or ()
    ]
    fields = [*(Field(key, key) for key in keys), Field("run", "run")]
    return Table("diagnoses", "What was found of each meter", numbers(fields, rows))

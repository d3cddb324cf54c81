"""`energybench doctor`: what can be metered here, what cannot, and the one thing to do about each, as text and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from textwrap import fill
from typing import Any

from tabulate import tabulate

from energybench.metering.advice import advise
from energybench.metering.examination import Crossing, DomainState, Examination, examine
from energybench.metering.findings import first_run, verdict_text
from energybench.metering.machine import Machine
from energybench.metering.meter import Diagnosis, MeterOptions
from energybench.units import significant, time_scale

SCHEMA = 1
_NARROWEST = 24
_TOLD_ELSEWHERE = ("range_j", "door", "name", "uuid")  # facts that stand in the table of domains, or in the reason
_UNITS = {"j": "J", "w": "W", "s": "s", "c": "degrees C", "mhz": "MHz"}  # at the end of a fact's name


def doctor_report(options: MeterOptions | None = None, seconds: float = 1.0) -> str:
    """Examine the machine for `seconds` and say in words what was seen. Raises what `examine` raises."""
    return report_text(examine(options, seconds))


def report_text(seen: Examination, width: int = 120) -> str:
    """A verdict in one sentence, then every device with what mends it, the machine, the power of each domain now, what
    else to do, and what a first run would record.
    """
    advice = advise(seen)
    parts = [
        _filled(verdict_text(seen), width),
        *(f"Start with: {item.text}" for item in advice[:1] if item.topic == "device"),
        _devices(seen.diagnoses, width),
        _machine(seen.machine),
    ]
    if seen.states:
        parts.append(_domains(seen, width))
    parts.extend(_warnings(seen))
    if seen.crossings:
        parts.append(_crossed(seen.crossings))
    others = [item for item in advice if item.topic != "device"]
    if others:
        parts.append("\n".join(["What else to do:", *(f"- {item.text}" for item in others)]))
    parts.append(_list("What a first run would record:", first_run(seen), width))
    return "\n\n".join(parts)


def report_document(seen: Examination) -> dict[str, Any]:
    """The examination for programs: strict JSON types only, an absent value is None."""
    document = {
        "schema": SCHEMA,
        "verdict": seen.verdict,
        "exit": seen.exit_code,
        "machine": asdict(seen.machine),
        "devices": [_device(diagnosis) for diagnosis in seen.diagnoses],
        "domains": [_domain(state) for state in seen.states],
        "cross_check": _cross_check(seen.crossings),
        "warnings": list(seen.live.warnings),
        "advice": [asdict(advice) for advice in advise(seen)],
    }
    return {key: _strict(value) for key, value in document.items()}


def _device(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "device": diagnosis.device,
        "meter": diagnosis.meter,
        "state": diagnosis.state,
        "reason": diagnosis.reason,
        "remedy": diagnosis.remedy,
        "facts": dict(diagnosis.facts),
    }


def _domain(state: DomainState) -> dict[str, Any]:
    domain = state.domain
    return {
        "name": domain.name,
        "meter": domain.meter,
        "provenance": domain.provenance.value,
        "in_total": domain.in_total,
        "gain_rel": domain.gain_rel,
        "device": domain.device,
        "note": domain.note,
        "tick_s": domain.tick_s,
        "shortest_window_s": state.shortest_s,
        "range_j": state.range_j,
        "wrap_s": state.wrap_s,
        "seconds": state.seconds,
        "joules": state.joules,
        "random_j": state.random_j,
        "watts_now": state.watts,
        "stands_still": state.stands_still,
    }


def _cross_check(crossings: Sequence[Crossing]) -> dict[str, Any] | None:
    if not crossings:
        return None
    compared = [crossing.agree for crossing in crossings if crossing.agree is not None]
    return {
        "reader": "pyrapl",
        "agree": all(compared) if compared else None,
        "domains": [asdict(crossing) for crossing in crossings],
    }


def _strict(value: Any) -> Any:
    """`value` as strict JSON has it: no tuples, and None for what is no finite number."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _machine(machine: Machine) -> str:
    guest = " and ".join(
        name
        for name, true in (("a virtual machine", machine.virtual_machine), ("a container", machine.container))
        if true
    )
    turbo = {True: "on", False: "off", None: "not told"}[machine.turbo]
    load = "not told" if machine.load_per_cpu is None else f"{machine.load_per_cpu:.2f} per CPU over the last minute"
    rows = [
        ("machine", f"{machine.cpu}, {machine.logical_cpus} logical CPUs, {machine.system}"),
        ("runs in", guest or "neither a virtual machine nor a container, as far as is seen"),
        ("governor", ", ".join(machine.governors) or "not told"),
        ("turbo", turbo),
        ("load", load),
    ]
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


def _devices(diagnoses: Sequence[Diagnosis], width: int) -> str:
    rows = []
    for found in diagnoses:
        what = "; ".join(filter(None, (found.reason, _facts(found))))
        rows.append((found.device, found.meter, found.state, f"{what}\n-> {found.remedy}" if found.remedy else what))
    return _table(("device", "meter", "state", "what, and -> what mends it"), rows, width)


def _facts(diagnosis: Diagnosis) -> str:
    shown = {key: value for key, value in diagnosis.facts.items() if key not in _TOLD_ELSEWHERE and value is not None}
    return ", ".join(_fact(key, value) for key, value in shown.items())


def _fact(key: str, value: Any) -> str:
    """`power_limit_w`: 300.0 -> `power limit 300 W`. A list is told by its length; what is in it stands in the JSON."""
    name, _, suffix = key.rpartition("_")
    unit = _UNITS.get(suffix) if isinstance(value, int | float) else None
    if isinstance(value, bool):
        text = "on" if value else "off"
    elif isinstance(value, float):
        text = significant(value)
    else:
        text = str(len(value)) if isinstance(value, list | tuple) else str(value)
    return f"{key.replace('_', ' ')} {text}" if unit is None else f"{name.replace('_', ' ')} {text} {unit}"


def _domains(seen: Examination, width: int) -> str:
    told = {diagnosis.reason for diagnosis in seen.diagnoses}
    rows = []
    for state in seen.states:
        domain = state.domain
        note = "" if domain.note in told else domain.note
        rows.append(
            (
                domain.name,
                domain.provenance.value,
                "yes" if domain.in_total else "no",
                "-" if state.watts is None else significant(state.watts),
                "-" if domain.gain_rel is None else f"{domain.gain_rel:.0%}",
                _time(domain.tick_s),
                _time(state.shortest_s),
                _time(state.wrap_s),
                "; ".join(filter(None, (note, domain.device))),
            )
        )
    headers = ("domain", "provenance", "in\ntotal", "W now", "gain\nerror", "tick", "shortest\nwindow", "wraps\nevery")
    return _table((*headers, "where"), rows, width)


def _time(seconds: float | None) -> str:
    scale = time_scale([seconds])
    return "-" if seconds is None else f"{scale.text(seconds, 2)} {scale.unit}"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """The last column takes what the others leave of `width`; words, such as paths, are kept whole."""
    columns = list(zip(headers, *rows, strict=True))[:-1]
    taken = sum(max(len(line) for cell in column for line in cell.split("\n")) + 2 for column in columns)
    left = max(_NARROWEST, width - taken)
    wrapped = [(*row[:-1], "\n".join(_filled(line, left) for line in row[-1].split("\n"))) for row in rows]
    return tabulate(wrapped, headers=headers, disable_numparse=True)


def _list(title: str, items: Sequence[str], width: int) -> str:
    return "\n".join([title, *(_filled(f"- {item}", width, "  ") for item in items)])


def _filled(text: str, width: int, indent: str = "") -> str:
    return fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _warnings(seen: Examination) -> list[str]:
    """Why a domain has no value, and who else meters it; what is only too short or stands still is advice."""
    starts = ("shared", *(f"{state.domain.name} " for state in seen.states if state.joules is None))
    return [warning for warning in seen.live.warnings if warning.startswith(starts)]


def _crossed(crossings: Sequence[Crossing]) -> str:
    lines = ["Cross-check with pyRAPL over the same time:"]
    for crossing in crossings:
        if crossing.joules is None or crossing.other_j is None:
            lines.append(f"- {crossing.name}: not read by both")
            continue
        said = "they agree" if crossing.agree else "THEY DISAGREE"
        lines.append(f"- {crossing.name}: {crossing.joules:.2f} J and {crossing.other_j:.2f} J, {said}")
    return "\n".join(lines)

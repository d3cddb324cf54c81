"""A comparison as JUnit XML, for the readers of CI systems: a suite per candidate, a test per case.

A suite has a failure exactly where its exit code is not 0: a last test, `energybench` `run`, stands for what is no
single case's (nothing compared, a change of all cases) and for cases that are not shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from energybench.analysis.report import GATING, Report, Shift
from energybench.model import Comparison, Verdict
from energybench.reports.comparison_view import EVERYTHING, Row, View, geometric_mean, gravest_first, left_out, rows
from energybench.reports.comparison_words import FAILING, describe_all, describe_noise, describe_shift, heading, summary

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""what XML 1.0 cannot hold, not even as a reference"""


def comparison_junit(reports: Sequence[Report], *, view: View = EVERYTHING) -> str:
    """The document, in ASCII with character references, so that it is right in every encoding.

    A test fails where energy or accuracy regressed, the case is missing or not comparable; inconclusive is skipped,
    with `strict` a failure. Its properties are those of `properties`, for energy and accuracy or for the metrics that
    the view names; `time` is the mean seconds of the candidate's rounds.
    """
    root = ET.Element("testsuites", name="energybench compare")
    for report in reports:
        _suite(root, report, view)
    totals = {key: sum(int(suite.get(key, "0")) for suite in root) for key in ("tests", "failures", "skipped")}
    root.attrib.update({key: str(value) for key, value in totals.items()}, errors="0")
    ET.indent(root, " ")
    text: str = ET.tostring(root, "us-ascii").decode()
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'


def printable(text: str) -> str:
    """`text` with every character that XML cannot hold written as `#x1B`."""
    return _NOT_XML.sub(lambda match: f"#x{ord(match[0]):02X}", text)


def _suite(root: ET.Element, report: Report, view: View) -> None:
    chosen = rows(report, view)
    suite = ET.SubElement(root, "testsuite", name=printable(heading(report) or "energybench compare"))
    _properties(suite, _of_run(report, left_out(report, view, chosen)))
    failures = sum([_case(suite, row, report, view) for row in chosen])
    failures += _run(suite, report, failures)
    skipped = sum(1 for test in suite.iter("testcase") if test.find("skipped") is not None)
    tests = len(suite.findall("testcase"))
    suite.attrib.update(tests=str(tests), failures=str(failures), errors="0", skipped=str(skipped))


def _case(suite: ET.Element, row: Row, report: Report, view: View) -> bool:
    """Add the test of one case; whether it fails."""
    file, name = _address(row.pair.case)
    test = ET.SubElement(suite, "testcase", classname=printable(file), name=printable(name))
    seconds = row.pair.candidate.mean_seconds if row.pair.candidate else None
    if seconds is not None:
        test.set("time", f"{seconds:.6f}")
    decisive = gravest_first(c for c in row.shown if c.metric in GATING)
    numbers = row.shown if view.metrics else [c for c in row.shown if c.metric in GATING]
    margins = _margins(row, report)
    _properties(test, [pair for c in numbers for pair in properties(c, margins.get(c.metric))])
    verdicts = {c.verdict for c in decisive}
    text = describe_all(decisive, margins)
    failing = [c for c in decisive if c.verdict in FAILING]
    if report.options.strict:
        failing += [c for c in decisive if c.verdict is Verdict.INCONCLUSIVE]
    if failing:
        _failure(test, ",".join(dict.fromkeys(c.verdict.value for c in failing)), text)
    elif Verdict.INCONCLUSIVE in verdicts:
        ET.SubElement(test, "skipped", type="inconclusive", message=printable(text))
    return bool(failing)


def _run(suite: ET.Element, report: Report, failures: int) -> bool:
    """Add the test of the run as a whole; whether it fails."""
    test = ET.SubElement(suite, "testcase", classname="energybench", name="run")
    shift = report.shift
    if report.nothing_compared:
        _failure(test, "nothing-compared", " ".join([summary(report), *report.notes]))
    elif shift is not None and shift.verdict is Verdict.REGRESSED:
        _failure(test, "regressed", describe_shift(shift, report.canary))
    elif report.exit_code and not failures:
        _failure(test, "not-shown", f"The cases that fail are not shown. {summary(report)}")
    elif shift is not None and shift.verdict is Verdict.INCONCLUSIVE:
        ET.SubElement(test, "skipped", type="inconclusive", message=printable(describe_shift(shift, report.canary)))
        return False
    else:
        return False
    return True


def _failure(test: ET.Element, kind: str, text: str) -> None:
    ET.SubElement(test, "failure", type=kind, message=printable(text)).text = printable(text)


def _address(id: str) -> tuple[str, str]:
    """`benches.test_f.TestX` and `test_f[a]` of `benches/test_f.py::TestX::test_f[a]`, as pytest writes them."""
    head, bracket, inside = id.partition("[")
    path, *classes, name = head.split("::") if "::" in head else ("energybench", head)
    return ".".join([path.removesuffix(".py").replace("/", "."), *classes]), name + bracket + inside


def properties(comparison: Comparison, margin: float | None) -> list[tuple[str, str]]:
    """Of one metric: `energybench_<metric>_` and verdict, change, low, high, p, baseline, candidate, or margin.

    Change, interval and margin are relative (0.05 = +5 %) for energy and differences of shares (0.01 = 1 point) for
    accuracy; baseline and candidate are means over the rounds, in IT joules and shares. What is absent is left out.
    """
    low, high = comparison.interval or (None, None)
    numbers = {
        "change": comparison.change,
        "low": low,
        "high": high,
        "p": comparison.p,
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "margin": margin,
    }
    head = f"energybench_{comparison.metric}"
    return [(f"{head}_verdict", comparison.verdict.value), *_known(head, numbers)]


def shift_properties(shift: Shift | None, canary: float | None) -> list[tuple[str, str]]:
    """Of what all cases have in common: `energybench_shift_` and verdict, change, low, high, p, cases, canary."""
    if shift is None:
        return _known("energybench_shift", {"canary": canary})
    low, high = shift.interval or (None, None)
    numbers = {"change": shift.change, "low": low, "high": high, "p": shift.p, "cases": shift.cases, "canary": canary}
    return [("energybench_shift_verdict", shift.verdict.value), *_known("energybench_shift", numbers)]


def _margins(row: Row, report: Report) -> dict[str, float]:
    from energybench.analysis.margins import margin_for

    return {} if row.case is None else {name: margin_for(row.case, name, report.options) for name in row.comparisons}


def _of_run(report: Report, left: Iterable[str]) -> list[tuple[str, str]]:
    found = [("energybench_baseline", report.baseline), ("energybench_candidate", report.candidate)]
    found += [("energybench_exit", str(report.exit_code)), ("energybench_summary", summary(report))]
    mean_ratio = geometric_mean(report.comparisons)
    if mean_ratio is not None:
        found += _known("energybench_energy", {"geometric_mean": mean_ratio.ratio})
    found += shift_properties(report.shift, report.canary)
    if report.noise is not None:
        found.append(("energybench_noise", describe_noise(report.noise)))
    return [*found, *(("energybench_note", note) for note in (*report.notes, *left))]


def _known(head: str, numbers: dict[str, float | None]) -> list[tuple[str, str]]:
    return [(f"{head}_{k}", f"{v:.9g}") for k, v in numbers.items() if v is not None and math.isfinite(v)]


def _properties(element: ET.Element, pairs: Sequence[tuple[str, str]]) -> None:
    if pairs:
        holder = ET.SubElement(element, "properties")
        for name, value in pairs:
            ET.SubElement(holder, "property", name=printable(name), value=printable(value))

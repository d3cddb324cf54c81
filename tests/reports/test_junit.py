"""A comparison as JUnit XML: red exactly where the exit code is."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.compare import CompareOptions, compare_cases
from energybench.analysis.report import Pair, Report, Shift
from energybench.model import Case, Comparison, Verdict
from energybench.reports.comparison_view import View
from energybench.reports.junit import comparison_junit, printable

THREE = (100.0, 101.0, 99.5)


def parsed(report: Report, **view: Any) -> ET.Element:
    (suite,) = ET.fromstring(comparison_junit([report], view=View(**view)))
    return suite


def outcomes(suite: ET.Element) -> dict[str, str]:
    """Test name -> `passed`, or `failure` and `skipped` with their type."""
    return {
        str(test.get("name")): next(
            (f"{child.tag} {child.get('type')}" for child in test if child.tag in ("failure", "skipped")), "passed"
        )
        for test in suite.iter("testcase")
    }


def properties(element: ET.Element) -> dict[str, str]:
    found = element.find("properties")
    return {} if found is None else {str(p.get("name")): str(p.get("value")) for p in found}


@pytest.fixture
def mixed(make_case: Any) -> Report:
    """One case of each verdict; measured in turn, so that only the rounds differ."""
    wild = (80.0, 101.0, 125.0)
    old = [make_case(id, THREE) for id in ("ok", "worse", "better", "gone", "other")] + [make_case("unsure", wild)]
    new = [
        make_case("ok", THREE),
        make_case("worse", [1.2 * j for j in THREE]),
        make_case("better", [0.8 * j for j in THREE]),
        make_case("other", THREE, workload="changed"),
        make_case("unsure", [1.1 * j for j in wild]),
        make_case("added", THREE),
    ]
    report = compare_cases(old, new, CompareOptions(paired=True))
    return replace(report, baseline="0001_main", candidate="0002_pr")


def test_a_case_is_a_test_that_fails_is_skipped_or_passes_by_its_verdict(mixed: Report) -> None:
    suite = parsed(mixed)
    assert outcomes(suite) == {
        "test_f[ok]": "passed",
        "test_f[worse]": "failure regressed",
        "test_f[better]": "passed",
        "test_f[other]": "failure not-comparable",
        "test_f[unsure]": "skipped inconclusive",
        "test_f[added]": "passed",
        "test_f[gone]": "failure missing",
        "run": "passed",
    }
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("8", "3", "1")
    assert suite.get("name") == "0001_main -> 0002_pr"
    assert {test.get("classname") for test in suite.iter("testcase")} == {"benches.test_f", "energybench"}


def test_strict_makes_an_inconclusive_case_a_failure(mixed: Report) -> None:
    strict = replace(mixed, options=replace(mixed.options, strict=True))
    assert outcomes(parsed(strict))["test_f[unsure]"] == "failure inconclusive"


def test_a_failure_says_what_and_by_how_much_in_its_message_and_its_text(mixed: Report) -> None:
    (failure,) = [f for f in parsed(mixed).iter("failure") if f.get("type") == "regressed"]
    assert failure.text == failure.get("message")
    assert str(failure.text).startswith("energy regressed +20.0 % (margin 5 %), 100 J to 120 J a round = epochs +0.0 %")


def test_properties_hold_the_numbers(mixed: Report) -> None:
    suite = parsed(mixed)
    worse = properties(next(test for test in suite.iter("testcase") if test.get("name") == "test_f[worse]"))
    assert worse["energybench_energy_verdict"] == "regressed"
    assert float(worse["energybench_energy_change"]) == pytest.approx(0.2)
    assert float(worse["energybench_energy_low"]) < 0.2 < float(worse["energybench_energy_high"])
    assert float(worse["energybench_energy_candidate"]) == pytest.approx(120.2)
    assert not any(name.startswith("energybench_seconds") for name in worse)
    gone = properties(next(test for test in suite.iter("testcase") if test.get("name") == "test_f[gone]"))
    assert gone == {
        "energybench_energy_verdict": "missing",
        "energybench_energy_baseline": "100.166667",
        "energybench_energy_margin": "0.05",
    }
    assert properties(suite)["energybench_exit"] == "1"
    assert properties(suite)["energybench_summary"].endswith("(exit 1).")


def test_each_candidate_is_a_suite_and_the_root_adds_them_up(mixed: Report) -> None:
    root = ET.fromstring(comparison_junit([mixed, replace(mixed, candidate="0003_x")]))
    assert [suite.get("name") for suite in root] == ["0001_main -> 0002_pr", "0001_main -> 0003_x"]
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("16", "6", "0", "2")


def test_a_run_in_which_nothing_was_compared_is_red(make_case: Any) -> None:
    for report in (compare_cases([], []), compare_cases([], [make_case("a")])):
        assert outcomes(parsed(report))["run"] == "failure nothing-compared"


def shifted(report: Report, verdict: Verdict) -> Report:
    return replace(report, shift=Shift("energy", verdict, 0.061, None, "why", 36))


def test_a_change_of_all_cases_is_the_run_s(make_case: Any) -> None:
    report = compare_cases([make_case("a", THREE)], [make_case("a", THREE)])
    suite = parsed(shifted(report, Verdict.REGRESSED))
    assert outcomes(suite) == {"test_f[a]": "passed", "run": "failure regressed"}
    assert properties(suite)["energybench_shift_change"] == "0.061"
    assert outcomes(parsed(shifted(report, Verdict.INCONCLUSIVE)))["run"] == "skipped inconclusive"


VIEWS: list[dict[str, Any]] = [{}, {"metrics": ("seconds",)}, {"only": (Verdict.IMPROVED,)}, {"metrics": ("energy",)}]


@pytest.mark.parametrize("kept", ["ok", "worse", "better", "gone", "other", "unsure", "added"])
def test_a_suite_is_red_exactly_where_the_exit_code_is_not_0(kept: str, mixed: Report) -> None:
    ids = [pair.case for pair in mixed.pairs if pair.case.endswith((f"[{kept}]", "[ok]"))]
    part = replace(
        mixed,
        comparisons=tuple(c for c in mixed.comparisons if c.case in ids),
        pairs=tuple(pair for pair in mixed.pairs if pair.case in ids),
    )
    for view, strict, shift in product(VIEWS, (False, True), (None, Verdict.OK, Verdict.REGRESSED)):
        report = replace(part, options=replace(part.options, strict=strict))
        report = report if shift is None else shifted(report, shift)
        red = parsed(report, **view).get("failures") != "0"
        assert red == (report.exit_code != 0), (view, strict, shift)


@given(st.text(), st.text())
def test_the_document_is_well_formed_for_any_id_and_reason(id: str, reason: str) -> None:
    pair = Pair(id, Case(id), None)
    report = Report((Comparison(id, "energy", Verdict.MISSING, reason),), (pair,), notes=(reason,))
    text = comparison_junit([report])
    assert text.isascii()
    first = next(ET.fromstring(text.encode()).iter("testcase"))
    assert str(first.get("name")) in printable(id)
    assert first.find("failure") is not None


def test_a_control_character_is_written_out() -> None:
    assert printable("a\x1b[31m\x00\ud800\ufffe\tb\n") == "a#x1B[31m#x00#xD800#xFFFE\tb\n"


@pytest.mark.parametrize(
    ("id", "classname", "name"),
    [
        ("benches/test_f.py::TestX::test_f[a::b/c.py]", "benches.test_f.TestX", "test_f[a::b/c.py]"),
        ("test_f.py::test_f", "test_f", "test_f"),
        ("odd", "energybench", "odd"),
    ],
)
def test_classname_and_name_are_those_that_pytest_writes(id: str, classname: str, name: str) -> None:
    report = Report((Comparison(id, "energy", Verdict.NEW),), (Pair(id, None, Case(id)),))
    first = next(ET.fromstring(comparison_junit([report])).iter("testcase"))
    assert (first.get("classname"), first.get("name")) == (classname, name)

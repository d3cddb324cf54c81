"""A comparison as annotations and as the summary of a step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.compare import CompareOptions, compare_cases
from energybench.analysis.report import Pair, Report, Shift
from energybench.model import Case, Comparison, Verdict
from energybench.reports.comparison_view import View
from energybench.reports.github import SUMMARY_BYTES, append_summary, workflow_commands
from energybench.reports.markdown import comparison_markdown

THREE = (100.0, 101.0, 99.5)


def read(line: str) -> tuple[str, str, str]:
    """Level, title and message as the runner decodes them."""
    assert line.startswith("::")
    head, _, message = line[2:].partition("::")
    level, _, title = head.partition(" title=")
    for code, sign in (("%3A", ":"), ("%2C", ","), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        title = title.replace(code, sign)
        message = message if code in ("%3A", "%2C") else message.replace(code, sign)
    return level, title, message


def commands(*reports: Report, **view: Any) -> list[tuple[str, str, str]]:
    return [read(line) for line in workflow_commands(reports, view=View(**view)).split("\n")]


def levels(*reports: Report, **view: Any) -> dict[str, str]:
    return {title: level for level, title, _ in commands(*reports, **view)}


@pytest.fixture
def report(make_case: Any) -> Report:
    wild = (80.0, 101.0, 125.0)
    old = [make_case(id, THREE) for id in ("ok", "worse", "better", "gone")] + [make_case("unsure", wild)]
    new = [
        make_case("better", [0.8 * j for j in THREE]),
        make_case("ok", THREE),
        make_case("worse", [1.2 * j for j in THREE]),
        make_case("unsure", [1.1 * j for j in wild]),
        make_case("added", THREE),
    ]
    report = compare_cases(old, new, CompareOptions(paired=True))
    return replace(report, baseline="0001_main", candidate="0002_pr")


def test_what_failed_is_an_error_inconclusive_a_warning_the_rest_notices_and_ok_nothing(report: Report) -> None:
    assert levels(report) == {
        "energybench 0001_main -> 0002_pr": "error",
        "worse: energy regressed": "error",
        "gone: missing": "error",
        "unsure: energy inconclusive": "warning",
        "added: new": "notice",
        "better: energy improved": "notice",
    }
    assert list(levels(report).values()) == ["error"] * 3 + ["warning", "notice", "notice"]


def test_strict_makes_inconclusive_an_error(report: Report) -> None:
    strict = replace(report, options=replace(report.options, strict=True))
    assert levels(strict)["unsure: energy inconclusive"] == "error"


def test_a_message_says_what_and_by_how_much_and_against_what(report: Report) -> None:
    (message,) = [m for _, title, m in commands(report) if title == "worse: energy regressed"]
    assert message.startswith("energy regressed +20.0 %, 100 J to 120 J a round = epochs +0.0 %")
    assert message.endswith("(against 0001_main)")


def test_the_summary_is_an_error_only_where_the_exit_code_is_not_0(make_case: Any) -> None:
    same = compare_cases([make_case("a", THREE)], [make_case("a", THREE)])
    ((level, title, message),) = commands(same)
    assert (level, title) == ("notice", "energybench")
    assert "passed (exit 0)." in message
    assert commands(compare_cases([], []))[0][0] == "error"


def test_a_change_of_all_cases_is_an_annotation_of_its_own(make_case: Any) -> None:
    same = compare_cases([make_case("a", THREE)], [make_case("a", THREE)])
    for verdict, level in ((Verdict.REGRESSED, "error"), (Verdict.INCONCLUSIVE, "warning")):
        shift = Shift("energy", verdict, 0.061, None, "why", 36)
        assert levels(replace(same, shift=shift))[f"all cases: energy {verdict}"] == level


def test_the_tenth_of_a_level_names_all_that_the_runner_would_not_show(make_case: Any) -> None:
    ids = [f"case{i:02d}" for i in range(30)]
    report = compare_cases([make_case(id, THREE) for id in ids], [])
    errors = [found for found in commands(report) if found[0] == "error"]
    assert len(errors) == 10
    assert errors[-1][1] == "energybench: 22 more"
    named = [line.partition(":")[0] for line in errors[-1][2].split("\n")]
    assert [title.partition(":")[0] for _, title, _ in errors[1:-1]] + named == ids


@given(st.text(), st.text())
def test_any_id_and_reason_stay_one_command_that_decodes_to_them(id: str, reason: str) -> None:
    row = Comparison(id, "energy", Verdict.MISSING, reason)
    text = workflow_commands([Report((row,), (Pair(id, Case(id), None),))])
    lines = text.split("\n")
    assert len(lines) == 2
    assert "\r" not in text
    _, title, message = read(lines[1])
    assert title == f"{Case(id).short_id}: missing"
    assert message == f"missing: {reason}" if reason else message == "missing"


def test_commas_and_colons_of_a_title_are_escaped() -> None:
    row = Comparison("f[a:b,c%d]", "energy", Verdict.MISSING)
    text = workflow_commands([Report((row,), (Pair(row.case, Case(row.case), None),))])
    assert "::error title=a%3Ab%2Cc%25d%3A missing::missing" in text


def test_the_summary_of_the_step_is_appended(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    append_summary([report], path)
    assert path.read_text(encoding="utf-8") == f"before\n{comparison_markdown([report])}\n\n"


def test_a_summary_that_would_not_be_taken_is_cut_to_its_sentences(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * (SUMMARY_BYTES - 600))
    append_summary([report], path)
    added = path.read_text(encoding="utf-8")[SUMMARY_BYTES - 600 :]
    assert "The tables do not fit into the 1 MiB of a step's summary." in added
    assert "(exit 1)." in added
    assert "|" not in added

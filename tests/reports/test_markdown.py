"""A comparison as GitHub's Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.compare import CompareOptions, compare_cases
from energybench.analysis.report import Pair, Report
from energybench.model import Case, Comparison, Verdict
from energybench.reports.comparison_view import View
from energybench.reports.markdown import FOLDED, brief_markdown, code, comparison_markdown, escaped

THREE = (100.0, 101.0, 99.5)
PAIRED = CompareOptions(paired=True)


@pytest.fixture
def report(make_case: Any) -> Report:
    ids = ("a-none", "b-none")
    old = [make_case(id, THREE, accuracy=[0.9] * 3, params={"model": id[0]}) for id in ids]
    new = [old[0], make_case("b-none", [1.2 * j for j in THREE], accuracy=[0.8] * 3, params={"model": "b"})]
    return replace(compare_cases(old, new, PAIRED), baseline="0001_main", candidate="0002_pr")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def table(text: str) -> list[list[str]]:
    return [cells(line) for line in text.splitlines() if line.startswith("|")]


def test_verdict_change_interval_and_both_means_stand_in_the_table(report: Report) -> None:
    text = comparison_markdown([report])
    head, _, a, b = table(text)
    assert head == [
        *("case", "energy", "change", "95 % interval", "baseline J", "candidate J"),
        *("accuracy", "points", "95 % interval", "baseline %", "candidate %"),
    ]
    assert a[:3] == ["`a-none`", "ok", "+0.0 %"]
    assert b[:3] == ["`b-none`", "regressed", "+20.0 %"]
    assert b[4:8] == ["100", "120", "regressed", "-10.00"]
    assert re.fullmatch(r"\+1\d\.\d \.\. \+2\d\.\d", b[3])


def test_summary_and_reasons_stand_above_the_table_and_notes_below(report: Report) -> None:
    text = comparison_markdown([replace(report, notes=("machine: a -> b.",))])
    order = [
        r"## 0001\_main -> 0002\_pr",
        "2 cases in both runs: energy 1 ok, 1 regressed, geometric mean +9.5 % over 2 cases; accuracy",
        "- Noise between sessions: none",
        "- b-none: energy regressed: interval ",
        "- b-none: accuracy regressed: ",
        "| case ",
        "- note: machine: a -> b.",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_a_long_table_is_folded_and_what_needs_reading_is_not(make_case: Any) -> None:
    old = [make_case(f"{i}", THREE) for i in range(FOLDED)]
    text = comparison_markdown([compare_cases(old, [*old[1:], make_case("0", [2 * j for j in THREE])], PAIRED)])
    assert f"<details><summary>{FOLDED} cases</summary>\n\n| case" in text
    assert text.index("- 0: energy regressed") < text.index("<details>") < text.index("\n\n</details>")


def test_groups_are_sections_with_their_mean(report: Report) -> None:
    text = comparison_markdown([report], view=View(group_by="model"))
    assert "### model b: energy geometric mean +20.0 % over 1 case\n\n| case" in text


def test_several_candidates_stand_side_by_side_at_the_end(report: Report) -> None:
    other = replace(report, candidate="0003_x|y")
    tail = comparison_markdown([report, other]).rpartition("### ")[2]
    assert tail.startswith(r"Change in energy against 0001\_main")
    assert table(tail)[0] == ["case", r"0002\_pr", r"0003\_x\|y"]
    assert table(tail)[3] == ["`b-none`", "+20.0 % regressed", "+20.0 % regressed"]
    assert r"- 0003\_x\|y: geometric mean +9.5 % over 2 cases" in tail


def test_the_brief_form_is_heading_and_summary(report: Report) -> None:
    lines = brief_markdown([report]).split("\n\n")
    assert lines[0] == r"## 0001\_main -> 0002\_pr"
    assert lines[1].endswith("(exit 1).")
    assert len(lines) == 2


def test_markup_in_texts_is_shown_and_does_nothing() -> None:
    assert escaped("a_b *c* <img> [x](y) `z`\n# t") == r"a\_b \*c\* \<img> \[x\](y) \`z\` \# t"
    assert code("a_b*c\nd") == "`a_b*c d`"
    assert code("a`b|c_d\\") == "<code>a&#96;b&#124;c&#95;d&#92;</code>"


@given(st.text(), st.text())
def test_any_id_and_reason_leave_the_table_whole(id: str, reason: str) -> None:
    pair = Pair(id, None, Case(id))
    text = comparison_markdown([Report((Comparison(id, "energy", Verdict.NEW, reason),), (pair,))])
    lines = [line for line in re.split(r"\n", text) if line.startswith("|")]
    assert len(lines) == 3
    assert {len(cells(line)) for line in lines} == {len(cells(lines[0]))}

"""A comparison for spreadsheets."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.compare import compare_cases
from energybench.analysis.report import Pair, Report
from energybench.model import Comparison, Verdict
from energybench.reports.comparison_csv import HEADER, comparison_csv
from energybench.reports.comparison_view import View


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_header_is_the_documented_one_also_where_there_is_no_row() -> None:
    text = comparison_csv([compare_cases([], [])])
    assert text == (
        "baseline_run,candidate_run,case,metric,unit,verdict,change,interval_low,interval_high,p,baseline,candidate,"
        "ln_epochs,ln_seconds_per_epoch,ln_power,rounds,labels,reason"
    )
    assert text == ",".join(HEADER)


def test_every_comparison_of_every_candidate_is_a_row_with_numbers_that_read_back(make_case: Any) -> None:
    old, new = make_case(joules=[100.0, 101.0]), make_case(joules=[123.4, 124.0])
    report = replace(compare_cases([old], [new]), baseline="0001_a", candidate="0002_b")
    found = read(comparison_csv([report, replace(report, candidate="0003_c")]))
    assert [row["candidate_run"] for row in found] == ["0002_b"] * 3 + ["0003_c"] * 3
    for row, comparison in zip(found, report.comparisons, strict=False):
        assert (row["case"], row["metric"], row["verdict"]) == (new.id, comparison.metric, comparison.verdict.value)
        assert float(row["change"]) == comparison.change
        assert comparison.interval is not None
        assert (float(row["interval_low"]), float(row["interval_high"])) == comparison.interval
        assert (float(row["baseline"]), float(row["candidate"])) == (comparison.baseline, comparison.candidate)
    assert [row["unit"] for row in found[:3]] == ["J", "s", "W"]
    assert float(found[0]["ln_power"]) == report.comparisons[0].terms["power"]


def test_what_is_absent_is_empty_and_no_zero(make_case: Any) -> None:
    (row,) = read(comparison_csv([compare_cases([make_case()], [])]))
    assert (row["verdict"], row["baseline"]) == ("missing", "100.0")
    absent = ("change", "interval_low", "interval_high", "p", "candidate", "ln_power", "rounds")
    assert {row[name] for name in absent} == {""}


def test_an_inconclusive_row_says_the_rounds_that_would_settle_it(make_case: Any) -> None:
    (row, *_) = read(comparison_csv([compare_cases([make_case(joules=[100.0])], [make_case(joules=[102.0])])]))
    assert row["verdict"] == "inconclusive"
    assert int(row["rounds"]) >= 2


def test_the_view_restricts_the_rows(make_case: Any) -> None:
    report = compare_cases([make_case("a"), make_case("b")], [make_case("a"), make_case("b", [200.0])])
    found = read(comparison_csv([report], view=View(only=(Verdict.REGRESSED,))))
    assert [(row["case"][-3:], row["metric"]) for row in found] == [("[b]", "energy"), ("[b]", "power")]
    assert {row["metric"] for row in read(comparison_csv([report], view=View(metrics=("seconds",))))} == {"seconds"}


@given(st.text(), st.text())
def test_any_id_and_reason_stay_one_row_on_one_line(id: str, reason: str) -> None:
    report = Report((Comparison(id, "energy", Verdict.MISSING, reason),), (Pair(id, None, None),))
    text = comparison_csv([report])
    (row,) = read(text)
    assert row["case"] == id.replace("\r", "\\r").replace("\n", "\\n")
    assert row["reason"] == reason.replace("\r", "\\r").replace("\n", "\\n")
    assert text.count("\n") == 1

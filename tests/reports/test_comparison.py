"""A comparison for people."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from energybench.analysis.compare import CompareOptions, compare_cases
from energybench.analysis.report import Report, Shift
from energybench.model import Domain, Provenance, Round, Verdict, Window
from energybench.reports.comparison import comparison_table, comparison_tables, summary, verdict_table
from energybench.reports.comparison_view import View

THREE = (100.0, 101.0, 99.5)


def test_every_verdict_figure_and_factor_is_there(make_case: Any) -> None:
    old = [make_case("a-none", THREE, accuracy=[0.9] * 3, epochs=4), make_case("b-none", THREE, epochs=4)]
    new = [
        make_case("a-none", [j * 1.3 for j in THREE], accuracy=[0.9] * 3, epochs=4),
        make_case("b-none", [j * 0.7 for j in THREE], epochs=2),
    ]
    text = comparison_table(compare_cases(old, new, CompareOptions(paired=True)), width=80)
    verdicts = {line.split()[0]: line.split()[1:3] for line in text.splitlines()[:5] if line}
    assert verdicts["a-none"] == ["regressed", "+30.0"]
    assert verdicts["b-none"] == ["improved", "-30.0"]
    assert "J measured" in text
    assert "4.00 -> 2.00" in text
    split = text[text.index("What the change is made of") :]
    (factors,) = [line.split() for line in split.splitlines() if line.startswith("b-none  ")]
    assert factors == ["b-none", "0.700", "0.500", "2.000", "0.700"]
    assert "a-none: energy regressed: interval +27.8 % .. +32.3 %, beyond the margin with confidence." in text
    assert text.endswith(
        "energy 1 improved, 1 regressed, geometric mean -4.6 % over 2 cases; accuracy 1 ok; regressed (exit 1)."
    )
    assert max(map(len, text.splitlines()[:20])) <= 80


def test_a_wide_terminal_shows_the_interval_and_labels(make_case: Any) -> None:
    old = make_case("a-none", (400.0, 404.0, 398.0), epochs=4, seconds=8.0)
    new = make_case("a-none", (300.0, 303.0, 299.0), epochs=3, seconds=6.0)
    text = comparison_table(compare_cases([old], [new]), width=160)
    assert "95 % interval" in text
    assert "fewer epochs" in text


def test_a_trade_off_is_named_where_no_column_has_room_for_it(make_case: Any) -> None:
    old = make_case("a", [100.0, 101.0, 99.0], accuracy=[0.9, 0.91, 0.9])
    new = make_case("a", [60.0, 60.6, 59.4], accuracy=[0.8, 0.81, 0.8])
    text = comparison_table(compare_cases([old], [new]), width=40)
    assert "labels" in text.partition("Not shown at this width:")[2].partition("\n")[0]
    (line,) = [line for line in text.splitlines() if "accuracy regressed" in line]
    assert line.endswith("(trade-off).")


def test_missing_and_new_cases_are_rows_with_a_dash(make_case: Any) -> None:
    text = comparison_table(
        compare_cases([make_case("gone-x"), make_case("a-x")], [make_case("a-x"), make_case("n-x")])
    )
    assert "gone-x: missing: in the baseline only" in text
    assert "n-x: new: in the candidate only" in text
    assert "100 -> -" in text
    assert "- -> 100" in text
    assert text.endswith("1 missing, 1 new, geometric mean +0.0 % over 1 case; incomplete or not comparable (exit 4).")


def test_nothing_compared_is_said_in_the_summary(make_case: Any) -> None:
    assert summary(compare_cases([], [])) == ("0 cases in both runs: nothing was compared, so nothing passes (exit 4).")
    assert comparison_table(compare_cases([], [])).startswith("note: No case was compared")


def test_runs_of_different_pue_are_shown_at_pue_1(make_case: Any) -> None:
    same = comparison_table(compare_cases([make_case(pue=1.5)], [make_case(pue=1.5)]))
    assert "energy with PUE 1.5" in same
    mixed = comparison_table(compare_cases([make_case(joules=[3600.0])], [make_case(joules=[3600.0], pue=1.5)]))
    assert "energy with PUE 1\n" in mixed
    assert "1.00 -> 1.00" in mixed


def test_joules_stand_apart_by_provenance(make_case: Any) -> None:
    domains = (Domain("package:0", "rapl", Provenance.MEASURED), Domain("ram", "estimate", Provenance.ESTIMATED))
    rounds = (Round(Window(1.0, {"package:0": 90.0, "ram": 10.0})),)
    case = make_case("a-x", rounds=rounds, domains=domains)
    text = comparison_table(compare_cases([case], [case]), width=120)
    assert "J measured" in text
    assert "J estimated" in text
    assert "90.0 -> 90.0" in text
    assert "10.0 -> 10.0" in text


@pytest.fixture
def report(make_case: Any) -> Report:
    """Models a and b, none and prune each: b-none +20 %."""
    ids = ("a-none", "a-prune", "b-none", "b-prune")

    def case(id: str, factor: float = 1.0) -> Any:
        params = dict(zip(("model", "compressor"), id.split("-"), strict=True))
        return make_case(id, [factor * j for j in THREE], accuracy=[0.9] * 3, params=params)

    new = [case("b-none", 1.2), *(case(id) for id in ids if id != "b-none")]
    report = compare_cases([case(id) for id in ids], new, CompareOptions(paired=True))
    return replace(report, baseline="0001_main", candidate="0002_pr")


def test_what_all_cases_share_stands_before_the_reasons(report: Report) -> None:
    shift = Shift("energy", Verdict.OK, 0.001, (-0.02, 0.02), "interval -2.0 % .. +2.0 %", 4)
    text = comparison_table(replace(report, shift=shift, canary=0.002))
    said = (
        "All 4 cases together: energy ok +0.1 %: interval -2.0 % .. +2.0 %; the canary changed by +0.2 %.\n"
        "Noise between sessions: none, both sides were measured in turn in one.\n\nb-none: energy regressed: "
    )
    assert said in text


def test_groups_are_tables_of_their_own_with_their_mean_and_rules_in_the_others(report: Report) -> None:
    text = comparison_table(report, view=View(group_by="model"))
    first, second = (text.index(f"model {name}: energy geometric mean ") for name in "ab")
    assert second < first  # b comes first in the candidate
    assert "model b: energy geometric mean +9.5 % over 2 cases" in text
    outcomes = text[text.index("Baseline -> candidate") :].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in outcomes if "->" in line][1:] == ["b-none", "b-prune", "a-none", "a-prune"]
    assert sum(line.startswith("---") for line in outcomes) == 2  # below the header, and between the models


def test_a_table_per_metric_has_both_means_in_its_unit(report: Report) -> None:
    text = comparison_table(report, width=100, view=View(group_by="metric"))
    block = text[text.index("metric energy: geometric mean") :].split("\n\n")[0].splitlines()
    assert block[1].split() == ["case", "energy", "change", "95", "%", "interval", "baseline", "J", "candidate", "J"]
    assert block[3].split()[-2:] == ["100", "120"]
    assert "metric accuracy: mean +0.00 points" in text
    assert "Baseline -> candidate" not in text


def test_one_metric_alone_is_shown_and_the_others_said_to_decide_all_the_same(report: Report) -> None:
    text = comparison_table(report, view=View(metrics=("seconds",)))
    assert "energy with PUE" not in text
    assert "b-none: energy regressed" not in text
    assert "note: Not shown, but decides the exit code all the same: energy and accuracy." in text
    assert text.endswith("accuracy 4 ok; regressed (exit 1).")


def test_only_regressed_cases_are_shown_and_all_are_counted(report: Report) -> None:
    text = comparison_table(report, view=View(only=(Verdict.REGRESSED,)))
    assert "a-none" not in text
    assert "b-none  regressed" in text
    assert "note: Shown: 1 of 4 cases (regressed). The summary and the exit code count all." in text
    assert "4 cases in both runs: energy 3 ok, 1 regressed" in text
    nothing = comparison_table(report, view=View(only=(Verdict.IMPROVED,)))
    assert nothing.startswith("0001_main -> 0002_pr\n\nNoise")


def test_several_candidates_stand_side_by_side_at_the_end(report: Report) -> None:
    text = comparison_tables([report, replace(report, candidate="0003_x")])
    assert text.startswith("0001_main -> 0002_pr\n")
    assert "\n\n0001_main -> 0003_x\n" in text
    tail = text[text.index("Change in energy against 0001_main") :].splitlines()
    assert tail[1].split() == ["case", "0002_pr", "0003_x"]
    assert re.split("  +", tail[3]) == ["b-none", "+20.0 % regressed", "+20.0 % regressed"]
    assert tail[-1] == "0003_x: geometric mean +4.7 % over 4 cases"


def test_the_table_for_the_end_of_a_session_is_the_first_table_of_the_whole(report: Report) -> None:
    table, shared, last = verdict_table(report).split("\n\n")
    assert table in comparison_table(report)
    assert shared in comparison_table(report)
    assert last == summary(report)


def test_cases_of_two_functions_with_one_bracketed_part_are_told_apart(make_case: Any) -> None:
    case = make_case("a-x", THREE)
    other = replace(case, id="benches/test_g.py::test_g[a-x]")
    text = comparison_table(compare_cases([case, other], [case, other]))
    assert "test_f[a-x]  ok" in text
    assert "test_g[a-x]  ok" in text

"""A comparison for people."""

from __future__ import annotations

from typing import Any

from energybench.analysis.compare import compare_cases
from energybench.model import Domain, Provenance, Round, Window
from energybench.reports.comparison import comparison_table, summary

THREE = (100.0, 101.0, 99.5)


def test_every_verdict_figure_and_factor_is_there(make_case: Any) -> None:
    old = [make_case("a-none", THREE, accuracy=[0.9] * 3, epochs=4), make_case("b-none", THREE, epochs=4)]
    new = [
        make_case("a-none", [j * 1.3 for j in THREE], accuracy=[0.9] * 3, epochs=4),
        make_case("b-none", [j * 0.7 for j in THREE], epochs=2),
    ]
    text = comparison_table(compare_cases(old, new), width=80)
    verdicts = {line.split()[0]: line.split()[1:3] for line in text.splitlines()[:5] if line}
    assert verdicts["a-none"] == ["regressed", "+30.0"]
    assert verdicts["b-none"] == ["improved", "-30.0"]
    assert "J measured" in text
    assert "4.00 -> 2.00" in text
    split = text[text.index("What the change is made of") :]
    (factors,) = [line.split() for line in split.splitlines() if line.startswith("b-none  ")]
    assert factors == ["b-none", "0.700", "0.500", "2.000", "0.700"]
    assert "a-none: energy regressed: interval +27.8 % .. +32.3 %, beyond the margin with confidence." in text
    assert text.endswith("energy 1 improved, 1 regressed; accuracy 1 ok; regressed (exit 1).")
    assert max(map(len, text.splitlines()[:20])) <= 80


def test_a_wide_terminal_shows_the_interval_and_labels(make_case: Any) -> None:
    old = make_case("a-none", (400.0, 404.0, 398.0), epochs=4, seconds=8.0)
    new = make_case("a-none", (300.0, 303.0, 299.0), epochs=3, seconds=6.0)
    text = comparison_table(compare_cases([old], [new]), width=160)
    assert "95 % interval" in text
    assert "fewer epochs" in text


def test_missing_and_new_cases_are_rows_with_a_dash(make_case: Any) -> None:
    text = comparison_table(
        compare_cases([make_case("gone-x"), make_case("a-x")], [make_case("a-x"), make_case("n-x")])
    )
    assert "gone-x: missing: in the baseline only" in text
    assert "n-x: new: in the candidate only" in text
    assert "100 -> -" in text
    assert "- -> 100" in text
    assert text.endswith("1 missing, 1 new; incomplete or not comparable (exit 4).")


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

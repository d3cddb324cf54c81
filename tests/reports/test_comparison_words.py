"""What a comparison says in words."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.analysis.compare import CompareOptions, compare_cases
from energybench.analysis.report import Report, SessionNoise, Shift
from energybench.model import Case, Comparison, Verdict
from energybench.reports.comparison_words import (
    common_lines,
    describe,
    describe_all,
    describe_noise,
    describe_shift,
    front_lines,
    interval_text,
    mean_text,
    summary,
)

CASE = "benches/test_f.py::test_f[a]"
WORSE = Comparison(
    CASE,
    "energy",
    Verdict.REGRESSED,
    "beyond the margin",
    baseline=200.0,
    candidate=240.0,
    change=0.2,
    interval=(0.18, 0.223),
    terms={"epochs": 0.0, "seconds_per_epoch": 0.0, "power": 0.182321557},
    labels=("estimated",),
)


def test_a_comparison_says_what_by_how_much_from_what_to_what_and_why() -> None:
    assert describe(WORSE, 0.05) == (
        "energy regressed +20.0 % (95 % interval +18.0 % to +22.3 %, margin 5 %), 200 J to 240 J a round = "
        "epochs +0.0 % x seconds per epoch +0.0 % x power +20.0 %: beyond the margin (estimated)"
    )


def test_accuracy_is_in_points() -> None:
    worse = Comparison(CASE, "accuracy", Verdict.REGRESSED, baseline=0.9, candidate=0.896, change=-0.004)
    assert describe(worse, 0.005) == "accuracy regressed -0.40 points (margin 0.5 points), 90.00 % to 89.60 %"
    assert interval_text(Comparison(CASE, "accuracy", Verdict.OK, interval=(-0.01, 0.002))) == "-1.00 .. +0.20"


def test_an_interval_that_the_reason_says_is_not_said_twice() -> None:
    said = Comparison(CASE, "energy", Verdict.OK, "interval -1.0 % .. +1.0 %", change=0.0, interval=(-0.01, 0.01))
    assert describe(said) == "energy ok +0.0 %: interval -1.0 % .. +1.0 %"


def test_a_case_that_one_side_has_is_missing_or_new_as_a_whole() -> None:
    assert describe(Comparison(CASE, "energy", Verdict.MISSING, "renamed?", baseline=1.0)) == "missing: renamed?"
    assert describe(Comparison(CASE, "accuracy", Verdict.NEW, "none before")) == "accuracy new: none before"


def test_one_reason_of_several_metrics_is_said_once() -> None:
    both = [Comparison(CASE, metric, Verdict.NOT_COMPARABLE, "differs in x") for metric in ("energy", "accuracy")]
    assert describe_all(both) == "energy not-comparable: differs in x; accuracy likewise"


def test_a_shift_is_said_with_the_canary_where_its_reason_does_not_say_it() -> None:
    shift = Shift("energy", Verdict.REGRESSED, 0.061, (0.04, 0.082), "beyond the margin", 36)
    assert describe_shift(shift, 0.002) == (
        "all 36 cases together: energy regressed +6.1 % (95 % interval +4.0 % to +8.2 %): beyond the margin; "
        "the canary changed by +0.2 %"
    )
    drifted = Shift("energy", Verdict.INCONCLUSIVE, 0.061, None, "the canary moved as well", 36)
    assert describe_shift(drifted, 0.06).endswith("+6.1 %: the canary moved as well")


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (SessionNoise(0.0, 0.0, paired=True), "none, both sides were measured in turn in one"),
        (
            SessionNoise(0.0198, 0.00995),
            "2 % common to all cases, 1 % of each, assumed, not learnt from earlier sessions",
        ),
        (SessionNoise(0.0139, 0.005, 12), "1.4 % common to all cases, 0.5 % of each, from 12 earlier sessions"),
    ],
)
def test_the_noise_between_sessions_is_said_with_its_source(noise: SessionNoise, words: str) -> None:
    assert describe_noise(noise) == f"noise between sessions: {words}"


def test_what_all_cases_share_takes_no_line_where_there_is_none(make_case: Any) -> None:
    case = make_case()
    assert common_lines(compare_cases([], [])) == []
    assert common_lines(Report(compare_cases([case], [case]).comparisons)) == []
    assert common_lines(Report(compare_cases([case], [case]).comparisons, canary=0.01)) == [
        "The canary changed by +1.0 %."
    ]


def test_the_summary_counts_each_metric_and_gives_the_mean_change(make_case: Any) -> None:
    old = [make_case("a", [100.0] * 3, accuracy=[0.9] * 3), make_case("b", [100.0] * 3)]
    new = [make_case("a", [120.0] * 3, accuracy=[0.9] * 3), make_case("c", [100.0] * 3)]
    report = compare_cases(old, new, CompareOptions(paired=True))
    assert summary(report) == (
        "1 case in both runs: energy 1 regressed, 1 missing, 1 new, geometric mean +20.0 % over 1 case; accuracy 1 ok; "
        "regressed (exit 1)."
    )
    assert mean_text(report.comparisons, "accuracy") == "mean +0.00 points"
    assert mean_text((), "energy") == ""


def test_a_case_that_joined_or_left_the_front_is_named_with_its_model(make_case) -> None:
    def case(name: str, joules: float) -> Case:
        return make_case(f"r-{name}", (joules,) * 3, accuracy=(0.9,) * 3, params={"model": "r"})

    old = [case("none", 10.0), case("prune", 9.0)]
    moved = front_lines(compare_cases(old, [case("none", 8.0), case("prune", 9.0)]))
    assert moved == ["Pareto front of energy and accuracy, f r, by the means: r-none joined; r-prune left."]
    assert front_lines(compare_cases(old, old)) == [
        "Pareto front of energy and accuracy, by the means: the same cases as before in f r."
    ]
    assert front_lines(compare_cases(old[:1], old[:1])) == []

"""How a comparison reads in a gate, and what JUnit XML is told of it."""

from __future__ import annotations

import math
from dataclasses import replace

from energybench.analysis.report import SessionNoise, Shift
from energybench.model import Comparison, Verdict
from energybench.reports.comparison_words import describe, describe_all, describe_noise, describe_shift
from energybench.reports.junit import properties, shift_properties

ENERGY = Comparison(
    "f.py::t",
    "energy",
    Verdict.REGRESSED,
    reason="p = 0.001",
    baseline=200.0,
    candidate=240.0,
    change=0.2,
    interval=(0.18, 0.22),
    p=0.001,
    terms={"epochs": 0.0, "seconds_per_epoch": math.log(1.2), "power": 0.0},
    labels=("estimated",),
)
ACCURACY = Comparison(
    "f.py::t", "accuracy", Verdict.REGRESSED, baseline=0.9, candidate=0.8, change=-0.1, interval=(-0.12, -0.08)
)
SHIFT = Shift("energy", Verdict.REGRESSED, 0.08, (0.06, 0.1), "p = 0.002", cases=36, p=0.002)


def test_an_energy_regression_reads_with_its_interval_its_joules_and_its_terms() -> None:
    assert describe(ENERGY, 0.05) == (
        "energy regressed +20.0 % (95 % interval +18.0 % to +22.0 %, margin 5 %), 200 J to 240 J a round = epochs "
        "+0.0 % x seconds per epoch +20.0 % x power +0.0 %: p = 0.001 (estimated)"
    )


def test_an_interval_that_the_reason_gives_is_not_said_twice() -> None:
    text = describe(replace(ENERGY, reason="interval +18.0 % .. +22.0 %, beyond the margin", terms={}, labels=()), 0.05)
    assert text == (
        "energy regressed +20.0 % (margin 5 %), 200 J to 240 J a round: interval +18.0 % .. +22.0 %, beyond the margin"
    )


def test_accuracy_reads_in_points() -> None:
    assert describe(ACCURACY, 0.005) == (
        "accuracy regressed -10.00 points (95 % interval -12.00 points to -8.00 points, margin 0.5 points), "
        "90.00 % to 80.00 %"
    )


def test_what_passes_is_short_and_what_was_never_compared_has_no_numbers() -> None:
    passed = Comparison("f.py::t", "energy", Verdict.OK, baseline=1.0, candidate=1.0, change=0.0, terms={"power": 0.0})
    assert describe(passed) == "energy ok +0.0 %"
    new = Comparison("f.py::t", "energy", Verdict.NEW, "in the candidate only")
    assert describe(new, 0.05) == "new: in the candidate only"


def test_one_reason_for_both_metrics_is_said_once() -> None:
    both = [Comparison("f.py::t", name, Verdict.NOT_COMPARABLE, "differs in lr") for name in ("energy", "accuracy")]
    assert describe_all(both, {}) == "energy not-comparable: differs in lr; accuracy likewise"
    assert describe_all([ENERGY, ACCURACY], {"energy": 0.05}).count("regressed") == 2


def test_the_shift_reads_with_its_number_of_cases_and_the_canary() -> None:
    text = "all 36 cases together: energy regressed +8.0 % (95 % interval +6.0 % to +10.0 %): p = 0.002"
    assert describe_shift(SHIFT, None) == text
    assert describe_shift(SHIFT, 0.001) == f"{text}; the canary changed by +0.1 %"
    told = replace(SHIFT, reason="interval +6.0 % .. +10.0 %; the canary changed by +0.1 %")
    assert describe_shift(told, 0.001).count("canary") == 1
    assert describe_shift(told, 0.001).count("interval") == 1


def test_properties_have_stable_names_and_leave_out_what_is_absent() -> None:
    assert properties(ENERGY, 0.05) == [
        ("energybench_energy_verdict", "regressed"),
        ("energybench_energy_change", "0.2"),
        ("energybench_energy_low", "0.18"),
        ("energybench_energy_high", "0.22"),
        ("energybench_energy_p", "0.001"),
        ("energybench_energy_baseline", "200"),
        ("energybench_energy_candidate", "240"),
        ("energybench_energy_margin", "0.05"),
    ]
    new = Comparison("f.py::t", "accuracy", Verdict.NEW, candidate=0.9)
    assert properties(new, 0.005) == [
        ("energybench_accuracy_verdict", "new"),
        ("energybench_accuracy_candidate", "0.9"),
        ("energybench_accuracy_margin", "0.005"),
    ]


def test_the_shift_has_properties_too() -> None:
    assert shift_properties(SHIFT, 0.01) == [
        ("energybench_shift_verdict", "regressed"),
        ("energybench_shift_change", "0.08"),
        ("energybench_shift_low", "0.06"),
        ("energybench_shift_high", "0.1"),
        ("energybench_shift_p", "0.002"),
        ("energybench_shift_cases", "36"),
        ("energybench_shift_canary", "0.01"),
    ]
    assert shift_properties(None, None) == []


def test_the_noise_between_sessions_says_where_it_comes_from() -> None:
    noise = SessionNoise(math.log1p(0.02), math.log1p(0.01))
    head = "noise between sessions: 2 % common to all cases, 1 % of each"
    assert describe_noise(noise) == f"{head}, assumed, not learnt from earlier sessions"
    assert describe_noise(replace(noise, sessions=7)) == f"{head}, from 7 earlier sessions"

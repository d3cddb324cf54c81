"""Two runs and what is said of them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest

from energybench.analysis.compare import (
    ACCURACY,
    ENERGY,
    METRICS,
    CompareOptions,
    Report,
    compare_cases,
    compare_runs,
    were_in_turn,
)
from energybench.analysis.report import GATING
from energybench.model import Case, Comparison, Domain, Mark, Provenance, Round, Run, Status, Verdict, Window

THREE = (100.0, 101.0, 99.5)


def only(report: Report, metric: str = "energy") -> Comparison:
    (found,) = [comparison for comparison in report.comparisons if comparison.metric == metric]
    return found


def scaled(case: Case, factor: float, points: float = 0.0) -> Case:
    """A doctored copy: every joule times `factor`, every accuracy plus `points`."""

    def doctored(round: Round) -> Round:
        joules = {name: None if j is None else j * factor for name, j in round.window.joules.items()}
        metrics = {k: v + points if k == "accuracy" and v is not None else v for k, v in round.metrics.items()}
        return replace(round, window=replace(round.window, joules=joules), metrics=metrics)

    return replace(case, rounds=tuple(map(doctored, case.rounds)))


def suite(make_case: Any, rounds: int) -> list[Case]:
    return [
        make_case(
            f"m{i}-{name}",
            [100.0 * (i + 1) * (1 + 0.01 * ((7 * r + i) % 3)) for r in range(rounds)],
            accuracy=[0.90 + 0.004 * (r % 2) for r in range(rounds)],
            epochs=4,
        )
        for i in range(9)
        for name in ("none", "stego", "prune", "lowrank")
    ]


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_run_compared_with_itself_passes(rounds: int, make_case: Any) -> None:
    cases = suite(make_case, rounds)
    report = compare_cases(cases, cases, CompareOptions(strict=True))
    assert report.exit_code == 0
    assert report.counts == {Verdict.OK: 72}


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_doctored_copy_fails_and_both_cases_are_named(rounds: int, make_case: Any) -> None:
    cases = suite(make_case, rounds)
    doctored = [*cases]
    doctored[5] = scaled(cases[5], 1.20)
    doctored[17] = scaled(cases[17], 1.0, -0.10)
    report = compare_cases(cases, doctored)
    regressed = [
        (c.case, c.metric) for c in report.comparisons if c.verdict is Verdict.REGRESSED and c.metric in GATING
    ]
    assert report.exit_code == 1
    assert regressed == [(cases[5].id, "energy"), (cases[17].id, "accuracy")]
    energy = report.of(cases[5].id, "energy")
    assert energy is not None
    assert energy.change == pytest.approx(0.20)
    assert energy.terms["power"] == pytest.approx(sum(energy.terms.values()))
    accuracy = report.of(cases[17].id, "accuracy")
    assert accuracy is not None
    assert accuracy.change == pytest.approx(-0.10)


def test_marks_of_either_side_are_labels_of_the_comparison(make_case: Any) -> None:
    def marked(*marks: Mark) -> Case:
        case = make_case("a", THREE)
        first = replace(case.rounds[0], window=replace(case.rounds[0].window, marks=marks))
        return replace(case, rounds=(first, *case.rounds[1:]))

    energy = only(compare_cases([marked(Mark.SHARED)], [marked(Mark.TOO_SHORT, Mark.SHARED)]))
    assert energy.labels == ("shared", "too-short")
    assert only(compare_cases([marked()], [marked()])).labels == ()


def test_runs_without_a_common_case_do_not_pass(make_case: Any) -> None:
    report = compare_cases([make_case("a")], [make_case("b")])
    assert report.exit_code == 4
    assert {c.verdict for c in report.comparisons} == {Verdict.MISSING, Verdict.NEW}
    assert any("no case in common" in note for note in report.notes)
    assert compare_cases([], []).exit_code == 4
    assert compare_cases([make_case("a")], [make_case("b")], CompareOptions(common=True)).exit_code == 4


def test_a_missing_case_fails_unless_only_common_cases_are_asked_for(make_case: Any) -> None:
    both, gone = make_case("a", THREE), make_case("b", THREE)
    assert compare_cases([both, gone], [both]).exit_code == 4
    common = compare_cases([both, gone], [both], CompareOptions(common=True))
    assert common.exit_code == 0
    assert {c.case for c in common.comparisons} == {both.id}
    assert compare_cases([both], [both, gone]).exit_code == 0


@pytest.mark.parametrize("joules", [(None,), (0.0,), (0.0, None)])
def test_a_case_without_a_reading_is_not_comparable(joules: tuple[float | None, ...], make_case: Any) -> None:
    report = compare_cases([make_case("a", THREE)], [make_case("a", joules)])
    assert only(report).verdict is Verdict.NOT_COMPARABLE
    assert only(report).reason == "no energy reading in the candidate"
    assert report.exit_code == 4


def test_rounds_without_a_reading_are_left_out_and_said(make_case: Any) -> None:
    report = compare_cases([make_case("a", THREE)], [make_case("a", [*THREE, None])])
    assert only(report).verdict is Verdict.OK
    assert any("rounds without a full energy reading" in note for note in report.notes)


def test_measured_is_not_compared_with_estimated(make_case: Any) -> None:
    report = compare_cases([make_case("a", THREE)], [make_case("a", THREE, provenance=Provenance.ESTIMATED)])
    assert only(report).verdict is Verdict.NOT_COMPARABLE
    assert only(report).reason == "differs in provenance (measured -> estimated)"


def test_estimates_are_compared_with_estimates_and_labelled(make_case: Any) -> None:
    case = make_case("a", THREE, provenance=Provenance.ESTIMATED)
    assert only(compare_cases([case], [case])).labels == ("estimated",)


def test_only_counters_decide_where_estimates_fill_in_the_rest(make_case: Any) -> None:
    domains = (Domain("package:0", "rapl", Provenance.MEASURED), Domain("ram", "estimate", Provenance.ESTIMATED))

    def case(ram: float) -> Case:
        rounds = tuple(Round(Window(1.0, {"package:0": j, "ram": ram})) for j in THREE)
        return Case("f[a]", rounds, domains=domains)

    found = only(compare_cases([case(1.0)], [case(500.0)]))
    assert found.verdict is Verdict.OK
    assert found.labels == ()


def test_pue_moves_no_verdict_and_is_said(make_case: Any) -> None:
    report = compare_cases([make_case("a", THREE)], [make_case("a", THREE, pue=1.58)])
    assert only(report).verdict is Verdict.OK
    assert only(report).change == 0
    assert any("shown at PUE 1" in note for note in report.notes)


def test_cheaper_and_worse_is_a_trade_off(make_case: Any) -> None:
    old = make_case("a", THREE, accuracy=[0.9, 0.91, 0.9])
    report = compare_cases([old], [scaled(old, 0.7, -0.10)])
    assert (only(report).verdict, only(report, "accuracy").verdict) == (Verdict.IMPROVED, Verdict.REGRESSED)
    assert "trade-off" in only(report).labels
    assert "trade-off" in only(report, "accuracy").labels
    assert report.exit_code == 1


def test_a_case_below_its_tolerance_is_a_regression_and_no_saving(make_case: Any) -> None:
    old = make_case("a", THREE, accuracy=[0.9, 0.91, 0.9])
    new = replace(scaled(old, 0.7), status=Status.FAILED_ACCURACY)
    report = compare_cases([old], [new])
    assert only(report).verdict is Verdict.INCONCLUSIVE
    assert "no saving" in only(report).reason
    assert only(report, "accuracy").verdict is Verdict.REGRESSED
    assert report.exit_code == 1
    both = replace(old, status=Status.FAILED_ACCURACY)
    assert compare_cases([both], [both]).exit_code == 0


def test_a_tolerance_missed_counts_without_a_recorded_accuracy(make_case: Any) -> None:
    report = compare_cases([make_case("a", THREE)], [make_case("a", THREE, status=Status.FAILED_ACCURACY)])
    assert only(report, "accuracy").verdict is Verdict.REGRESSED


def test_an_accuracy_that_is_no_longer_recorded_is_noticed(make_case: Any) -> None:
    with_accuracy, without = make_case("a", THREE, accuracy=[0.9] * 3), make_case("a", THREE)
    lost = compare_cases([with_accuracy], [without])
    assert only(lost, "accuracy").verdict is Verdict.NOT_COMPARABLE
    assert lost.exit_code == 4
    gained = compare_cases([without], [with_accuracy])
    assert only(gained, "accuracy").verdict is Verdict.NEW
    assert gained.exit_code == 0


def test_fewer_epochs_are_named_as_the_saving(make_case: Any) -> None:
    old = make_case("a", (400.0, 404.0, 398.0), epochs=4, seconds=8.0)
    new = make_case("a", (300.0, 303.0, 299.0), epochs=3, seconds=6.0)
    assert only(compare_cases([old], [new])).labels == ("fewer epochs",)


def test_another_machine_still_lets_accuracy_be_compared(make_case: Any) -> None:
    old = make_case("a", THREE, accuracy=[0.9, 0.91, 0.9], comparability={"gpus": ["A100"]})
    new = make_case("a", THREE, accuracy=[0.9, 0.91, 0.9], comparability={"gpus": ["H200"]})
    report = compare_cases([old], [new])
    assert only(report).reason == "differs in gpus (['A100'] -> ['H200'])"
    assert only(report, "accuracy").verdict is Verdict.OK
    assert report.exit_code == 4
    assert compare_cases([old], [new], CompareOptions(vary={"gpus"})).exit_code == 0


def test_the_meters_error_is_taken_into_account(make_case: Any) -> None:
    def case(factor: float) -> Case:
        rounds = tuple(Round(Window(1.0, {"package:0": j * factor}, {"package:0": 20.0})) for j in THREE)
        return make_case("a", rounds=rounds)

    assert only(compare_cases([case(1.0)], [case(1.06)])).verdict is Verdict.INCONCLUSIVE
    exact = compare_cases([make_case("a", THREE)], [make_case("a", [j * 1.06 for j in THREE])])
    assert only(exact).verdict is Verdict.REGRESSED


def test_a_case_that_failed_before_its_first_round_is_missing_with_the_reason(make_case: Any) -> None:
    case = make_case("a")
    session = {"status": "failed", "unmeasured": [{"fullname": case.id, "status": "failed"}]}
    report = compare_runs(Run("0001_a.json", (case,)), Run("0002_b.json", (make_case("b"),), session=session))
    missing = [c for c in report.comparisons if c.verdict is Verdict.MISSING]
    assert [c.reason for c in missing] == ["it ended as failed before its first round was finished"]
    assert "The candidate 0002_b ended as failed." in report.notes
    assert (report.baseline, report.candidate) == ("0001_a", "0002_b")


def test_what_differs_between_the_sessions_is_noted(make_case: Any) -> None:
    case = make_case("a", THREE)
    runs = [Run(f"{name}.json", (case,), {"node": name, "python_version": "3.11.1"}) for name in ("x", "y")]
    assert compare_runs(*runs).notes == ("machine: x -> y.",)
    assert "Both sides are the same file." in compare_runs(runs[0], runs[0]).notes


def test_the_metrics_that_gate_are_energy_and_accuracy() -> None:
    assert tuple(metric.name for metric in METRICS if metric.gates) == GATING == (ENERGY.name, ACCURACY.name)


def many(make_case: Any, factor: float = 1.0, lone: float = 1.0) -> list[Case]:
    """Eight cases of three rounds; all cost `factor` times as much, the first `lone` times more."""
    return [
        make_case(
            f"m{k}", [100.0 * (k + 1) * factor * (lone if k == 0 else 1) * spread for spread in (0.99, 1.0, 1.01)]
        )
        for k in range(8)
    ]


def verdicts(report: Report) -> list[Verdict]:
    return [c.verdict for c in report.comparisons if c.metric == "energy"]


def test_what_all_cases_share_is_reported_apart(make_case: Any) -> None:
    report = compare_cases(many(make_case), many(make_case, 1.10), CompareOptions())
    assert report.shift is not None
    assert report.shift.verdict is Verdict.REGRESSED
    assert report.shift.change == pytest.approx(0.10)
    assert report.shift.cases == 8
    assert verdicts(report) == [Verdict.REGRESSED] * 8
    assert report.exit_code == 1


def test_a_canary_that_moved_as_much_takes_the_blame(make_case: Any) -> None:
    report = compare_cases(many(make_case), many(make_case, 1.10), canary=math.log(1.09))
    assert report.shift is not None
    assert report.shift.verdict is Verdict.INCONCLUSIVE
    assert report.canary == pytest.approx(0.09)
    assert Verdict.REGRESSED not in verdicts(report)
    assert report.exit_code == 0


def test_a_lone_case_is_found_beside_the_others(make_case: Any) -> None:
    report = compare_cases(many(make_case), many(make_case, lone=1.12), CompareOptions())
    assert verdicts(report)[0] is Verdict.REGRESSED
    assert Verdict.REGRESSED not in verdicts(report)[1:]
    assert report.shift is not None
    assert report.shift.change == pytest.approx(0.0)


def test_arms_in_turn_show_unchanged_cases_as_ok_where_sessions_cannot(make_case: Any) -> None:
    old, new = many(make_case), many(make_case, 1.003)
    assert verdicts(compare_cases(old, new, CompareOptions(paired=True))) == [Verdict.OK] * 8
    loud = compare_cases(old, new, CompareOptions(common_noise=0.04))
    assert set(verdicts(loud)) == {Verdict.INCONCLUSIVE}
    assert "which no rounds make less" in next(c.reason for c in loud.comparisons if c.metric == "energy")


def test_the_noise_between_sessions_is_learnt_from_the_history(make_case: Any) -> None:
    def run(k: int, factor: float) -> Run:
        return Run(f"{k:04d}_r.json", tuple(many(make_case, factor)), created=f"2026-01-{k + 1:02d}T00:00:00+00:00")

    wild, calm = ([run(k, 1 + size * (-1) ** k) for k in range(8)] for size in (0.06, 0.0005))
    old, new = run(20, 1.0), run(21, 1.003)
    assert set(verdicts(compare_runs(old, new, history=calm))) == {Verdict.OK}
    loud = compare_runs(old, new, history=wild)
    assert set(verdicts(loud)) == {Verdict.INCONCLUSIVE}
    assert loud.noise is not None
    assert loud.noise.sessions == 9  # the baseline's is one of them
    assert loud.noise.common > 0.05


def test_margins_of_cases_and_patterns_count(make_case: Any) -> None:
    old, new = many(make_case), many(make_case, lone=1.12)
    of_pattern = compare_cases(old, new, CompareOptions(paired=True, margins={"m0": {"energy": 0.2}}))
    of_case = compare_cases(old, [replace(new[0], margins={"energy": 0.2}), *new[1:]], CompareOptions(paired=True))
    for report in (of_pattern, of_case):
        assert verdicts(report)[0] is Verdict.OK


def test_an_inconclusive_verdict_says_what_settling_it_would_cost(make_case: Any) -> None:
    old, new = make_case("a", [3.6e6, 3.9e6, 3.5e6]), make_case("a", [3.7e6, 3.95e6, 3.5e6], seconds=600)
    found = only(compare_cases([old], [new], CompareOptions(paired=True)))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert re.search(
        r"about \d+ rounds a side would settle it \(\d+ more of the candidate: [\d.]+ MJ and ", found.reason
    )


def _side(sessions: list[str], others: list[str]) -> Run:
    return Run("x.json", session={"sessions": sessions, "ab": {"with_sessions": others}})


@pytest.mark.parametrize(
    ("baseline", "candidate", "in_turn"),
    [
        (_side(["a", "c"], ["b", "d"]), _side(["b", "d"], ["a", "c"]), True),
        (_side(["a", "c"], ["b", "d"]), _side(["b", "e"], ["a", "c"]), False),
        (_side(["a", "c"], ["b", "d"]), Run("x.json", session={"sessions": ["b", "d"]}), False),
        (Run("x.json"), Run("y.json"), False),
        (Run("x.json", session={"ab": {"with_sessions": None}}), Run("y.json", session={"ab": None}), False),
    ],
)
def test_the_sides_of_one_ab_are_told_by_their_sessions(baseline: Run, candidate: Run, in_turn: bool) -> None:
    assert were_in_turn(baseline, candidate) is in_turn


def test_of_other_work_no_accuracy_is_called_regressed(make_case: Any) -> None:
    old = replace(make_case("a-none", [100.0], accuracy=[0.95]), workload="one")
    new = replace(make_case("a-none", [100.0], accuracy=[0.96]), workload="other", status=Status.FAILED_ACCURACY)
    report = compare_cases([old], [new])
    found = report.of(new.id, "accuracy")
    assert found is not None
    assert found.verdict is Verdict.NOT_COMPARABLE


def test_the_accuracies_that_are_shown_are_those_that_were_paired(make_case: Any) -> None:
    old = make_case("a-none", [100.0], accuracy=[0.97])
    new = make_case("a-none", [100.0, 101.0, 102.0], accuracy=[0.964, 0.97, 0.976])
    found = compare_cases([old], [new]).of(new.id, "accuracy")
    assert found is not None
    assert found.change == pytest.approx(-0.006)
    assert (found.baseline, found.candidate) == (0.97, pytest.approx(0.964))

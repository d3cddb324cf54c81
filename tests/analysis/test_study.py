"""The study's rows: baselines, ratios, signatures, the noise band and the search's bill."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis.decompose import log_interval
from energybench.analysis.row import Outcome, Row, ratio_of
from energybench.analysis.study import study_table
from energybench.errors import UsageError
from energybench.model import Case, Provenance, Run, Status

CLEAR = (100.0, 101.0, 99.0)


def rows(*cases: Case) -> tuple[Row, ...]:
    return study_table(Run("s/0001_r.json", cases)).rows


def last(*cases: Case) -> Row:
    return rows(*cases)[-1]


JOULES = st.floats(1e-3, 1e6)


@given(st.lists(JOULES, min_size=1, max_size=4), st.lists(JOULES, min_size=1, max_size=4))
def test_a_ratio_is_that_of_the_geometric_means(a: list[float], b: list[float]) -> None:
    found = ratio_of(a, b)
    assert found is not None
    expected = math.prod(b) ** (1 / len(b)) / math.prod(a) ** (1 / len(a))
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert found.low <= found.value * (1 + 1e-9)
    assert found.high >= found.value * (1 - 1e-9)


def test_one_round_is_given_three_times_the_assumed_noise() -> None:
    found = ratio_of([100.0], [50.0])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.5 / 1.09, 0.5 * 1.09))
    assert found.basis == "one round, assumed noise 3 %"


def test_several_rounds_have_welch_s_interval() -> None:
    found = ratio_of(CLEAR, [50.0, 51.0, 49.5])
    assert found is not None
    logs = log_interval([math.log(v) for v in CLEAR], [math.log(v) for v in (50.0, 51.0, 49.5)])
    assert logs is not None
    assert (found.low, found.high) == pytest.approx((math.exp(logs[0]), math.exp(logs[1])))
    assert found.basis == "3 rounds a side"
    assert found.saving == pytest.approx(1 - found.value)
    assert found.saving_interval == pytest.approx((1 - found.high, 1 - found.low))


def test_an_interval_is_at_least_as_wide_as_the_band() -> None:
    found = ratio_of(CLEAR, CLEAR, band=math.log(1.2))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((1 / 1.2, 1.2))
    assert found.basis.endswith("A/A band 20.0 %")


def test_rounds_without_a_reading_are_left_out_and_without_any_there_is_no_ratio() -> None:
    assert ratio_of([None, 100.0], [50.0, None]) == ratio_of([100.0], [50.0])
    assert ratio_of([None, 0.0], [50.0]) is None


def test_a_case_is_held_against_none_of_its_own_protocol_model_and_function(study_case: Any) -> None:
    cases = [
        study_case("none", [100.0]),
        study_case("none", [200.0], model="vgg16"),
        study_case("none", [50.0], protocol="matched epochs", function="matched"),
        study_case("none", [80.0], function="tolerance"),
        study_case("stego", [90.0]),
        study_case("stego", [40.0], protocol="matched epochs", function="matched"),
        study_case("stego", [60.0], function="tolerance"),
        study_case("stego", [100.0], model="vgg16"),
    ]
    found = [None if row.energy is None else row.energy.value for row in rows(*cases)]
    assert found[:4] == [None] * 4
    assert found[4:] == pytest.approx([0.9, 0.8, 0.75, 0.5])


def test_a_baseline_on_other_data_or_at_another_batch_is_none(study_case: Any) -> None:
    for other in ({"data": "e"}, {"profile": "paper"}, {"batch": 32}):
        row = last(study_case("none", declared=other), study_case("stego", declared={"batch": 1}))
        assert (row.baseline, row.energy) == (None, None)
        assert "no `none` case of resnet18" in row.notes[0]


def test_matched_epochs_borrow_the_baseline_of_early_stopping(study_case: Any) -> None:
    row = last(study_case("none", [100.0]), study_case("prune", [80.0], protocol="matched epochs", function="matched"))
    assert row.energy is not None
    assert row.energy.value == pytest.approx(0.8)


def test_another_recipe_is_said(study_case: Any) -> None:
    other = study_case("prune", declared={"recipe": {"lr": 0.1, "alpha": 2}})
    row = last(study_case("none", declared={"recipe": {"lr": 0.1, "alpha": 1}}), other)
    assert row.notes == ("its recipe differs from none's in alpha",)


def test_the_search_is_charged_on_the_net_saving_only(study_case: Any) -> None:
    row = last(study_case("none", [100.0]), study_case("stego", [70.0], search_j=25.0))
    assert row.energy is not None
    assert row.with_search is not None
    assert row.energy.saving == pytest.approx(0.3)
    assert row.with_search.saving == pytest.approx(0.05)
    assert row.search_j == 25.0


def test_a_search_that_another_case_of_the_session_paid_for_is_charged_too(study_case: Any) -> None:
    declared = {"compressor_parameters": {"tolerance": 0.01}}
    paid = study_case("stego", [70.0], search_j=25.0, declared=declared)
    matched = study_case("stego", [60.0], protocol="matched epochs", function="matched", declared=declared)
    other = replace(study_case("stego", [60.0], declared={"compressor_parameters": {"tolerance": 0.1}}), id="f[other]")
    found = rows(study_case("none", [100.0]), paid, matched, other)
    assert [row.search_j for row in found] == [None, 25.0, 25.0, None]
    assert found[2].with_search is not None
    assert found[2].with_search.value == pytest.approx(0.85)


def test_a_search_whose_joules_are_not_in_the_run_leaves_no_net_saving(study_case: Any) -> None:
    row = last(study_case("none", [100.0]), study_case("stego", [70.0], compression={"evaluations": 7}))
    assert row.search_missing
    assert row.with_search is None
    assert row.notes == ("its search was not metered in this run, so there is no net saving",)
    given = last(study_case("none", [100.0]), study_case("stego", [70.0], compression={"evaluations": 2}))
    assert given.with_search == given.energy


def test_one_call_of_inference_pays_for_no_search(study_case: Any) -> None:
    inference = {"protocol": "inference", "function": "inference"}
    row = last(study_case("none", [10.0], **inference), study_case("stego", [9.0], search_j=25.0, **inference))
    assert row.energy is not None
    assert row.energy.value == pytest.approx(0.9)
    assert (row.search_j, row.with_search) == (25.0, None)


def test_losses_are_paired_by_seed(study_case: Any) -> None:
    none, prune = study_case("none", CLEAR), study_case("prune", CLEAR)

    def with_accuracies(case: Case, values: dict[int, float]) -> Case:
        return replace(
            case,
            rounds=tuple(
                replace(round, seed=seed, metrics={"accuracy": value})
                for round, (seed, value) in zip(case.rounds, values.items(), strict=True)
            ),
        )

    row = last(with_accuracies(none, {0: 0.95, 1: 0.85, 2: 0.90}), with_accuracies(prune, {1: 0.84, 2: 0.88, 9: 0.10}))
    assert row.loss == pytest.approx(0.015)


@pytest.mark.parametrize(
    ("accuracy", "tolerance", "relative", "accurate"),
    [
        (0.890, 0.01, False, True),
        (0.889, 0.01, False, False),
        (0.882, 0.02, True, True),
        (0.881, 0.02, True, False),
        (0.850, 0.05, False, True),
    ],
)
def test_the_tolerance_is_the_case_s_own(
    accuracy: float, tolerance: float, relative: bool, accurate: bool, study_case: Any
) -> None:
    declared = {"compressor_parameters": {"parts": [{"tolerance": tolerance, "relative": relative}]}}
    row = last(study_case("none"), study_case("stego", accuracy=accuracy, declared=declared))
    assert row.is_accurate is accurate
    assert bool(row.signatures) is not accurate


def test_failure_signatures_are_those_of_the_paper(study_case: Any) -> None:
    none = study_case("none")
    assert last(none, study_case("prune", epochs=6)).signatures == ()
    assert last(none, study_case("prune", epochs=7)).signatures == ("epochs 1.75 x none's",)
    both = study_case("prune", accuracy=0.8, status=Status.FAILED_ACCURACY)
    assert last(none, both).signatures == (
        "accuracy more than the tolerance below the uncompressed model's and none's",
    )
    unreached = study_case("prune", protocol="target accuracy", metrics={"reached": 0.0}, status=Status.FAILED_ACCURACY)
    assert last(none, unreached).signatures == ("target not reached",)
    assert not last(none, unreached).is_accurate


@pytest.mark.parametrize(
    ("joules", "accuracy", "outcome"),
    [
        ((50.0, 51.0, 49.0), 0.9, Outcome.SAVES),
        ((50.0, 51.0, 49.0), 0.8, Outcome.NEITHER),
        ((150.0, 151.0, 149.0), 0.9, Outcome.COSTS),
        ((100.5, 100.0, 99.5), 0.9, Outcome.NEITHER),
        ((60.0, 100.0, 140.0), 0.9, Outcome.UNDECIDED),
        ((95.0,), 0.9, Outcome.UNDECIDED),
        ((None,), 0.9, Outcome.UNDECIDED),
    ],
)
def test_an_outcome_needs_the_whole_interval_and_the_accuracy(
    joules: tuple[float | None, ...], accuracy: float, outcome: Outcome, study_case: Any
) -> None:
    assert last(study_case("none", CLEAR), study_case("stego", joules, accuracy=accuracy)).outcome is outcome


def test_a_cause_is_named_only_beyond_noise(study_case: Any) -> None:
    none = study_case("none", [100.0], seconds=8.0)
    assert last(none, study_case("stego", [75.0], seconds=6.0, epochs=3)).cause == "fewer epochs"
    assert last(none, study_case("stego", [95.0], seconds=7.6)).cause == "within noise"
    without = [study_case(name, [j], seconds=j / 10, epochs=0) for name, j in (("none", 80.0), ("prune", 40.0))]
    assert last(*without).cause == "less time"


def test_controls_are_held_against_the_trained_baseline_and_another_seed_makes_the_band(study_case: Any) -> None:
    seed = study_case("none", [120.0], protocol="another seed", function="controls")
    zero = study_case("none", [5.0], protocol="zero epochs", function="controls", epochs=0, metrics={"epochs": 0.0})
    found = rows(study_case("none", [100.0]), study_case("stego", [85.0]), seed, zero)
    assert [row.band for row in found] == pytest.approx([math.log(1.2)] * 4)
    stego, another, untouched = (row.energy for row in found[1:])
    assert stego is not None
    assert not stego.is_clear
    assert another is not None
    assert "A/A" not in another.basis
    assert untouched is not None
    assert untouched.value == pytest.approx(0.05)
    assert found[3].decomposition is None
    assert (found[3].epochs, found[3].epoch_ratio) == (0.0, 0.0)


def test_joules_of_another_kind_give_no_ratio_but_seconds_do(study_case: Any) -> None:
    row = last(study_case("none"), study_case("stego", seconds=1.0, provenance=Provenance.ESTIMATED))
    assert row.energy is None
    assert row.seconds is not None
    assert row.seconds.value == pytest.approx(0.5)
    assert "provenance (measured -> estimated)" in row.notes[0]


def test_kwh_have_the_pue_that_is_asked_for(study_case: Any) -> None:
    (row,) = rows(study_case("none", [3.6e6], pue=1.58))
    assert row.kwh() == pytest.approx(1.58)
    assert row.kwh(1.0) == pytest.approx(1.0)


def test_capacity_cases_are_no_rows(study_case: Any) -> None:
    study = study_table(Run("s/0001_r.json", (study_case("stego_capacity", protocol="capacity"), study_case("none"))))
    assert [row.compressor for row in study.rows] == ["none"]
    assert [(run, case.short_id) for run, case in study.capacity] == [("0001_r", "resnet18-stego_capacity")]


def test_two_files_of_one_name_are_told_apart_by_their_folders(study_case: Any) -> None:
    study = study_table([Run("s/a/0001_r.json", (study_case(),)), Run("s/b/0001_r.json", (study_case(),))])
    assert tuple(study.runs) == ("a/0001_r", "b/0001_r")
    assert [len(study.of(name)) for name in study.runs] == [1, 1]


def test_a_run_without_study_cases_is_refused_by_name(study_case: Any, make_case: Any) -> None:
    good, other = Run("s/0001_r.json", (study_case(),)), Run("s/0002_mine.json", (make_case(),))
    with pytest.raises(UsageError, match="0002_mine holds no study cases"):
        study_table([good, other])
    with pytest.raises(UsageError, match="0001_r was given twice"):
        study_table([good, good])

"""The paper's claims, judged on runs whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from energybench.analysis import paper
from energybench.analysis.claims import judge, rank_correlation
from energybench.analysis.evidence import Claim, Judged
from energybench.analysis.study import study_table
from energybench.model import Case, Provenance, Run, Status

YES, NO, OPEN = Judged.REPRODUCED, Judged.NOT_REPRODUCED, Judged.NOT_TESTABLE
THREE = (100.0, 100.5, 99.5)
IMAGENET = {"data": "imagenet"}


def times(factor: float) -> tuple[float, ...]:
    return tuple(factor * joules for joules in THREE)


def claims(*cases: Case) -> dict[str, Claim]:
    study = study_table(Run("s/0001_r.json", cases))
    found = judge(study.rows, [case for _, case in study.capacity])
    assert len({claim.text for claim in found}) == len(found)
    return {claim.text: claim for claim in found}


def only(word: str, *cases: Case) -> Claim:
    """The one claim whose text has the word."""
    (claim,) = [claim for text, claim in claims(*cases).items() if word in text]
    return claim


def test_every_claim_is_judged_and_a_run_of_one_case_tests_none(study_case: Any) -> None:
    found = claims(study_case("none", model="tiny"))
    assert len(found) == 26
    assert {claim.judgement for claim in found.values()} == {OPEN}
    assert all(claim.reason for claim in found.values())


def test_a_missing_model_is_named(study_case: Any) -> None:
    claim = only("ResNet50 trains with less", study_case("none", model="vgg16"))
    assert claim.reason == "the run has no resnet50-stego case under the protocol early stopping"
    claim = only("ResNet50 trains with less", study_case("stego", model="resnet50"))
    assert "no `none` case of resnet50" in claim.reason


@pytest.mark.parametrize(
    ("factor", "judgement"), [(0.40, YES), (0.53, YES), (0.57, OPEN), (0.62, NO), (1.0, NO), (1.5, NO)]
)
def test_energy_is_halved_where_the_whole_interval_says_so(factor: float, judgement: Judged, study_case: Any) -> None:
    none, stego = study_case("none", THREE, model="vgg16"), study_case("stego", times(factor), model="vgg16")
    claim = only("VGG16 trains with less than half", none, stego)
    assert claim.judgement is judgement
    assert claim.here.startswith(f"{factor:.2f} (")


def test_spread_leaves_a_halving_open(study_case: Any) -> None:
    none, stego = study_case("none", THREE, model="vgg16"), study_case("stego", (30.0, 50.0, 80.0), model="vgg16")
    claim = only("VGG16 trains with less than half", none, stego)
    assert claim.judgement is OPEN
    assert "more rounds may settle it" in claim.reason


@pytest.mark.parametrize(
    ("accuracy", "judgement"), [(0.892, YES), (0.85, NO)], ids=["within the tolerance", "beyond it"]
)
def test_a_halving_at_the_price_of_accuracy_is_none(accuracy: float, judgement: Judged, study_case: Any) -> None:
    cases = [
        study_case(name, joules, model="vgg16", accuracy=share, metrics={"total": 10_000.0})
        for name, joules, share in (("none", THREE, 0.9), ("stego", times(0.45), accuracy))
    ]
    assert only("VGG16 trains with less than half", *cases).judgement is judgement


def test_a_loss_that_one_round_cannot_tell_leaves_the_halving_open(study_case: Any) -> None:
    none, stego = study_case("none", model="vgg16"), study_case("stego", [45.0], model="vgg16", accuracy=0.88)
    claim = only("VGG16 trains with less than half", none, stego)
    assert claim.judgement is OPEN
    assert "the accuracy is not kept beyond doubt" in claim.reason


def test_the_reason_says_what_the_judgement_rests_on(study_case: Any) -> None:
    estimated = {"model": "vgg16", "provenance": Provenance.ESTIMATED}
    none = study_case("none", [100.0], seconds=4.0, **estimated)
    stego = study_case("stego", [150.0], seconds=6.0, epochs=6, search_j=50.0, **estimated)
    energy, time = (only(f"VGG16 trains {word}", none, stego) for word in ("with less", "in about"))
    assert energy.reason == (
        "d, profile quick, energy estimated, one round, assumed noise 3 %; the difference is mostly more epochs"
    )
    assert energy.here.endswith("2.00 with the search")
    assert time.reason == "d, profile quick, one round, assumed noise 3 %; epochs 1.5 x none's"


def test_time_is_judged_where_joules_are_absent(study_case: Any) -> None:
    none = study_case("none", [None], model="vgg16", seconds=10.0)
    stego = study_case("stego", [None], model="vgg16", seconds=5.0)
    assert only("VGG16 trains in about half", none, stego).judgement is YES
    assert only("VGG16 trains with less", none, stego).judgement is OPEN


def test_the_fine_tune_at_the_paper_s_tolerance_speaks_before_any_other(study_case: Any) -> None:
    def stego(factor: float, function: str, tolerance: float) -> Case:
        declared = {"compressor_parameters": {"tolerance": tolerance}}
        case: Case = study_case("stego", times(factor), model="vgg16", function=function, declared=declared)
        return case

    nones = [study_case("none", THREE, model="vgg16", function=name) for name in ("finetune", "tolerance")]
    cases = [stego(0.3, "tolerance", 0.1), *nones, stego(0.4, "tolerance", 0.01), stego(0.9, "finetune", 0.01)]
    assert only("VGG16 trains with less", *cases).here.startswith("0.90 ")


def models(study_case: Any, compressor: str, factors: Sequence[float], **fields: Any) -> list[Case]:
    """none and `compressor` for as many models as there are factors."""
    names = list(paper.NAMES)[: len(factors)]
    return [
        case
        for name, factor in zip(names, factors, strict=True)
        for case in (
            study_case("none", THREE, model=name, declared=fields.get("declared")),
            study_case(compressor, times(factor), model=name, **fields),
        )
    ]


@pytest.mark.parametrize(
    ("factors", "judgement"),
    [
        ([0.7, 0.8, 0.8, 0.7, 0.9], NO),
        ([0.7, 0.8, 0.8, 0.7, 1.3], NO),
        ([0.7, 0.8, 1.2, 1.3, 1.3], YES),
        ([1.3, 1.3, 1.3], YES),
        ([0.7, 0.7], OPEN),
    ],
)
def test_a_saving_is_consistent_where_four_models_in_five_have_it(
    factors: list[float], judgement: Judged, study_case: Any
) -> None:
    assert only("pruning: no consistent saving", *models(study_case, "prune", factors)).judgement is judgement


def test_undecided_models_decide_nothing(study_case: Any) -> None:
    """One round each: 0.95 may be a saving or none."""
    cases = [case for name in list(paper.NAMES)[:4] for case in (study_case("none", model=name),)]
    cases += [study_case("lowrank", [j], model=m) for j, m in zip((50, 50, 95, 95), paper.NAMES, strict=False)]
    claim = only("low rank: no consistent", *cases)
    assert claim.judgement is OPEN
    assert claim.here == "2 save, 2 undecided"


@pytest.mark.parametrize(
    ("factors", "judgement"),
    [
        ([0.62, 0.63, 0.64], YES),
        ([0.97, 0.98, 1.1], NO),
        ([0.3, 0.31, 0.32], NO),
        ([0.3, 0.6, 0.9], OPEN),
        ([0.63, 0.63], OPEN),
    ],
)
def test_the_average_saving_has_an_interval_over_the_models(
    factors: list[float], judgement: Judged, study_case: Any
) -> None:
    assert only("average energy saving", *models(study_case, "stego", factors)).judgement is judgement


def test_the_average_loss_is_judged_apart(study_case: Any) -> None:
    for accuracy, judgement in ((0.898, YES), (0.88, NO)):
        cases = models(study_case, "stego", [1.0, 1.0, 1.0], accuracy=accuracy)
        assert only("average loss", *cases).judgement is judgement


def stego_search(bits: int, at: dict[int, float], size: int, **more: Any) -> dict[str, Any]:
    curve = [[0, 0.95], *([k, accuracy] for k, accuracy in at.items())]
    return {
        "bits": bits,
        "rule": "truncate",
        "accuracy_reference": 0.95,
        "evaluation_size": size,
        "curve": curve,
    } | more


@pytest.mark.parametrize(
    ("compression", "judgement"),
    [
        (stego_search(24, {24: 0.95}, 250), YES),
        (stego_search(23, {23: 0.95, 24: 0.92}, 250), OPEN),
        (stego_search(23, {23: 0.95, 24: 0.92}, 10_000), NO),
        (stego_search(18, {18: 0.95, 19: 0.50}, 250), NO),
        (stego_search(18, {18: 0.95, 28: 0.10}, 250), OPEN),
        (stego_search(24, {24: 0.95}, 250, rule="random"), OPEN),
    ],
)
def test_a_capacity_below_24_must_be_shown_by_enough_images(
    compression: dict[str, Any], judgement: Judged, study_case: Any
) -> None:
    cases = study_case("none", model="alexnet"), study_case("stego", model="alexnet", compression=compression)
    assert only("AlexNet needs 8 of 32 bits", *cases).judgement is judgement


def test_a_capacity_case_speaks_before_the_search(study_case: Any) -> None:
    points = [[0, 0.95, True], [23, 0.95, True], [24, 0.10, True]]
    facts = {
        "capacity": {
            "rule": "truncate",
            "scope": "whole",
            "capacity": 23,
            "reference": 0.95,
            "evaluation_size": 500,
            "points": points,
        }
    }
    drawn = study_case("stego", model="alexnet", protocol="capacity", facts=facts)
    stego = study_case("stego", model="alexnet", compression=stego_search(24, {24: 0.95}, 250))
    claim = only("AlexNet needs 8 of 32 bits", study_case("none", model="alexnet"), stego, drawn)
    assert (claim.judgement, claim.here) == (NO, "capacity 23")
    assert "24 bits: 10.0 %" in claim.reason


def trained(study_case: Any, model: str, compressor: str, before: float, after: float, **fields: Any) -> list[Case]:
    shared = {"model": model, "declared": IMAGENET, "metrics": {"total": 50_000.0}}
    return [
        study_case("none", THREE, accuracy=before, **shared),
        study_case(compressor, THREE, accuracy=after, **{**shared, **fields}),
    ]


@pytest.mark.parametrize(("rate", "after", "judgement"), [(0.60, 0.617, YES), (0.60, 0.655, NO), (0.30, 0.617, NO)])
def test_pruned_vgg16_is_judged_on_imagenet(rate: float, after: float, judgement: Judged, study_case: Any) -> None:
    cases = trained(study_case, "vgg16", "prune", 0.655, after, compression={"rate": rate})
    assert only("prune: VGG16 loses", *cases).judgement is judgement


def test_figures_of_imagenet_are_not_tested_elsewhere(study_case: Any) -> None:
    none = study_case("none", model="inception_v3")
    claim = only("InceptionV3 loses 1.52", none, study_case("lowrank", model="inception_v3", accuracy=0.885))
    assert (claim.judgement, claim.here) == (OPEN, "-1.50 points")
    assert claim.reason == "the figure is ImageNet-1K's, and this run is on d"


@pytest.mark.parametrize(("after", "judgement"), [(0.754, YES), (0.762, YES), (0.766, NO), (0.72, NO)])
def test_a_stated_loss_is_held_within_a_point(after: float, judgement: Judged, study_case: Any) -> None:
    cases = trained(study_case, "inception_v3", "lowrank", 0.77, after)
    assert only("InceptionV3 loses 1.52", *cases).judgement is judgement


def test_the_contradiction_on_resnet18_can_be_reproduced_by_no_run(study_case: Any) -> None:
    for after, said in ((0.695, "the first"), (0.655, "the second"), (0.68, "neither exactly")):
        claim = only("ResNet18 keeps its accuracy, and", *trained(study_case, "resnet18", "lowrank", 0.70, after))
        assert claim.judgement is OPEN
        assert claim.reason.endswith(
            f"contradict one another, so no run can reproduce both; this run agrees with {said}"
        )


@pytest.mark.parametrize(
    ("accuracies", "judgement"),
    [((0.9, 0.895, 0.9), YES), ((0.9, 0.85, 0.9), NO), ((0.9, 0.9), OPEN), ((0.9, 0.8), NO)],
)
def test_accuracy_kept_by_three_models(accuracies: tuple[float, ...], judgement: Judged, study_case: Any) -> None:
    cases = []
    for model, accuracy in zip(paper.LOWRANK_KEEPS, accuracies, strict=False):
        cases += [study_case("none", THREE, model=model), study_case("lowrank", THREE, model=model, accuracy=accuracy)]
    assert only("AlexNet, ResNet18 and ResNet50 keep", *cases).judgement is judgement


@pytest.mark.parametrize(
    ("rates", "judgement"),
    [((0.2, 0.3, 0.42), YES), ((0.01, 0.02, 0.3), NO), ((0.01, 0.2, 0.3), OPEN), ((0.2, 0.3), OPEN)],
)
def test_rates_of_low_rank_lie_in_the_range(rates: tuple[float, ...], judgement: Judged, study_case: Any) -> None:
    cases = [
        study_case("lowrank", model=model, compression={"rate": rate})
        for model, rate in zip(paper.NAMES, rates, strict=False)
    ]
    assert only("compression between 17 and 43 %", *cases).judgement is judgement


def test_long_runs_rarely_save(study_case: Any) -> None:
    for factors, judgement in (([1.5, 1.6, 1.7], YES), ([0.6, 0.7, 0.8], NO), ([0.6, 1.5, 1.5], OPEN), ([1.5], OPEN)):
        cases = models(study_case, "prune", factors, epochs=7)
        assert only("1.5 x the baseline's epochs", *cases).judgement is judgement
    none_long = only("1.5 x the baseline's epochs", *models(study_case, "prune", [1.1, 1.1, 1.1], epochs=5))
    assert none_long.reason == "0 of the at least 3 cases it needs; the longest ran 1.25 x none's epochs"


def test_the_missing_control_is_the_untouched_model(study_case: Any) -> None:
    def baselines(*starts: float) -> list[Case]:
        return [
            study_case("none", model=model, metrics={"accuracy_start": start})
            for model, start in zip(paper.NAMES, starts, strict=False)
        ]

    for starts, judgement in (((0.9, 0.95, 0.89), YES), ((0.5, 0.6, 0.9), NO), ((0.9, 0.9), OPEN)):
        assert only("missing control", *baselines(*starts)).judgement is judgement
    zero = study_case("none", model="alexnet", protocol="zero epochs", function="controls", accuracy=0.2, epochs=0)
    claim = only("missing control", *baselines(0.9, 0.9, 0.9), zero)
    assert "+70.00 (alexnet) by training" in claim.reason


def test_the_nonlinear_relation_has_no_form_that_a_run_could_contradict(study_case: Any) -> None:
    cases = [study_case("none", model=model) for model in list(paper.NAMES)[:3]]
    cases += [
        study_case("stego", [joules], model=model, compression={"rate": rate})
        for model, joules, rate in zip(paper.NAMES, (90.0, 80.0, 70.0), (0.4, 0.5, 0.6), strict=False)
    ]
    claim = only("nonlinear", *cases)
    assert (claim.judgement, claim.here) == (OPEN, "rank correlation -1.00")


PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=12)


@given(PAIRS)
def test_rank_correlation_is_spearman_s(pairs: list[tuple[int, int]]) -> None:
    a, b = ([float(pair[side]) for pair in pairs] for side in (0, 1))
    found = rank_correlation(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(scipy.stats.spearmanr(a, b).statistic, abs=1e-12)


def test_a_failed_case_saves_nothing_that_counts(study_case: Any) -> None:
    cases = models(study_case, "prune", [0.5, 0.5, 0.5], status=Status.FAILED_ACCURACY)
    assert only("pruning: no consistent saving", *cases).here == "3 save nothing that counts"

"""Full-cycle energy and its break-even."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from energybench.analysis.cycle import FullCycle, break_even, full_cycles, inference_j
from energybench.analysis.study import study_table
from energybench.model import Case, Run

JOULES = st.floats(1e-3, 1e9)


@given(JOULES, JOULES, JOULES, JOULES)
def test_both_cost_the_same_at_the_break_even_and_it_is_right_who_is_cheaper_above(
    train: float, each: float, other_train: float, other_each: float
) -> None:
    baseline, candidate = FullCycle(train, each), FullCycle(other_train, other_each)
    met = break_even(baseline, candidate)
    if met.images is None:
        # No sign change between the first image and any number of them.
        ends = [candidate.at(n) - baseline.at(n) for n in (0.0, 1e15)]
        assert ends[0] * ends[1] >= 0
        return
    assume(abs(each - other_each) > 1e-6 * each)
    assert candidate.at(met.images) == pytest.approx(baseline.at(met.images), rel=1e-6)
    cheaper = candidate.at(3 * met.images) < baseline.at(3 * met.images)
    assert cheaper == (met.reason == "cheaper above it")


@pytest.mark.parametrize(
    ("train_j", "inference_j", "reason"),
    [
        (90.0, 0.5, "cheaper from the start and for each image"),
        (110.0, 2.0, "dearer from the start and for each image"),
        (100.0, 0.5, "cheaper from the first image"),
        (100.0, 2.0, "dearer from the first image"),
        (110.0, 1.0, "an image costs the same, so it stays dearer for ever"),
        (90.0, 1.0, "an image costs the same, so it stays cheaper for ever"),
        (100.0, 1.0, "equal at every number of images"),
    ],
)
def test_where_the_two_never_meet_the_reason_says_so(train_j: float, inference_j: float, reason: str) -> None:
    met = break_even(FullCycle(100.0, 1.0), FullCycle(train_j, inference_j))
    assert (met.images, met.reason) == (None, reason)


def test_search_and_compression_are_spent_before_the_first_image() -> None:
    cycle = FullCycle(train_j=100.0, inference_j=0.5, search_j=20.0, compress_j=5.0)
    assert (cycle.fixed_j, cycle.at(10)) == (125.0, 130.0)
    assert break_even(FullCycle(100.0, 1.0), cycle).images == pytest.approx(50.0)
    assert break_even(cycle, FullCycle(100.0, 1.0)).reason == "cheaper below it"


def inference(study_case: Any, compressor: str, joules: tuple[float, ...], batch: int, images: float) -> Case:
    case: Case = study_case(
        compressor,
        joules,
        protocol="inference",
        function="inference",
        epochs=0,
        metrics={"images": images, "batch": float(batch)},
        declared={"batch": batch},
    )
    return case


def test_an_inference_case_joins_the_fine_tune_of_its_model_and_compressor(study_case: Any) -> None:
    run = Run(
        "s/0001_r.json",
        (
            study_case("none", [100.0]),
            study_case("channels", [110.0], search_j=20.0),
            inference(study_case, "none", (40.0, 42.0, 38.0), 32, 80.0),
            inference(study_case, "channels", (10.0, 10.1, 9.9), 32, 40.0),
            inference(study_case, "none", (100.0, 101.0, 99.0), 1, 50.0),
            inference(study_case, "channels", (100.0, 101.0, 99.0), 1, 50.0),
        ),
    )
    none, channels, _, single = full_cycles(study_table(run).rows)
    assert none.cycle == FullCycle(100.0, 0.5)
    assert none.against_none is None
    assert channels.cycle == FullCycle(110.0, 0.25, search_j=20.0)
    assert channels.batch == 32
    assert channels.inference is not None
    assert channels.inference.value == pytest.approx(0.5, rel=1e-2)
    assert channels.against_none is not None
    assert channels.against_none.images == pytest.approx(120.0)
    assert single.against_none is not None
    assert single.against_none.images is None
    assert "no more than noise (3 rounds a side)" in single.against_none.reason


def test_a_way_to_run_the_uncompressed_model_has_none_s_training_and_its_own_preparation(study_case: Any) -> None:
    used = {"protocol": "inference", "metrics": {"images": 10.0}}
    compiled = study_case("compile", [5.0], search_j=30.0, facts={"inference": {"way": "compile"}}, **used)
    pruned = study_case("prune", [5.0], facts={"inference": {"way": "eager"}}, **used)
    rows = study_table(Run("s/0001_r.json", (study_case("none", [100.0]), compiled, pruned))).rows
    found = full_cycles(rows)
    assert found[0].cycle == FullCycle(100.0, 0.5, search_j=30.0)
    assert (found[1].cycle, found[1].reason) == (None, "the run has no fine-tune case of resnet18-prune")


@pytest.mark.parametrize(("joules", "metrics"), [(None, {"images": 10.0}), (5.0, {}), (5.0, {"images": 0.0})])
def test_what_was_not_recorded_gives_no_joules_per_image(
    joules: float | None, metrics: dict[str, float], study_case: Any
) -> None:
    case = study_case("none", [joules], protocol="inference", metrics=metrics)
    assert inference_j(case) is None
    (row,) = full_cycles(study_table(Run("s/0001_r.json", (case,))).rows)
    assert (row.cycle, row.reason) == (None, "its rounds have no joules, or recorded no images")


def test_an_unmetered_search_leaves_no_full_cycle(study_case: Any) -> None:
    trained = study_case("stego", [90.0], compression={"evaluations": 9})
    used = study_case("stego", [5.0], protocol="inference", metrics={"images": 10.0})
    (row,) = full_cycles(study_table(Run("s/0001_r.json", (trained, used))).rows)
    assert (row.cycle, row.reason) == (None, "the search was not metered in this run")

from __future__ import annotations

from typing import Any

import pytest

from energybench.errors import UsageError
from energybench.estimators.pre.crossing import cross
from energybench.estimators.pre.observation import Observation
from energybench.estimators.pre.prediction import predict
from energybench.estimators.pre.question import Question, ask


def answer(observations: list[Observation], question: Question, **options: Any) -> Any:
    return predict(ask(question, observations), cross(observations), **options)


NEW = Question("new", 20, batch=32, features={"train_gflops_per_image": 3.0})


def test_a_training_is_its_epochs_and_the_truth_is_near_it(world: list[Observation], make: Any) -> None:
    said, truth = answer(world, NEW), make("new", 3.0)
    assert said.estimate.joules == pytest.approx(20 * said.quantities["epoch_j"].value)
    assert said.seconds.value == pytest.approx(20 * said.quantities["epoch_s"].value)
    assert said.estimate.joules == pytest.approx(20 * truth.epoch_j, rel=0.03)
    assert said.quantities["power_w"].value == pytest.approx(truth.power_w, rel=0.03)
    low, high = said.estimate.interval
    assert low <= said.estimate.joules <= high
    assert said.estimate.warnings == ()
    assert said.by == "model"
    assert said.estimate.basis["configurations"] == 12


def test_with_a_known_duration_energy_is_power_times_it(world: list[Observation]) -> None:
    said = answer(world, NEW, seconds=1000.0)
    assert said.seconds.value == 1000.0
    assert said.estimate.joules == pytest.approx(1000.0 * said.quantities["power_w"].value)
    assert {one.name: one.joules for one in said.formulas}["TDP x t"] == 100.0 * 1000.0


def test_calculators_get_the_predicted_time_and_what_the_user_says(world: list[Observation]) -> None:
    said = answer(world, NEW, utilisation=0.5, memory_gb=16.0)
    by_name = {one.name: one.joules for one in said.formulas}
    assert by_name["TDP x t"] == pytest.approx(100.0 * said.seconds.value)
    assert by_name["TDP x utilisation x t"] == pytest.approx(50.0 * said.seconds.value)
    assert by_name["Green Algorithms"] == pytest.approx((50.0 + 0.3725 * 16) * said.seconds.value)


def test_a_feature_outside_of_the_runs_is_flagged_by_name_and_value(world: list[Observation]) -> None:
    said = answer(world, Question("m1", 1, batch=128))
    (warning,) = said.estimate.warnings
    assert warning == "batch (images in a batch) is 128 and the runs' is 16 to 64"


def test_a_feature_that_no_run_varies_is_flagged_as_left_out_of_account(world: list[Observation]) -> None:
    said = answer(world, Question("m1", 1, features={"device_w": 150.0}))
    assert any("device_w" in warning and "left out of account" in warning for warning in said.estimate.warnings)


def test_more_images_than_in_the_runs_are_said_to_be_taken_in_proportion(world: list[Observation]) -> None:
    said = answer(world, Question("m1", 1, images=50_000))
    assert any("5e+04" in w and "in proportion" in w for w in said.estimate.warnings)


def test_more_than_tenfold_outside_is_refused_unless_asked_for(world: list[Observation]) -> None:
    giant = Question("giant", 1, batch=32, features={"train_gflops_per_image": 400.0})
    with pytest.raises(UsageError, match=r"more than 10 times outside.*train_gflops_per_image 400, the runs' 1 to 32"):
        answer(world, giant)
    said = answer(world, giant, far=True)
    assert any("400" in warning for warning in said.estimate.warnings)


def test_a_new_device_is_refused_where_the_runs_show_no_difference_between_devices(world: list[Observation]) -> None:
    with pytest.raises(UsageError, match="no run is of L4, and those there are do not show how devices differ"):
        answer(world, Question("m1", 1, device="L4"))


def test_a_new_device_among_several_is_flagged_and_judged_by_left_out_devices(boards: list[Observation]) -> None:
    said = answer(boards, Question("m2", 1, device="T4"))
    assert said.by == "device"
    assert any("no run is of Tesla T4; the runs are of board50" in warning for warning in said.estimate.warnings)
    assert said.estimate.interval is not None


@pytest.mark.parametrize(("keep", "reason"), [(2, "the runs are of 2 models"), (4, "8 configurations are too few")])
def test_without_an_interval_the_reason_is_said(keep: int, reason: str, world: list[Observation]) -> None:
    said = answer(world[: 2 * keep], Question("m1", 1, batch=16))
    assert said.estimate.interval is None
    assert any("no interval" in warning and reason in warning for warning in said.estimate.warnings)


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0])
def test_a_level_is_a_share(level: float, world: list[Observation]) -> None:
    with pytest.raises(UsageError, match="level"):
        answer(world, NEW, level=level)

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from energybench.estimators.pre.crossing import cross
from energybench.estimators.pre.observation import Observation


def noisy(world: list[Observation], sigma: float, seed: int) -> list[Observation]:
    """Each model off by one factor in its seconds: what a model has that no feature says."""
    draw = random.Random(seed)
    off = {each.model: math.exp(draw.gauss(0.0, sigma)) for each in world}
    return [
        replace(each, epoch_s=each.epoch_s * off[each.model], epoch_j=each.epoch_j * off[each.model]) for each in world
    ]


def test_a_fold_never_sees_its_group(world: list[Observation]) -> None:
    crossed = cross(world)
    assert [fold.group for fold in crossed.folds["model"]] == ["m1", "m2", "m4", "m8", "m16", "m32"]
    for fold in crossed.folds["model"]:
        assert {each.model for each in fold.held_out} == {fold.group}
        assert len(fold.held_out) == 2
    without_largest = crossed.folds["model"][-1].without
    assert without_largest.ranges["train_gflops_per_image"] == (1.0, 16.0)


def test_what_a_fold_says_does_not_depend_on_what_it_left_out(world: list[Observation], make: Any) -> None:
    at = make("new", 3.0)
    wrong = [replace(each, epoch_s=each.epoch_s * 50) if each.model == "m4" else each for each in world]
    plain, spoiled = cross(world).folds["model"][2], cross(wrong).folds["model"][2]
    assert plain.group == spoiled.group == "m4"
    assert plain.without.log("epoch_s", at) == spoiled.without.log("epoch_s", at)


def test_the_interval_is_cv_plus_computed_by_hand(world: list[Observation], make: Any) -> None:
    """12 residuals at 80 %: floor(0.2 * 13) = 2, so the second smallest and the second largest."""
    crossed, at = cross(noisy(world, 0.3, 1)), make("new", 3.0)
    low, high = [], []
    for fold in crossed.folds["model"]:
        for each in fold.held_out:
            residual = abs(fold.without.log("epoch_s", each) - math.log(each.epoch_s))
            low.append(fold.without.log("epoch_s", at) - residual)
            high.append(fold.without.log("epoch_s", at) + residual)
    assert len(low) == 12
    expected = math.exp(sorted(low)[1]), math.exp(sorted(high)[-2])
    assert crossed.interval("epoch_s", at, "model", 0.8) == pytest.approx(expected)


@pytest.mark.parametrize(("level", "known"), [(0.9, True), (0.92, True), (0.95, False), (0.99, False)])
def test_too_few_configurations_for_a_level_give_no_interval(
    level: float, known: bool, world: list[Observation], make: Any
) -> None:
    """12 of them reach 12 / 13 = 92.3 %."""
    interval = cross(noisy(world, 0.3, 1)).interval("epoch_s", make("new", 3.0), "model", level)
    assert (interval is not None) == known


def test_intervals_cover_new_models_about_as_often_as_they_say(world: list[Observation], make: Any) -> None:
    """400 worlds, each with a new model of its own; 90 % with 12 residuals means the extremes of 12."""
    held = 0
    for seed in range(400):
        draw = random.Random(10_000 + seed)
        new = make("new", draw.uniform(1.0, 32.0), slower=math.exp(draw.gauss(0.0, 0.3)))
        interval = cross(noisy(world, 0.3, seed)).interval("epoch_s", new, "model", 0.9)
        assert interval is not None
        held += interval[0] <= new.epoch_s <= interval[1]
    assert 0.80 <= held / 400 <= 0.98


def test_fewer_than_three_groups_have_no_folds(world: list[Observation], make: Any) -> None:
    crossed = cross([each for each in world if each.model in ("m1", "m2")])
    assert crossed.folds == {"model": (), "device": ()}
    assert crossed.interval("epoch_s", make(), "model", 0.5) is None


def test_residuals_of_devices_speak_for_a_new_device(boards: list[Observation], make: Any) -> None:
    crossed = cross(boards)
    assert crossed.by("board100") == "model"
    assert crossed.by("another") == "device"
    assert len(crossed.folds["device"]) == 4
    new = make("m2", 2.0, watts=150.0, device="another")
    interval = crossed.interval("epoch_s", new, "device", 0.9)
    assert interval is not None
    assert interval[0] <= new.epoch_s <= interval[1]


def test_a_fold_uses_no_feature_that_those_left_out_of_it_lack(world: list[Observation]) -> None:
    """A language model among models of images: without it all others have pixels, and it has none."""
    images = [
        replace(each, features={**each.features, "pixels": 32.0 if each.model in ("m1", "m8") else 64.0})
        for each in world
    ]
    text = [replace(each, model="lm", features={**each.features, "context": 64.0}) for each in world[:2]]
    folds = cross(images + text).folds["model"]
    assert folds[-1].group == "lm"
    assert "pixels" not in folds[-1].without.columns
    assert math.isfinite(folds[-1].without.log("epoch_s", folds[-1].held_out[0]))

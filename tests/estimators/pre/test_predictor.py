from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from energybench.errors import UsageError
from energybench.estimators.pre.observation import Observation
from energybench.estimators.pre.predictor import QUANTITIES, fit_predictor


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_power_law_is_found_within_what_the_shrinkage_costs(
    quantity: str, world: list[Observation], make: Any
) -> None:
    new = make("new", 6.0, batch=32.0)
    assert fit_predictor(world).predict(quantity, new) == pytest.approx(getattr(new, quantity), rel=0.02)


def test_time_and_energy_grow_with_the_images_and_power_does_not(world: list[Observation], make: Any) -> None:
    fitted, one, ten = fit_predictor(world), make(), make(images=10_000.0)
    assert fitted.predict("epoch_s", ten) == pytest.approx(10 * fitted.predict("epoch_s", one))
    assert fitted.predict("epoch_j", ten) == pytest.approx(10 * fitted.predict("epoch_j", one))
    assert fitted.predict("power_w", ten) == fitted.predict("power_w", one)


def test_power_is_a_share_of_the_rated_power_where_every_device_has_one(make: Any) -> None:
    same = [make(f"m{k}", 2.0**k, watts=100.0) for k in range(4)]
    fitted = fit_predictor(same)
    assert fitted.share_of_rated
    doubled = replace(same[1], features={**same[1].features, "device_w": 200.0})
    assert fitted.predict("power_w", doubled) == pytest.approx(2 * fitted.predict("power_w", same[1]))
    without = [replace(each, features={k: v for k, v in each.features.items() if k != "device_w"}) for each in same]
    assert not fit_predictor(without).share_of_rated


def test_constants_and_partly_known_features_do_not_enter_and_are_named(world: list[Observation]) -> None:
    some = [replace(world[0], features={**world[0].features, "pixels": 224.0}), *world[1:]]
    fitted = fit_predictor(some)
    assert fitted.columns == ("train_gflops_per_image", "batch")
    assert fitted.constants == {"device_w": 100.0}
    assert fitted.unused == ("pixels",)
    assert fitted.ranges["train_gflops_per_image"] == (1.0, 32.0)
    assert fitted.ranges["images"] == (1000.0, 1000.0)


def test_a_device_gets_one_number_for_every_three_devices(boards: list[Observation]) -> None:
    wide = [
        replace(each, features={**each.features, "device_gb_per_s": 3 * each.features["device_w"] + 1})
        for each in boards
    ]
    assert fit_predictor(wide).columns == ("train_gflops_per_image", "device_w")
    assert fit_predictor(wide).unused == ("device_gb_per_s",)


def test_devices_that_numbers_do_not_tell_apart_have_a_column_each(make: Any) -> None:
    fast = [make(f"m{2**k}", 2.0**k, device="fast") for k in range(5)]
    slow = [make(f"m{2**k}", 2.0**k, device="slow", slower=3.0) for k in range(5)]
    fitted = fit_predictor(fast + slow)
    assert fitted.devices == ("fast", "slow")
    for each in (make("new", 3.0, device="fast"), make("new", 3.0, device="slow", slower=3.0)):
        assert fitted.predict("epoch_s", each) == pytest.approx(each.epoch_s, rel=0.03)
    between = fitted.predict("epoch_s", make("new", 3.0, device="unseen"))
    assert between == pytest.approx(make("new", 3.0).epoch_s * 3**0.5, rel=0.03)
    assert fitted.knows_devices("fast")
    assert not fitted.knows_devices("unseen")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_configurations_teach_nothing(count: int, world: list[Observation]) -> None:
    with pytest.raises(UsageError, match="cannot be told from fewer than 3"):
        fit_predictor(world[:count])


def test_configurations_that_differ_in_nothing_teach_nothing(make: Any) -> None:
    with pytest.raises(UsageError, match="no feature differs"):
        fit_predictor([make("a"), make("b"), make("c")])


def test_a_missing_feature_is_named(world: list[Observation], make: Any) -> None:
    bare = replace(make(), features={"device_w": 100.0, "batch": 32.0})
    with pytest.raises(UsageError, match=r"train_gflops_per_image \(GFLOPs.*--feature"):
        fit_predictor(world).predict("epoch_s", bare)


def test_an_unknown_method_is_refused(world: list[Observation]) -> None:
    with pytest.raises(UsageError, match="unknown method 'forest'"):
        fit_predictor(world, "forest")

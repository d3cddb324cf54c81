from __future__ import annotations

import math
from typing import Any

import pytest

from energybench.estimators.pre.observation import merged, observation, observe
from energybench.model import Case, Domain, Provenance, Round, Run, Status, Window

FACTS: dict[str, Any] = {
    "model": "resnet18",
    "hyper_parameters": {"batch": 32, "pixels": 64, "precision": "fp32", "train_images": 200},
    "intensity": {"flops_per_image": 3_000_000_000, "bytes_per_image": 12_000_000},
    "parameters": 11_000_000,
    "data": {"train": 200, "validation": 60},
    "device": "cpu",
    "threads": 4,
    "compression": {"dtype": None},
}
KEYS = {"cpu": "EPYC", "cpu_count": 8, "estimate_w_per_cpu": 4.0}
DOMAINS = (Domain("package:0", "rapl", Provenance.MEASURED), Domain("dram:0", "rapl", Provenance.MEASURED))


def lap(seconds: float, package: float | None, dram: float = 0.0, label: str = "epoch") -> Window:
    return Window(seconds, {"package:0": package, "dram:0": dram}, label=label)


def case(*rounds: Round, **changes: Any) -> Case:
    fields: dict[str, Any] = {"facts": FACTS, "comparability": KEYS, "domains": DOMAINS, "status": Status.OK}
    return Case(id="test_f[resnet18-none]", rounds=rounds, **{**fields, **changes})


def training(*laps: Window, **metrics: float) -> Round:
    whole = Window(
        math.fsum(each.seconds for each in laps),
        {"package:0": 1000.0, "dram:0": 100.0},
        laps=laps,
    )
    return Round(whole, metrics)


def test_an_epoch_is_the_mean_of_those_after_the_first_over_rounds_and_domains() -> None:
    first = training(lap(9.0, 900.0), lap(2.0, 100.0, 10.0), lap(1.0, 9.0, label="eval"), lap(4.0, 200.0, 30.0))
    second = training(lap(9.0, 900.0), lap(5.0, 280.0, 20.0))
    found = observation(case(first, second), "0001_run")
    assert not isinstance(found, str)
    assert found.epoch_s == pytest.approx((3.0 + 5.0) / 2)
    assert found.epoch_j == pytest.approx((170.0 + 300.0) / 2)
    assert found.power_w == pytest.approx(235.0 / 4.0)
    assert found.images == 200  # validation has laps of its own
    assert found.source == "0001_run test_f[resnet18-none]"
    assert found.meters == "package+dram, measured"


def test_one_epoch_counts_itself() -> None:
    found = observation(case(training(lap(3.0, 30.0))))
    assert not isinstance(found, str)
    assert (found.epoch_s, found.epoch_j) == (3.0, 30.0)


def test_without_laps_the_round_is_divided_by_its_epochs_and_validation_counts_a_third() -> None:
    found = observation(case(Round(Window(10.0, {"package:0": 90.0, "dram:0": 10.0}), {"epochs": 5.0})))
    assert not isinstance(found, str)
    assert (found.epoch_s, found.epoch_j) == (2.0, 20.0)
    assert found.images == pytest.approx(200 + 60 / 3)


def test_features_come_from_the_facts_with_their_units() -> None:
    found = observation(case(training(lap(3.0, 30.0))))
    assert not isinstance(found, str)
    assert found.features == {
        "train_gflops_per_image": 3.0,
        "train_mb_per_image": 12.0,
        "parameters_m": 11.0,
        "batch": 32.0,
        "pixels": 64.0,
        "bits": 32.0,
        "device_w": 32.0,
        "device_cores": 4.0,
    }
    assert found.device == "EPYC"


def test_a_gpu_has_its_enforced_limit_and_the_rest_of_its_data_sheet() -> None:
    gpus = [{"name": "NVIDIA GeForce RTX 3070", "power_limit_w": 240.0}]
    found = observation(
        case(training(lap(3.0, 30.0)), facts={**FACTS, "device": "cuda:0"}, comparability={"gpus": gpus})
    )
    assert not isinstance(found, str)
    assert found.device == "NVIDIA GeForce RTX 3070"
    assert found.features["device_w"] == 240.0  # the data sheet says 220
    assert found.features["device_cores"] == 5888
    assert found.features["device_gb_per_s"] == 448
    assert found.features["devices"] == 1


def test_a_training_on_the_cpu_of_a_machine_with_a_gpu_is_the_cpus() -> None:
    keys = {**KEYS, "gpus": [{"name": "NVIDIA L4", "power_limit_w": 72.0}]}
    found = observation(case(training(lap(3.0, 30.0)), comparability=keys))
    assert not isinstance(found, str)
    assert found.device == "EPYC"


@pytest.mark.parametrize(
    ("dtype", "precision", "bits"), [("bfloat16", "fp32", 16.0), (None, "tf32", 19.0), (None, "bf16", 16.0)]
)
def test_bits_are_those_of_the_multiplications(dtype: str | None, precision: str, bits: float) -> None:
    recipe = {**FACTS["hyper_parameters"], "precision": precision}
    facts = {**FACTS, "compression": {"dtype": dtype}, "hyper_parameters": recipe}
    found = observation(case(training(lap(3.0, 30.0)), facts=facts))
    assert not isinstance(found, str)
    assert found.features["bits"] == bits


def test_a_language_model_has_a_context_and_no_pixels() -> None:
    recipe = {**FACTS["hyper_parameters"], "context": 128}
    found = observation(case(training(lap(3.0, 30.0), perplexity=3.6), facts={**FACTS, "hyper_parameters": recipe}))
    assert not isinstance(found, str)
    assert found.features["context"] == 128
    assert "pixels" not in found.features


@pytest.mark.parametrize(
    ("changes", "rounds", "reason"),
    [
        ({"status": Status.FAILED}, [training(lap(3.0, 30.0))], "it failed"),
        ({"facts": {**FACTS, "inference": {}}}, [training(lap(3.0, 30.0))], "it is inference"),
        ({"facts": {"model": "x"}}, [training(lap(3.0, 30.0))], "it does not say: GFLOPs.*batch"),
        ({}, [training(lap(3.0, None))], "no epoch of it has joules"),
        ({}, [training()], "no epoch of it has joules"),
        ({}, [training(lap(3.0, 0.0))], "an epoch of it has no joules"),
        ({}, [], "no epoch"),
        (
            {"facts": {**FACTS, "data": {}, "hyper_parameters": {"batch": 8}}},
            [training(lap(3.0, 30.0))],
            "does not say how many images",
        ),
    ],
)
def test_a_case_that_teaches_nothing_says_why(changes: dict[str, Any], rounds: list[Round], reason: str) -> None:
    import re

    found = observation(case(*rounds, **changes))
    assert isinstance(found, str)
    assert re.search(reason, found)


def test_a_lap_without_joules_takes_its_round_out_instead_of_counting_as_nothing() -> None:
    broken = training(lap(9.0, 90.0), lap(2.0, None), lap(2.0, 20.0))
    whole = training(lap(9.0, 90.0), lap(4.0, 44.0))
    found = observation(case(broken, whole))
    assert not isinstance(found, str)
    assert (found.epoch_s, found.epoch_j) == (4.0, 44.0)


def test_runs_give_what_can_be_learned_and_count_what_cannot() -> None:
    good, bad = case(training(lap(3.0, 30.0))), case(training(lap(3.0, 30.0)), status=Status.FAILED)
    seen = observe([Run("a/0001_x.json", (good, bad)), Run("b/0002_y.json", (good,))])
    assert [each.source.split()[0] for each in seen.taken] == ["0001_x", "0002_y"]
    assert seen.left_out == {"it failed": 1}


def test_repeats_of_a_configuration_become_one_by_geometric_means(make: Any) -> None:
    one, two = make(epoch_s=2.0, epoch_j=10.0), make(epoch_s=8.0, epoch_j=40.0)
    other = make(batch=64.0)
    together, alone = merged([one, other, two])
    assert (together.epoch_s, together.epoch_j, together.cases) == (pytest.approx(4.0), pytest.approx(20.0), 2)
    assert alone.cases == 1

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from energybench.errors import UsageError
from energybench.estimators.pre.devices import board, boards
from energybench.estimators.pre.observation import Observation
from energybench.estimators.pre.question import Question, ask


def detailed(each: Observation, **features: float) -> Observation:
    return replace(each, features={**each.features, **features}, source=f"run {each.model}")


def test_a_known_model_brings_its_features_and_says_from_where(make: Any) -> None:
    known = detailed(make("resnet18", 5.0, batch=64.0), pixels=32.0, train_mb_per_image=9.0, bits=32.0)
    asked = ask(Question("resnet18", 10), [known, detailed(make("other", 2.0))])
    assert asked.features["train_gflops_per_image"] == 5.0
    assert asked.features["train_mb_per_image"] == 9.0
    assert asked.features["batch"] == 64.0
    assert asked.device == "board"
    assert "resnet18 is described as in run resnet18" in asked.notes


def test_bytes_per_image_are_not_taken_from_another_batch(make: Any) -> None:
    known = detailed(make("resnet18", 5.0, batch=64.0), pixels=32.0, train_mb_per_image=9.0)
    asked = ask(Question("resnet18", 10, batch=128), [known])
    assert asked.features["batch"] == 128
    assert asked.features["train_gflops_per_image"] == 5.0
    assert asked.missing(("train_gflops_per_image", "train_mb_per_image")) == ("train_mb_per_image",)


def test_operations_are_not_taken_from_another_image_size(make: Any) -> None:
    known = detailed(make("resnet18", 5.0), pixels=32.0)
    asked = ask(Question("resnet18", 10, size=224), [known])
    assert asked.missing(("train_gflops_per_image",)) == ("train_gflops_per_image",)
    assert asked.features["batch"] == 32.0  # as in all runs


def test_of_several_cases_of_a_model_the_uncompressed_one_at_the_nearest_batch_speaks(make: Any) -> None:
    cases = [
        detailed(make("m", 4.0, batch=16.0), pixels=32.0, bits=32.0),
        detailed(make("m", 4.0, batch=64.0), pixels=32.0, bits=16.0),
        detailed(make("m", 3.0, batch=64.0), pixels=32.0, bits=32.0),
        detailed(make("m", 4.0, batch=64.0), pixels=32.0, bits=32.0),
    ]
    features = ask(Question("m", 1, batch=60), cases).features
    assert (features["train_gflops_per_image"], features["bits"], features["batch"]) == (4.0, 32.0, 60)


def test_what_the_user_says_comes_before_everything(make: Any) -> None:
    asked = ask(
        Question("m1", 1, batch=8, precision="bf16", features={"device_w": 77.0, "train_gflops_per_image": 9.0}),
        [make()],
    )
    assert asked.features["device_w"] == 77.0
    assert asked.features["train_gflops_per_image"] == 9.0
    assert asked.features["bits"] == 16.0


def test_a_device_of_the_runs_is_found_by_part_of_its_name(boards: list[Observation]) -> None:
    assert ask(Question("m1", 1, device="BOARD400"), boards).features["device_w"] == 400.0
    assert ask(Question("m1", 1, device="d50"), boards).device == "board50"
    with pytest.raises(UsageError, match="may be board50 or board100 or board200 or board400"):
        ask(Question("m1", 1, device="board"), boards)
    with pytest.raises(UsageError, match="name one with --device: board50"):
        ask(Question("m1", 1), boards)


def test_a_device_without_runs_has_its_data_sheet(boards: list[Observation]) -> None:
    asked = ask(Question("m1", 1, device="rtx 3090"), boards)
    assert asked.device == "GeForce RTX 3090"
    assert asked.features["device_w"] == 350
    assert asked.features["device_gb_per_s"] == 936


def test_an_unknown_device_is_refused_unless_it_is_described(boards: list[Observation]) -> None:
    with pytest.raises(UsageError, match=r"nothing is known of the device 'RTX 9999'.*--device-w.*board50"):
        ask(Question("m1", 1, device="RTX 9999"), boards)
    asked = ask(Question("m1", 1, device="RTX 9999", features={"device_w": 123.0}), boards)
    assert (asked.device, asked.features["device_w"]) == ("RTX 9999", 123.0)


def test_images_are_those_of_the_runs_or_the_users_and_validation_counts_a_third(make: Any) -> None:
    assert ask(Question("m1", 1), [make()]).images == 1000.0
    assert ask(Question("m1", 1, images=600, validation=300), [make()]).images == 700.0
    asked = ask(Question("m1", 1), [make(), detailed(make("other", images=50.0))])
    assert asked.images == 1000.0
    assert any("an epoch has 1000 images" in note for note in asked.notes)
    with pytest.raises(UsageError, match="--images"):
        ask(Question("unknown", 1), [make(), make("other", images=50.0)])


def test_the_device_is_set_up_as_in_the_run_that_describes_the_model_and_other_set_ups_are_said(make: Any) -> None:
    described = detailed(make("resnet18", 5.0), device_cores=2.0)
    later = detailed(make("tiny", 0.1), device_cores=1.0)
    asked = ask(Question("resnet18", 1), [described, later])
    assert asked.features["device_cores"] == 2.0
    note = "device_cores is 2, as in run resnet18; other runs have 1: --feature device_cores=N"
    assert note in asked.notes
    given = ask(Question("resnet18", 1, features={"device_cores": 1.0}), [described, later])
    assert given.features["device_cores"] == 1.0
    assert not any("device_cores" in each for each in given.notes)


def test_that_only_epochs_are_predicted_is_said(make: Any) -> None:
    assert any(note.startswith("epochs only") for note in ask(Question("m1", 1), [make()]).notes)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"epochs": 0}, "epochs must be a positive number"),
        ({"batch": -1}, "batch must be"),
        ({"size": float("nan")}, "size must be"),
        ({"validation": -1}, "validation images"),
        ({"precision": "fp8"}, "precision is one of fp32, tf32, bf16"),
        ({"features": {"batsch": 3}}, r"no feature 'batsch'; did you mean batch\?"),
        ({"features": {"batch": 0}}, "batch must be a positive number"),
    ],
)
def test_impossible_questions_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Question(**{"model": "m", "epochs": 1, **fields})


def test_every_board_is_found_by_the_name_that_nvml_gives_it() -> None:
    for name in boards():
        found = board(f"NVIDIA {name}")
        assert found is not None
        assert found.name == name
        assert None not in (found.watts, found.cores, found.memory_gb, found.gb_per_s)
    assert board("A100") is None  # there are boards of 40 and of 80 GB
    assert board("") is None

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from energybench.compress import PAPER
from energybench.errors import UsageError
from energybench.lab.finetune import evaluate, fine_tune
from energybench.lab.study import Study


@pytest.fixture(scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def study(_cache: None) -> Study:
    return Study("quick")


class Meter:
    """Remembers what was entered."""

    def __init__(self) -> None:
        self.entered: list[str] = []

    @contextmanager
    def __call__(self, label: str) -> Iterator[None]:
        self.entered.append(label)
        yield


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("compressor", [*PAPER, "lowrank+prune+stego", "noise"])
@pytest.mark.usefixtures("_cache")
def test_a_case_searches_once_and_every_round_starts_from_the_same_state(compressor: str) -> None:
    meter, study = Meter(), Study("quick", overrides={"epochs": 2})
    subject = study.subject("tiny", compressor, meter)
    assert meter.entered.count("search") == (0 if compressor == "none" else 1)
    before = state(subject.compressed.model)
    ends = []
    for _ in range(2):
        compressed = subject.fresh()
        torch.manual_seed(0)
        done = fine_tune(compressed.model, subject.data, subject.recipe, seed=0, training=compressed.training)
        ends.append(done.losses)
    assert ends[0] == ends[1]
    torch.testing.assert_close(state(subject.compressed.model), before, rtol=0, atol=0)
    again = Meter()
    assert study.subject("tiny", compressor, again) is subject
    study.subject("tiny", "prune" if compressor == "none" else "none")
    rebuilt = study.subject("tiny", compressor, again)
    assert again.entered == []
    torch.testing.assert_close(state(rebuilt.compressed.model), before)
    assert rebuilt.compressed.report is subject.compressed.report


def test_starting_weights_are_good_enough_for_a_search_to_mean_something(study: Study) -> None:
    subject = study.subject("tiny", "none")
    assert subject.start.accuracy >= 0.85
    assert subject.accuracy_compressed == subject.start.accuracy
    assert evaluate(subject.fresh().model, subject.data.evaluation).accuracy == subject.start.accuracy


def test_pruned_weights_stay_zero_through_a_fine_tune(study: Study) -> None:
    subject = study.subject("tiny", "prune")
    compressed = subject.fresh()
    assert compressed.masks
    fine_tune(compressed.model, subject.data, subject.recipe, training=compressed.training)
    for name, mask in compressed.masks.items():
        assert not compressed.model.get_parameter(name)[~mask].any()


def test_facts_and_workload_are_json_and_the_workload_knows_no_seed(study: Study) -> None:
    facts = study.subject("tiny", "stego").facts()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["accuracy_resolution"] == 1 / 500
    workload = study.workload("tiny", "stego", "early stopping")
    assert not [key for key in workload["recipe"] if "seed" in key]
    assert workload == study.workload("tiny", "stego", "early stopping")
    for other in (
        Study("quick", overrides={"lr": 0.5}).workload("tiny", "stego", "early stopping"),
        Study("quick", tolerance=0.02).workload("tiny", "stego", "early stopping"),
        study.workload("tiny", "prune", "early stopping"),
        study.workload("tiny", "stego", "one epoch"),
    ):
        assert other != workload


def test_another_tolerance_is_another_case_with_its_own_search_and_workload(study: Study) -> None:
    meter = Meter()
    loose = study.subject("tiny", "prune", meter, tolerance=0.1)
    tight = study.subject("tiny", "prune", meter, tolerance=0.0)
    assert meter.entered == ["search", "search"]
    assert loose.compressed.report.amount > tight.compressed.report.amount
    workloads = [study.workload("tiny", "prune", "early stopping", tolerance=points) for points in (0.1, 0.01, None)]
    assert workloads[0] != workloads[1] == workloads[2]


def test_allowed_errors_are_whole_answers_in_points_or_relative() -> None:
    assert Study("quick", tolerance=0.01).allowed_errors(0.5, 500) == 5
    assert Study("quick", tolerance=0.01, relative=True).allowed_errors(0.5, 500) == 2
    assert Study("quick").allowed_errors(0.5, 500, 0.1) == 50


def test_the_baseline_is_remembered_or_trained_once_as_the_case_of_its_seed_would(study: Study) -> None:
    made = study.baseline("tiny", 3)
    subject = study.subject("tiny", "none")
    torch.manual_seed(3)
    same = fine_tune(subject.fresh().model, subject.data, subject.recipe, seed=3)
    assert (made.epochs, made.validation_accuracy) == (same.epochs, same.validation_accuracy)
    study.remember("tiny", 3, 7.0, 0.5)
    assert study.matched_epochs("tiny", 3) == 7
    rule = study.target_rule("tiny", 3)
    assert (rule.target, rule.most) == (0.5, 3 * subject.recipe.epochs)


def test_given_epochs_and_a_given_target_stand_in_for_a_baseline() -> None:
    study = Study("quick", epochs=2, target=0.75)
    assert study.matched_epochs("tiny", 0) == 2
    rule = study.target_rule("tiny", 0)
    assert (rule.target, rule.most) == (0.75, 2)
    study.remember("tiny", 0, 4, 0.9)
    assert study.matched_epochs("tiny", 0) == 4


def test_an_unknown_compressor_is_said_with_the_known_ones(study: Study) -> None:
    with pytest.raises(UsageError, match="unknown compressor 'zip'; there are none, stego, "):
        study.compressor("zip")


def test_a_bad_data_set_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown data set"):
        Study("quick", "cifar").data("tiny")


@pytest.mark.usefixtures("_cache")
def test_what_a_training_aims_at_is_declared_where_the_command_line_says_it() -> None:
    plain, aimed = Study("quick"), Study("quick", epochs=7, target=0.9)
    for protocol, declared in (
        ("target accuracy", {"target": 0.9, "most_epochs": 7}),
        ("matched epochs", {"epochs": 7}),
        ("early stopping", {}),
    ):
        without = plain.workload("tiny", "none", protocol)
        assert aimed.workload("tiny", "none", protocol) == without | declared
        assert not {"target", "most_epochs", "epochs"} & without.keys()


@pytest.mark.usefixtures("_cache")
def test_bits_that_are_renewed_in_training_and_powerpropagation_exclude_one_another() -> None:
    study = Study("quick", overrides={"powerprop": 2.0})
    for name in ("stego_epoch", "stego_bf16", "prune+stego_end"):
        with pytest.raises(UsageError, match=f"{name.replace('+', '.')} clears or realises bits"):
            study.compressor(name)
    assert study.compressor("stego").kind == "stego"

"""A whole case of the study on a stand-in for the fixture that calls its function once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from energybench.lab.stopping import FixedEpochs, Rule, UntilTarget
from energybench.lab.study import Study
from energybench.lab.trial import fine_tune_case, judge


class Fixture:
    """As much of `energy` as a case uses; runs one round."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.metrics: dict[str, Any] = {}
        self.declared: dict[str, Any] = {}
        self.stored: dict[str, Any] = {}
        self.laps: list[str] = []
        self.reasons: list[str] = []

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        function(*args, **kwargs)
        return SimpleNamespace(rounds=(SimpleNamespace(metrics=self.metrics),))

    @contextmanager
    def lap(self, label: str) -> Iterator[None]:
        self.laps.append(label)
        yield

    @contextmanager
    def apart(self, label: str) -> Iterator[None]:
        yield

    def record(self, **metrics: Any) -> None:
        self.metrics.update(metrics)

    def workload(self, **inputs: Any) -> None:
        self.declared.update(inputs)

    def facts(self, **facts: Any) -> None:
        self.stored.update(facts)

    def resumed(self, function: Callable[..., Any]) -> bool:
        return False

    def failed_accuracy(self, reason: str) -> None:
        self.reasons.append(reason)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield Study("quick", overrides={"epochs": 3})


def case(study: Study, compressor: str, protocol: str, round_seed: int = 0, **how: Any) -> Fixture:
    energy = Fixture(round_seed)
    fine_tune_case(energy, study, "tiny", compressor, protocol, **how)
    return energy


def test_a_case_declares_records_and_stores_what_the_tables_read(study: Study) -> None:
    energy = case(study, "stego", "early stopping")
    assert energy.declared["protocol"] == "early stopping"
    assert energy.declared["compressor_parameters"]["kind"] == "stego"
    assert energy.stored["compression"]["bits"] > 0
    metrics = energy.metrics
    assert metrics["accuracy"] == metrics["correct"] / metrics["total"]
    assert metrics["epochs"] == energy.laps.count("epoch") == 3
    assert metrics["images"] == 3 * 250
    assert 0 < metrics["validation_accuracy"] <= 1
    assert "reached" not in metrics


def test_matched_epochs_follow_the_baseline_of_the_same_seed(study: Study) -> None:
    energy = case(study, "none", "early stopping", round_seed=5)
    assert study.baseline("tiny", 5).epochs == energy.metrics["epochs"]
    assert study.baseline("tiny", 5).validation_accuracy == energy.metrics["validation_accuracy"]


def test_a_rule_of_no_epochs_meters_one_evaluation(study: Study) -> None:
    energy = case(study, "none", "zero epochs", rule=lambda: FixedEpochs(0))
    assert energy.laps == ["eval"]
    assert (energy.metrics["epochs"], energy.metrics["images"]) == (0, 0)
    assert energy.metrics["accuracy"] == energy.metrics["accuracy_start"]


def test_another_seed_changes_the_training_and_the_baseline_is_not_forgotten(study: Study) -> None:
    plain = case(study, "none", "early stopping")
    before = study.baseline("tiny", 0)
    other = case(study, "none", "another seed", seed=lambda: 1000)
    assert other.metrics["loss"] != plain.metrics["loss"]
    assert study.baseline("tiny", 0) == before


def test_a_missed_target_is_labelled(study: Study) -> None:
    def unreachable() -> Rule:
        return UntilTarget(1.01, most=1)

    energy = case(study, "none", "target accuracy", rule=unreachable)
    assert energy.metrics["reached"] == 0
    assert "epochs_to_target" not in energy.metrics
    assert energy.reasons == ["round 1 did not reach its target in 1 epochs"]


@pytest.mark.parametrize(
    ("end", "tolerance", "relative", "failed"),
    [
        (0.890, None, False, False),
        (0.888, None, False, True),
        (0.892, None, True, False),
        (0.890, None, True, True),  # one per cent of 0.9 are 4.5 of 500 answers
        (0.850, 0.05, False, False),
        (0.848, 0.05, False, True),
    ],
)
def test_a_case_fails_on_more_extra_errors_than_its_tolerance_allows(
    end: float, tolerance: float | None, relative: bool, failed: bool
) -> None:
    energy = Fixture()
    rounds = [SimpleNamespace(metrics={"accuracy": end, "accuracy_start": 0.9, "total": 500.0})]
    judge(energy, Study("quick", relative=relative), rounds, tolerance=tolerance)
    assert bool(energy.reasons) is failed

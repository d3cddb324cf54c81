"""A whole case of the study on a stand-in for the fixture that calls its function once."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from energybench.lab.environment import environments, ready
from energybench.lab.profiles import Recipe
from energybench.lab.stopping import EarlyStopping, FixedEpochs, Rule, UntilTarget
from energybench.lab.study import Study
from energybench.lab.trial import NotedStopping, fine_tune_case, judge, plan


class Fixture:
    """As much of `energy` as a case uses; runs one round."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.metrics: dict[str, Any] = {}
        self.declared: dict[str, Any] = {}
        self.stored: dict[str, Any] = {}
        self.laps: list[str] = []
        self.reasons: list[str] = []
        self.planned: list[Any] = []
        self.noted: list[float] = []

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        function(*args, **kwargs)
        return SimpleNamespace(rounds=(SimpleNamespace(metrics=self.metrics, seed=self.seed),))

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

    def plan(self, epochs: int | None, *, patience: int | None = None, min_delta: float = 0.0) -> None:
        self.planned.append((epochs, patience, min_delta))

    def note(self, *, loss: Any = None) -> None:
        self.noted.append(loss)


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
    assert energy.planned == [(3, 3, 0.05)]
    assert len(energy.noted) == 3
    assert min(energy.noted) == metrics["validation_loss"]


@pytest.mark.parametrize(
    ("rule", "planned"),
    [
        (EarlyStopping(3, 0.05), (9, 3, 0.05)),
        (FixedEpochs(4), (4, None, 0.0)),
        (UntilTarget(0.9), (None, None, 0.0)),
    ],
)
def test_a_case_says_how_long_it_trains_as_far_as_its_rule_knows(rule: Rule, planned: tuple[Any, ...]) -> None:
    energy = Fixture()
    plan(energy, Recipe(epochs=9), rule)
    assert energy.planned == [planned]


def test_early_stopping_that_tells_its_losses_stops_as_it_does_without() -> None:
    told: list[float] = []
    telling, silent = NotedStopping(2, 0.1, note=lambda loss: told.append(loss)), EarlyStopping(2, 0.1)
    losses = [1.0, 0.95, 0.5, 0.45, 0.47]
    seen = [SimpleNamespace(loss=loss, accuracy=0.5) for loss in losses]
    assert [telling.update(each) for each in seen] == [silent.update(each) for each in seen]
    assert (telling.best_epoch, told) == (silent.best_epoch, losses)


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


class Resumed(Fixture):
    """Its round comes from a journal: nothing runs."""

    def __init__(self, metrics: dict[str, Any]) -> None:
        super().__init__()
        self.metrics = metrics

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return SimpleNamespace(rounds=(SimpleNamespace(metrics=self.metrics, seed=self.seed),))

    def resumed(self, function: Callable[..., Any]) -> bool:
        return True


@pytest.mark.parametrize("protocol", ["early stopping", "matched epochs"])
def test_a_none_case_that_was_resumed_sets_the_epochs_of_the_others(study: Study, protocol: str) -> None:
    measured = case(study, "none", protocol)
    fresh = Study("quick", overrides={"epochs": 3}, epochs=9)
    fine_tune_case(Resumed(measured.metrics), fresh, "tiny", "none", protocol)
    assert fresh.matched_epochs("tiny", 0) == measured.metrics["epochs"] != 9


def test_a_rule_that_trains_a_baseline_leaves_the_pretraining_metered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    small = {"epochs": 1, "pretrain_images": 64, "pretrain_epochs": 1, "train_images": 32}
    fresh, entered = Study("quick", overrides=small), []

    class Metering(Fixture):
        @contextmanager
        def apart(self, label: str) -> Iterator[None]:
            entered.append(label)
            yield

    fine_tune_case(Metering(), fresh, "tiny", "prune@0.5", "target accuracy", rule=lambda: fresh.target_rule("tiny", 0))
    assert entered == ["pretraining", "search"]


def test_weights_that_are_pruned_after_the_target_was_reached_are_looked_at_again(study: Study) -> None:
    energy = case(study, "prune_gradual@0.95", "target accuracy", rule=lambda: UntilTarget(0.8, 1))
    subject = study.subject("tiny", "prune_gradual@0.95")
    assert energy.metrics["accuracy"] < 0.8 < subject.start.accuracy
    assert energy.metrics["reached"] == 0
    assert energy.reasons


# functions of the suite that are no fine-tune


def bench(name: str) -> dict[str, Any]:
    """What a file of `benches/` defines."""
    return runpy.run_path(str(Path(__file__).resolve().parents[2] / "benches" / f"{name}.py"))


def called_twice(function: Callable[..., Any], made: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What two calls of one round record."""
    first, second = Fixture(seed=3), Fixture(seed=3)
    function(first, made)
    function(second, made)
    return first.metrics, second.metrics


def test_an_epoch_that_a_round_calls_twice_begins_at_the_same_weights(study: Study) -> None:
    subject = study.subject("tiny", "prune@0.5")
    first, second = called_twice(bench("test_epoch")["epoch"], subject)
    assert first == second
    assert first["epochs"] == 1
    assert first["accuracy"] != first["accuracy_compressed"]  # it did train


def test_an_environments_epoch_that_a_round_calls_twice_begins_at_the_same_weights(study: Study) -> None:
    environment = environments(1, cuda=False)[0]
    with environment.applied():
        made = ready(environment, study.subject("tiny", "none"))
        first, second = called_twice(bench("test_environment")["epoch"], made)
    assert first == second
    assert first["steps"] * environment.batch >= first["images"] > 0
    assert first["accuracy"] != first["accuracy_start"]


@pytest.mark.parametrize("relative", [False, True])
def test_a_capacity_case_declares_its_tolerance(study: Study, relative: bool) -> None:
    wide = replace(study, tolerance=0.03, relative=relative)
    energy = Fixture()
    bench("test_capacity")["test_capacity"](energy, wide, "tiny", "truncate", "whole")
    parameters = energy.declared["compressor_parameters"]
    assert (parameters["tolerance"], parameters.get("relative", False)) == (0.03, relative)
    tight = Fixture()
    bench("test_capacity")["test_capacity"](tight, replace(study, tolerance=0.0), "tiny", "truncate", "whole")
    assert tight.declared != energy.declared
    assert tight.metrics["capacity"] <= energy.metrics["capacity"]

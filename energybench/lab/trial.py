"""What the benches meter: one fine-tune of a fresh copy of a subject, recorded and judged alike in every study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from energybench.lab.finetune import FineTune, fine_tune
from energybench.lab.profiles import Recipe
from energybench.lab.stopping import EarlyStopping, Rule, UntilTarget, Validation
from energybench.lab.study import EARLY, MATCHED, Study, Subject
from energybench.lab.text import perplexity


class Metered(Protocol):
    """As much of the `energy` fixture as the studies need."""

    @property
    def seed(self) -> int: ...

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...

    def lap(self, label: str) -> AbstractContextManager[Any]: ...

    def apart(self, label: str) -> AbstractContextManager[Any]: ...

    def record(self, **metrics: Any) -> None: ...

    def workload(self, **inputs: Any) -> None: ...

    def facts(self, **facts: Any) -> None: ...

    def resumed(self, function: Callable[..., Any]) -> bool: ...

    def failed_accuracy(self, reason: str) -> None: ...

    def plan(self, epochs: int | None, *, patience: int | None = None, min_delta: float = 0.0) -> None: ...

    def note(self, *, loss: Any = None) -> None: ...


@dataclass(slots=True)
class NotedStopping(EarlyStopping):
    """Early stopping that tells each validation loss, from which the end of the training can be predicted."""

    note: Callable[..., None] = field(kw_only=True)

    def update(self, seen: Validation) -> bool:
        """Take the validation after the next epoch; True where training should stop now."""
        self.note(loss=seen.loss)
        return EarlyStopping.update(self, seen)  # super() knows the class only as it was before its slots


def plan(energy: Metered, recipe: Recipe, rule: Rule) -> None:
    """Say how many epochs this round trains, as far as its rule knows."""
    if isinstance(rule, UntilTarget):
        energy.plan(None)
    elif isinstance(rule, EarlyStopping):
        energy.plan(rule.limit(recipe.epochs), patience=rule.patience, min_delta=rule.min_delta)
    else:
        energy.plan(rule.limit(recipe.epochs))


def trial(
    energy: Metered, study: Study, subject: Subject, rule: Rule | None = None, *, seed: int | None = None
) -> FineTune:
    """Fine-tune a fresh copy of the subject until `rule` ends it, and record what this round came to.

    `rule` is the recipe's early stopping by default. `seed` stands in for the round's own, in the order of the data and
    in what dropout draws.
    """
    if seed is not None:
        torch.manual_seed(seed)
    compressed = subject.fresh()
    ends = rule or NotedStopping(subject.recipe.patience, subject.recipe.min_delta, note=energy.note)
    plan(energy, subject.recipe, ends)
    done = fine_tune(
        compressed.model,
        subject.data,
        subject.recipe,
        seed=energy.seed if seed is None else seed,
        lap=energy.lap,
        training=compressed.training,
        rule=ends,
    )
    if rule is None and seed is None and subject.compressor.kind == "none":
        study.remember(subject.model, energy.seed, done.epochs, done.validation_accuracy)
    numbers: dict[str, float | None] = {
        "accuracy": done.accuracy,
        "accuracy_start": subject.start.accuracy,
        "accuracy_compressed": subject.accuracy_compressed,
        "loss": done.evaluation.loss,
        "epochs": done.epochs,
        "best_epoch": done.best_epoch,
        "images": done.images,
        "steps": done.steps,
        "lr": subject.recipe.lr,
        "correct": done.evaluation.correct,
        "total": done.evaluation.total,
        "validation_loss": min(done.losses, default=None),
        "validation_accuracy": done.validation_accuracy,
    }
    if subject.data.unit == "tokens":
        numbers["perplexity"] = perplexity(done.evaluation.loss)
    if done.reached is not None:
        numbers["reached"] = float(done.reached)
        numbers["epochs_to_target"] = done.epochs if done.reached else None
    energy.record(**{name: number for name, number in numbers.items() if number is not None})
    return done


def fine_tune_case(
    energy: Metered,
    study: Study,
    model: str,
    compressor: str,
    protocol: str,
    *,
    rule: Callable[[], Rule | None] = lambda: None,
    tolerance: float | None = None,
    seed: Callable[[], int | None] = lambda: None,
) -> Any:
    """A whole case: declare it, prepare its subject, meter its trials, judge them; the result of `energy(...)`.

    `rule` and `seed` are asked for only where a round is really run, since they may cost a training.
    """
    energy.workload(**study.workload(model, compressor, protocol, tolerance=tolerance))
    if energy.resumed(trial):
        run = energy(trial, energy, study, None)
    else:
        study.start(model, energy.apart)  # before a rule that trains a baseline of its own, in no window
        ends, drawn = rule(), seed()
        subject = study.subject(model, compressor, energy.apart, tolerance=tolerance)
        energy.facts(**subject.facts())
        run = energy(trial, energy, study, subject, ends, seed=drawn)
    if compressor == "none" and protocol in (EARLY, MATCHED):  # rounds that come from a journal were not trained here
        for finished in run.rounds:
            study.remember(model, finished.seed, finished.metrics["epochs"], finished.metrics["validation_accuracy"])
    judge(energy, study, run.rounds, tolerance=tolerance)
    return run


def judge(energy: Metered, study: Study, rounds: Sequence[Any], *, tolerance: float | None = None) -> None:
    """Label the case `failed-accuracy` where a round missed its target or ended too far below the start."""
    for number, finished in enumerate(rounds, 1):
        end, start = finished.metrics["accuracy"], finished.metrics["accuracy_start"]
        total = finished.metrics["total"]
        if finished.metrics.get("reached") == 0:
            energy.failed_accuracy(f"round {number} did not reach its target in {finished.metrics['epochs']:g} epochs")
            return
        if round((start - end) * total) > study.allowed_errors(start, total, tolerance):
            points = study.tolerance if tolerance is None else tolerance
            share = " of it" if study.relative else ""
            energy.failed_accuracy(
                f"round {number} ended at {end:.1%}, more than {points:.1%}{share} below the uncompressed model's "
                f"{start:.1%} (n = {total:g})"
            )
            return

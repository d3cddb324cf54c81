"""The main job: fine-tune each model under each compressor, with early stopping, from the same starting state.

One round = one fine-tune. Accuracies count the evaluation images, which neither training nor a search has seen.
"""

from __future__ import annotations

from typing import Any

from energybench.lab.finetune import FineTune, fine_tune
from energybench.lab.study import Study, Subject


def finetune(energy: Any, subject: Subject) -> FineTune:
    """Train a fresh copy of the subject; records what the round reached."""
    compressed = subject.fresh()
    done = fine_tune(
        compressed.model, subject.data, subject.recipe, seed=energy.seed, lap=energy.lap, training=compressed.training
    )
    energy.record(
        accuracy=done.accuracy,
        accuracy_start=subject.start.accuracy,
        accuracy_compressed=subject.accuracy_compressed,
        epochs=done.epochs,
        best_epoch=done.best_epoch,
        images=done.images,
        lr=subject.recipe.lr,
        correct=done.evaluation.correct,
        total=done.evaluation.total,
        validation_loss=min(done.losses),
    )
    return done


def test_finetune(energy: Any, study: Study, model: str, compressor: str) -> None:
    energy.workload(**study.workload(model, compressor, "early stopping"))
    if energy.resumed(finetune):
        run = energy(finetune, energy, None)
    else:
        subject = study.subject(model, compressor, energy.apart)
        energy.facts(**subject.facts())
        run = energy(finetune, energy, subject)
    for number, finished in enumerate(run.rounds, 1):
        end, start = finished.metrics["accuracy"], finished.metrics["accuracy_start"]
        total = finished.metrics["total"]
        assert end is not None
        assert start is not None
        assert total is not None
        if round((start - end) * total) > int(study.tolerance * total + 1e-9):
            energy.failed_accuracy(
                f"round {number} ended at {end:.1%}, more than {study.tolerance:.1%} below the uncompressed model's "
                f"{start:.1%} (n = {total:g})"
            )
            break

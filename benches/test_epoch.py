"""One training epoch of each model under each compressor, always from the same state: the case that CI gates on."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from energybench.lab.arithmetic import arithmetic
from energybench.lab.finetune import evaluate, one_epoch
from energybench.lab.optimizer import optimizer
from energybench.lab.powerprop import powerpropagation
from energybench.lab.study import Study, Subject


def epoch(energy: Any, subject: Subject) -> None:
    """Train a fresh copy of the subject for one pass over the training images."""
    recipe, data, compressed = subject.recipe, subject.data, subject.fresh()
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(energy.seed))
    with powerpropagation(compressed.model, recipe.powerprop):
        steps_with = optimizer(compressed.model, recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.momentum)
        with arithmetic(recipe.precision), compressed.training(steps_with) as hooks, energy.lap("epoch"):
            done = one_epoch(compressed.model, data.train, steps_with, recipe.batch, order=order, hooks=hooks)
            hooks.epoch_end()
    with energy.lap("eval"):
        reached = evaluate(compressed.model, data.evaluation)
    energy.record(
        accuracy=reached.accuracy,
        accuracy_start=subject.start.accuracy,
        accuracy_compressed=subject.accuracy_compressed,
        epochs=1,
        images=done.images,
        lr=recipe.lr,
        correct=reached.correct,
        total=reached.total,
    )


@pytest.mark.energybench(rounds=3)
def test_epoch(energy: Any, study: Study, model: str, compressor: str) -> None:
    energy.workload(**study.workload(model, compressor, "one epoch"))
    if energy.resumed(epoch):
        energy(epoch, energy, None)
        return
    subject = study.subject(model, compressor, energy.apart)
    energy.facts(**subject.facts())
    energy(epoch, energy, subject)

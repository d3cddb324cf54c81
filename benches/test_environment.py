"""The second paper's main study: every model in every training environment, one epoch each.

An environment is a device, a batch, a number of threads and a precision; a precision that the machine only emulates is
skipped with the reason. Power limits are recorded and never set. `energybench interactions` tables what comes out.
Interleave the rounds (`--energy-interleave`), or the machine's drift stands between the environments as if it were
their own. `-k "b32 and fp32"` and `--energy-set batch=32` leave environments out.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from energybench.lab.environment import Ready, declared, environments, pinned, ready
from energybench.lab.finetune import evaluate, one_epoch
from energybench.lab.powerprop import powerpropagation
from energybench.lab.scores import Tally
from energybench.lab.study import Study

THREADS = torch.get_num_threads()
ENVIRONMENTS = {each.id: each for each in environments(THREADS, cuda=torch.cuda.is_available())}


def epoch(energy: Any, made: Ready | None) -> None:
    """One pass over the training images, then accuracy and macro F1 in the same environment."""
    assert made is not None
    model, data = copy.deepcopy(made.model), made.data  # a round may call this several times
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(energy.seed))
    with powerpropagation(model, made.recipe.powerprop):
        steps_with = made.optimizer(model)
        with energy.lap("epoch"):
            done = one_epoch(model, data.train, steps_with, made.environment.batch, order=order)
    tally = Tally(data.classes, made.environment.where)
    with energy.lap("eval"):
        reached = evaluate(model, data.evaluation, tally=tally)
    energy.record(
        accuracy=reached.accuracy,
        macro_f1=tally.macro_f1(),
        accuracy_start=made.subject.start.accuracy,
        loss=reached.loss,
        epochs=1,
        images=done.images,
        steps=done.steps,
        lr=made.recipe.lr,
        correct=reached.correct,
        total=reached.total,
    )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.energybench(rounds=3)
def test_environment(energy: Any, study: Study, model: str, environment: str) -> None:
    chosen = ENVIRONMENTS[environment]
    reason = pinned(chosen, study)
    if reason:
        pytest.skip(reason)
    chosen.require(slow=study.slow)
    energy.workload(**declared(chosen, study, model))
    if energy.resumed(epoch):
        energy(epoch, energy, None)
        return
    subject = study.subject(model, "none", energy.apart)
    with chosen.applied():
        made = ready(chosen, subject)
        energy.facts(**made.facts(THREADS))
        energy(epoch, energy, made)

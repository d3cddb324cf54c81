"""Inference alone: what one image costs each compressed model, one at a time and in a batch.

One call = some forward passes over the same evaluation images, as many for every compressor of a model; one round = so
many calls that the window is long enough for its counters. `images` in the metrics is what one call runs, so
joules / images is the energy of an image. Beside the compressors stand other ways to run the uncompressed model:
`compile` (torch.compile; the compilation is metered apart, as a search is) and `int8_dynamic` (Linear layers in int8).
Models are not fine-tuned here, which changes nothing in what a pass costs. So the accuracy of a compressed model is
recorded and not judged: whether it is good enough is decided after fine-tuning, in test_finetune.py. `compile` and
`int8_dynamic` are what they will be, and are judged.
"""

from __future__ import annotations

from typing import Any

import pytest

from energybench.compress.precision import UnavailableError
from energybench.lab.arithmetic import device
from energybench.lab.inference import WAYS, Inferences, Ready
from energybench.lab.study import Study
from energybench.lab.trial import judge

COMPRESSORS = ("none", "stego", "prune", "prune_layer", "lowrank", "compile", "int8_dynamic")
BATCHES = (1, 64)


@pytest.fixture(scope="session")
def inferences(study: Study) -> Inferences:
    """Models ready to run, each made once and shared by the rounds of a case."""
    return Inferences(study)


def inference(energy: Any, ready: Ready | None) -> None:
    """Run the batch as often as one call does; its outputs are dropped."""
    assert ready is not None
    energy.record(**ready.numbers)
    ready()


@pytest.mark.parametrize("batch", BATCHES, ids=[f"b{batch}" for batch in BATCHES])
@pytest.mark.energybench(rounds=3, iterations="auto")
def test_inference(energy: Any, study: Study, inferences: Inferences, model: str, compressor: str, batch: int) -> None:
    reason = inferences.unavailable(compressor, device())
    if reason:
        pytest.skip(reason)
    energy.workload(**inferences.workload(model, compressor, batch))
    ready = None
    if not energy.resumed(inference):
        try:
            ready = inferences.ready(model, compressor, batch, energy.apart)
        except UnavailableError as error:
            pytest.skip(str(error))
        energy.facts(**ready.facts)
    run = energy(inference, energy, ready)
    if compressor in WAYS:
        judge(energy, study, run.rounds)

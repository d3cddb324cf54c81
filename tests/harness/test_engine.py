"""Seeding, and the status of a session."""

from __future__ import annotations

import random

import pytest

from energybench.harness.engine import Sweep, seed_everything
from energybench.harness.options import EnergyOptions


@pytest.mark.parametrize("seed", [0, 7, 2**40])
def test_everything_that_is_loaded_is_seeded(seed: int) -> None:
    numpy = pytest.importorskip("numpy")
    torch = pytest.importorskip("torch")
    drawn = []
    for _ in range(2):
        seed_everything(seed)
        drawn.append((random.random(), numpy.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
    assert drawn[0][0] == random.Random(seed).random()
    assert drawn[0][1] == numpy.random.RandomState(seed % 2**32).rand()
    assert drawn[0][2] == torch.rand(1, generator=torch.Generator().manual_seed(seed)).item()


def test_a_new_seed_draws_other_numbers() -> None:
    seed_everything(1)
    first = random.random()
    seed_everything(2)
    assert random.random() != first


def test_a_failed_gate_makes_the_session_regressed(pytester: pytest.Pytester) -> None:
    sweep = Sweep(pytester.parseconfig("-p", "energybench.plugin"), EnergyOptions(), frozenset())
    assert sweep.status == "ok"
    sweep.interrupted = True
    assert sweep.status == "partial"
    sweep.gate_failed = True
    assert sweep.status == "regressed"
    record = sweep.session_record()
    assert (record["schema"], record["status"], record["pue"], record["meters"]) == (1, "regressed", 1.0, ["auto"])

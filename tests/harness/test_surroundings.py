"""Seeds, and what slowed a GPU down."""

from __future__ import annotations

import random

import pytest

from energybench.harness.surroundings import seed_everything, slowed
from energybench.model import Round, Window

POWER_CAP, IDLE = 0x4, 0x1


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


def test_what_held_a_gpu_down_at_either_end_is_said_once() -> None:
    key = "gpu:0_throttle_reasons"
    (said,) = slowed(Round(Window(1.0), conditions={key: POWER_CAP}, conditions_end={key: POWER_CAP}))
    assert said.startswith("gpu:0 was slowed down: ")
    assert said.count("power") == 1


def test_an_idle_gpu_and_one_that_tells_nothing_were_not_slowed_down() -> None:
    key = "gpu:0_throttle_reasons"
    assert slowed(Round(Window(1.0), conditions={key: IDLE}, conditions_end={key: IDLE})) == []
    assert slowed(Round(Window(1.0), conditions_end={"gpu:0_temperature_c": 60.0})) == []

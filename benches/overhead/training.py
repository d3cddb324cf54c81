"""What does metering cost a training? The same epochs of the tiny ResNet, bare and metered, in turn.

    python benches/overhead/training.py [PAIRS]

Each pair runs both sides from the same state in random order, so that drift of the machine hits both alike; the ratio
is taken pair by pair, and its median and quartiles are printed, in wall and in CPU seconds.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from energybench.lab.data import load
from energybench.lab.finetune import evaluate, one_epoch
from energybench.lab.models import build
from energybench.lab.optimizer import optimizer
from energybench.lab.profiles import recipe
from energybench.metering import MeterOptions, open_meters

EPOCHS = 4


def main(pairs: int) -> None:
    """Print the ratio metered / bare."""
    chosen = recipe("quick", "tiny")
    data = load("digits", chosen)
    torch.manual_seed(0)
    model = build("tiny", data.classes, data.pixels)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    meters = open_meters(MeterOptions())

    def train(lap: Callable[[str], AbstractContextManager[None]]) -> None:
        model.load_state_dict(start)
        steps_with = optimizer(model, "sgd", 0.01, 0.0)
        for _ in range(EPOCHS):
            with lap("epoch"):
                one_epoch(model, data.pretraining, steps_with, chosen.batch)
            with lap("eval"):
                evaluate(model, data.evaluation)

    def bare() -> None:
        train(lambda label: nullcontext())

    def metered() -> None:
        window = meters.open_window("overhead")
        train(window.lap)
        window.close()

    ratios: dict[str, list[float]] = {"wall": [], "cpu": []}
    for pair in range(pairs + 1):
        sides = [bare, metered]
        random.shuffle(sides)
        wall, cpu = {}, {}
        for side in sides:
            wall_0, cpu_0 = time.perf_counter(), time.process_time()
            side()
            wall[side], cpu[side] = time.perf_counter() - wall_0, time.process_time() - cpu_0
        if pair:  # the first pair warms up
            ratios["wall"].append(wall[metered] / wall[bare])
            ratios["cpu"].append(cpu[metered] / cpu[bare])
    meters.close()
    print(f"{EPOCHS} epochs of {len(data.pretraining)} images, {torch.get_num_threads()} threads, {pairs} pairs")
    for clock, values in ratios.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"metered / bare, {clock}: median {middle:.4f}, quartiles {low:.4f} to {high:.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)

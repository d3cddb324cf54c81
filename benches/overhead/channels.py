"""How much faster is a training step without half of the channels? Every one of the study's models, dense and pruned.

    python benches/overhead/channels.py [STEPS [PIXELS [MODEL ...]]]

A step is forward, backward and fused SGD on one batch of 16, which both models share. They take turns, so that a busy
machine hits both alike; the ratio is that of the medians, in CPU seconds, with the quartiles of the ratios pair by
pair. At 96 pixels by default: below, much of a step is overhead of small operations, which fewer channels do not
shorten (DenseNet121, with most layers, shows it most).
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from energybench.compress.channels import ChannelPruning
from energybench.lab.finetune import training_loss
from energybench.lab.models import NINE, architecture, build
from energybench.lab.optimizer import optimizer

AMOUNT = 0.5
BATCH = 16


def step_of(model: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """One training step as a function."""
    model.train()
    steps_with = optimizer(model, "sgd", 1e-3, 1e-4)

    def step() -> None:
        steps_with.zero_grad(set_to_none=True)
        training_loss(model(images), labels).backward()
        steps_with.step()

    return step


def measure(name: str, steps: int, pixels: int) -> str:
    """A line of the table."""
    torch.manual_seed(0)
    pixels = max(pixels, architecture(name).minimum_pixels)
    model = build(name, 10, pixels)
    images, labels = torch.randn(BATCH, 3, pixels, pixels), torch.arange(BATCH) % 10
    begun = time.process_time()
    compressed = ChannelPruning(AMOUNT)(model, example_input=images[:1])
    pruning = time.process_time() - begun
    before, after = compressed.report.before, compressed.report.after
    assert before.flops is not None
    assert after.flops is not None
    sides = {"dense": step_of(model, images, labels), "pruned": step_of(compressed.model, images, labels)}
    cpu: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(steps + 1):
        order = list(sides)
        random.shuffle(order)
        for side in order:
            begun = time.process_time()
            sides[side]()
            if number:  # the first step allocates gradients and momentum
                cpu[side].append(time.process_time() - begun)
    dense, pruned = (statistics.median(cpu[side]) for side in sides)
    ratios = [a / b for a, b in zip(cpu["dense"], cpu["pruned"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return (
        f"{name:14} {pixels:4} px {before.parameters / 1e6:7.1f} -> {after.parameters / 1e6:5.1f} M "
        f"{before.flops / 1e9:6.2f} -> {after.flops / 1e9:5.2f} GFLOP {dense / BATCH * 1e3:8.1f} -> "
        f"{pruned / BATCH * 1e3:7.1f} CPU-ms an image {dense / pruned:5.2f} times ({low:.2f} to {high:.2f}) "
        f"pruning took {pruning:.1f} s"
    )


def main(steps: int, pixels: int, names: tuple[str, ...]) -> None:
    """Print the table, a model at a time."""
    print(f"{AMOUNT:.0%} of the channels, batch {BATCH}, {steps} steps, {torch.get_num_threads()} threads")
    for name in names:
        print(measure(name, steps, pixels), flush=True)
        gc.collect()


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        int(given[0]) if given else 7,
        int(given[1]) if len(given) > 1 else 96,
        tuple(given[2:]) or NINE,
    )

"""What does the lab's loop cost, and what do memory format and compiler change? Training steps side by side.

    python benches/overhead/steps.py [--models tiny,resnet18] [--rounds 200] [--steps 16] [--batch 32] [--variants]

`lab` is `lab.finetune.one_epoch` over images in memory, with all that a fine-tune does in a step; `bare` is the
plainest loop over batches that were made beforehand, with the same optimiser. In every round both train the same
model on the same batches from the same state, in random order, so that drift of the machine hits both alike and neither
has the luckier addresses; the ratio is taken round by round, and its median is printed with the 95 % interval of that
median (by order statistics) and its quartiles, in wall and in CPU seconds: at most 1.02 is to be reached. An epoch of
few steps shows the costs of an epoch and not of a step. With --variants the bare loop runs in channels_last and
compiled too (the first round, which is not counted, compiles). It runs on the current CUDA device where there is one;
there the CPU seconds are the launching process's.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn import functional as F

from energybench.lab.arithmetic import device
from energybench.lab.data import TensorPart
from energybench.lab.execution import unavailable
from energybench.lab.finetune import one_epoch
from energybench.lab.models import build
from energybench.lab.optimizer import optimizer
from energybench.lab.profiles import recipe

CLASSES = 10
GOAL = 1.02
Batches = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Arm:
    """One way to train the same batches."""

    name: str
    model: nn.Module
    """what holds the weights"""
    train: Callable[[torch.optim.Optimizer], None]


def bare(model: nn.Module, batches: Batches, steps_with: torch.optim.Optimizer) -> None:
    """Nothing but the training steps."""
    model.train()
    for x, y in batches:
        steps_with.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        steps_with.step()


def arms(name: str, pixels: int, batch: int, steps: int, *, variants: bool) -> list[Arm]:
    """`bare` first; `lab` trains the same model, the variants one of their own with the same weights."""
    where = device()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (steps * batch, 1, pixels, pixels), dtype=torch.uint8, generator=generator)
    part = TensorPart(images, torch.randint(0, CLASSES, (len(images),), generator=generator), 0.5, 0.25)
    ready = list(part.batches(batch, where))

    def model() -> nn.Module:
        torch.manual_seed(0)
        return build(name, CLASSES, pixels).to(where)

    plain = model()
    found = [
        Arm("bare", plain, lambda steps_with: bare(plain, ready, steps_with)),
        Arm("lab", plain, lambda steps_with: _lab(plain, part, batch, steps_with)),
    ]
    if variants:
        last = model().to(memory_format=torch.channels_last)
        turned = [(x.contiguous(memory_format=torch.channels_last), y) for x, y in ready]
        found.append(Arm("channels_last", last, lambda steps_with: bare(last, turned, steps_with)))
        reason = unavailable("compile", where)
        if reason:
            print(f"compile: {reason}")
        else:
            source = model()
            torch.compiler.reset()
            compiled = torch.compile(source, dynamic=False)
            found.append(Arm("compile", source, lambda steps_with: bare(compiled, ready, steps_with)))
    return found


def _lab(model: nn.Module, part: TensorPart, batch: int, steps_with: torch.optim.Optimizer) -> None:
    one_epoch(model, part, steps_with, batch)


def seconds(run: Callable[[], None]) -> dict[str, float]:
    """Wall and CPU seconds of `run`, everything finished on the device."""
    _wait()
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    _wait()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def compare(found: Sequence[Arm], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Seconds of every arm in every round; the first round, which warms up and compiles, is left out."""
    states = {arm.name: {key: value.clone() for key, value in arm.model.state_dict().items()} for arm in found}
    spent: dict[str, list[dict[str, float]]] = {arm.name: [] for arm in found}
    for turn in range(rounds + 1):
        for arm in random.sample(found, len(found)):
            arm.model.load_state_dict(states[arm.name])
            steps_with = optimizer(arm.model, "sgd", 1e-3, 1e-4)
            took = seconds(lambda arm=arm, steps_with=steps_with: arm.train(steps_with))  # type: ignore[misc]
            if turn:
                spent[arm.name].append(took)
    return spent


def rows(spent: Mapping[str, Sequence[Mapping[str, float]]], steps: int) -> list[Sequence[object]]:
    """A row per arm: best milliseconds a step, and its ratio to `bare` round by round, on both clocks."""
    found: list[Sequence[object]] = []
    for name, taken in spent.items():
        row: list[object] = [name, f"{1000 * min(each['wall'] for each in taken) / steps:.2f}"]
        ratios = {
            clock: [one[clock] / other[clock] for one, other in zip(taken, spent["bare"], strict=True)]
            for clock in ("wall", "cpu")
        }
        for values in ratios.values():
            least, most = median_interval(values)
            low, middle, high = statistics.quantiles(values, n=4)
            row += [f"{middle:.3f} ({least:.3f} to {most:.3f})", f"{low:.3f} to {high:.3f}"]
        row.append(f"at most {GOAL}: {reached(ratios['wall'])}" if name == "lab" else "")
        found.append(row)
    return found


def reached(ratios: Sequence[float]) -> str:
    """Whether the whole interval of the median keeps the goal."""
    least, most = median_interval(ratios)
    return "yes" if most <= GOAL else "NO" if least > GOAL else "not resolved"


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Between which two of the values their median lies, at 95 % (ranks n/2 -+ 0.98 sqrt n; David & Nagaraja 2003)."""
    ranked = sorted(values)
    reach = 0.98 * math.sqrt(len(ranked))
    low, high = math.floor(len(ranked) / 2 - reach), math.ceil(len(ranked) / 2 + reach)
    return ranked[max(low - 1, 0)], ranked[min(high, len(ranked) - 1)]


def main() -> None:
    """Print a table per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="tiny,resnet18", help="names, separated by commas")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--steps", type=int, default=16, help="in one round")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--variants", action="store_true", help="channels_last and torch.compile too")
    given = parser.parse_args()
    for name in given.models.split(","):
        pixels = recipe("quick", name).pixels
        found = arms(name, pixels, given.batch, given.steps, variants=given.variants)
        spent = compare(found, given.rounds)
        print(
            f"\n{name}, {pixels} px, batch {given.batch}, {given.steps} steps a round, {given.rounds} rounds, "
            f"{torch.get_num_threads()} threads, {device()}"
        )
        clocks = (head for clock in ("wall", "cpu") for head in (f"x bare, {clock} (95 %)", "quartiles"))
        heads = ("loop", "best ms/step", *clocks, "to reach")
        print(tabulate(rows(spent, given.steps), heads, disable_numparse=True), flush=True)


if __name__ == "__main__":
    main()

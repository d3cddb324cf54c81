"""What does a lower precision do to a training step? float32, bfloat16 weights and autocast, in turn.

    python benches/overhead/precision.py [ROUNDS [MODEL[:PIXELS] ...]]

Each round takes every arm from the same batch once, in random order, so that drift of the machine hits all alike; the
ratio to float32 is taken round by round, and its median and quartiles are printed, in wall and in CPU seconds. The
same for the optimiser's step alone: torch's fused SGD on float32 weights, the same on the bfloat16 weights (it rounds
to nearest: a lower bound and no training), and stochastic rounding.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from energybench.compress.layers import covered_weights
from energybench.compress.precision import TARGETS, probe
from energybench.compress.realise import realise
from energybench.compress.stochastic import StochasticRoundingSGD
from energybench.lab.models import build

MODELS = {"resnet18": 64, "resnet50": 64, "vgg16": 32, "convnext_base": 32}
"""with the side of their images"""
BATCH = 16
SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}


def main(rounds: int, models: Mapping[str, int]) -> None:
    """Print the probes and a table per model."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {BATCH}, {rounds} rounds")
    for target in TARGETS:
        found = probe(target)
        print(f"{target}: {'fast' if found.fast else 'not fast'}: {found.reason}")
    for name, pixels in models.items():
        plain, low, cast = (_model(name, pixels, target) for target in (None, "bfloat16", "autocast"))
        fused = torch.optim.SGD(plain.parameters(), **SGD, fused=True)
        rounding = StochasticRoundingSGD(low.parameters(), **SGD)
        nearest = torch.optim.SGD(low.parameters(), **SGD, fused=True)
        images, labels = torch.randn(BATCH, 3, pixels, pixels), torch.arange(BATCH) % 10
        arms = {
            "float32": _step(plain, fused, images, labels),
            "bfloat16 weights": _step(low, rounding, images, labels),
            "autocast": _step(cast, torch.optim.SGD(cast.parameters(), **SGD, fused=True), images, labels),
        }
        _table(f"{name}, {pixels} px, training step", arms, rounds)
        steps: dict[str, Callable[[], object]] = {
            "fused SGD, float32": fused.step,
            "fused SGD, bfloat16": nearest.step,
            "stochastic rounding": rounding.step,
        }
        _table(f"{name}, optimiser alone", steps, rounds)


def _model(name: str, pixels: int, target: str | None) -> nn.Module:
    torch.manual_seed(0)
    model = build(name, 10, pixels)
    weights = covered_weights(model)
    for weight in weights.values():
        weight.detach().view(torch.int32).bitwise_and_(-1 << 16)
    return model if target is None else realise(model, target, 16, tuple(weights), slow=True).model


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> Callable[[], object]:
    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def _table(title: str, arms: Mapping[str, Callable[[], object]], rounds: int) -> None:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for turn in range(rounds + 1):
        for name in random.sample(list(arms), len(arms)):
            wall, cpu = time.perf_counter(), time.process_time()
            arms[name]()
            if turn:  # the first round warms up
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    first = next(iter(arms))
    print(f"\n{title}")
    for name, times in taken.items():
        parts = []
        for place, clock in enumerate(("wall", "CPU")):
            ratios = [own[place] / base[place] for own, base in zip(times, taken[first], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            least = min(own[place] for own in times)
            parts.append(f"{clock} {least * 1e3:8.1f} ms  ratio {middle:.3f} ({low:.3f} to {high:.3f})")
        print(f"  {name:20} {'   '.join(parts)}")


if __name__ == "__main__":
    chosen = dict(MODELS) if len(sys.argv) < 3 else {}
    for argument in sys.argv[2:]:
        model, _, side = argument.partition(":")
        chosen[model] = int(side) if side else MODELS.get(model, 64)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9, chosen)

"""What does the global L1 threshold over VGG16's 138 million weights cost, and what does torch.nn.utils.prune take?

    python benches/overhead/threshold.py [ROUNDS]

Every measurement is a process of its own, so that its peak of resident memory is its own: the kernel's high-water mark
is set back when the weights are there, and what it rose by is printed. Methods come in turn; the best time counts. Half
of the weights go, and the number of zeros is checked.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import prune

from energybench.compress.magnitudes import Magnitudes, zero_below

AMOUNT = 0.5
CHANNELS = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
kept: list[torch.Tensor] = []
FEATURES = ((25088, 4096), (4096, 4096), (4096, 1000))


def shapes() -> list[nn.Module]:
    """VGG16's layers without memory."""
    with torch.device("meta"):
        convolutions = [nn.Conv2d(a, b, 3) for a, b in pairwise(CHANNELS)]
        return [*convolutions, *(nn.Linear(a, b) for a, b in FEATURES)]


def layers() -> list[nn.Module]:
    """VGG16's layers with weights in memory."""
    generator = torch.Generator().manual_seed(0)
    made = shapes()
    for layer in made:
        layer.weight = nn.Parameter(torch.empty(layer.weight.shape).normal_(0, 0.02, generator=generator))
    return made


def threshold(layers: list[nn.Module]) -> None:
    """The selection alone."""
    magnitudes = Magnitudes([layer.weight for layer in layers])
    magnitudes.threshold(round(AMOUNT * magnitudes.total))


def zeroed(layers: list[nn.Module]) -> None:
    """The selection, and the weights set to zero in place."""
    weights = [layer.weight for layer in layers]
    magnitudes = Magnitudes(weights)
    zero_below(magnitudes.threshold(round(AMOUNT * magnitudes.total)), weights, weights)


def masked(layers: list[nn.Module]) -> None:
    """The same, and a byte per weight to hold the zeros in training, which stays."""
    kept.clear()
    weights = [layer.weight for layer in layers]
    magnitudes = Magnitudes(weights)
    kept.extend(torch.empty_like(weight, dtype=torch.bool) for weight in weights)
    zero_below(magnitudes.threshold(round(AMOUNT * magnitudes.total)), weights, weights, kept)


def library(layers: list[nn.Module]) -> None:
    """torch.nn.utils.prune: the selection, masks, and the weights as products with them."""
    prune.global_unstructured([(layer, "weight") for layer in layers], prune.L1Unstructured, amount=AMOUNT)


METHODS: dict[str, Callable[[list[nn.Module]], None]] = {
    "threshold": threshold,
    "threshold + zeroed in place": zeroed,
    "threshold + zeroed + masks": masked,
    "torch.nn.utils.prune": library,
}


def peak_mb() -> float:
    """The high-water mark of this process's resident memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(name: str) -> None:
    """Measure one method and print it as JSON."""
    made = layers()
    method = METHODS[name]
    method([nn.Linear(64, 64)])  # what is loaded at the first call is no part of it
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    method(made)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    extra = peak_mb() - before
    zeros = sum(int((layer.weight == 0).sum()) for layer in made)
    print(json.dumps({"wall": wall, "cpu": cpu, "extra_mb": extra, "zeros": zeros}))


def main(rounds: int) -> None:
    """Print every method's best of `rounds`, and how it compares with torch's."""
    total = sum(layer.weight.numel() for layer in shapes())
    found: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    for _ in range(rounds):
        for name, results in found.items():
            done = subprocess.run([sys.executable, __file__, "--method", name], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            results.append(json.loads(done.stdout))
    print(f"{total:,} weights, {AMOUNT:.0%} to go, {torch.get_num_threads()} threads, best of {rounds}")
    reference = found["torch.nn.utils.prune"]
    for name, results in found.items():
        wall, cpu = (min(result[clock] for result in results) for clock in ("wall", "cpu"))
        faster = min(result["cpu"] for result in reference) / cpu
        print(
            f"{name:28} {wall:7.2f} s wall {cpu:7.2f} s CPU, {faster:6.1f} times less CPU than torch, "
            f"{max(result['extra_mb'] for result in results):7.1f} MB extra, {results[0]['zeros']:,.0f} zeros"
        )


if __name__ == "__main__":
    if "--method" in sys.argv:
        child(sys.argv[-1])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)

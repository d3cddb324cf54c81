"""What does overwriting low bits cost, and what a capacity search? Ratios in one run, all sides in turn.

    python benches/overhead/bits.py [--rounds ROUNDS] [--only speed,memory,search]

`speed`: 16 bits of VGG16's 138 million weights in place, by each rule, against `copy_` of the same tensors: both read
and write every weight once. `memory`: by how much each raises the peak of a process that has nothing but the weights.
`search`: joules and evaluations of the search for a capacity against those of the scan over k = 0 to 32. Every round
runs all sides in random order, so that drift of the machine hits all alike, and ratios are taken round by round.
Nothing is asserted: the columns show the figures that are to be reached.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor, nn

from energybench.compress import StegoReduction
from energybench.compress.bits import RULES, clear_bits
from energybench.compress.capacity import capacity_curve
from energybench.lab.data import load
from energybench.lab.finetune import evaluate
from energybench.lab.models import build
from energybench.lab.pretrain import starting_weights
from energybench.lab.profiles import recipe
from energybench.metering import MeterOptions, open_meters

BITS = 16
GOALS = {"truncate": 0.95, "nearest": 0.5}
"""of copy_'s bandwidth"""
MOST_MB = 64.0
MOST_EVALUATIONS, MOST_SHARE = 8, 0.35


def vgg16() -> list[Tensor]:
    """The weights that are covered, with values like trained ones."""
    with torch.device("meta"):
        model = build("vgg16", 1000, 224)
    generator = torch.Generator().manual_seed(0)
    return [torch.empty(w.shape).normal_(0, 0.02, generator=generator) for w in covered(model)]


def covered(model: nn.Module) -> list[nn.Parameter]:
    return [module.weight for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def turns(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[Any]]:
    """What each side gives, round by round; the first round warms up and is left out."""
    found: dict[str, list[Any]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name in random.sample(list(sides), len(sides)):
            value = sides[name]()
            if number:
                found[name].append(value)
    return found


def speed(rounds: int) -> None:
    """Seconds of each rule, and copy_'s seconds over them."""
    weights = vgg16()
    targets = [weight.clone() for weight in weights]
    total = sum(weight.numel() for weight in weights)

    def timed(work: Callable[[], None]) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return time.perf_counter() - wall, time.process_time() - cpu

    def copied() -> None:
        for weight, target in zip(weights, targets, strict=True):
            target.copy_(weight)

    sides = {"copy_": partial(timed, copied)}
    sides |= {rule: partial(timed, partial(clear_bits, targets, BITS, rule)) for rule in RULES}
    found = turns(sides, rounds)
    rows = []
    for name, spent in found.items():
        wall = statistics.median(seconds for seconds, _ in spent)
        pairs = list(zip(found["copy_"], spent, strict=True))
        ratios = [statistics.median(copy[clock] / side[clock] for copy, side in pairs) for clock in (0, 1)]
        goal = GOALS.get(name)
        reached = "" if goal is None else f"at least {goal}: {'yes' if ratios[0] >= goal else 'NO'}"
        rows.append((name, 1e3 * wall, 8e-9 * total / wall, *ratios, reached))
    print(f"\n{BITS} bits of {total:,} weights, {torch.get_num_threads()} threads, {rounds} rounds, medians")
    heads = ("", "ms", "GB/s", "copy_'s wall / its", "copy_'s CPU / its", "to reach")
    print(tabulate(rows, heads, floatfmt=".2f"), flush=True)


def memory() -> None:
    """Each rule in a process of its own."""
    rows = []
    for rule in RULES:
        done = subprocess.run([sys.executable, __file__, "--peak", rule], capture_output=True, text=True, check=True)
        most = float(done.stdout)
        rows.append((rule, most, f"at most {MOST_MB:g}: {'yes' if most <= MOST_MB else 'NO'}"))
    print("\nPeak of the process's memory above the weights'")
    print(tabulate(rows, ("", "MB", "to reach"), floatfmt=".1f"), flush=True)


def peak(rule: str) -> float:
    """MB by which the process's largest resident set grows, with numpy's and torch's own start-up behind it."""
    clear_bits([torch.ones(10)], BITS, rule)
    weights = vgg16()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins again at what is resident now
    before = _resident("VmHWM")
    clear_bits(weights, BITS, rule)
    return _resident("VmHWM") - before


def _resident(name: str) -> float:
    """MB, from the kernel's own account of this process (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/self/status says nothing of {name}")


def search(rounds: int) -> None:
    """The tiny model on its search images."""
    chosen = recipe("quick", "tiny")
    data = load("digits", chosen)
    model = build("tiny", data.classes, data.pixels)
    model.load_state_dict(starting_weights("tiny", data, chosen).state_dict)
    size = len(data.search)
    meters = open_meters(MeterOptions())

    def accuracy(candidate: nn.Module) -> float:
        return evaluate(candidate, data.search).accuracy

    def metered(work: Callable[[], int]) -> tuple[float, int]:
        window = meters.open_window("bits")
        evaluations = work()
        joules = [value for value in window.close().joules.values() if value is not None]
        return sum(joules), evaluations

    def searched(rule: str) -> int:
        return StegoReduction(rule=rule)(model, accuracy, evaluation_size=size).report.evaluations

    def scanned(rule: str) -> int:
        return capacity_curve(model, accuracy, rule=rule, evaluation_size=size).evaluations

    rules = ("truncate", "nearest", "random")
    sides = {f"{rule} search": partial(metered, partial(searched, rule)) for rule in rules}
    sides |= {f"{rule} scan": partial(metered, partial(scanned, rule)) for rule in rules}
    found = turns(sides, rounds)
    provenances = {domain.provenance for domain in meters.domains if domain.in_total}
    meters.close()
    rows: list[Sequence[Any]] = []
    for rule in rules:
        pairs = list(zip(found[f"{rule} search"], found[f"{rule} scan"], strict=True))
        share = statistics.median(search_j / scan_j for (search_j, _), (scan_j, _) in pairs)
        most = max(evaluations for (_, evaluations), _ in pairs)
        reached = most <= MOST_EVALUATIONS and share <= MOST_SHARE
        joules = [statistics.median(side[place][0] for side in pairs) for place in (0, 1)]
        rows.append((rule, *joules, share, most, pairs[0][1][1], "yes" if reached else "NO"))
    print(f"\nSearch against scan, tiny on {size} images, joules {', '.join(sorted(provenances))}, {rounds} rounds")
    goal = f"at most {MOST_SHARE:g} and {MOST_EVALUATIONS}"
    heads = ("", "search J", "scan J", "share", "evaluations", "of the scan", goal)
    print(tabulate(rows, heads, floatfmt=".3f"), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What overwriting low bits costs.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="speed,memory,search", help="parts to run, of %(default)s")
    parser.add_argument("--peak", choices=list(RULES), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak:
        print(peak(asked.peak))
        sys.exit()
    for part in asked.only.split(","):
        {"speed": partial(speed, asked.rounds), "memory": memory, "search": partial(search, asked.rounds)}[part]()

"""What does `energybench compare` take? The whole command, on two runs of 36 and of 10,000 cases.

    python benches/overhead/comparing.py [--cases 36,10000] [--rounds 10] [--laps 0] [--history 0] [--times 3]
        [-- ARGUMENTS]

Writes runs as the store writes them into a temporary folder (package and DRAM with their errors, accuracy and epochs
recorded; no temperatures, no laps but those of --laps), runs the command on them as a process of its own, and prints
seconds from start to exit, the CPU seconds of it and the peak of its resident memory, medians over the repeats.
--history N stores N earlier runs beside the two, from which the command learns the noise between sessions. What
follows `--` is handed to the command. To be reached: two runs of 10,000 cases x 10 rounds in less than 3 s and 500 MB,
and two runs of 36 cases in less than 0.5 s.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from energybench.model import Case, Domain, Provenance, Round, Window
from energybench.store import case_record, document, entry, machine_id

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("resnet18", "vgg16", "alexnet", "densenet121", "googlenet", "mobilenet_v2")
DOMAINS = (
    Domain("package:0", "rapl", Provenance.MEASURED, True, 0.02, "AMD EPYC"),
    Domain("dram:0", "rapl", Provenance.MEASURED, True, 0.05, "AMD EPYC"),
)
GOALS = {36: (0.5, None), 10_000: (3.0, 500.0)}
"""cases -> seconds and MB to stay below"""


@dataclass(frozen=True)
class Cost:
    """What one call of the command took."""

    seconds: float
    cpu_s: float
    peak_mb: float
    code: int


def write_run(storage: Path, number: int, name: str, cases: int, rounds: int, laps: int = 0) -> int:
    """Store one run case by case, so that this process stays small: a child starts with its parent's peak. Bytes."""
    chance = random.Random(number)
    session = {"session": name, "status": "ok", "pue": 1.0}
    whole = document((), machine={"node": "box"}, commit={}, session=session, created=f"2026-01-01T00:00:{number:02d}Z")
    folder = storage / machine_id()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:04d}_{name}.json"
    del whole["benchmarks"]
    pattern = entry(_case(0, rounds, laps, name, 0.0, chance))
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(whole, indent=1)[:-2] + ',\n "benchmarks": [\n')
        drift = chance.gauss(0, 0.01)
        for index in range(cases):
            file.write(",\n" if index else "")
            file.write(json.dumps(_entry(_case(index, rounds, laps, name, drift, chance), pattern), indent=1))
        file.write("\n ]\n}\n")
    return path.stat().st_size


def _entry(case: Case, pattern: Mapping[str, Any]) -> dict[str, Any]:
    """As `store.entry` makes it, but for the statistics of the seconds, which are the pattern's: they take longest to
    compute, and no reader of ours looks at them.
    """
    own = {"name": case.short_id, "fullname": case.id, "params": dict(case.params), "param": case.short_id}
    return {**pattern, **own, "extra_info": {"energybench": case_record(case)}}


def _case(index: int, rounds: int, laps: int, session: str, drift: float, chance: random.Random) -> Case:
    model, compressor = MODELS[index % len(MODELS)], f"prune_{index // len(MODELS):04d}"
    declared = {"model": model, "compressor": compressor, "protocol": "early stopping", "batch": 32, "lr": 0.01}
    scale = 100.0 * (1 + index % 7)
    noise = 0.015 * math.exp(random.Random(index).gauss(0, 0.4))  # the case's own, in both runs
    return Case(
        id=f"benches/test_finetune.py::test_finetune[{model}-{compressor}]",
        rounds=tuple(_round(seed, session, scale * (1 + drift), noise, laps, chance) for seed in range(rounds)),
        domains=DOMAINS,
        params={"model": model, "compressor": compressor},
        facts={"workload": declared, "parameters": 11_689_512, "evaluation_images": 500},
        workload=f"{index:016x}",
        comparability={"scope": "machine", "cpu": "AMD EPYC", "precision": "fp32"},
    )


def _round(seed: int, session: str, scale: float, noise: float, laps: int, chance: random.Random) -> Round:
    factor = scale * (1 + noise * chance.gauss(0, 1))
    epochs = (_window(factor / laps, label="epoch", notes={"loss": 0.3, "lr": 0.01}) for _ in range(laps))
    return Round(
        _window(factor, laps=tuple(epochs)),
        metrics={"accuracy": round(0.9 + chance.gauss(0, 0.002), 3), "epochs": 4.0},
        seed=seed,
        started="2026-01-01T00:00:00.000000+00:00",
        session=session,
    )


def _window(joules: float, **more: Any) -> Window:
    return Window(
        seconds=joules / 40,
        joules={"package:0": joules, "dram:0": joules * 0.1},
        error_j={"package:0": 0.0173, "dram:0": 0.0121},
        **more,
    )


def measure(argv: Sequence[str]) -> Cost:
    """Run the command with its output thrown away."""
    command = [sys.executable, "-m", "energybench", *argv]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    # getrusage(RUSAGE_CHILDREN) keeps the peak of the largest child so far; wait4 tells this child's own.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = code = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak / 1e6, code)


def main() -> None:
    """Generate, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="36,10000", help="numbers of cases, comma-separated")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--laps", type=int, default=0, help="epochs of each round, as laps with notes")
    parser.add_argument("--history", type=int, default=0, help="earlier runs in the store")
    parser.add_argument("--times", type=int, default=3, help="how often each command is run")
    parser.add_argument("arguments", nargs="*", help="further arguments of the command, behind `--`")
    options = parser.parse_args()
    rows = []
    for cases in map(int, options.cases.split(",")):
        with tempfile.TemporaryDirectory(prefix="energybench-") as folder:
            names = [*(f"earlier{i}" for i in range(options.history)), "baseline", "candidate"]
            sizes = [
                write_run(Path(folder), number, name, cases, options.rounds, options.laps)
                for number, name in enumerate(names, 1)
            ]
            argv = ["compare", "baseline", "candidate", "--storage", folder, *options.arguments]
            costs = [measure(argv) for _ in range(options.times)]
        is_goals = options.rounds <= 10 and not options.laps
        seconds, megabytes = GOALS.get(cases, (None, None)) if is_goals else (None, None)
        rows.append(
            [
                cases,
                options.rounds,
                options.laps,
                options.history,
                f"{sizes[-1] / 1e6:.1f}",
                f"{statistics.median(cost.seconds for cost in costs):.2f}",
                "-" if seconds is None else f"{seconds:g}",
                f"{statistics.median(cost.cpu_s for cost in costs):.2f}",
                f"{max(cost.peak_mb for cost in costs):.0f}",
                "-" if megabytes is None else f"{megabytes:g}",
                "/".join(str(code) for code in sorted({cost.code for cost in costs})),
            ]
        )
    headers = ["cases", "rounds", "laps", "history", "MB a run", "s", "at most", "CPU s", "peak MB", "at most", "exit"]
    print(tabulate(rows, headers=headers, disable_numparse=True, colalign=["right"] * len(headers)))


if __name__ == "__main__":
    main()

"""What does `energybench report` take? The whole command, on a run of 36 cases with ten earlier runs.

    python benches/overhead/reporting.py [--times 3] [--history 10]

The runs are the stored run `reference` without its two realised compressors, once as it is and ten times with 2 % of
noise, in a store of their own. Prints seconds from start to exit, CPU seconds, the peak of resident memory and the size
of the page, medians over the repeats. To be reached: less than 3 s and less than 6 MB.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from comparing import measure
from tabulate import tabulate

from energybench.model import Case, Round, Run
from energybench.store import document, read_run, write

ROOT = Path(__file__).resolve().parents[2]
REALISED = ("stego_bf16", "channels")
NOISE = 0.02


def noisy(case: Case, chance: random.Random) -> Case:
    """The same case with every joule of a round changed by one factor."""

    def changed(round: Round) -> Round:
        factor = math.exp(chance.gauss(0, NOISE))
        windows = [
            replace(window, joules={name: None if j is None else j * factor for name, j in window.joules.items()})
            for window in (round.window, *round.window.laps)
        ]
        return replace(round, window=replace(windows[0], laps=tuple(windows[1:])))

    return replace(case, rounds=tuple(changed(round) for round in case.rounds))


def store(storage: Path, run: Run, history: int) -> Path:
    """The run behind `history` noisy copies of it; returns its path."""
    chance = random.Random(0)
    cases = [case for case in run.cases if case.params.get("compressor") not in REALISED]
    for number in range(history + 1):
        session = {**run.session, "session": f"{number:012x}"}
        measured = cases if number == history else [noisy(case, chance) for case in cases]
        created = f"2026-01-{number + 1:02d}T12:00:00+00:00"
        made = document(measured, machine=run.machine, commit=run.commit, session=session, created=created)
        path = write(made, storage, f"run{number}")
    return path


def main() -> None:
    """Store, report, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--history", type=int, default=10, help="earlier runs in the store")
    parser.add_argument("--times", type=int, default=3, help="how often the command is run")
    options = parser.parse_args()
    (reference,) = (ROOT / ".benchmarks").glob("*/0001_reference.json")
    with tempfile.TemporaryDirectory(prefix="energybench-") as folder:
        path = store(Path(folder), read_run(reference), options.history)
        page = Path(folder) / "report.html"
        costs = [measure(["report", str(path), "--storage", folder, "-o", str(page)]) for _ in range(options.times)]
        rows = [
            [
                options.history,
                f"{statistics.median(cost.seconds for cost in costs):.2f}",
                f"{statistics.median(cost.cpu_s for cost in costs):.2f}",
                f"{max(cost.peak_mb for cost in costs):.0f}",
                f"{page.stat().st_size / 1e6:.2f}",
                "/".join(str(code) for code in sorted({cost.code for cost in costs})),
            ]
        ]
    headers = ["history", "s (at most 3)", "CPU s", "peak MB", "page MB (at most 6)", "exit"]
    print(tabulate(rows, headers=headers, disable_numparse=True, colalign=["right"] * len(headers)))


if __name__ == "__main__":
    main()

"""What does a window cost? energybench and its peers side by side, on fake counters that run.

    python benches/overhead/windows.py [--peers PEERS] [--only pairs,cold,idle,loop]

PEERS is a folder of virtual environments, made as peers.py says; without it energybench runs alone. Every tool is a
process of its own on the same machine, and they take turns in random order, so that drift of the machine hits all
alike. Nothing is asserted: the columns show the figures that are to be reached and who reaches them.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes import SYSTEM, Gpu, Power, Worker, Zone, machine, present, say_where
from tabulate import tabulate

ROUNDS, PAIRS, WARM_UP = 10, 250, 250
COLD_STARTS = 10
IDLE_S = 20.0
LOOPS, LOOP_S = 40, 0.25


def socket(number: int) -> tuple[Zone, Zone]:
    """A package of 100 W and its memory of 10 W."""
    package = Zone(f"intel-rapl:{number}", f"package-{number}", Power(100.0))
    return package, Zone(f"intel-rapl:{number}:0", "dram", Power(10.0))


@dataclass(frozen=True)
class Case:
    name: str
    zones: Sequence[Zone]
    gpus: Sequence[Gpu]
    sockets: int
    meter: str
    most_us: float
    """what a pair may cost energybench"""
    tools: Sequence[str]


ALL = ("energybench", "pyrapl", "pyjoules", "carbontracker", "zeus", "codecarbon", "perun")
ON_RAPL = ("energybench", "pyrapl", "pyjoules", "zeus", "carbontracker", "codecarbon-tasks")
ON_NVML = ("energybench", "pyjoules", "zeus", "carbontracker", "codecarbon-tasks")
NOTES = {
    "carbontracker": "reads nothing at the ends: a thread does, every 1 or 2 s",
    "codecarbon-tasks": "start_task, stop_task",
    "pyjoules": "without its get_trace, which gives the joules",
}
ONE_SOCKET, TWO_SOCKETS = socket(0), (*socket(0), *socket(1))
CASES = (
    Case("1 socket + DRAM", ONE_SOCKET, (), 1, "rapl", 30, ON_RAPL),
    Case("2 sockets + DRAM", TWO_SOCKETS, (), 2, "rapl", 50, ON_RAPL),
    Case("1 GPU", (), (Gpu(),), 1, "nvml", 15, ON_NVML),
    Case("8 GPUs", (), (Gpu(),) * 8, 1, "nvml", 110, ON_NVML),
)


def pairs(peers: Path | None) -> None:
    """Begin + end of empty windows."""
    for case in CASES:
        with machine(case.zones, case.gpus, case.sockets) as fake, ExitStack() as stack:
            workers: dict[str, Worker] = {}
            failed: dict[str, str] = {}
            for tool in present(case.tools, peers):
                environment = {"BENCH_METERS": case.meter} if tool == "energybench" else {}
                worker = stack.enter_context(Worker(tool, fake, peers, environment))
                said = [worker.ask("open"), worker.ask("pairs", n=WARM_UP)]
                errors = [answer["error"] for answer in said if "error" in answer]
                if errors:
                    failed[tool] = errors[0]
                else:
                    workers[tool] = worker
            time.sleep(3)  # helpers of some tools take that long to boot
            found: dict[str, list[float]] = {tool: [] for tool in workers}
            for _ in range(ROUNDS):
                for tool in random.sample(list(workers), len(workers)):
                    found[tool] += workers[tool].ask("pairs", n=PAIRS)["us"]
        _show_pairs(case, found, failed)


def _show_pairs(case: Case, found: Mapping[str, list[float]], failed: Mapping[str, str]) -> None:
    ours = statistics.median(found["energybench"]) if "energybench" in found else float("nan")
    rows: list[Sequence[Any]] = []
    for tool, spent in found.items():
        low, middle, high = statistics.quantiles(spent, n=4)
        goal = f"at most {case.most_us:g}: {'yes' if middle <= case.most_us else 'NO'}"
        note = goal if tool == "energybench" else NOTES.get(tool, "")
        rows.append((tool, middle, f"{low:.1f} to {high:.1f}", middle / ours, note))
    rows += [(tool, error, "", "", "") for tool, error in failed.items()]
    print(f"\nBegin + end, {case.name}: {ROUNDS * PAIRS} empty windows each")
    heads = ("tool", "median us", "quartiles", "x energybench", "to reach, or note")
    print(tabulate(rows, heads, floatfmt=".1f"), flush=True)


def cold(peers: Path | None) -> None:
    """From nothing to the first open window, in fresh interpreters."""
    tools = present([tool for tool in ALL if tool != "perun"], peers)
    found: dict[str, list[dict[str, float]]] = {tool: [] for tool in tools}
    with machine(ONE_SOCKET) as fake:
        for turn in range(COLD_STARTS + 1):
            for tool in random.sample(tools, len(tools)):
                with Worker(tool, fake, peers) as worker:
                    started = worker.ask("open", first="begin")
                if turn:  # the first one writes byte code
                    found[tool].append(started)
    rows: list[Sequence[Any]] = []
    for tool, starts in found.items():
        load, opened, first = (
            1000 * statistics.median(start[key] for start in starts) for key in ("load_s", "open_s", "first_s")
        )
        goal = f"opened in under 20: {'yes' if opened < 20 else 'NO'}" if tool == "energybench" else ""
        rows.append((tool, load, opened, first, load + opened + first, goal))
    print(f"\nCold start without GPUs, 1 socket + DRAM: medians of {COLD_STARTS} fresh interpreters, in ms")
    heads = ("tool", "import", "opened (after it)", "first begin", "sum", "to reach")
    print(tabulate(rows, heads, floatfmt=".1f"), flush=True)


def idle(peers: Path | None) -> None:
    """Processes, threads and CPU time while a window is open and nothing happens."""
    for name, zones, gpus, sockets, goal in (
        ("2 sockets + DRAM", TWO_SOCKETS, (), 2, True),
        ("1 GPU without a counter", (), (Gpu(counter=False),), 1, False),
    ):
        rows: list[Sequence[Any]] = []
        meter = {"BENCH_METERS": "nvml" if gpus else "rapl"}
        tried = [("energybench", "energybench", meter)]
        if goal:
            tried.append(("energybench, trace of 1 Hz", "energybench", meter | {"BENCH_TRACE_HZ": "1"}))
        others = [tool for tool in ALL[1:] if tool not in ("pyrapl", "pyjoules") or not gpus]
        tried += [(tool, tool, {}) for tool in present(others, peers)]
        for name_shown, tool, environment in tried:
            with machine(zones, gpus, sockets) as fake, Worker(tool, fake, peers, environment) as worker:
                worker.ask("open")
                seen = worker.ask("idle", seconds=IDLE_S)
            if "error" in seen:
                rows.append((name_shown, seen["error"]))
                continue
            share = 100 * seen["cpu_s"] / IDLE_S
            reached = seen["children"] == 0 and seen["threads"] <= 1 and share < 0.05
            verdict = (
                f"0, at most 1, under 0.05: {'yes' if reached else 'NO'}" if goal and tool == "energybench" else ""
            )
            rows.append((name_shown, seen["children"], seen["threads"], share, verdict))
        print(f"\nIdle for {IDLE_S:g} s with a window open, {name}")
        heads = ("tool", "child processes", "threads besides main", "% of a core", "to reach")
        print(tabulate(rows, heads, floatfmt=".3f"), flush=True)


def loop(peers: Path | None) -> None:
    """Joules of a no-op loop in a window against the same loop bare."""
    rows: list[Sequence[Any]] = []
    with machine(ONE_SOCKET) as fake:
        for tool in present(("energybench", "pyrapl", "pyjoules", "zeus"), peers):
            with Worker(tool, fake, peers) as worker:
                worker.ask("open")
                worker.ask("pairs", n=10)
                counter = str(SYSTEM / "intel-rapl:0" / "energy_uj")
                ratios = worker.ask("loop", pairs=LOOPS, seconds=LOOP_S, counter=counter)["ratios"]
            low, middle, high = statistics.quantiles(ratios, n=4)
            rows.append((tool, middle, f"{low:.4f} to {high:.4f}", "yes" if low <= 1 <= high else "NO"))
    print(f"\nJoules of a no-op loop of {LOOP_S:g} s, metered / bare, at constant power: {LOOPS} pairs in random order")
    print(tabulate(rows, ("tool", "median", "quartiles", "1 lies between them"), floatfmt=".4f"), flush=True)


PARTS = {"pairs": pairs, "cold": cold, "idle": idle, "loop": loop}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What a window costs, against peers.")
    parser.add_argument("--peers", type=Path, metavar="PEERS", help="folder of virtual environments (see peers.py)")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run, of %(default)s")
    asked = parser.parse_args()
    say_where(present(ALL, asked.peers), asked.peers)
    for part in asked.only.split(","):
        PARTS[part](asked.peers)

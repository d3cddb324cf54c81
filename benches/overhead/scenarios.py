"""Is it right? energybench and its peers on counters whose energy is known, one tool after another on each machine.

    python benches/overhead/scenarios.py [--peers PEERS] [--only S1,S4c]

PEERS is a folder of virtual environments, made as peers.py says; without it energybench runs alone. The truth is the
fake's power integrated between the first and the last moment of what a tool was asked to meter. Exits 1 where
energybench is off by more than 0.5 % in any window of any scenario, or has one wrong window among many short ones.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes import SERVER_RANGE_J, Gpu, Machine, Power, Worker, Zone, machine, present, say_where
from tabulate import tabulate

ALL = ("energybench", "zeus", "codecarbon", "carbontracker", "pyrapl", "pyjoules", "perun")
ON_NVML = tuple(tool for tool in ALL if tool != "pyrapl")
BY_THE_WINDOW = ("energybench", "zeus", "pyrapl", "pyjoules")
MOST_OFF = 0.005
WRONG = 0.2
"""A short window is wrong where it is off by more than this: what is left is how late a counter of 1 ms is."""


@dataclass(frozen=True)
class Scenario:
    name: str
    what: str
    zones: Sequence[Zone] = ()
    gpus: Sequence[Gpu] = ()
    sockets: int = 1
    windows: int = 2
    seconds: float = 3.0
    tools: Sequence[str] = ALL
    wait_until: Mapping[str, float] = field(default_factory=dict)
    """`phase_s` in each `period_s` at which the first window opens"""
    judge: str = "worst"
    """`worst`: the window that is off most; `short`: wrong windows of many; `sum`: all windows together; `absent`:
    there must be no value"""
    without_rights: bool = False

    def truth(self, begun: float, ended: float) -> dict[str, float]:
        """Joules per kind between two times since the counters were 0: packages, memory, GPUs, each energy once."""
        parts: dict[str, list[float]] = {}
        for zone in self.zones:
            kind = {"package": "cpu", "dram": "dram"}.get(zone.name.partition("-")[0])
            if kind and not zone.shows and (zone.readable or self.judge == "absent"):
                parts.setdefault(kind, []).append(zone.power.joules(begun, ended))
        parts |= {"gpu": [gpu.watts * (ended - begun) for gpu in self.gpus]} if self.gpus else {}
        return {kind: math.fsum(joules) for kind, joules in parts.items()}


def _package(power: Power, range_j: float = SERVER_RANGE_J) -> list[Zone]:
    return [Zone("intel-rapl:0", "package-0", power, range_j)]


P = Power
TWO_SOCKETS = [
    Zone("intel-rapl:0", "package-0", P(100.0)),
    Zone("intel-rapl:0:0", "dram", P(10.0)),
    Zone("intel-rapl:1", "package-1", P(80.0)),
    Zone("intel-rapl:1:0", "dram", P(8.0)),
]
LAPTOP = [
    Zone("intel-rapl:0", "package-0", P(30.0)),
    Zone("intel-rapl:0:0", "core", P(20.0)),
    Zone("intel-rapl:0:1", "uncore", P(2.0)),
    Zone("intel-rapl:1", "psys", P(45.0)),
    Zone("intel-rapl-mmio:0", "package-0", P(30.0), shows="intel-rapl:0"),
]
DIES = [
    Zone("intel-rapl:0", "package-0-die-0", P(68.0), 65_532.610987),
    Zone("intel-rapl:1", "package-0-die-1", P(68.0), 65_532.610987, shows="intel-rapl:0"),
]
TWO_DIES = [DIES[0], Zone("intel-rapl:1", "package-0-die-1", P(60.0), 65_532.610987)]
HALF_READABLE = [
    Zone("intel-rapl:0", "package-0", P(100.0)),
    Zone("intel-rapl:0:0", "dram", P(10.0), readable=False),
]
UNREADABLE = [Zone("intel-rapl:0", "package-0", P(100.0), readable=False)]
SLOW_GPU = (Gpu(300.0, tick_s=0.1),)

SCENARIOS = (
    Scenario("S1", "package 100 W, dram 10 W", TWO_SOCKETS[:2]),
    Scenario("S2", "laptop: package 30 W, psys 45 W, core, mmio copy", LAPTOP),
    Scenario("S3", "two sockets, 100 W + 80 W, dram 10 W + 8 W", TWO_SOCKETS, sockets=2),
    Scenario("S4a", "100 W, a wrap every 4 s, 8 windows", _package(P(100.0), 400.0), windows=8, seconds=3.3),
    Scenario("S4b", "one wrap inside 6 s", _package(P(100.0), 800.0), windows=1, seconds=6.0,
             wait_until={"period_s": 8.0, "phase_s": 5.0}),
    Scenario("S4d", "a wrap 0.1 s after the first window opens", _package(P(100.0), 800.0), windows=1, seconds=6.0,
             wait_until={"period_s": 8.0, "phase_s": 7.9}),
    Scenario("S4e", "400 W, a wrap every 0.5 s", _package(P(400.0), 200.0)),
    Scenario("S4c", "1,000 windows of 50 ms, a wrap every 4 s", _package(P(100.0), 400.0), windows=1000,
             seconds=0.05, tools=BY_THE_WINDOW, judge="short"),
    Scenario("S5", "two dies that mirror one counter of 68 W", DIES),
    Scenario("S5b", "two dies with counters of their own, 68 W + 60 W", TWO_DIES),
    Scenario("S6", "square wave 200 / 0 W, period 2 s", _package(P(200.0, "square", 2.0)), windows=1, seconds=12.0),
    Scenario("S7", "ramp 0 to 200 W in 4 s", _package(P(200.0, "ramp", 4.0)), seconds=4.0),
    Scenario("G1", "two GPUs of 300 W", gpus=(Gpu(), Gpu()), tools=ON_NVML),
    Scenario("G2", "GPU without counter, 300 W", gpus=(Gpu(counter=False),), seconds=4.0, tools=ON_NVML),
    Scenario("G3", "2,500 windows of 30 ms, counter ticks at 100 ms", gpus=SLOW_GPU, windows=2500, seconds=0.03,
             tools=("energybench", "zeus", "zeus-approximate", "pyjoules"), judge="sum"),
    Scenario("U1", "dram unreadable, package 100 W", HALF_READABLE, without_rights=True),
    Scenario("U2", "package unreadable", UNREADABLE, without_rights=True, judge="absent"),
)  # fmt: skip


def run(scenario: Scenario, tool: str, fake: Machine, peers: Path | None) -> dict[str, Any]:
    """What `tool` answered: {"windows"} or {"error"}."""
    on = fake.without_rights() if scenario.without_rights else fake
    environment = {"BENCH_APPROXIMATE": "1"} if tool == "zeus-approximate" else {}
    with Worker(tool, on, peers, environment) as worker:
        opened = worker.ask("open")
        if "error" in opened:
            return opened
        time.sleep(1.5 if tool == "carbontracker" else 0.1)  # its thread has to find the counters first
        wait = {"wait_until": {"started_s": fake.started_s, **scenario.wait_until}} if scenario.wait_until else {}
        answer = worker.ask("windows", n=scenario.windows, seconds=scenario.seconds, **wait)
    for window in answer.get("windows", ()):
        at = {name: window[name] - fake.started_s for name in ("called", "begun", "ended", "returned")}
        window["truth"] = scenario.truth(at["begun"], at["ended"])
        window["with_calls"] = scenario.truth(at["called"], at["returned"])
    return answer


def verdict(scenario: Scenario, answer: Mapping[str, Any]) -> tuple[str, bool]:
    """The table's cell, and whether that is right: every kind of energy within 0.5 %."""
    if "error" in answer:
        return answer["error"].partition("(")[0][:60], False
    judge = {"worst": _worst, "short": _short, "sum": _sum, "absent": _absent}[scenario.judge]
    cell, right = judge(answer["windows"])
    return f"{cell}; says {answer['said']}" if answer["said"] else cell, right


def _worst(windows: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    worst = max(windows, key=lambda window: abs(_off(window["joules"], window["truth"])))
    right = all(_right(window["joules"], window["truth"]) for window in windows)
    return f"{_told(worst['joules'], worst['truth'])} ({_percent(_off(worst['joules'], worst['truth']))})", right


def _short(windows: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    errors = [_off(window["joules"], window["truth"]) for window in windows]
    wrong = [w["joules"].get("cpu") for w, off in zip(windows, errors, strict=True) if not abs(off) <= WRONG]
    told = ", ".join("none" if joules is None else f"{joules:.0f}" for joules in sorted(wrong, key=str)[:4])
    cell = f"{len(wrong)} wrong of {len(windows)}" + (f": {told}{', ...' if len(wrong) > 4 else ''} J" if wrong else "")
    return f"{cell}, {_sum(windows)[0]}", not wrong and _sum(windows)[1]


def _sum(windows: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    """Of thousands of short windows. Begin and end themselves take a share of each that is no error of the joules, so
    that the truth is a range: from what lay between the calls to what the calls drew too."""
    told, truth, with_calls = (
        {kind: math.fsum(window[what].get(kind) or 0.0 for window in windows) for kind in windows[0]["truth"]}
        for what in ("joules", "truth", "with_calls")
    )
    right = all(
        (1 - MOST_OFF) * true <= told[kind] <= (1 + MOST_OFF) * with_calls[kind] for kind, true in truth.items()
    )
    calls_us = 1e6 * statistics.median(w["returned"] - w["called"] - (w["ended"] - w["begun"]) for w in windows)
    return f"sum {_percent(_off(told, truth))}, its calls take {calls_us:.0f} us a window", right


def _absent(windows: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    values = [window["joules"].get("cpu") for window in windows]
    model = windows[0]["joules"].get("cpu_model")
    if any(value is not None for value in values):
        return f"{values[0]:.1f} J", False
    return "no value" if model is None else f"no value; an estimate of {model:.1f}, called one", True


def _right(joules: Mapping[str, float | None], truth: Mapping[str, float]) -> bool:
    return all((j := joules.get(kind)) is not None and abs(j - true) <= MOST_OFF * true for kind, true in truth.items())


def _off(joules: Mapping[str, float | None], truth: Mapping[str, float]) -> float:
    """Relative error of the sum of the kinds that the truth has; a guess at memory counts as memory."""
    known = [joules.get(kind, joules.get("ram_model") if kind == "dram" else None) for kind in truth]
    told = [value for value in known if value is not None]
    return math.fsum(told) / math.fsum(truth.values()) - 1 if told else math.inf


def _told(joules: Mapping[str, float | None], truth: Mapping[str, float]) -> str:
    values = {kind: joules.get(kind) for kind in truth}
    if "dram" in truth and "ram_model" in joules:
        values["dram"] = joules["ram_model"]
    return " + ".join("none" if value is None else f"{value:.1f}" for value in values.values())


def _percent(off: float) -> str:
    return "no value" if math.isinf(off) else f"{100 * off:+.2f} %"


def main(peers: Path | None, chosen: Callable[[Scenario], bool]) -> int:
    """Print the table row by row; 1 where energybench is wrong."""
    tools = present(ALL, peers)
    say_where(tools, peers)
    rows: list[list[str]] = []
    failed: list[str] = []
    for scenario in filter(chosen, SCENARIOS):
        cells: dict[str, str] = {}
        with machine(scenario.zones, scenario.gpus, scenario.sockets) as fake:
            for tool in present(scenario.tools, peers):
                cell, right = verdict(scenario, run(scenario, tool, fake, peers))
                cells[tool] = cell if right else f"*{cell}*"
                print(f"{scenario.name} {tool}: {cells[tool]}", file=sys.stderr, flush=True)
                if tool == "energybench" and not right:
                    failed.append(scenario.name)
        truth = " + ".join(f"{joules:.0f}" for joules in scenario.truth(0.0, scenario.seconds).values())
        rows.append([scenario.name, scenario.what, truth, *(_cell(tool, cells) for tool in tools)])
    print(f"\nJoules told, and how far off: the worst window of each; *wrong* beyond {MOST_OFF:.1%} of the truth")
    widths = [None, 18, None, *(18 for _ in tools)]
    print(tabulate(rows, ("", "scenario", "truth, J", *tools), maxcolwidths=widths, tablefmt="grid"))
    print(f"energybench is wrong in {', '.join(failed)}" if failed else "energybench is right in every scenario")
    return 1 if failed else 0


def _cell(tool: str, cells: Mapping[str, str]) -> str:
    own = cells.get(tool, "-")
    extra = cells.get(f"{tool}-approximate")
    return own if extra is None else f"{own}; with approx_instant_energy {extra}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Whether the joules are right, against peers.")
    parser.add_argument("--peers", type=Path, metavar="PEERS", help="folder of virtual environments (see peers.py)")
    parser.add_argument("--only", default="", metavar="NAMES", help="scenarios to run, such as S1,S4c")
    asked = parser.parse_args()
    names = set(filter(None, asked.only.split(",")))
    sys.exit(main(asked.peers, lambda scenario: not names or scenario.name in names))

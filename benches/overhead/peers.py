"""One tool, in an interpreter of its own, that opens and closes windows when it is told to.

The tools stand side by side in virtual environments of their own, so that none shapes what another imports:

    for peer in zeus codecarbon carbontracker pyRAPL 'pyJoules[nvidia]' 'perun nvidia-ml-py'; do
        name=$(echo "${peer%%[[ ]*}" | tr A-Z a-z)
        python -m venv PEERS/$name && PEERS/$name/bin/pip install $peer psutil
    done

Run as `python peers.py TOOL`; reads one JSON command a line and answers each with one JSON line:

    {"do": "open"}                          -> {"load_s", "open_s"}: import, construction; {"first": "begin"} adds
                                               "first_s": the begin of the first window
    {"do": "pairs", "n"}                    -> {"us"}: begin + end of empty windows, in microseconds
    {"do": "windows", "n", "seconds"}       -> {"windows"}: what it answered, and when; {"said"}
    {"do": "idle", "seconds"}               -> {"children", "threads", "cpu_s"} while one window is open
    {"do": "loop", "pairs", "seconds", "counter"} -> {"ratios"}: joules of a no-op loop, metered over bare
"""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from tools import TOOLS, Tool


def _open(tool: Tool, first: str) -> dict[str, float]:
    stamps = [time.perf_counter()]
    for step in (tool.load, tool.open):
        step()
        stamps.append(time.perf_counter())
    if first == "begin":
        tool.begin()
        stamps.append(time.perf_counter())
        tool.end()
    return dict(zip(("load_s", "open_s", "first_s"), (b - a for a, b in itertools.pairwise(stamps)), strict=False))


def _pairs(tool: Tool, n: int) -> dict[str, list[float]]:
    clock, begin, end, spent = time.perf_counter_ns, tool.begin, tool.end, []
    for _ in range(n):
        before = clock()
        begin()
        end()
        spent.append((clock() - before) / 1000)
    return {"us": spent}


def _window(tool: Tool, seconds: float) -> dict[str, Any]:
    """`begun` and `ended` are monotonic seconds at the first and the last moment of what is metered, `called` and
    `returned` those of the metering itself."""
    times = [time.monotonic()]

    def body() -> None:
        times.append(time.monotonic())
        time.sleep(seconds)
        times.append(time.monotonic())

    joules = tool.measure(body)
    times.append(tool.returned)
    return {"joules": joules, **dict(zip(("called", "begun", "ended", "returned"), times, strict=True))}


def _idle(tool: Tool, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    me = psutil.Process()

    def children_s() -> float:
        """CPU seconds of living children; the kernel counts only dead ones in getrusage."""
        tasks = [Path(f"/proc/{child.pid}/schedstat") for child in me.children(recursive=True)]
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def own_s() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def body() -> None:
        time.sleep(2)  # helpers of some tools take that long to boot
        before_s = own_s() + children_s()
        time.sleep(seconds)
        found["cpu_s"] = own_s() + children_s() - before_s
        found["children"] = len(me.children(recursive=True))
        found["threads"] = me.num_threads() - 1

    tool.measure(body)
    return found


def _loop(tool: Tool, pairs: int, seconds: float, counter: str) -> dict[str, list[float]]:
    """Joules of a metered no-op loop over those of the same loop bare, both read from `counter` outside the window."""
    register, turns = Path(counter), 100_000

    def loop() -> None:
        for _ in range(turns):
            pass

    before = time.perf_counter()
    loop()
    turns = int(turns * seconds / (time.perf_counter() - before))
    ratios = []
    for _ in range(pairs):
        spent = {}
        sides = [("bare", loop), ("metered", lambda: tool.measure(loop))]
        random.shuffle(sides)
        for name, side in sides:
            before_uj = int(register.read_text())
            side()
            spent[name] = int(register.read_text()) - before_uj
        if min(spent.values()) > 0:  # not over a wrap-around
            ratios.append(spent["metered"] / spent["bare"])
    return {"ratios": ratios}


def main(name: str) -> None:
    """Answer commands until the input ends. What the tool prints goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tool = TOOLS[name]()
    for line in sys.stdin:
        command = json.loads(line)
        do = command.pop("do")
        try:
            if do == "open":
                answer: dict[str, Any] = _open(tool, command.get("first", ""))
            elif do == "windows":
                if "wait_until" in command:
                    _wait(**command.pop("wait_until"))
                answer = {
                    "windows": [_window(tool, command["seconds"]) for _ in range(command["n"])],
                    "said": tool.said(),
                }
            else:
                answer = {"pairs": _pairs, "idle": _idle, "loop": _loop}[do](tool, **command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def _wait(started_s: float, period_s: float, phase_s: float) -> None:
    """Until `phase_s` after the beginning of the next period."""
    time.sleep((phase_s - (time.monotonic() - started_s)) % period_s)


if __name__ == "__main__":
    main(sys.argv[1])

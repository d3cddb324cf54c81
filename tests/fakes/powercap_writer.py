"""Writes energy counters of a known power, as a kernel would: run as a process beside the test.

Arguments: JSON list of {"path": energy_uj file, "watts": W, "range_uj": uJ}. Prints a line once every counter runs.
Each value is written in place, so that a reader's kept descriptor sees it.

May be given: "shape" ("constant"; "square": `watts` in the first half of each "period_s" and 0 in the second; "ramp":
from 0 to `watts` in each), "started_s" (time.monotonic() at which the counter was 0, else the start of the process),
"power" (true: the file holds the power of that moment in microwatts, as hwmon's power sensors do).
"""

from __future__ import annotations

import json
import os
import sys
import time


def joules(shape: str, watts: float, period_s: float, seconds: float) -> float:
    """Energy of the first `seconds` of a power of that shape."""
    if shape == "constant":
        return watts * seconds
    periods, rest_s = divmod(seconds, period_s)
    last_j = watts * (min(rest_s, period_s / 2) if shape == "square" else rest_s**2 / (2 * period_s))
    return watts * periods * period_s / 2 + last_j


def power_w(shape: str, watts: float, period_s: float, seconds: float) -> float:
    """Power after `seconds`."""
    phase = seconds % period_s / period_s
    return watts if shape == "constant" else watts * phase if shape == "ramp" else watts * (phase < 0.5)


def main() -> None:
    counters = json.loads(sys.argv[1])
    descriptors = [os.open(c["path"], os.O_WRONLY) for c in counters]
    now = time.monotonic()
    announced = False
    while os.getppid() != 1:
        for descriptor, c in zip(descriptors, counters, strict=True):
            seconds = time.monotonic() - c.get("started_s", now)
            course = c.get("shape", "constant"), c["watts"], c.get("period_s", 1.0), seconds
            value = power_w(*course) if c.get("power") else joules(*course)
            os.pwrite(descriptor, f"{int(1e6 * value) % c['range_uj']:<20d}\n".encode(), 0)
        if not announced:
            print("running", flush=True)
            announced = True
        time.sleep(0.001)


if __name__ == "__main__":
    main()

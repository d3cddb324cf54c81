"""Writes energy counters of a known power, as a kernel would: run as a process beside the test.

Arguments: JSON list of {"path": energy_uj file, "watts": W, "range_uj": uJ}. Prints a line once every counter runs.
Each value is written in place, so that a reader's kept descriptor sees it.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    counters = [(os.open(c["path"], os.O_WRONLY), c["watts"], c["range_uj"]) for c in json.loads(sys.argv[1])]
    started = time.monotonic()
    announced = False
    while os.getppid() != 1:
        for descriptor, watts, range_uj in counters:
            energy_uj = int(watts * 1e6 * (time.monotonic() - started)) % range_uj
            os.pwrite(descriptor, f"{energy_uj:<20d}\n".encode(), 0)
        if not announced:
            print("running", flush=True)
            announced = True
        time.sleep(0.001)


main()

"""Which meters open for which names."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from energybench.errors import MeterError, UsageError
from energybench.metering import MeterOptions, open_meters


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (MeterOptions(names=("rapel",)), "no meter 'rapel': choose among auto, rapl"),
        (MeterOptions(names=()), "no meter is named"),
        (MeterOptions(names=("replay:",)), "no meter 'replay:'"),
        (MeterOptions(names=("auto", "replay:x.json")), "name it alone"),
        (MeterOptions(names=("rapl", "pyrapl")), "name one of them"),
        (MeterOptions(names=("estimate",), estimate=False), "switched off at once"),
        (MeterOptions(cpu_tdp_w=0.0), "must be above 0 W, not 0"),
        (MeterOptions(cpu_tdp_w=float("nan")), "must be above 0 W, not nan"),
    ],
)
def test_a_wrong_name_or_combination_is_refused(options: MeterOptions, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_meters(options)


def test_several_names_open_several_meters(powercap: Any) -> None:
    powercap.zone("intel-rapl:0", "package-0")
    meters = open_meters(MeterOptions(names=("rapl", "estimate"), powercap_root=powercap.root))
    assert [d.name for d in meters.domains] == ["package:0", "ram"]
    meters.close()


def test_a_meter_asked_for_by_name_must_open(powercap: Any) -> None:
    with pytest.raises(MeterError, match=r"the meter 'rapl' cannot be opened.*no RAPL zone under"):
        open_meters(MeterOptions(names=("auto", "rapl"), powercap_root=powercap.root))


def test_importing_metering_loads_no_counter_library() -> None:
    heavy = ["pynvml", "pyRAPL", "psutil", "torch", "numpy", "tabulate"]
    code = f"import json, sys, energybench.metering; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_comparability_names_the_cpu() -> None:
    meters = open_meters(MeterOptions(names=("estimate",)))
    keys = meters.comparability()
    assert keys["cpu"]
    assert keys["cpu_count"] >= 1
    assert json.loads(json.dumps(keys)) == keys
    meters.close()

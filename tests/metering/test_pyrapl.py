"""pyRAPL as a reader: its own code on a fake tree at the path that it hard-codes, in a mount namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from energybench.errors import MeterError
from energybench.metering import MeterOptions, open_meters

if sys.platform != "linux":
    pytest.skip("pyRAPL runs on Linux only", allow_module_level=True)
pytest.importorskip("pyRAPL", reason="pyRAPL is not installed", exc_type=ImportError)

READ = """
import json, sys
from pathlib import Path
from energybench.metering import MeterOptions, open_meters

root = Path("/sys/class/powercap/intel-rapl/intel-rapl:0")
meters = open_meters(MeterOptions(names=("pyrapl",)))
window = meters.open_window()
(root / "energy_uj").write_text("900000\\n")                       # wrapped: 1.0 J below the range, then 0.9 J
(root / "intel-rapl:0:0" / "energy_uj").write_text("250000\\n")
closed = window.close()
meters.close()
from energybench.metering.doctor import doctor_report
print(json.dumps({"joules": closed.joules, "meters": [d.meter for d in meters.domains],
                  "doctor": doctor_report(MeterOptions(names=("rapl",)), 0.05)}))
"""


def test_pyrapl_reads_the_same_tree_through_our_unwrapping(powercap: Any, namespaced: list[str]) -> None:
    sockets = {p.read_text().strip() for p in Path("/sys/devices/system/cpu").glob("cpu*/topology/physical_package_id")}
    if sockets != {"0"}:
        pytest.skip("pyRAPL wants one package for each real socket, and the fake tree has one")
    powercap.zone("intel-rapl/intel-rapl:0", "package-0", uj=262_142_328_850)
    powercap.zone("intel-rapl/intel-rapl:0/intel-rapl:0:0", "dram")
    done = subprocess.run([*namespaced, sys.executable, "-c", READ], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["joules"] == {"package:0": pytest.approx(1.9), "dram:0": pytest.approx(0.25)}
    assert seen["meters"] == ["pyrapl", "pyrapl"]
    assert "Cross-check with pyRAPL" in seen["doctor"]
    assert "they agree" in seen["doctor"]
    assert done.stderr == ""


def test_without_rapl_it_says_that_it_reads_the_system_tree_only(powercap: Any) -> None:
    if Path("/sys/class/powercap/intel-rapl").exists():
        pytest.skip("this machine has RAPL")
    powercap.zone("intel-rapl:0", "package-0")
    with pytest.raises(MeterError, match="pyRAPL reads /sys/class/powercap only"):
        open_meters(MeterOptions(names=("pyrapl",), powercap_root=powercap.root))


def test_its_import_leaves_logging_and_warnings_alone() -> None:
    code = """
import logging, warnings
from energybench.errors import MeterError
from energybench.metering import MeterOptions, open_meters
warnings.simplefilter("error")
try:
    open_meters(MeterOptions(names=("pyrapl",))).close()
except MeterError:
    pass
assert not logging.getLogger().handlers, logging.getLogger().handlers
assert logging.getLogger().manager.disable == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

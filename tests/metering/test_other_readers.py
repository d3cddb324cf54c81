"""pyRAPL and pyJoules as independent readers of one live tree at the real path, in a mount namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("RAPL is read on Linux only", allow_module_level=True)
pytest.importorskip("pyRAPL", reason="pyRAPL is not installed", exc_type=ImportError)
pytest.importorskip("pyJoules", reason="pyJoules is not installed", exc_type=ImportError)

WATCH = """
import json, time, warnings
warnings.simplefilter("ignore")  # what the other two complain of is not ours
import pyRAPL
from pyJoules.device.rapl_device import RaplDevice, RaplDramDomain, RaplPackageDomain
from energybench.metering import MeterOptions, open_meters

meters = open_meters(MeterOptions(names=("rapl",)))
sensor, device = pyRAPL.Sensor(), RaplDevice()
device.configure(domains=[RaplPackageDomain(0), RaplDramDomain(0)])
window = meters.open_window()
theirs = [sensor.energy(), device.get_energy()]
time.sleep(2.0)
ended = [sensor.energy(), device.get_energy()]
closed = window.close()
meters.close()
others = [[(b - a) * 1e-6 for a, b in zip(start[:2], end[:2])] for start, end in zip(theirs, ended)]
print(json.dumps({"seconds": closed.seconds, "ours": list(closed.joules.values()), "pyRAPL": others[0],
                  "pyJoules": others[1], "doors": [d.note for d in meters.domains]}))
"""


def test_three_readers_of_one_live_tree_agree(powercap: Any, live: Any, namespaced: list[str]) -> None:
    sockets = {p.read_text().strip() for p in Path("/sys/devices/system/cpu").glob("cpu*/topology/physical_package_id")}
    if sockets != {"0"}:
        pytest.skip("pyRAPL wants one package for each real socket, and the fake tree has one")
    folder = "intel-rapl/intel-rapl:0"
    package, dram = powercap.zone(folder, "package-0"), powercap.zone(f"{folder}/intel-rapl:0:0", "dram")
    whole_uj = 262_143_328_850
    live({package: (120.0, whole_uj), dram: (12.0, whole_uj)})
    done = subprocess.run([*namespaced, sys.executable, "-c", WATCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["doors"] == ["through intel-rapl:0", "through intel-rapl:0:0"]
    for watts, ours, *others in zip((120.0, 12.0), seen["ours"], seen["pyRAPL"], seen["pyJoules"], strict=True):
        # the others are asked a moment later and end a moment earlier; the writer may be late on a busy machine
        assert ours == pytest.approx(watts * seen["seconds"], rel=0.05)
        assert others == [pytest.approx(ours, rel=0.05)] * 2

"""A stand-in for the package zeus_apple_silicon 1.1.0, whose wheels exist for macOS alone.

The file named by FAKE_APPLE is read again at every call: JSON, fields of AppleEnergyMetrics and their millijoules. A
field that is not there is None, as in the package. `error` raises what the package raises where IOReport fails,
`no_subscription` what it raises when it is opened. With `watts` and `start`, cpu_total_mj grows by that many watts
since then on the monotonic clock, in batches of `batch_s`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

FIELDS = (
    "cpu_total_mj",
    "efficiency_cores_mj",
    "performance_cores_mj",
    "efficiency_cluster_mj",
    "performance_cluster_mj",
    "efficiency_core_manager_mj",
    "performance_core_manager_mj",
    "dram_mj",
    "gpu_mj",
    "gpu_sram_mj",
    "ane_mj",
)


class AppleEnergyMetrics:
    """Millijoules since some moment before; None where the chip does not tell."""


class AppleEnergyMonitor:
    """The part of the package's class that energybench uses."""

    def __init__(self) -> None:
        if _told().get("no_subscription"):
            raise RuntimeError("Failed to create IOReport subscription.")

    def get_cumulative_energy(self) -> AppleEnergyMetrics:
        """What the file holds now."""
        told = _told()
        if "error" in told:
            raise RuntimeError(told["error"])
        metrics = AppleEnergyMetrics()
        for field in FIELDS:
            setattr(metrics, field, told.get(field))
        if "watts" in told:
            batches = (time.monotonic() - told["start"]) // told["batch_s"]
            metrics.cpu_total_mj = int(batches * told["batch_s"] * told["watts"] * 1000)
        return metrics


def _told() -> dict:
    return json.loads(Path(os.environ["FAKE_APPLE"]).read_text())

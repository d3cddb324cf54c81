"""energybench and its peers behind one interface: begin, end, joules per kind.

An answer holds joules per kind (cpu, dram, gpu; `_model` behind it for an estimate that is called one); a kind it has
no value for is None. Nothing is imported before a tool is loaded: each stands in a virtual environment of its own.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KWH_J = 3.6e6
Answer = dict[str, float | None]


class Tool:
    """`begin` and `end` are what a user calls; `answer` makes joules of what `end` gave."""

    returned = 0.0
    """monotonic seconds at the end of the last `end`"""

    def load(self) -> None:
        """Import it."""

    def open(self) -> None:
        """Construct what may be used for many windows."""

    def begin(self) -> None: ...

    def end(self) -> Any: ...

    def answer(self, ended: Any) -> Answer: ...

    def said(self) -> str:
        """What it says of counters that it cannot read."""
        return ""

    def measure(self, body: Callable[[], None]) -> Answer:
        self.begin()
        body()
        ended = self.end()
        self.returned = time.monotonic()
        return self.answer(ended)


class Energybench(Tool):
    def load(self) -> None:
        import energybench.metering as metering

        self.metering = metering

    def open(self) -> None:
        named = os.environ.get("BENCH_METERS")
        options = self.metering.MeterOptions(names=tuple(named.split(",")), estimate=False) if named else None
        self.meters = self.metering.open_meters(options)
        if "BENCH_TRACE_HZ" in os.environ:
            from energybench.store import TraceWriter

            self.folder = tempfile.TemporaryDirectory()
            writer = TraceWriter(Path(self.folder.name), "bench", [domain.name for domain in self.meters.domains])
            self.meters.trace(float(os.environ["BENCH_TRACE_HZ"]), writer.append)

    def begin(self) -> None:
        self.window = self.meters.open_window()

    def end(self) -> Any:
        return self.window.close()

    def answer(self, ended: Any) -> Answer:
        kinds: Answer = {}
        for domain in self.meters.domains:
            if domain.in_total:
                kind = domain.name.partition(":")[0].replace("package", "cpu")
                kind += "_model" if domain.provenance == "estimated" else ""
                known, more = kinds.get(kind, 0.0), ended.joules.get(domain.name)
                kinds[kind] = None if known is None or more is None else known + more
        return kinds

    def said(self) -> str:
        return "; ".join(f"{d.device}: {d.state}" for d in self.meters.diagnoses if d.state == "no-permission")


class Zeus(Tool):
    def load(self) -> None:
        from zeus.monitor import ZeusMonitor

        self.ZeusMonitor = ZeusMonitor

    def open(self) -> None:
        self.monitor = self.ZeusMonitor(approx_instant_energy="BENCH_APPROXIMATE" in os.environ)

    def begin(self) -> None:
        self.monitor.begin_window("bench", sync_execution=False)  # True wants torch, which no tool has here

    def end(self) -> Any:
        return self.monitor.end_window("bench", sync_execution=False)

    def answer(self, ended: Any) -> Answer:
        kinds = {"cpu": ended.cpu_energy, "dram": ended.dram_energy, "gpu": ended.gpu_energy}
        return {kind: sum(found.values()) if found else None for kind, found in kinds.items()}


class CodeCarbon(Tool):
    def load(self) -> None:
        from codecarbon import OfflineEmissionsTracker

        self.OfflineEmissionsTracker = OfflineEmissionsTracker

    def _tracker(self) -> Any:
        return self.OfflineEmissionsTracker(country_iso_code="DNK", output_methods=[], log_level="error")

    def begin(self) -> None:
        self.tracker = self._tracker()
        self.tracker.start()

    def end(self) -> Any:
        self.tracker.stop()
        return self.tracker.final_emissions_data

    def answer(self, ended: Any) -> Answer:
        kinds = {"cpu": ended.cpu_energy, "ram_model": ended.ram_energy, "gpu": ended.gpu_energy}
        return {kind: kwh * KWH_J for kind, kwh in kinds.items()}


class CodeCarbonTasks(CodeCarbon):
    """The cheaper way: one tracker, a task a window."""

    def open(self) -> None:
        self.tracker = self._tracker()

    def begin(self) -> None:
        self.tracker.start_task("bench")

    def end(self) -> Any:
        return self.tracker.stop_task("bench")


class Carbontracker(Tool):
    """A window is an epoch; its energies are taken before the factor 1.58 that it puts on every output."""

    def load(self) -> None:
        from carbontracker.tracker import CarbonTracker

        self.CarbonTracker = CarbonTracker

    def open(self) -> None:
        self.tracker = self.CarbonTracker(epochs=10**6, epochs_before_pred=0, verbose=0)

    def begin(self) -> None:
        self.tracker.epoch_start()

    def end(self) -> Any:
        self.tracker.epoch_end()
        return self.tracker.tracker

    def answer(self, ended: Any) -> Answer:
        return {c.name: float(c.energy_usage(ended.epoch_times)[-1]) * KWH_J for c in ended.components}


class PyRapl(Tool):
    def load(self) -> None:
        import pyRAPL

        self.pyRAPL = pyRAPL

    def open(self) -> None:
        self.pyRAPL.setup()
        self.measurement = self.pyRAPL.Measurement("bench")

    def begin(self) -> None:
        self.measurement.begin()

    def end(self) -> Any:
        self.measurement.end()
        return self.measurement.result

    def answer(self, ended: Any) -> Answer:
        kinds = {"cpu": ended.pkg, "dram": ended.dram}
        return {kind: sum(found) / 1e6 if found else None for kind, found in kinds.items()}


class PyJoules(Tool):
    """Every domain is said to be in microjoules."""

    def load(self) -> None:
        from pyJoules.device import DeviceFactory
        from pyJoules.energy_meter import EnergyMeter

        self.DeviceFactory, self.EnergyMeter = DeviceFactory, EnergyMeter

    def open(self) -> None:
        self.meter = self.EnergyMeter(self.DeviceFactory.create_devices())

    def begin(self) -> None:
        self.meter.start()

    def end(self) -> Any:
        self.meter.stop()
        return self.meter

    def answer(self, ended: Any) -> Answer:
        kinds: Answer = {}
        for name, energy_uj in ended.get_trace()[0].energy.items():
            kind = {"package": "cpu", "dram": "dram", "nvidia": "gpu"}.get(name.partition("_")[0])
            if kind:
                kinds[kind] = (kinds.get(kind) or 0.0) + energy_uj / 1e6
        return kinds


class Perun(Tool):
    """Only a decorator: no begin and no end."""

    def load(self) -> None:
        from perun import perun, register_callback

        self.perun, self.register_callback = perun, register_callback
        self.runs: list[Any] = []

    def measure(self, body: Callable[[], None]) -> Answer:
        def run() -> None:
            self.register_callback(self.runs.append)  # the first of a name stays
            body()

        with tempfile.TemporaryDirectory() as folder:
            self.perun(data_out=folder, log_lvl="CRITICAL")(run)()
        self.returned = time.monotonic()
        found = {metric.value: value for metric, value in self.runs[-1].nodes["0"].metrics.items()}
        kinds = {"cpu": "cpu_energy", "dram": "dram_energy", "gpu": "gpu_energy"}
        return {kind: float(found[metric].value) for kind, metric in kinds.items() if metric in found}


TOOLS: dict[str, type[Tool]] = {
    "energybench": Energybench,
    "zeus": Zeus,
    "zeus-approximate": Zeus,
    "codecarbon": CodeCarbon,
    "codecarbon-tasks": CodeCarbonTasks,
    "carbontracker": Carbontracker,
    "pyrapl": PyRapl,
    "pyjoules": PyJoules,
    "perun": Perun,
}

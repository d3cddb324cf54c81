"""The estimate: CPU seconds of the process tree times rated watts, resident memory times watts per gigabyte.

It stands in where no counter covers the CPU or the memory, and is never called a measurement. Against recorded RAPL
values, models of load times TDP miss by 39 to 69 % on average, hence a stated gain error of 50 %.

Memory counts what the process tree holds (resident set), not what the machine has installed: an installed terabyte
would outweigh every GPU, and the CPU part is the process tree's too. Pages that processes share are counted once for
each, but never more than the machine uses in all.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from energybench.metering.counter import Reading
from energybench.metering.meter import Diagnosis, MeterOptions, Opened, Resolution
from energybench.metering.processes import ProcessTree, prepare
from energybench.metering.tdp import DEFAULT_W_PER_CPU, watts_per_cpu
from energybench.metering.window import cpu_model
from energybench.model import Domain, Provenance

GAIN_REL = 0.5
RAM_W_PER_GB = 0.3725
"""Watts per gigabyte (1e9 bytes), as in Green Algorithms (Lannelongue, Grealey, Inouye, Advanced Science 2021,
doi 10.1002/advs.202100707)."""
_TICK_S = 0.01
"""Children's CPU seconds come in scheduler ticks."""


class Estimate:
    """The meter `estimate`: domains `cpu` and `ram`, or one of them."""

    name = "estimate"
    heartbeat_s = None

    def __init__(self, w_per_cpu: float, origin: str, domains: tuple[str, ...] = ("cpu", "ram")) -> None:
        """`w_per_cpu` watts of one busy logical CPU; `origin` says in words where that number comes from."""
        notes = {
            "cpu": f"CPU seconds of the process tree x {w_per_cpu:.3g} W per logical CPU ({origin})",
            "ram": f"resident memory of the process tree x {RAM_W_PER_GB} W per GB",
        }
        self._w_per_cpu = w_per_cpu
        self._tree = ProcessTree()
        self._lock = threading.Lock()
        self._ram_j = 0.0
        self._ram_w: float | None = None
        self._when = 0.0
        self.domains = tuple(
            Domain(name, self.name, Provenance.ESTIMATED, gain_rel=GAIN_REL, device=cpu_model(), note=notes[name])
            for name in domains
        )
        self.resolution: Mapping[str, Resolution] = {"cpu": Resolution(w_per_cpu * _TICK_S, 0.0)}

    def read(self) -> dict[str, Reading]:
        """Joules since opening; memory is taken as changing evenly between two readings."""
        with self._lock:
            cpu_s, resident_gb = self._tree.read()
            now, ram_w = time.monotonic(), resident_gb * RAM_W_PER_GB
            if self._ram_w is not None:
                self._ram_j += (self._ram_w + ram_w) / 2 * (now - self._when)
            self._ram_w, self._when = ram_w, now
            values = {"cpu": Reading(cpu_s * self._w_per_cpu), "ram": Reading(self._ram_j)}
        return {domain.name: values[domain.name] for domain in self.domains}

    def calibrate(self) -> None:
        """Nothing to measure; only what the first child process would need is made ready."""
        prepare()

    def conditions(self) -> dict[str, float]:
        return {}

    def comparability(self) -> dict[str, Any]:
        return {"estimate_w_per_cpu": self._w_per_cpu, "estimate_ram_w_per_gb": RAM_W_PER_GB}

    def close(self) -> None:
        pass


def open_meter(options: MeterOptions, covered: frozenset[str]) -> Opened:
    """Estimate what no counter covers: `cpu` without a `package:*` and `ram` without a `dram:*` in `covered`."""
    kinds = {name.partition(":")[0] for name in covered}
    domains = tuple(name for name, counter in (("cpu", "package"), ("ram", "dram")) if counter not in kinds)
    if not domains:
        return Opened(None, (Diagnosis("estimate", "cpu, ram", "off", "counters cover the CPU and the memory"),))
    model = cpu_model()
    w_per_cpu, origin, remedy = _rate(options.cpu_tdp_w, model)
    meter = Estimate(w_per_cpu, origin, domains)
    diagnoses = tuple(
        Diagnosis("estimate", domain.name, "ok", domain.note, remedy if domain.name == "cpu" else "")
        for domain in meter.domains
    )
    return Opened(meter, diagnoses)


def _rate(tdp_w: float | None, model: str) -> tuple[float, str, str]:
    if tdp_w is not None:
        cpus = os.cpu_count() or 1
        return tdp_w / cpus, f"{tdp_w:g} W given for {cpus} logical CPUs", ""
    known = watts_per_cpu(model)
    if known is not None:
        return known, f"TDP per thread of {model}", ""
    remedy = "give the CPU's rated watts with --energy-cpu-tdp"
    return DEFAULT_W_PER_CPU, f"a default: the rated power of {model!r} is not known", remedy

"""The cells of the table model x environment: what each case of a run spent on one epoch, and where.

An epoch is a lap named `epoch`: the mean of those after the first, which pays for warming up, or the only one. Joules
are IT joules over all in-total domains: a model that trains on the CPU is not what the GPU's counter beside it reads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from energybench.analysis.row import mapping, workload
from energybench.model import Case, Provenance, Round, Run, Status, mean

PROTOCOLS = ("environment", "one epoch", "early stopping")
"""of the cases that can be cells, best first: the study made for it, then others that train the uncompressed model"""
SCORES = {"accuracy": "accuracy", "macro_f1": "macro F1"}
"""metric -> its name for people"""
_KINDS = {
    Provenance.MEASURED: "read from counters or sensors",
    Provenance.INTEGRATED: "read from counters or sensors",
    Provenance.ESTIMATED: "estimated",
    Provenance.REPLAYED: "replayed",
}


@dataclass(frozen=True, slots=True)
class Epoch:
    """One round's epoch."""

    joules: float
    seconds: float
    images: float | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One model in one environment, of one run."""

    run: str
    case: Case
    model: str
    setting: str
    """device, batch, threads and precision: `cpu-b32-t2-fp32`; equal on two machines where these are"""
    machine: str
    """what else joules depend on, as text that is equal for equal machines, power limits and meters"""
    epochs: tuple[Epoch, ...]
    """of the rounds that have one with joules; never empty"""
    environment: str = ""
    """the setting, with the machine's letter where there are several"""

    @property
    def joules(self) -> float:
        """Of an epoch: geometric mean over the rounds."""
        return math.exp(self.log_joules)

    @property
    def log_joules(self) -> float:
        """Its natural logarithm."""
        return math.fsum(math.log(epoch.joules) for epoch in self.epochs) / len(self.epochs)

    @property
    def seconds(self) -> float:
        """Of an epoch: geometric mean over the rounds."""
        return math.exp(math.fsum(math.log(epoch.seconds) for epoch in self.epochs) / len(self.epochs))

    @property
    def images(self) -> float | None:
        """Training images of an epoch; None where not every round says."""
        known = [epoch.images for epoch in self.epochs if epoch.images]
        return mean(known) if len(known) == len(self.epochs) else None

    @property
    def joules_per_sample(self) -> float | None:
        """Geometric mean over the rounds; None where the images of an epoch are not known."""
        return None if self.images is None else self.joules / self.images

    @property
    def is_default(self) -> bool:
        """Whether the environment is the one that the model's recipe asks for; where none was declared, it is."""
        return bool(mapping(self.case.facts.get("environment")).get("default", True))

    @property
    def parameters(self) -> float | None:
        """Trainable parameters of the model, as the case states them."""
        return positive(self.case.facts.get("parameters"))

    @property
    def flops(self) -> float | None:
        """Floating-point operations of an epoch; None where the case does not state them for an image."""
        per_image = positive(mapping(self.case.facts.get("intensity")).get("flops_per_image"))
        return None if per_image is None or self.images is None else per_image * self.images

    @property
    def rated_w(self) -> float | None:
        """Power limit of the GPU that trains, else the CPU's: its limit, or what an estimate takes for its TDP."""
        if self.device == "cuda":
            gpus = self.case.comparability.get("gpus")
            return positive(mapping(gpus[0]).get("power_limit_w")) if isinstance(gpus, Sequence) and gpus else None
        limit = positive(mapping(self.case.facts.get("environment")).get("cpu_power_limit_w"))
        per_cpu, cpus = (positive(self.case.comparability.get(key)) for key in ("estimate_w_per_cpu", "cpu_count"))
        return limit or (per_cpu * cpus if per_cpu and cpus else None)

    @property
    def device(self) -> str:
        """`cpu`, `cuda`, ..."""
        return self.setting.partition("-")[0]

    def score(self, metric: str) -> float | None:
        """Mean over the rounds of a metric of SCORES, a share; None where one has none."""
        values = self.case.metric(metric)
        return None if None in values else mean(values)


def cells_of(run: Run, label: str, protocol: str) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """The cells of a run, and in words what was left out of them."""
    cells: dict[tuple[str, str], Cell] = {}
    notes: list[str] = []
    again: list[str] = []
    for case in run.cases:
        if not is_candidate(case, protocol):
            continue
        epochs = tuple(epoch for round in case.rounds if (epoch := _epoch(case, round)) is not None)
        made = Cell(label, case, str(workload(case)["model"]), setting_of(case), machine_of(case), epochs)
        if case.status is Status.FAILED:
            notes.append(f"{case.short_id} is left out: it failed")
        elif not epochs:
            notes.append(f"{case.short_id} is left out: no epoch of it has joules")
        elif (made.model, made.setting) in cells:
            again.append(case.id)
        else:
            cells[made.model, made.setting] = made
            if len(epochs) < len(case.rounds):
                notes.append(
                    f"{case.short_id}: {len(case.rounds) - len(epochs)} of its rounds have no epoch with joules"
                )
    if again:
        notes.append(f"left out, since an earlier case is the same cell: {', '.join(again)}")
    return tuple(cells.values()), tuple(notes)


def is_candidate(case: Case, protocol: str) -> bool:
    """Whether the case trained an uncompressed model under this protocol."""
    declared = workload(case)
    return (
        declared.get("protocol") == protocol
        and declared.get("compressor") == "none"
        and isinstance(declared.get("model"), str)
    )


def setting_of(case: Case) -> str:
    """As the case declared it; of other studies' cases device, threads and precision, their batch being the recipe's.

    The threads are left out where a GPU trains.
    """
    said = mapping(case.facts.get("environment")).get("id")
    if isinstance(said, str) and said:
        return said
    device = str(case.facts.get("device") or "device").partition(":")[0]
    threads = f"-t{case.facts.get('threads', '?')}" if device == "cpu" else ""
    precision = mapping(case.facts.get("hyper_parameters")).get("precision", "?")
    return f"{device}{threads}-{precision}"


def machine_of(case: Case) -> str:
    """The comparability keys and the CPU's power limit, as text: joules of another such text are never compared."""
    limit = mapping(case.facts.get("environment")).get("cpu_power_limit_w")
    return json.dumps({**case.comparability, "cpu_power_limit_w": limit}, sort_keys=True, default=str)


def machine_text(case: Case) -> str:
    """The same for people: CPU, GPUs and power limits."""
    keys = case.comparability
    parts = [f"{keys.get('cpu') or 'unknown CPU'}, {keys.get('cpu_count', '?')} CPUs"]
    gpus = keys.get("gpus")
    for gpu in gpus if isinstance(gpus, Sequence) else ():
        watts = positive(mapping(gpu).get("power_limit_w"))
        limit = f"{watts:g} W" if watts else "limit not read"
        parts.append(f"{mapping(gpu).get('name') or 'GPU'} ({limit})")
    cpu_w = positive(mapping(case.facts.get("environment")).get("cpu_power_limit_w"))
    parts.append(f"CPU power limit {cpu_w:g} W" if cpu_w else "CPU power limit not read")
    return ", ".join(parts)


def data_of(cells: Iterable[Cell]) -> tuple[str, ...]:
    """The data sets that the cells trained on, as declared; scores on two of them are not one scale."""
    return tuple(dict.fromkeys(str(workload(cell.case).get("data", "not stated")) for cell in cells))


def kind_of(case: Case) -> str:
    """How its joules came about: cells of two kinds are not one table."""
    return "not read" if case.provenance is None else _KINDS[case.provenance]


def positive(value: object) -> float | None:
    """`value` where it is a finite number above 0."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    return float(value) if usable and isinstance(value, (int, float)) else None


def _epoch(case: Case, round: Round) -> Epoch | None:
    """None where a lap has no joules: a mean over the others would be of other epochs."""
    laps = round.window.laps_named("epoch")
    kept = laps[1:] or laps
    joules = [lap.total_j(case.total_domains) for lap in kept]
    known = [value for value in joules if value is not None and value > 0]
    if not kept or len(known) < len(kept) or any(lap.seconds <= 0 for lap in kept):
        return None
    images = positive(round.metrics.get("images"))
    return Epoch(
        joules=math.fsum(known) / len(kept),
        seconds=math.fsum(lap.seconds for lap in kept) / len(kept),
        images=None if images is None else images / len(laps),
    )


def described(machines: Mapping[str, Cell]) -> dict[str, str]:
    """Letter -> the machine in words."""
    return {letter: machine_text(cell.case) for letter, cell in machines.items()}

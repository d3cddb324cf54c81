"""Training environments: on what, in which batches, with how many threads and in which precision a model is trained.

The power limit belongs to the environment too, but it is the administrator's: it is read and recorded, never set.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from energybench.compress.precision import UnavailableError, probe
from energybench.lab.arithmetic import arithmetic
from energybench.lab.arithmetic import device as lab_device
from energybench.lab.data import Data, example_input
from energybench.lab.finetune import one_epoch
from energybench.lab.intensity import training_intensity
from energybench.lab.optimizer import optimizer
from energybench.lab.profiles import Recipe
from energybench.lab.study import Study, Subject

BATCHES = (16, 32, 64)
"""among them the recipes' own, in every profile but `paper`"""
PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "tf32", "bf16")}
"""bf16 is autocast: weights stay float32"""
POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True)
class Environment:
    """One combination; equal ones on two machines are the same setting, not the same machine."""

    device: str
    """`cpu` or `cuda`"""
    batch: int
    threads: int
    """of torch; on a GPU they only feed it"""
    precision: str
    """one of PRECISIONS"""

    @property
    def id(self) -> str:
        """`cpu-b32-t2-fp32`; without the threads where a GPU trains."""
        threads = f"-t{self.threads}" if self.device == "cpu" else ""
        return f"{self.device}-b{self.batch}{threads}-{self.precision}"

    @property
    def where(self) -> torch.device:
        """The device, with its number."""
        return lab_device() if self.device == "cuda" else torch.device("cpu")

    def require(self, *, slow: bool = False) -> None:
        """UnavailableError with the reason where this machine cannot run its precision, or only emulates it.

        `slow` lets the emulated ones pass.
        """
        if self.precision == "fp32":
            return
        found = probe("autocast" if self.precision == "bf16" else self.precision, self.where)
        if not (found.fast or (slow and found.possible)):
            raise UnavailableError(f"{self.precision} has no fast path on this {self.device}: {found.reason}")

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Compute as it says: torch's threads and arithmetic, put back as they were at the end."""
        on_cpu, threads = self.device == "cpu", torch.get_num_threads()
        half = on_cpu and self.precision == "bf16"
        # Without its cache, which would keep the weights of the first step as long as this context lasts.
        autocast = torch.autocast("cpu", torch.bfloat16, cache_enabled=False) if half else nullcontext()
        torch.set_num_threads(self.threads)
        try:
            with arithmetic("fp32" if on_cpu else self.precision), autocast:
                yield
        finally:
            torch.set_num_threads(threads)

    def recipe(self, base: Recipe) -> Recipe:
        """`base` with this batch and precision."""
        return replace(base, batch=self.batch, precision=self.precision)

    def is_default(self, base: Recipe, threads: int) -> bool:
        """Whether it is what the lab does anyway by the recipe `base`, where torch has `threads` threads."""
        own = Environment(lab_device().type, base.batch, threads, base.precision)
        return self == own


def environments(threads: int, *, cuda: bool) -> tuple[Environment, ...]:
    """All that a machine is asked for: on the CPU with one and with `threads` threads, and on its GPU if it has one."""
    found = []
    for device in ("cpu", "cuda") if cuda else ("cpu",):
        for precision in PRECISIONS[device]:
            for count in dict.fromkeys((threads, 1)) if device == "cpu" else (threads,):
                found += [Environment(device, batch, count, precision) for batch in BATCHES]
    return tuple(found)


def pinned(environment: Environment, study: Study) -> str:
    """Why the command line leaves this environment out (`--energy-set batch=32`); empty where it does not."""
    for name in ("batch", "precision"):
        asked = study.overrides.get(name)
        if asked is not None and asked != getattr(environment, name):
            return f"--energy-set {name}={asked} leaves only the environments of that {name}"
    return ""


def declared(environment: Environment, study: Study, model: str) -> dict[str, Any]:
    """The declared inputs of a case: one epoch of the uncompressed model in this environment."""
    inputs = study.workload(model, "none", "environment")
    own = {"batch": environment.batch, "precision": environment.precision}
    return {
        **inputs,
        **own,
        "device": environment.device,
        "threads": environment.threads,
        "recipe": {**inputs["recipe"], **own},
    }


@dataclass(frozen=True)
class Ready:
    """A model in its environment, ready for one epoch."""

    environment: Environment
    subject: Subject
    model: nn.Module
    """a fresh copy, to be trained"""
    recipe: Recipe

    @property
    def data(self) -> Data:
        """What it trains on."""
        return self.subject.data

    def optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The recipe's, for `model` (its own by default)."""
        chosen, recipe = model or self.model, self.recipe
        return optimizer(chosen, recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.momentum)

    def facts(self, threads: int) -> dict[str, Any]:
        """What a stored case says of itself; `threads` are torch's own on this machine."""
        recipe, environment, compressed = self.recipe, self.environment, self.subject.compressed.model
        intensity = training_intensity(
            compressed,
            example_input(compressed, self.data),
            recipe.batch,
            optimizer=recipe.optimizer,
            momentum=recipe.momentum,
        )
        return {
            **self.subject.facts(),
            "hyper_parameters": recipe.as_facts(),
            "device": str(environment.where),
            "threads": environment.threads,
            "intensity": intensity.as_facts(),
            "environment": {
                "id": environment.id,
                "device": environment.device,
                "batch": environment.batch,
                "threads": environment.threads,
                "precision": environment.precision,
                "default": environment.is_default(self.subject.recipe, threads),
                "cpu_power_limit_w": cpu_power_limit_w(),
            },
        }


def ready(environment: Environment, subject: Subject) -> Ready:
    """A fresh copy of the subject where the environment trains. Call it inside `environment.applied()`.

    One step on another copy is over before a window opens: kernels are chosen and loaded, the images are in place.
    """
    model = subject.fresh().model.to(environment.where)
    made = Ready(environment, subject, model, environment.recipe(subject.recipe))
    trial, images = copy.deepcopy(model), torch.arange(min(environment.batch, len(subject.data.train)))
    one_epoch(trial, subject.data.train, made.optimizer(trial), environment.batch, order=images)
    return made


def cpu_power_limit_w(root: Path = POWERCAP) -> float | None:
    """Long-term power limit of all CPU packages together, as Linux tells it; None where one is not told.

    GPUs' limits stand in the run's comparability keys, read by their meter.
    """
    limits: list[float] = []
    try:
        zones = sorted(zone for zone in root.iterdir() if re.fullmatch(r"intel-rapl:[0-9a-f]+", zone.name))
        for zone in zones:
            if (zone / "name").read_text().startswith("package"):
                for name in sorted(zone.glob("constraint_*_name")):
                    if name.read_text().strip() == "long_term":
                        limit = name.with_name(name.name.replace("_name", "_power_limit_uw"))
                        limits.append(int(limit.read_text()) / 1e6)
    except (OSError, ValueError):
        return None
    return sum(limits) or None

"""What a stored case teaches: its features, and what one of its epochs took.

An epoch is one pass over the training images. Its joules and seconds are means over the laps named `epoch` after the
first, which pays for warming up; of a case with one such lap it is that lap. A case that marked none, but recorded
`epochs`, gives the round divided by them, its validation included: a validation image then counts as a third of a
training image, since a training step takes about three times the operations of a forward pass.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from energybench.estimators.pre.devices import Device, board
from energybench.model import Case, Provenance, Round, Run, Status, mean

FEATURES: Mapping[str, str] = {
    "train_gflops_per_image": "GFLOPs of a training step per image (3 x forward)",
    "train_mb_per_image": "MB to and from memory in a training step per image",
    "parameters_m": "millions of parameters",
    "batch": "images in a batch",
    "pixels": "side of the images",
    "context": "tokens in a window",
    "bits": "bits of a number in the multiplications",
    "device_w": "rated power or power limit of the device",
    "device_cores": "cores or threads that compute",
    "device_memory_gb": "memory of the device",
    "device_gb_per_s": "bandwidth of the device's memory",
    "devices": "devices that compute",
}
"""name, with its unit at the end, -> what it is; all are positive numbers and enter as logarithms"""

_BITS = {"fp32": 32.0, "tf32": 19.0, "bf16": 16.0, "bfloat16": 16.0, "float16": 16.0, "int8": 8.0}
FORWARD_SHARE = 1 / 3
"""of a training step's operations: what a validation image costs beside a training image"""


@dataclass(frozen=True, slots=True)
class Observation:
    """One case of one run, or the mean of several that have every feature in common."""

    model: str
    device: str
    features: Mapping[str, float]
    """by the names of FEATURES; what was not recorded is absent"""
    images: float
    """training images of an epoch, validation counted as FORWARD_SHARE where it is in the epoch"""
    epoch_s: float
    epoch_j: float
    """IT joules over the in-total domains"""
    meters: str = ""
    """which domains the joules are of, and their weakest provenance: joules of other domains are another quantity"""
    source: str = ""
    """run and case"""
    cases: int = 1
    """how many were averaged"""
    utilisation: float | None = None
    """mean share of the device's time that it worked, for the calculators alone"""
    memory_gb: float | None = None
    """main memory of the machine, for the calculators alone"""

    @property
    def power_w(self) -> float:
        """Mean power of the epochs."""
        return self.epoch_j / self.epoch_s

    @property
    def configuration(self) -> tuple[Any, ...]:
        """What makes two observations repeats of one another."""
        rounded = tuple(sorted((name, f"{value:.6g}") for name, value in self.features.items()))
        return self.model, self.device, f"{self.images:.6g}", rounded


@dataclass(frozen=True, slots=True)
class Observations:
    """What runs teach, and why some of their cases do not."""

    taken: tuple[Observation, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    """reason -> number of cases"""


def observe(runs: Iterable[Run]) -> Observations:
    """One observation per case that trained a model whose features were recorded."""
    taken: list[Observation] = []
    left_out: Counter[str] = Counter()
    for run in runs:
        for case in run.cases:
            found = observation(case, run.name)
            if isinstance(found, str):
                left_out[found] += 1
            else:
                taken.append(found)
    return Observations(tuple(taken), dict(left_out))


def observation(case: Case, run: str = "") -> Observation | str:
    """What `case` teaches, or why it teaches nothing."""
    if case.status is Status.FAILED:
        return "it failed"
    if "inference" in case.facts:
        return "it is inference"
    device = device_of(case)
    features = features_of(case, device)
    missing = [name for name in ("train_gflops_per_image", "batch") if name not in features]
    if missing:
        return f"it does not say: {', '.join(FEATURES[name] for name in missing)}"
    images, epochs = _epochs(case)
    if not epochs:
        return "no epoch of it has joules and seconds"
    if images is None:
        return "it does not say how many images an epoch has"
    epoch_s, epoch_j = (mean(values) for values in zip(*epochs, strict=True))
    if not epoch_s or not epoch_j or epoch_s <= 0 or epoch_j <= 0:
        return "an epoch of it has no joules"
    return Observation(
        model=str(case.facts.get("model") or case.params.get("model") or case.id),
        device=device.name,
        features=features,
        images=images,
        epoch_s=epoch_s,
        epoch_j=epoch_j,
        meters=meters_of(case),
        source=f"{run} {case.id}".strip(),
    )


def device_of(case: Case) -> Device:
    """The GPU that a case trained on, else the CPU; a run's own words come before the table's."""
    keys = case.comparability
    gpus = keys.get("gpus")
    on_cpu = str(case.facts.get("device", "")).startswith("cpu")
    if isinstance(gpus, Sequence) and gpus and isinstance(gpus[0], Mapping) and not on_cpu:
        name = str(gpus[0].get("name") or "GPU")
        sheet = board(name) or Device(name)
        limit = _positive(gpus[0].get("power_limit_w"))
        return Device(name, limit or sheet.watts, sheet.cores, sheet.memory_gb, sheet.gb_per_s)
    per_cpu, count = _positive(keys.get("estimate_w_per_cpu")), _positive(keys.get("cpu_count"))
    watts = per_cpu * count if per_cpu and count else None
    return Device(str(keys.get("cpu") or "CPU"), watts, _positive(case.facts.get("threads")) or count)


def features_of(case: Case, device: Device) -> dict[str, float]:
    """The features that the case recorded; a language model's windows stand in the place of images."""
    facts = case.facts
    recipe, intensity = _mapping(facts.get("hyper_parameters")), _mapping(facts.get("intensity"))
    compression = _mapping(facts.get("compression"))
    tokens = any("perplexity" in round.metrics for round in case.rounds)
    dtype = str(compression.get("dtype") or recipe.get("precision") or "")
    gpus = case.comparability.get("gpus")
    parameters, flops, moved = (
        _positive(value)
        for value in (facts.get("parameters"), intensity.get("flops_per_image"), intensity.get("bytes_per_image"))
    )
    found = {
        "train_gflops_per_image": flops and flops / 1e9,
        "train_mb_per_image": moved and moved / 1e6,
        "parameters_m": parameters and parameters / 1e6,
        "batch": _positive(recipe.get("batch")),
        "context" if tokens else "pixels": _positive(recipe.get("context" if tokens else "pixels")),
        "bits": _BITS.get(dtype),
        "device_w": device.watts,
        "device_cores": device.cores,
        "device_memory_gb": device.memory_gb,
        "device_gb_per_s": device.gb_per_s,
        "devices": float(len(gpus)) if isinstance(gpus, Sequence) and gpus else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def meters_of(case: Case) -> str:
    """`gpu+package+dram, measured`: the kinds of the in-total domains, and their weakest provenance."""
    kinds = dict.fromkeys(domain.name.partition(":")[0] for domain in case.domains if domain.in_total)
    provenance = case.provenance
    return f"{'+'.join(kinds) or 'nothing'}, {provenance or Provenance.ESTIMATED}"


def merged(observations: Iterable[Observation]) -> tuple[Observation, ...]:
    """One observation per configuration: geometric means, so that repeats of one do not count as knowledge."""
    groups: dict[tuple[Any, ...], list[Observation]] = {}
    for each in observations:
        groups.setdefault(each.configuration, []).append(each)
    return tuple(
        Observation(
            model=group[0].model,
            device=group[0].device,
            features=group[0].features,
            images=group[0].images,
            epoch_s=_geometric_mean([each.epoch_s for each in group]),
            epoch_j=_geometric_mean([each.epoch_j for each in group]),
            meters=group[0].meters,
            source=group[0].source,
            cases=sum(each.cases for each in group),
        )
        for group in groups.values()
    )


def _epochs(case: Case) -> tuple[float | None, list[tuple[float, float]]]:
    """Images of an epoch, and (seconds, joules) of one epoch of each round that has them."""
    laps = [_laps(case, round) for round in case.rounds]
    if any(laps):
        return _images(case, validation=False), [(s, j) for kept in laps if kept for s, j in [_mean_of(kept)]]
    whole = [
        (round.window.seconds / epochs, joules / epochs)
        for round in case.rounds
        if (epochs := _positive(round.metrics.get("epochs")))
        and (joules := round.window.total_j(case.total_domains)) is not None
    ]
    return _images(case, validation=True), whole


def _laps(case: Case, round: Round) -> list[tuple[float, float]]:
    """(seconds, joules) of the epochs after the first; none where a lap has no joules."""
    laps = round.window.laps_named("epoch")
    read = [(lap.seconds, joules) for lap in laps if (joules := lap.total_j(case.total_domains)) is not None]
    if len(read) < len(laps):
        return []
    return read[1:] or read


def _mean_of(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    seconds, joules = zip(*pairs, strict=True)
    return math.fsum(seconds) / len(pairs), math.fsum(joules) / len(pairs)


def _images(case: Case, *, validation: bool) -> float | None:
    recipe, sizes = _mapping(case.facts.get("hyper_parameters")), _mapping(case.facts.get("data"))
    train = _positive(sizes.get("train")) or _positive(recipe.get("train_images"))
    if train is None:
        per_epoch = [
            images / epochs
            for round in case.rounds
            if (images := _positive(round.metrics.get("images"))) and (epochs := _positive(round.metrics.get("epochs")))
        ]
        train = mean(per_epoch)
    if train is None or not validation:
        return train
    return train + FORWARD_SHARE * (_positive(sizes.get("validation")) or 0.0)


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _positive(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    return float(value) if usable else None

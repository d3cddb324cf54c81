"""A training that is asked about: its features, put together from stored runs, data sheets and what the user says.

What the user says comes first. A feature of the model (operations, parameters, bytes) comes from a stored case of the
same model at the same image size, and bytes at the same batch too, since the weights' part is shared out over it;
where there is none, it must be counted (see `missing`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from energybench.errors import UsageError
from energybench.estimators.pre.devices import Device, board, boards
from energybench.estimators.pre.observation import FEATURES, FORWARD_SHARE, Observation

COUNTED = ("train_gflops_per_image", "train_mb_per_image", "parameters_m")
"""what can be counted from a model's layers"""
PRECISIONS = {"fp32": 32.0, "tf32": 19.0, "bf16": 16.0}


@dataclass(frozen=True, slots=True)
class Question:
    """What the user said of a training; None where nothing."""

    model: str
    epochs: float
    batch: float | None = None
    size: float | None = None
    """side of the images in pixels"""
    images: float | None = None
    """training images of an epoch"""
    validation: float = 0.0
    """validation images of an epoch"""
    precision: str | None = None
    device: str | None = None
    features: Mapping[str, float] = field(default_factory=dict)
    """by the names of FEATURES; above everything else"""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "size", "images"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} must be a positive number, not {value!r}")
        if not 0 <= self.validation < math.inf:
            raise UsageError(f"validation images are a number of at least 0, not {self.validation!r}")
        if self.precision is not None and self.precision not in PRECISIONS:
            raise UsageError(f"precision is one of {', '.join(PRECISIONS)}, not {self.precision!r}")
        for name, value in self.features.items():
            if name not in FEATURES:
                near = get_close_matches(name, FEATURES, n=1)
                raise UsageError(
                    f"there is no feature {name!r}{f'; did you mean {near[0]}?' if near else ''} There are: "
                    f"{', '.join(FEATURES)}"
                )
            if not 0 < value < math.inf:
                raise UsageError(f"{name} must be a positive number, not {value!r}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with all that could be found for it."""

    question: Question
    device: str
    features: Mapping[str, float]
    images: float
    """training images of an epoch and FORWARD_SHARE of its validation images"""
    notes: tuple[str, ...] = ()
    """what was taken from where, where that is not plain"""

    def missing(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Those of `columns` that nobody knows yet."""
        return tuple(name for name in columns if name not in self.features)


def ask(question: Question, observations: Sequence[Observation]) -> Asked:
    """Find what `question` leaves open among `observations`, then in the data sheets.

    Raises UsageError where there are several devices and none was named, where the named one is unknown, and where
    the number of images is neither given nor the same in all observations.
    """
    notes: list[str] = []
    device = _device(question, observations, notes)
    found: dict[str, float] = {}
    if question.batch is not None:
        found["batch"] = question.batch
    if question.size is not None:
        found["pixels"] = question.size
    if question.precision is not None:
        found["bits"] = PRECISIONS[question.precision]
    like = _like(question, observations, found)
    if like is not None:
        same_batch = found.get("batch", like.features.get("batch")) == like.features.get("batch")
        for name, value in like.features.items():
            if name == "train_mb_per_image" and not same_batch:
                continue
            if not name.startswith("device"):
                found.setdefault(name, value)
        notes.append(f"{question.model} is described as in {like.source}")
    else:
        for name in ("batch", "pixels", "bits"):
            values = {each.features[name] for each in observations if name in each.features}
            if name not in found and len(values) == 1:
                found[name] = values.pop()
                notes.append(f"{name} is {found[name]:g}, as in all runs")
        if "bits" not in found:
            found["bits"] = PRECISIONS["fp32"]
            notes.append("precision is fp32 where --precision says nothing else")
    found |= _of_device(device, observations, like, question.features, notes)
    found |= question.features
    notes.append("epochs only: what a training does outside of them, such as evaluating, is not in it")
    return Asked(question, device.name, found, _images(question, observations, like, notes), tuple(notes))


def _device(question: Question, observations: Sequence[Observation], notes: list[str]) -> Device:
    seen = dict.fromkeys(each.device for each in observations)
    if question.device is None:
        if len(seen) == 1:
            name = next(iter(seen))
            notes.append(f"the device is {name}, on which all runs were")
            return Device(name)
        raise UsageError(f"the runs are of several devices; name one with --device: {', '.join(seen)}")
    asked = question.device.casefold()
    named = [name for name in seen if name.casefold() == asked] or [name for name in seen if asked in name.casefold()]
    if len(named) == 1:
        return Device(named[0])
    if len(named) > 1:
        raise UsageError(f"{question.device!r} may be {' or '.join(named)}; give more of its name")
    sheet = board(question.device)
    if sheet is None and "device_w" not in question.features:
        raise UsageError(
            f"nothing is known of the device {question.device!r}: no run is of it, and it is none of the boards whose "
            f"data sheets are known ({', '.join(boards())}). Describe it with --device-w, or measure on it. There are "
            f"runs of: {', '.join(seen)}"
        )
    return sheet or Device(question.device)


def _of_device(
    device: Device,
    observations: Sequence[Observation],
    like: Observation | None,
    given: Mapping[str, float],
    notes: list[str],
) -> dict[str, float]:
    """What the run that the model is described by said of it, else the last run on it; of a device without runs its
    data sheet. What other runs on it say otherwise, such as how many cores they trained with, is noted.
    """
    own = [each for each in observations if each.device == device.name]
    if own:
        chosen = like if like is not None and like.device == device.name else own[-1]
        found = {name: value for name, value in chosen.features.items() if name.startswith("device")}
        for name, value in found.items():
            others = sorted({each.features[name] for each in own if each.features.get(name, value) != value})
            if others and name not in given:
                seen = ", ".join(f"{other:g}" for other in others)
                notes.append(f"{name} is {value:g}, as in {chosen.source}; other runs have {seen}: --feature {name}=N")
        return found
    told = {
        "device_w": device.watts,
        "device_cores": device.cores,
        "device_memory_gb": device.memory_gb,
        "device_gb_per_s": device.gb_per_s,
        "devices": 1.0,
    }
    return {name: value for name, value in told.items() if value is not None}


def _like(question: Question, observations: Sequence[Observation], said: Mapping[str, float]) -> Observation | None:
    """The observation of the same model, size and precision whose batch is nearest; the uncompressed one of them."""
    own = [
        each
        for each in observations
        if each.model == question.model
        and all(each.features.get(name, value) == value for name, value in said.items() if name != "batch")
    ]
    batch = said.get("batch")

    def away(each: Observation) -> tuple[float, float, float]:
        off = 0.0 if batch is None else abs(math.log(each.features["batch"] / batch))
        return off, -each.features.get("bits", 0.0), -each.features["train_gflops_per_image"]

    return min(own, key=away, default=None)


def _images(
    question: Question, observations: Sequence[Observation], like: Observation | None, notes: list[str]
) -> float:
    images = question.images
    if images is None and like is not None:
        images = like.images
        notes.append(f"an epoch has {images:g} images, as in {like.source}; --images says otherwise")
    if images is None:
        values = {each.images for each in observations}
        if len(values) != 1:
            raise UsageError("the runs have epochs of several sizes; say how many training images yours has: --images")
        images = values.pop()
        notes.append(f"an epoch has {images:g} images, as in all runs; --images says otherwise")
    return images + FORWARD_SHARE * question.validation

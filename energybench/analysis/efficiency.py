"""What one case got out of its joules: per epoch, per image, per operation and per byte. Means over the rounds.

Joules are IT energy over the in-total domains. A figure whose parts were not recorded is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from energybench.model import Case, Round, mean
from energybench.units import kwh


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Figures of one case, means over its rounds."""

    first_epoch_j: float | None = None
    """the first epoch apart: it pays for warming up"""
    stable_epoch_j: float | None = None
    """mean of the epochs after the first; None where there is only one"""
    power_w: float | None = None
    """joules over seconds of the whole round, evaluation included"""
    j_per_image: float | None = None
    """joules of the round over the images that it recorded: training images seen, evaluation not counted"""
    j_per_token: float | None = None
    accuracy_per_kwh: float | None = None
    """accuracy (a share) over the round's IT kWh, without PUE"""
    flops_per_byte: float | None = None
    """arithmetic intensity of the work that `covers` names"""
    gflop_per_s: float | None = None
    """1e9 floating-point operations a second inside the epoch laps, or in a window of inference"""
    gb_per_s: float | None = None
    """1e9 bytes a second in the same time, counted by the sizes of the tensors: caches may save some"""
    covers: str = ""
    """what `flops_per_byte` counts, in the case's own words"""


def efficiency(case: Case) -> Efficiency:
    """The figures of `case`; operations and bytes come from `facts["intensity"]`, per image of the epoch laps.

    Of an inference case, which says so in `facts["inference"]`, they are per image of the whole window.

    `facts["intensity"]` has `flops_per_image` (FLOPs), `bytes_per_image` (bytes), `flops_per_byte` (their ratio) and
    `covers` (what was counted, in words).
    """
    intensity = case.facts.get("intensity")
    found: Mapping[str, Any] = intensity if isinstance(intensity, Mapping) else {}
    rate = _mean_of(case, lambda round: _images_per_second(case, round))
    flops, moved = (_positive(found.get(key)) for key in ("flops_per_image", "bytes_per_image"))
    per_byte = _positive(found.get("flops_per_byte"))
    return Efficiency(
        first_epoch_j=_mean_of(case, lambda round: _epoch_j(case, round, first=True)),
        stable_epoch_j=_mean_of(case, lambda round: _epoch_j(case, round, first=False)),
        power_w=_mean_of(case, lambda round: _over(_joules(case, round), round.window.seconds)),
        j_per_image=_mean_of(case, lambda round: _over(_joules(case, round), round.metrics.get("images"))),
        j_per_token=_mean_of(case, lambda round: _over(_joules(case, round), round.metrics.get("tokens"))),
        accuracy_per_kwh=_mean_of(case, lambda round: _accuracy_per_kwh(case, round)),
        flops_per_byte=flops / moved if per_byte is None and flops and moved else per_byte,
        gflop_per_s=None if rate is None or flops is None else rate * flops / 1e9,
        gb_per_s=None if rate is None or moved is None else rate * moved / 1e9,
        covers=str(found.get("covers") or ""),
    )


def _mean_of(case: Case, value: Callable[[Round], float | None]) -> float | None:
    return mean(map(value, case.rounds))


def _joules(case: Case, round: Round) -> float | None:
    return round.window.total_j(case.total_domains)


def _epoch_j(case: Case, round: Round, *, first: bool) -> float | None:
    """None too where one of the epochs has no reading: a mean over the others would be of other epochs."""
    laps = round.window.laps_named("epoch")
    values = [lap.total_j(case.total_domains) for lap in (laps[:1] if first else laps[1:])]
    return None if None in values else mean(values)


def _accuracy_per_kwh(case: Case, round: Round) -> float | None:
    joules, accuracy = _joules(case, round), round.metrics.get("accuracy")
    return None if joules is None or accuracy is None else _over(accuracy, kwh(joules))


def _images_per_second(case: Case, round: Round) -> float | None:
    images = round.metrics.get("images")
    seconds = math.fsum(lap.seconds for lap in round.window.laps_named("epoch"))
    if "inference" in case.facts:
        seconds = round.window.seconds  # nothing but forward passes
    return None if not images else _over(images, seconds)


def _over(value: float | None, by: float | None) -> float | None:
    return None if value is None or by is None or by <= 0 else value / by


def _positive(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    return float(value) if usable else None

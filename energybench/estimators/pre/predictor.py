"""From observations to a function of features: which features enter, as what, and one regressor per quantity.

Everything is a logarithm, so that errors are relative and a power law is a straight line. Three things are not learned
but assumed, because a store seldom varies them enough to learn them: time and energy grow in proportion to the images
of an epoch; power is a share of the device's rated power, where that is known of every device; and a feature that is
the same in every observation has no effect. Devices that the numbers in use do not tell apart (two CPUs of as many
threads) have a column each; there a device that was never seen stands in the middle of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from energybench.errors import UsageError
from energybench.estimators.pre.observation import FEATURES, Observation
from energybench.estimators.pre.regression import Regressor, fit, logs

QUANTITIES: Mapping[str, str] = {
    "power_w": "mean power",
    "epoch_s": "seconds per epoch",
    "epoch_j": "energy per epoch",
}
MINIMUM = 3
"""configurations: two points make a line through anything"""
DEVICE_COLUMNS = ("device_w", "device_gb_per_s", "device_cores", "device_memory_gb", "devices")
"""in the order in which they enter, and no more than one for every three devices: a data sheet has more numbers than a
store has devices"""


class Point(Protocol):
    """Where a quantity is asked for: an observation, or a question."""

    @property
    def device(self) -> str: ...

    @property
    def features(self) -> Mapping[str, float]: ...

    @property
    def images(self) -> float: ...


@dataclass(frozen=True)
class Predictor:
    """Regressors of all quantities on one set of columns."""

    method: str
    columns: tuple[str, ...]
    """features that vary, in the order of the regressors' rows"""
    devices: tuple[str, ...]
    """the devices, each a further column; empty where the columns tell them apart"""
    shares: tuple[float, ...]
    """of the observations, that were on each device: what a device that was never seen has in these columns"""
    constants: Mapping[str, float]
    """features that do not"""
    unused: tuple[str, ...]
    """features that some observations lack, or that there are too few devices for"""
    ranges: Mapping[str, tuple[float, float]]
    """of every feature of `columns` and `constants`, and of `images`"""
    seen: tuple[str, ...]
    """every device that it learned from"""
    share_of_rated: bool
    """whether power is predicted as a share of `device_w`"""
    regressors: Mapping[str, Regressor]

    def log(self, quantity: str, at: Point) -> float:
        """Natural logarithm of a quantity (W, s or J). Raises UsageError where a feature it needs is absent."""
        missing = [name for name in self.columns if name not in at.features]
        if missing:
            names = ", ".join(f"{name} ({FEATURES[name]})" for name in missing)
            raise UsageError(f"a prediction needs {names}; give it with --feature NAME=VALUE")
        row = _row(at, self.columns, self.devices, self.shares)
        return self.regressors[quantity].predict(row) + _offset(quantity, at, share_of_rated=self.share_of_rated)

    def predict(self, quantity: str, at: Point) -> float:
        """A quantity in W, s or J: the geometric middle, not the mean, of what is expected."""
        return math.exp(self.log(quantity, at))

    def knows_devices(self, device: str) -> bool:
        """Whether it learned something of `device`, or of how numbers of devices matter."""
        return device in self.seen or any(name in DEVICE_COLUMNS for name in self.columns)

    def as_record(self) -> dict[str, Any]:
        """Columns and coefficients as JSON types."""
        return {
            "columns": list(self.columns),
            "devices": dict(zip(self.devices, self.shares, strict=True)),
            "constants": dict(self.constants),
            "share_of_rated": self.share_of_rated,
            "regressors": {quantity: regressor.as_record() for quantity, regressor in self.regressors.items()},
        }


def fit_predictor(
    observations: Sequence[Observation], method: str = "ridge", among: Iterable[str] = FEATURES
) -> Predictor:
    """Fit every quantity on `observations`, which should be one per configuration (see `merged`).

    Only the features `among` enter: a fold may not use one that those left out of it lack. Raises UsageError for fewer
    than MINIMUM, for configurations that differ in no feature, and for an unknown method.
    """
    if len(observations) < MINIMUM:
        raise UsageError(
            f"{_number(len(observations))} to learn from: what changes the energy of a training cannot be told from "
            f"fewer than {MINIMUM}. Measure further models, batch sizes or image sizes, or name more runs with --from"
        )
    offered = {*among}
    known = [name for name in FEATURES if name in offered and all(name in each.features for each in observations)]
    values = {name: [each.features[name] for each in observations] for name in known}
    varying = [name for name in known if max(values[name]) > min(values[name]) * (1 + 1e-9)]
    seen = tuple(dict.fromkeys(each.device for each in observations))
    allowed = max(1, len(seen) // 3)
    kept = [name for name in DEVICE_COLUMNS if name in varying][:allowed]
    columns = tuple(name for name in varying if name not in DEVICE_COLUMNS or name in kept)
    told_apart = {tuple(each.features[name] for name in kept) for each in observations}
    devices = seen if len(told_apart) < len(seen) else ()
    shares = tuple(sum(each.device == device for each in observations) / len(observations) for device in devices)
    if not columns and not devices:
        raise UsageError(
            f"{_number(len(observations))}, but no feature differs between them, so nothing can be learned from them"
        )
    share_of_rated = "device_w" in known
    rows = [_row(each, columns, devices, shares) for each in observations]
    regressors = {
        quantity: fit(
            method,
            rows,
            [
                math.log(getattr(each, quantity)) - _offset(quantity, each, share_of_rated=share_of_rated)
                for each in observations
            ],
        )
        for quantity in QUANTITIES
    }
    images = [each.images for each in observations]
    some = {name for each in observations for name in each.features}
    return Predictor(
        method=method,
        columns=columns,
        devices=devices,
        shares=shares,
        seen=seen,
        constants={name: values[name][0] for name in known if name not in varying},
        unused=tuple(name for name in FEATURES if name in some - {*columns} and (name not in known or name in varying)),
        ranges={name: (min(values[name]), max(values[name])) for name in known}
        | {"images": (min(images), max(images))},
        share_of_rated=share_of_rated,
        regressors=regressors,
    )


def _row(at: Point, columns: Sequence[str], devices: Sequence[str], shares: Sequence[float]) -> list[float]:
    own = [float(at.device == device) for device in devices] if at.device in devices else shares
    return [*logs([at.features[name] for name in columns]), *own]


def _offset(quantity: str, at: Point, *, share_of_rated: bool) -> float:
    """What is added to the regressor's answer: the parts that are assumed to be proportional."""
    if quantity != "power_w":
        return math.log(at.images)
    if not share_of_rated:
        return 0.0
    if "device_w" not in at.features:
        raise UsageError("the device's rated power is not known; give it with --device-w")
    return math.log(at.features["device_w"])


def _number(count: int) -> str:
    return "there is one configuration" if count == 1 else f"there are {count or 'no'} configurations"

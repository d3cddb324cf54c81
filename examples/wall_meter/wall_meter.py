"""A meter of your own: a power meter at the plug, whose newest value in watts stands in a file.

USB, serial and rack power meters come with a logger that can write such a file; where yours answers a query instead,
ask it in `_watts`. Power is sampled by energybench's own thread and integrated by the trapezoid rule.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from energybench.metering import PowerIntegral, Reading, Resolution
from energybench.model import Domain, Provenance

STALE_S = 10.0
"""A logger that has died leaves its last value behind: what is older than this is no reading."""


class WallMeter:
    """The meter `wall`, of one domain `wall`: what the whole machine draws, power supply included."""

    name = "wall"

    def __init__(self, path: Path, period_s: float = 1.0) -> None:
        """`path` holds the power in watts, written anew every `period_s` seconds."""
        self._path = path
        self._integral = PowerIntegral(self._watts)
        self.domains = (
            Domain("wall", self.name, Provenance.INTEGRATED, gain_rel=0.02, device=str(path), note="at the plug"),
        )
        # The device shows tenths of a watt, and every value stands for a period.
        self.resolution = {"wall": Resolution(step_j=0.1 * period_s, period_s=period_s)}
        self.heartbeat_s = period_s

    def read(self) -> dict[str, Reading]:
        return {"wall": self._integral.read()}

    def calibrate(self) -> None:
        pass

    def conditions(self) -> dict[str, float]:
        return {}

    def comparability(self) -> dict[str, Any]:
        return {"meter_wall": "plug, 2 %"}

    def close(self) -> None:
        pass

    def _watts(self) -> float:
        """Power now. OSError or ValueError mean that it is not known: the window then says so and has no joules."""
        text, age_s = self._path.read_text(), time.time() - self._path.stat().st_mtime
        if age_s > STALE_S:
            raise OSError(f"{self._path} was last written {age_s:.0f} s ago: has its logger stopped?")
        return float(text)

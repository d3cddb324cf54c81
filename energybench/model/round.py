"""One metered call: one complete pass of a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from energybench.model.window import Window


@dataclass(frozen=True, slots=True)
class Span:
    """Where a round lies in a trace of cumulative joules."""

    file: str
    """name of the trace, beside the run"""
    start_s: float
    """on the trace's own clock"""
    end_s: float


@dataclass(frozen=True, slots=True)
class Round:
    """One metered call: one complete pass of a case."""

    window: Window
    """of one call: where a call was repeated to be long enough, the mean of `iterations` calls"""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """what the case recorded: accuracy in [0, 1], epochs, images, ..."""
    seed: int = 0
    started: str = ""
    """ISO 8601 with offset"""
    conditions: Mapping[str, float] = field(default_factory=dict)
    """temperatures, clocks, power limits at the start, where readable; unit at the end of each key"""
    conditions_end: Mapping[str, float] = field(default_factory=dict)
    """the same at the end"""
    iterations: int = 1
    """how often the target was called inside the metered window"""
    trace: Span | None = None
    """where its power over time was recorded"""
    session: str = ""
    """id of the pytest session that measured it: rounds of two sessions are not one sample"""

    @property
    def epochs(self) -> float | None:
        """Its laps named `epoch`, else what it recorded as `epochs`: 0 where it trained nothing; None: neither."""
        if self.window.laps and (laps := len(self.window.laps_named("epoch"))):
            return float(laps)
        recorded = self.metrics.get("epochs")
        return float(recorded) if recorded is not None and recorded >= 0 else None

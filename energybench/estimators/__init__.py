"""Energy that is projected or predicted. What they return is a `model.Estimate` and never called a measurement."""

from __future__ import annotations

from energybench.errors import EnergybenchError


class EstimateError(EnergybenchError):
    """An energy cannot be projected or predicted from what was given: too few epochs, no readings, a gap."""

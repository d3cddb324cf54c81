"""Energy and time between two readings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from energybench.model.energy import Domain, Quantity, total


class Mark(StrEnum):
    """What a reader must know of a window before trusting it; the window's warnings say it in words."""

    TOO_SHORT = "too-short"
    """fewer than 20 counter ticks: the ends alone may be wrong by percent"""
    SHARED = "shared"
    """another energybench process metered one of its devices at the same time"""
    LOST = "lost"
    """a counter vanished, was reset or could not be read: that domain has no value"""


@dataclass(frozen=True, slots=True)
class Window:
    """Energy and time between two readings. A window with a label is a lap: a part of its round, such as an epoch."""

    seconds: float
    joules: Mapping[str, float | None] = field(default_factory=dict)
    """domain name -> joules; None where the domain could not be read in this window"""
    error_j: Mapping[str, float | None] = field(default_factory=dict)
    """domain name -> random error in joules (one standard deviation); the gain part stands in Domain.gain_rel"""
    laps: tuple[Window, ...] = ()
    label: str = ""
    warnings: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    """of an epoch, what was told of it: the validation `loss` after it, and the `lr`, `optimizer`, ... that it had"""

    def quantity(self, domain: Domain) -> Quantity | None:
        """Joules of `domain` with their error; None where it could not be read in this window."""
        joules = self.joules.get(domain.name)
        if joules is None:
            return None
        gain_j = None if domain.gain_rel is None else domain.gain_rel * joules
        return Quantity(joules, self.error_j.get(domain.name), gain_j, domain.provenance)

    def total(self, domains: Iterable[Domain]) -> Quantity | None:
        """Sum over `domains` with its error; None where one is absent, since a sum without it would be too low."""
        parts = [self.quantity(domain) for domain in domains]
        known = [part for part in parts if part is not None]
        return total(known) if len(known) == len(parts) else None

    def total_j(self, names: Iterable[str]) -> float | None:
        """Sum over the domains `names`; None where one of them is absent, since a sum without it would be too low."""
        total: float | None = None
        for name in names:
            value = self.joules.get(name)
            if value is None:
                return None
            total = value if total is None else total + value
        return total

    def divided(self, calls: int) -> Window:
        """The mean of `calls` calls that this window held. Laps are left as they are."""

        def shares(values: Mapping[str, float | None]) -> dict[str, float | None]:
            return {name: None if value is None else value / calls for name, value in values.items()}

        return replace(self, seconds=self.seconds / calls, joules=shares(self.joules), error_j=shares(self.error_j))

    def laps_named(self, label: str) -> tuple[Window, ...]:
        """The laps with this label, in the order in which they ended."""
        return tuple([lap for lap in self.laps if lap.label == label]) if self.laps else ()

"""A step of training as the sum of its operations, in the joules of this machine's meters.

Where a counter or a sensor reads the energy, it is read around batches of each operation. An estimate by utilisation
moves too slowly for that: then the operations' seconds count, at the mean power of the whole measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from energybench.errors import MeterError
from energybench.metering import Meters
from energybench.metering.meter import fence
from energybench.model import Domain, Provenance

if TYPE_CHECKING:
    from energybench.lab.layer_calls import Call
    from energybench.lab.layer_costs import Cost, Costs, Layerwise

METERED_BATCH_S = 0.3
"""calls of one operation under a counter, so that it moves several times"""
_READ = (Provenance.MEASURED, Provenance.INTEGRATED)


class Cumulative:
    """Joules since it was made, over some domains: windows laid end to end."""

    def __init__(self, meters: Meters, domains: Iterable[Domain]) -> None:
        self._meters, self._names = meters, [domain.name for domain in domains]
        self._total_j = 0.0
        self._window = meters.open_window("layers")

    def __call__(self) -> float:
        """MeterError where a counter was lost."""
        spent_j = self._window.close().total_j(self._names)
        self._window = self._meters.open_window("layers")
        if spent_j is None:
            raise MeterError(f"a counter was lost while the layers were measured: {', '.join(self._names)}.")
        self._total_j += spent_j
        return self._total_j


@dataclass(frozen=True, slots=True)
class Summed:
    """A step by its operations."""

    layers: Layerwise
    domains: tuple[Domain, ...]
    """whose joules they are; empty where watts were given"""
    watts: float | None = None
    """by which seconds were multiplied; None where joules were read"""


def hardware(meters: Meters) -> tuple[Domain, ...]:
    """The in-total domains that a counter or a sensor reads."""
    return tuple(domain for domain in meters.domains if domain.in_total and domain.provenance in _READ)


def metered_costs(meters: Meters, domains: Iterable[Domain]) -> Costs:
    """Costs in joules of these domains."""
    from energybench.lab.arithmetic import device
    from energybench.lab.layer_costs import Costs

    joules = Cumulative(meters, domains)
    return Costs(joules=joules, where=device(), fence=fence, batch_s=METERED_BATCH_S, batches=1)


def summed(
    calls: Mapping[Call, int],
    meters: Meters,
    watts: float | None = None,
    *,
    tracked: Callable[[Iterable[Call]], Iterable[Call]] = iter,
) -> Summed:
    """The sum over `calls`, each distinct one measured; `tracked` may show how far that is.

    `watts` stand for the meters where they are given. Raises MeterError where nothing is read and none are.
    """
    from energybench.lab.arithmetic import device
    from energybench.lab.layer_costs import Costs

    domains = () if watts is not None else hardware(meters)
    if domains:
        costs = metered_costs(meters, domains)
        _learn(costs, tracked(calls))
        return Summed(costs.of(calls), domains)
    costs = Costs(watts=1.0, where=device(), fence=fence)
    window = meters.open_window("layers")
    _learn(costs, tracked(calls))
    closed = window.close()
    if watts is None:
        domains = tuple(domain for domain in meters.domains if domain.in_total)
        joules = closed.total_j([domain.name for domain in domains])
        if joules is None:
            raise MeterError("nothing meters or estimates energy here: give the power at work with --watts.")
        watts = joules / closed.seconds
    return Summed(_at(costs.of(calls), watts), domains, watts)


def _learn(costs: Costs, calls: Iterable[Call]) -> None:
    for call in calls:
        costs.learn(call)


def _at(layers: Layerwise, watts: float) -> Layerwise:
    def priced(cost: Cost) -> Cost:
        return replace(cost, joules=cost.seconds * watts)

    return replace(
        layers, cost=priced(layers.cost), by_kind={kind: priced(cost) for kind, cost in layers.by_kind.items()}
    )

"""Where the joules of a layer-wise sum come from: counters, an estimate's mean power, or watts that are given."""

from __future__ import annotations

import math
from typing import Any

import pytest

from energybench.commands.estimate.layerwise import Cumulative, hardware, summed
from energybench.errors import MeterError
from energybench.lab.layer_calls import training_step
from energybench.metering import MeterOptions, Meters, Reading, open_meters
from energybench.model import Domain, Provenance

STEP = training_step("tiny", 16, 4, 10)


class Stub:
    """A meter whose counter moves by a joule between two readings, and is lost after so many."""

    name = "stub"
    heartbeat_s: Any = None

    def __init__(self, provenance: Provenance, lost_after: float = math.inf) -> None:
        self.domains = (Domain("board", "stub", provenance), Domain("inside", "stub", provenance, in_total=False))
        self.resolution: Any = {}
        self._lost_after = lost_after
        self._read = 0

    def read(self) -> dict[str, Reading]:
        self._read += 1
        reading = Reading(float(self._read)) if self._read <= self._lost_after else Reading(None, trouble="unplugged")
        return dict.fromkeys(("board", "inside"), reading)

    def calibrate(self) -> None:
        pass

    def conditions(self) -> dict[str, float]:
        return {}

    def comparability(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


def test_watts_that_are_given_are_multiplied_by_seconds() -> None:
    found = summed(STEP, Meters(), 50.0)
    assert (found.domains, found.watts) == ((), 50.0)
    assert found.layers.cost.joules == pytest.approx(50.0 * found.layers.cost.seconds)
    assert found.layers.calls == sum(STEP.values())
    for cost in found.layers.by_kind.values():
        assert cost.joules == pytest.approx(50.0 * cost.seconds)


def test_a_counter_is_read_around_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("energybench.commands.estimate.layerwise.METERED_BATCH_S", 1e-4)
    meters = Meters([Stub(Provenance.MEASURED)])
    found = summed(STEP, meters)
    assert ([domain.name for domain in found.domains], found.watts) == (["board"], None)
    # A joule passes between any two readings, so that no batch is free and none takes more than a joule a call.
    assert 0 < found.layers.cost.joules <= sum(STEP.values())


def test_an_estimate_gives_the_mean_power_of_the_measurement() -> None:
    meters = open_meters(MeterOptions(names=("estimate",)))
    found = summed(STEP, meters)
    meters.close()
    assert {domain.name for domain in found.domains} == {"cpu", "ram"}
    assert found.watts is not None
    assert found.watts > 0
    assert found.layers.cost.joules == pytest.approx(found.watts * found.layers.cost.seconds)


def test_without_a_meter_and_without_watts_there_are_no_joules() -> None:
    with pytest.raises(MeterError, match="give the power at work with --watts"):
        summed(STEP, Meters())


def test_a_counter_that_is_lost_ends_the_measurement() -> None:
    meters = Meters([Stub(Provenance.MEASURED, lost_after=1)])
    cumulative = Cumulative(meters, hardware(meters))
    with pytest.raises(MeterError, match="a counter was lost while the layers were measured: board"):
        cumulative()


def test_every_distinct_operation_is_shown_as_it_is_measured() -> None:
    seen: list[object] = []

    def tracked(calls: Any) -> Any:
        for call in calls:
            seen.append(call)
            yield call

    summed(STEP, Meters(), 1.0, tracked=tracked)
    assert seen == list(STEP)

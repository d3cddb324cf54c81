"""When a round is projected, what is said of it, and what ends it. The whole way is walked in tests/integration."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from energybench.harness.marker import Budget
from energybench.harness.options import EnergyOptions
from energybench.harness.plan import Plan
from energybench.harness.projecting import EVERY, Projected, StopRound, Watch
from energybench.harness.training import Training
from energybench.model import Case, Domain, Provenance, Window


def watch(
    plan: Plan | None,
    options: EnergyOptions | None = None,
    *,
    budget: Budget | None = None,
    provenance: Provenance = Provenance.MEASURED,
    index: int = 0,
    rank: object = None,
) -> tuple[Watch, Any]:
    frozen = Case("f.py::test_x[a]", domains=(Domain("package:0", "rapl", provenance),))
    sweep: Any = SimpleNamespace(
        cases={}, frozen=lambda case: frozen, options=options or EnergyOptions(project=True), rank=rank, unprojected={}
    )
    case: Any = SimpleNamespace(
        id=frozen.id, options=SimpleNamespace(budget=budget or Budget(), seed=lambda index: 7 + index)
    )
    return Watch(sweep, case, index, lambda: plan, Training(frozen.total_domains)), sweep


def ends(watched: Watch, lap: Window) -> None:
    opened = watched._training.begin(lap.label)
    watched._training.end(opened, lap, watched._training.count)
    watched._training.leave(opened)


def epoch(watched: Watch, joules: float = 36.0, spent: Window | None = None) -> str:
    lap = Window(2.0, {"package:0": joules}, label="epoch")
    ends(watched, lap)
    return watched.ended("epoch", spent or lap)


def test_each_epoch_but_the_first_and_the_last_is_followed_by_a_projection() -> None:
    watched, sweep = watch(Plan(4), EnergyOptions(project=True, pue=2.0))
    said = [epoch(watched) for _ in range(4)]
    assert (said[0], said[3]) == ("", "")
    assert said[2].startswith("at the end 80.0 mWh (")
    assert sweep.unprojected == {}


def test_of_many_epochs_every_hundredth_part_is_followed_by_one() -> None:
    watched, _ = watch(Plan(5000))
    assert watched.ended("epoch", Window(1.0)) == ""
    lap = Window(2.0, {"package:0": 36.0}, label="epoch")
    done: list[int] = []
    watched._estimate = lambda plan, *, predicts, so_far: done.append(watched._training.count)  # type: ignore[method-assign]
    for _ in range(3 * EVERY):
        ends(watched, lap)
        watched.ended("epoch", lap)
    assert done[: 2 * EVERY - 1] == list(range(1, 2 * EVERY))
    assert done[2 * EVERY - 1 :] == [*range(2 * EVERY, 3 * EVERY, 2), 3 * EVERY]


def test_factors_are_applied_to_energy_with_pue() -> None:
    watched, _ = watch(
        Plan(1000),
        EnergyOptions(project=True, pue=2.0, carbon_g_per_kwh=500.0, carbon_source="given", price_per_kwh=0.3),
    )
    for _ in range(3):
        said = epoch(watched, 3600.0)
    assert said.startswith("at the end 2.00 kWh (")
    assert said.endswith("), 1.00 kg CO2e, cost 0.600")


def test_joules_that_are_estimated_or_lie_outside_the_laps_are_said() -> None:
    watched, _ = watch(Plan(100), EnergyOptions(project=True, stop_after="stable"), provenance=Provenance.ESTIMATED)

    def train() -> None:
        for number in range(1, 100):
            epoch(watched, spent=Window(2.5 * number, {"package:0": 40.0 * number}))

    with pytest.raises(StopRound):
        train()
    assert watched.projected is not None
    assert "the epochs' joules are estimated, not measured: the projection can be no better" in (
        watched.projected.estimate.warnings
    )
    assert "10 % of the round so far lies outside its laps and is not projected" in watched.projected.estimate.warnings


def ended(**how: Any) -> Projected | None:
    """What ends a hundred equal epochs of 36 J, None where nothing does."""
    watched, _ = watch(how.pop("plan", Plan(100)), **how)
    try:
        for _ in range(100):
            epoch(watched)
    except StopRound:
        pass
    return watched.projected


STABLE = EnergyOptions(project=True, stop_after="stable")
TOO_MUCH = Budget(max_kwh=0.0005)


@pytest.mark.parametrize(
    ("how", "ending"),
    [
        ({"options": STABLE}, "stable"),
        ({}, None),
        ({"budget": TOO_MUCH}, "over budget"),
        ({"budget": TOO_MUCH, "options": STABLE}, "over budget"),
        ({"budget": Budget(max_kwh=0.00101)}, None),
        ({"budget": Budget(max_j_per_sample=1.0, min_accuracy=0.9)}, None),
        ({"budget": TOO_MUCH, "provenance": Provenance.ESTIMATED}, None),
        ({"options": STABLE, "index": -1}, None),
        ({"budget": TOO_MUCH, "index": -1}, None),
        ({"budget": TOO_MUCH, "rank": object()}, None),
        ({"options": STABLE, "plan": Plan(100, patience=3)}, None),
        ({"options": STABLE, "plan": Plan(None)}, None),
    ],
)
def test_what_ends_a_round(how: dict[str, Any], ending: str | None) -> None:
    projected = ended(**how)
    assert (None if projected is None else projected.ended) == ending


def test_what_is_stored_is_an_estimate_with_its_round_and_seed() -> None:
    projected = ended(options=STABLE, index=2)
    assert projected is not None
    record = projected.record()
    assert (record["case"], record["round"], record["seed"], record["pue"]) == ("f.py::test_x[a]", 3, 9, 1.0)
    assert record["provenance"] == "measured"
    estimate = record["estimate"]
    assert estimate["joules"] == pytest.approx(3600.0)
    assert estimate["low"] < 3600 < estimate["high"]
    assert estimate["method"] == "STEP, energy form"


def test_it_is_raised_again_at_every_further_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    watched, _ = watch(Plan(100), STABLE)
    raised = 0
    for _ in range(8):
        try:
            epoch(watched)
        except StopRound:
            raised += 1
    assert raised == 4
    monkeypatch.setattr(watched, "_thread", -1)  # another thread is not reached by an exception
    assert epoch(watched) == ""


def losses(watched: Watch, count: int, spent: Callable[[], Window]) -> list[str]:
    said = []
    for number in range(count):
        assert epoch(watched) == ""  # it waits for the loss
        assert watched._training.note(0.5 + 1.5 * 0.5**number, {})
        said.append(watched.noted(spent))
    return said


def test_with_early_stopping_it_waits_for_the_loss_of_each_epoch() -> None:
    watched, sweep = watch(Plan(60, 2, 0.05))
    said = losses(watched, 6, lambda: Window(2.0, {"package:0": 36.0}))
    assert said[0] == ""
    assert all(text.startswith("at the end ") for text in said[2:])
    assert sweep.unprojected == {}


def test_without_losses_early_stopping_makes_it_an_upper_bound() -> None:
    watched, _ = watch(Plan(60, 2, 0.05))
    said = [epoch(watched) for _ in range(5)]
    assert said[0] == ""
    assert said[4].startswith("at the end at most 600 mWh (")


def test_what_cannot_be_projected_is_said_once_with_its_cases() -> None:
    watched, sweep = watch(None)
    for _ in range(3):
        assert epoch(watched) == ""
    assert sweep.unprojected == {"how many epochs they train is not declared: energy.plan(epochs=N)": {"a": None}}
    watched, sweep = watch(Plan(9))
    for _ in range(3):
        assert epoch(watched, 0.0) == ""
    (reason,) = sweep.unprojected
    assert reason.startswith("Epoch 1 has 0 J: its meter read nothing")

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from energybench.errors import UsageError
from energybench.estimators.pre.check import CheckRow, check, check_observations, errors
from energybench.estimators.pre.observation import Observation
from energybench.model import Case, Domain, Provenance, Round, Run, Window


def stored(models: int, provenance: Provenance = Provenance.MEASURED) -> Run:
    """Cases whose epochs take 1 s per GFLOP at 50 W."""
    cases = []
    for k in range(models):
        laps = (Window(2.0**k, {"gpu:0": 50.0 * 2**k}, label="epoch"),)
        facts = {
            "model": f"m{k}",
            "hyper_parameters": {"batch": 32, "train_images": 100},
            "intensity": {"flops_per_image": 2**k * 1_000_000_000},
            "device": "cuda:0",
        }
        cases.append(
            Case(
                id=f"test_f[m{k}-none]",
                rounds=(Round(Window(2.0**k, {"gpu:0": 50.0 * 2**k}, laps=laps)),),
                domains=(Domain("gpu:0", "nvml", provenance),),
                facts=facts,
                comparability={"gpus": [{"name": "board", "power_limit_w": 100.0}]},
            )
        )
    return Run("store/0001_run.json", tuple(cases))


def test_every_case_is_predicted_without_its_model_and_stands_beside_the_calculators() -> None:
    rows = check([stored(5)])
    energy = [row for row in rows if row.quantity == "epoch_j"]
    assert [row.group for row in energy] == ["m0", "m1", "m2", "m3", "m4"]
    assert {row.left_out for row in rows} == {"model"}
    middle = energy[2]
    assert (middle.source, middle.measured) == ("0001_run test_f[m2-none]", 200.0)
    assert middle.predicted == pytest.approx(200.0, rel=0.05)
    assert middle.formulas["TDP x t"] == pytest.approx(400.0)  # 100 W for 4 s, where 50 W were drawn
    assert "TDP x utilisation x t" not in middle.formulas  # nobody recorded the utilisation
    assert all(row.formulas == {} for row in rows if row.quantity != "epoch_j")


def test_what_is_left_out_has_no_influence_on_its_own_prediction(world: list[Observation]) -> None:
    wrong = [replace(each, epoch_j=each.epoch_j * 100) if each.model == "m4" else each for each in world]
    plain, spoiled = ([row for row in check_observations(given) if row.group == "m4"] for given in (world, wrong))
    assert [row.predicted for row in plain] == [row.predicted for row in spoiled]
    assert [row.interval for row in plain] == [row.interval for row in spoiled]


def test_devices_are_left_out_too_where_there_are_three(boards: list[Observation]) -> None:
    rows = check_observations(boards)
    assert {row.left_out for row in rows} == {"model", "device"}
    by_device = [row for row in rows if row.left_out == "device" and row.quantity == "epoch_s"]
    assert len(by_device) == len(boards)
    assert max(row.error for row in by_device) < 0.2


def test_joules_of_different_meters_are_judged_each_among_their_own() -> None:
    rows = check([stored(4), stored(4, Provenance.INTEGRATED)])
    assert len(rows) == 2 * 4 * 3
    with pytest.raises(UsageError, match=r"the runs hold 2 models.*needs 3"):
        check([stored(2), stored(2, Provenance.INTEGRATED)])


def test_runs_without_anything_to_learn_from_are_refused() -> None:
    with pytest.raises(UsageError, match="the runs hold 0 models"):
        check([Run("x.json", ())])


def test_errors_are_means_over_cases() -> None:
    def row(measured: float, predicted: float, interval: tuple[float, float] | None, **fields: Any) -> CheckRow:
        source = f"case {measured}"
        return CheckRow(source, "epoch_j", "model", "m", measured, predicted, interval, **fields)

    rows = [
        row(100.0, 110.0, (90.0, 120.0), formulas={"TDP x t": 200.0}),
        row(200.0, 260.0, (210.0, 300.0), formulas={"TDP x t": 100.0}),
        row(400.0, 200.0, None),
    ]
    pre, tdp = errors(rows)
    assert (pre.method, pre.cases) == ("PRE", 3)
    assert pre.mean_error == pytest.approx((0.1 + 0.3 + 0.5) / 3)
    assert pre.median_error == pytest.approx(0.3)
    assert pre.coverage == 0.5  # of the two that have an interval
    assert (tdp.method, tdp.cases, tdp.mean_error) == ("TDP x t", 2, pytest.approx((1.0 + 0.5) / 2))

"""What one case says as a cell of the table."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.analysis.interactions_cells import Cell, cells_of, kind_of, machine_text, setting_of
from energybench.model import Case, Domain, Provenance, Round, Run, Window


def trained(*laps: tuple[float | None, float], images: float = 200.0, **facts: Any) -> Case:
    """One round with an epoch per (joules, seconds)."""
    window = Window(9.0, {}, laps=tuple(Window(s, {"cpu": j}, label="epoch") for j, s in laps))
    return Case(
        "b.py::test_b[tiny]",
        (Round(window, {"images": images, "accuracy": 0.5}),),
        domains=(Domain("cpu", "estimate", Provenance.ESTIMATED),),
        facts={"workload": {"protocol": "environment", "model": "tiny", "compressor": "none"}, **facts},
        comparability={"cpu": "EPYC", "cpu_count": 2, "estimate_w_per_cpu": 4.0},
    )


def only(case: Case) -> Cell:
    (cell,) = cells_of(Run("r.json", (case,)), "r", "environment")[0]
    return cell


def test_of_several_epochs_those_after_the_first_count() -> None:
    cell = only(trained((90.0, 9.0), (10.0, 2.0), (20.0, 4.0)))
    assert (cell.joules, cell.seconds) == pytest.approx((15.0, 3.0))
    assert cell.images == pytest.approx(200 / 3)


def test_an_epoch_without_joules_leaves_no_mean_of_the_others() -> None:
    cells, notes = cells_of(Run("r.json", (trained((9.0, 1.0), (None, 1.0), (9.0, 1.0)),)), "r", "environment")
    assert cells == ()
    assert notes == ("tiny is left out: no epoch of it has joules",)


def test_a_second_case_of_one_cell_is_left_out_and_named() -> None:
    case = trained((9.0, 1.0))
    cells, notes = cells_of(Run("r.json", (case, case)), "r", "environment")
    assert len(cells) == 1
    assert notes == ("left out, since an earlier case is the same cell: b.py::test_b[tiny]",)


def test_a_setting_is_declared_or_made_of_what_the_case_states() -> None:
    assert setting_of(trained(environment={"id": "cpu-b8-t1-bf16"})) == "cpu-b8-t1-bf16"
    stated = {"threads": 2, "hyper_parameters": {"precision": "fp32"}}
    assert setting_of(trained(device="cpu", **stated)) == "cpu-t2-fp32"
    assert setting_of(trained(device="cuda:0", **stated)) == "cuda-fp32"


def test_rated_power_is_the_limit_before_what_the_estimate_took() -> None:
    cpu = {"id": "cpu-b8-t1-fp32"}
    assert only(trained((9.0, 1.0), environment=cpu)).rated_w == 8.0
    assert only(trained((9.0, 1.0), environment={**cpu, "cpu_power_limit_w": 65.0})).rated_w == 65.0
    assert only(trained((9.0, 1.0), environment={"id": "cuda-b8-fp32"})).rated_w is None


def test_what_was_not_recorded_is_absent() -> None:
    cell = only(trained((9.0, 1.0), images=float("nan")))
    assert (cell.images, cell.joules_per_sample, cell.flops, cell.parameters) == (None, None, None, None)
    assert cell.score("macro_f1") is None
    assert cell.score("accuracy") == 0.5
    assert cell.is_default


def test_machines_and_kinds_are_told_in_words() -> None:
    case = trained((9.0, 1.0), environment={"cpu_power_limit_w": 65.0})
    assert machine_text(case) == "EPYC, 2 CPUs, CPU power limit 65 W"
    assert kind_of(case) == "estimated"
    assert kind_of(Case("x")) == "not read"

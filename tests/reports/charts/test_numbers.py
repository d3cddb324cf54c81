"""What the charts draw: the numbers, held against cases whose energy is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from energybench.analysis.row import NOISE
from energybench.analysis.stats import t_quantile, wilson
from energybench.model import Case, Domain, Estimate, Provenance, Round, Run, Status, Window
from energybench.reports.charts import CHARTS, Chart, Subject, Traced, Training

MakeCase = Callable[..., Case]


def rows(chart: Chart | None) -> list[dict[str, Any]]:
    assert chart is not None
    names = [field.name for field in chart.numbers.fields]
    return [dict(zip(names, row, strict=True)) for row in chart.numbers.rows]


def chart(name: str, *cases: Case, **of: Any) -> Chart | None:
    return CHARTS[name].make(Subject((Run("s/0001_r.json", cases),), **of))


def test_the_front_is_that_of_each_model_and_a_failed_case_is_never_on_it(make_study_case: MakeCase) -> None:
    cases = [
        make_study_case("a", "none", joules=100.0, accuracy=0.95),
        make_study_case("a", "stego", joules=90.0, accuracy=0.95),
        make_study_case("a", "prune", joules=10.0, accuracy=0.80, status=Status.FAILED_ACCURACY),
        make_study_case("b", "none", joules=500.0, accuracy=0.90),
        make_study_case("a", "zero", joules=0.1, accuracy=0.95, protocol="zero epochs"),
    ]
    made = chart("pareto", *cases)
    on = {(row["model"], row["compressor"]): row["on_front"] for row in rows(made)}
    assert on == {("a", "none"): "no", ("a", "stego"): "yes", ("a", "prune"): "no", ("b", "none"): "yes"}
    assert made is not None
    assert any("1 case did not end ok" in note for note in made.notes)


def test_bars_are_the_interval_of_the_mean_and_of_one_round_the_assumed_noise(make_study_case: MakeCase) -> None:
    three, one = make_study_case("a", "none"), make_study_case("a", "stego", rounds=1)
    made = chart("pareto", three, one, pue=1.0)
    first, second = rows(made)
    joules = [100.0, 101.0, 102.0]
    reach = t_quantile(0.025, 2) * 1.0 / math.sqrt(3)
    assert first["energy_kwh"] * 3.6e6 == pytest.approx(sum(joules) / 3)
    assert first["energy_low_kwh"] * 3.6e6 == pytest.approx(101 - reach)
    assert second["energy_high_kwh"] * 3.6e6 == pytest.approx(100 * (1 + NOISE))
    share = second["accuracy"]
    assert (second["accuracy_low"], second["accuracy_high"]) == pytest.approx(wilson(share * 500, 500))
    assert made is not None
    assert any("assumed noise of 3 %" in note for note in made.notes)


def test_a_wrecked_model_does_not_press_the_others_together_and_is_counted(make_study_case: MakeCase) -> None:
    cases = [make_study_case("a", name, accuracy=share) for name, share in (("none", 0.95), ("stego", 0.94))]
    wreck = make_study_case("a", "prune", accuracy=0.1, status=Status.FAILED_ACCURACY)
    made = chart("pareto", *cases, wreck)
    assert made is not None
    assert "1 of these lies outside the axes." in made.notes
    alone = chart("pareto", cases[0], wreck)
    assert alone is not None
    assert not any("outside" in note for note in alone.notes)


def test_the_bar_of_an_energy_does_not_reach_below_nothing(make_case: Any) -> None:
    made = chart("pareto", make_case("a", [1.0, 100.0], accuracy=[0.9, 0.9]))
    (row,) = rows(made)
    assert row["energy_low_kwh"] == 0.0
    assert made is not None
    assert "Bars that reach beyond the axis are cut." in made.notes


def test_joules_are_counted_by_place_and_an_absent_domain_is_no_zero() -> None:
    domains = (
        Domain("gpu:0", "nvml", Provenance.MEASURED),
        Domain("gpu:1", "nvml", Provenance.MEASURED),
        Domain("package:0", "rapl", Provenance.MEASURED),
        Domain("dram:0", "rapl", Provenance.MEASURED),
        Domain("psys:0", "rapl", Provenance.MEASURED, in_total=False),
    )
    joules = {"gpu:0": 3.6e6, "gpu:1": 3.6e6, "package:0": 1.8e6, "dram:0": None, "psys:0": 9e9}
    made = chart("domains", Case("b.py::test_a[x]", (Round(Window(1.0, joules)),), domains=domains))
    (row,) = rows(made)
    assert (row["gpu_kwh"], row["cpu_kwh"], row["energy_kwh"]) == pytest.approx((2.0, 0.5, 2.5))
    assert "dram_kwh" not in row
    assert made is not None
    assert made.notes[0] == "dram:0 could not be read in 1 case (x): their bars are too short."


def test_the_logarithms_of_a_waterfall_add_up_to_that_of_the_energy(make_study_case: MakeCase) -> None:
    none = make_study_case("a", "none", joules=100.0, epochs=5)
    half = make_study_case("a", "stego", joules=60.0, epochs=3)
    (row,) = rows(chart("decompose", none, half))
    parts = [row["epochs_ln"], row["seconds_per_epoch_ln"], row["power_ln"]]
    assert math.fsum(parts) == pytest.approx(row["energy_ln"])
    assert row["energy_change"] == pytest.approx(-0.4)
    assert row["epochs_change"] == pytest.approx(-0.4)


def test_a_case_without_a_study_is_held_against_its_none_by_its_parameters(make_case: Any) -> None:
    none = make_case("m-none", [100.0, 101.0], params={"model": "m", "compressor": "none"})
    other = make_case("m-q", [50.0, 50.5], params={"model": "m", "compressor": "q"})
    (row,) = rows(chart("decompose", none, other))
    assert row["energy_change"] == pytest.approx(-0.5)
    squares = {row["compressor"]: row for row in rows(chart("heatmap", none, other))}
    assert squares["q"]["energy_change"] == pytest.approx(-0.5)
    assert squares["none"]["energy_change"] is None


def test_a_heat_map_takes_the_papers_fine_tune_before_other_tolerances(make_study_case: MakeCase) -> None:
    cases = [
        make_study_case("a", "none", joules=100.0),
        make_study_case("a", "stego", joules=70.0, function="tolerance", tolerance=0.05),
        make_study_case("a", "stego", joules=90.0),
    ]
    found = {row["compressor"]: row for row in rows(chart("heatmap", *cases, pue=1.0))}
    assert found["stego"]["energy_kwh"] * 3.6e6 == pytest.approx(90.9)
    assert found["stego"]["energy_change"] == pytest.approx(-0.1)


def test_epochs_in_the_window_are_stable_and_of_several_rounds_the_last_is_shown(make_study_case: MakeCase) -> None:
    case = make_study_case("a", "none", rounds=2, epochs=4)
    estimate = Estimate("STEP", 12.0, (11.0, 13.0), {"window_mean_j": 3.0, "epochs_seen": 2})
    trainings = tuple(
        Training("0001_r", case.id, number, (1.0,) * 4, (5.0, 3.0, 3.0, 3.0 + number), (1, 3), "", {0.4: estimate})
        for number in (1, 2)
    )
    found = rows(chart("epochs", case, trainings=trainings))
    assert [row["stable"] for row in found] == ["no", "yes", "yes", "no"]
    assert [row["energy_j"] for row in found] == [5.0, 3.0, 3.0, 5.0]
    assert {row["round"] for row in found} == {2}
    (row, _) = rows(chart("predicted", case, trainings=trainings))
    assert row["error"] == pytest.approx(12 / 15 - 1)
    assert row["held"] == "no"


def test_a_long_trace_is_thinned_without_losing_energy(make_study_case: MakeCase) -> None:
    case = make_study_case("a", "none", rounds=1)
    points = tuple((0.5 + second, 100.0 + second % 7) for second in range(5000))
    found = rows(chart("power", case, traced=(Traced("0001_r", case.id, 1, points),)))
    assert len(found) <= 400
    joules = math.fsum(row["power_w"] * row["seconds"] for row in found)
    expected = math.fsum(watts for _, watts in points[1:-1]) + (points[0][1] + points[-1][1]) / 2
    assert joules == pytest.approx(expected, rel=1e-9)


def test_without_a_trace_power_is_the_mean_of_each_lap_behind_what_none_covers(make_study_case: MakeCase) -> None:
    case = make_study_case("a", "none", rounds=1, epochs=2)
    found = rows(chart("power", case))
    assert [row["begin_s"] for row in found] == [0.5, 2.5]
    lap = case.rounds[0].window.laps[0].total_j(case.total_domains)
    assert lap is not None
    assert found[0]["power_w"] == pytest.approx(lap / 2.0)


def test_break_even_is_where_the_two_energies_meet(make_study_case: MakeCase) -> None:
    inference = {"function": "inference", "protocol": "inference", "metrics": {"images": 1000.0}, "epochs": 0}
    cases = [
        make_study_case("a", "none", joules=100.0),
        make_study_case("a", "stego", joules=200.0),
        make_study_case("a", "none", joules=2.0, **inference),
        make_study_case("a", "stego", joules=1.0, **inference),
    ]
    made = chart("cycle", *cases)
    none, stego = rows(made)
    images = (stego["fixed_j"] - none["fixed_j"]) / (none["image_j"] - stego["image_j"])
    assert stego["break_even_images"] == pytest.approx(images)
    assert none["break_even_images"] is None
    assert made is not None
    assert "cheaper above it" in made.alt


def test_a_tolerance_has_the_loss_and_the_change_beside_none(make_study_case: MakeCase) -> None:
    cases = [
        make_study_case("a", "none", joules=100.0, accuracy=0.95),
        make_study_case("a", "stego", joules=90.0, accuracy=0.94),
        make_study_case("a", "stego", joules=80.0, accuracy=0.90, function="tolerance", tolerance=0.05),
    ]
    found = rows(chart("tolerance", *cases))
    assert [row["tolerance"] for row in found] == [0.01, 0.05]
    assert [row["energy_change"] for row in found] == pytest.approx([-0.1, -0.2])
    assert [row["accuracy_lost"] for row in found] == pytest.approx([0.01, 0.05])
    assert chart("tolerance", *cases[:2]) is None


def test_a_comparison_names_what_it_does_not_draw(everything: Subject, make_subject: Any, make_case: Any) -> None:
    both, gone, new = (make_case(name, [100.0, 101.0, 102.0]) for name in ("a-none", "b-none", "c-none"))
    baseline = Run("s/0001_r.json", (both, gone))
    made = CHARTS["compare"].make(make_subject(Run("s/0002_r.json", (both, new)), (), baseline))
    assert made is not None
    assert made.title == "0002_r against 0001_r"
    assert {row["verdict"] for row in rows(made)} >= {"missing", "new"}
    assert "1 case missing: not drawn, see the table." in made.notes
    assert CHARTS["compare"].make(replace(everything, comparison=None)) is None


def test_a_change_of_level_stands_at_the_run_that_began_it(everything: Subject) -> None:
    made = CHARTS["trend"].make(everything)
    changes = [row for row in rows(made) if row["level_change"] is not None]
    assert changes
    assert {row["run"] for row in changes} == {"0004_past"}
    assert made is not None
    assert "since 0004_past" in made.alt

"""The history of a case: what is one series, what is left out, and where its level changed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Any

import pytest

from energybench.analysis.trend import Measured, Trend, trend
from energybench.model import Case, Provenance, Status


def history(cases: Iterable[Case]) -> list[Measured]:
    return [
        Measured(f"{n:04d}_x", f"2026-01-{n:02d}T00:00:00+00:00", f"{n:040x}", case) for n, case in enumerate(cases, 1)
    ]


def of(cases: Iterable[Case], metric: str = "energy") -> Trend:
    return trend("f[a]", history(cases), metric)


def noisy(rng: random.Random, mean: float, sd: float = 0.01, rounds: int = 3) -> list[float]:
    """Rounds of one session: they share its noise."""
    session = rng.gauss(0.0, sd)
    return [mean * math.exp(session + rng.gauss(0.0, 0.002)) for _ in range(rounds)]


def test_a_step_is_found_with_its_run_its_commit_and_its_size(make_case: Any) -> None:
    rng = random.Random(1)
    made = of(make_case(joules=noisy(rng, 100.0 if n < 12 else 115.0)) for n in range(20))
    (strand,) = made.strands
    before, after = strand.segments
    assert made.steps == 1
    assert (len(before.points), len(after.points)) == (12, 8)
    assert before.change is before.interval is before.p is None
    since = after.points[0]
    assert (since.run, since.commit, since.created[:10]) == ("0013_x", f"{13:040x}", "2026-01-13")
    assert after.change == pytest.approx(0.15, abs=0.03)
    assert after.interval is not None
    assert after.interval[0] < 0.15 < after.interval[1]
    assert after.p is not None
    assert after.p < 1e-6
    assert after.level == pytest.approx(115, rel=0.02)
    assert strand.noise == pytest.approx(0.01, rel=0.6)
    assert strand.provenance is Provenance.MEASURED


def test_the_same_level_is_one_segment(make_case: Any) -> None:
    rng = random.Random(2)
    made = of(make_case(joules=noisy(rng, 100.0)) for _ in range(20))
    assert made.steps == 0
    assert [len(strand.points) for strand in made.strands] == [20]


def test_another_workload_is_a_break_that_says_what_differs_and_no_step(make_case: Any) -> None:
    old = [make_case(joules=[100.0], workload="a", facts={"workload": {"pixels": 32}}) for _ in range(5)]
    new = [make_case(joules=[300.0], workload="b", facts={"workload": {"pixels": 64}}) for _ in range(5)]
    made = of([*old, *new])
    assert made.steps == 0
    assert [len(strand.points) for strand in made.strands] == [5, 5]
    assert made.strands[0].why == ()
    assert made.strands[1].why == ("workload (pixels: 32 -> 64)",)


def test_runs_of_two_kinds_in_turn_are_two_series_and_not_a_break_at_every_run(make_case: Any) -> None:
    kinds = [make_case(joules=[j], comparability={"gpu": gpu}) for j, gpu in ((100.0, "H100"), (70.0, "H200"))]
    made = of(kinds * 4)
    assert [len(strand.points) for strand in made.strands] == [4, 4]
    assert [point.run for point in made.strands[1].points] == ["0002_x", "0004_x", "0006_x", "0008_x"]
    assert made.strands[1].why == ("gpu (H100 -> H200)",)


def test_estimates_and_measurements_are_never_one_series_of_energy_but_are_of_seconds(make_case: Any) -> None:
    cases = [
        make_case(joules=[50.0], provenance=Provenance.ESTIMATED, seconds=2.0),
        make_case(joules=[100.0], provenance=Provenance.MEASURED, seconds=2.0),
    ]
    energy = of(cases)
    assert [strand.provenance for strand in energy.strands] == [Provenance.ESTIMATED, Provenance.MEASURED]
    assert energy.strands[1].why == ("provenance (estimated -> measured)",)
    (strand,) = of(cases, "seconds").strands
    assert [point.value for point in strand.points] == pytest.approx([2.0, 2.0])
    assert strand.provenance is None


def test_another_machine_breaks_energy_and_seconds_but_not_accuracy(make_case: Any) -> None:
    cases = [make_case(joules=[1.0], accuracy=[0.9], comparability={"cpu": cpu}) for cpu in ("x", "y")]
    assert [len(of(cases, metric).strands) for metric in ("energy", "seconds", "accuracy")] == [2, 2, 1]


def test_what_has_no_value_is_left_out_with_its_reason(make_case: Any) -> None:
    cases = [
        make_case(joules=[100.0, None]),
        make_case(joules=[None]),
        make_case(joules=[0.0, 0.0]),
        make_case(joules=[90.0], status=Status.FAILED_ACCURACY),
        make_case(joules=[]),
    ]
    made = of(cases)
    assert [point.run for strand in made.strands for point in strand.points] == ["0001_x"]
    assert made.strands[0].points[0].rounds == 1
    assert made.left_out == (
        "0002_x (no energy reading)",
        "0003_x (0 J in every round)",
        "0004_x (failed-accuracy)",
        "0005_x (no energy reading)",
    )
    assert of([make_case(joules=[1.0])], "accuracy").left_out == ("0001_x (no accuracy recorded)",)
    assert of([make_case(joules=[])], "seconds").left_out == ("0001_x (no time reading)",)


def test_a_mean_over_rounds_is_geometric_for_joules_and_plain_for_accuracy(make_case: Any) -> None:
    case = make_case(joules=[100.0, 400.0], accuracy=[0.8, 0.9])
    assert of([case]).strands[0].points[0].value == pytest.approx(200.0)
    assert of([case], "accuracy").strands[0].points[0].value == pytest.approx(0.85)


def test_a_fall_in_accuracy_is_in_points(make_case: Any) -> None:
    made = of((make_case(joules=[1.0], accuracy=[0.95 if n < 6 else 0.90]) for n in range(12)), "accuracy")
    (strand,) = made.strands
    assert strand.segments[1].change == pytest.approx(-0.05)
    assert strand.segments[1].points[0].run == "0007_x"


def test_a_change_within_half_an_image_of_the_evaluation_set_is_no_step(make_case: Any) -> None:
    def cases(images: float) -> list[Case]:
        shares = [0.90] * 6 + [0.901] * 6
        return [make_case(joules=[1.0], accuracy=[share], metrics={"total": images}) for share in shares]

    assert of(cases(100.0), "accuracy").steps == 0
    assert of(cases(100_000.0), "accuracy").steps == 1


def test_rounds_that_scatter_more_than_the_runs_are_believed(make_case: Any) -> None:
    def cases(spread: float) -> list[Case]:
        return [
            make_case(joules=[level / spread, level * spread])
            for level in [100.0, 100.1, 100.0, 100.1, 101.0, 101.1, 101.0, 101.1]
        ]

    assert of(cases(1.0001)).steps == 1
    assert of(cases(1.05)).steps == 0


def test_nothing_measured_is_an_empty_trend() -> None:
    assert of([]).strands == ()

"""A budget that is met, exceeded, and one that nothing trustworthy can meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energybench.harness.budget import budget_failure, projected_failure
from energybench.harness.marker import Budget
from energybench.model import Case, Domain, Estimate, Provenance, Round, Window

PARTLY = (Domain("gpu:0", "nvml", Provenance.MEASURED), Domain("cpu", "estimate", Provenance.ESTIMATED))


def kwh(case: Case, max_kwh: float) -> str:
    return budget_failure(case, Budget(max_kwh=max_kwh))


def per_sample(case: Case, max_j: float) -> str:
    return budget_failure(case, Budget(max_j_per_sample=max_j))


def accuracy(case: Case, least: float) -> str:
    return budget_failure(case, Budget(min_accuracy=least))


def test_without_a_budget_nothing_is_asked(make_case) -> None:
    assert budget_failure(make_case(joules=(1e9,)), Budget()) == ""


def test_the_mean_of_the_rounds_may_reach_the_budget_and_not_pass_it(make_case) -> None:
    case = make_case(joules=(3.6e6, 7.2e6))
    assert kwh(case, 1.5) == ""
    assert kwh(case, 1.2) == "the budget of 1.20 kWh was exceeded by 25 %: 1.50 kWh of IT energy, mean of the rounds"


def test_pue_is_no_part_of_it(make_case) -> None:
    assert kwh(make_case(joules=(3.6e6,), pue=2.0), 1.0) == ""
    assert per_sample(make_case(joules=(10.0,), pue=2.0, metrics={"images": 10}), 1.0) == ""


@pytest.mark.parametrize("provenance", [Provenance.INTEGRATED, Provenance.REPLAYED])
def test_sensors_and_recordings_may_meet_it(make_case, provenance: Provenance) -> None:
    case = make_case(joules=(1.0,), provenance=provenance, metrics={"images": 1})
    assert kwh(case, 1.0) == ""
    assert per_sample(case, 1.0) == ""


def test_an_estimate_never_meets_a_budget_of_energy_however_low(make_case) -> None:
    case = make_case(joules=(1.0,), provenance=Provenance.ESTIMATED, metrics={"images": 4})
    assert "cannot be met by an estimate" in kwh(case, 1000.0)
    assert "drop max_kwh" in kwh(case, 1000.0)
    assert per_sample(case, 1000.0) == (
        "the budget of 1000 J per image cannot be met by an estimate (0.250 J, wrong by half or more): measure on a "
        "machine with counters (`energybench doctor` says what is missing here), or drop max_j_per_sample"
    )


def test_one_estimated_domain_spoils_a_measured_total(make_case) -> None:
    domains = (
        Domain("package:0", "rapl", Provenance.MEASURED),
        Domain("ram", "estimate", Provenance.ESTIMATED, in_total=True),
    )
    case = make_case(joules=(1.0,), domains=domains)
    assert "cannot be checked" in kwh(case, 1.0)  # its rounds have no reading of `ram`


def test_where_a_part_is_metered_the_way_to_budget_that_part_is_named(make_case) -> None:
    domains = (*PARTLY, Domain("ram", "estimate", Provenance.ESTIMATED))
    rounds = (Round(Window(2.0, {"gpu:0": 600.0, "cpu": 1.0, "ram": 0.1}), {"images": 10}),)
    case = make_case(domains=domains, rounds=rounds)
    for failure in (kwh(case, 1.0), per_sample(case, 100.0)):
        assert "cannot be met while cpu, ram is estimated" in failure
        assert "--energy-no-estimate" in failure
    assert kwh(make_case(domains=domains[:1], rounds=rounds), 1.0) == ""


def test_an_absent_reading_never_meets_it(make_case) -> None:
    assert "cannot be checked" in kwh(make_case(joules=(None,)), 1.0)
    assert "1 of 2 rounds have no full energy reading" in per_sample(
        make_case(joules=(None, 1.0), metrics={"images": 1}), 1.0
    )


@pytest.mark.parametrize(("name", "each"), [("images", "image"), ("samples", "sample"), ("tokens", "token")])
def test_joules_are_shared_among_what_all_rounds_recorded(make_case, name: str, each: str) -> None:
    case = make_case(joules=(100.0, 200.0), metrics={name: 50})
    assert per_sample(case, 3.0) == ""
    assert per_sample(case, 2.5) == (
        f"the budget of 2.50 J per {each} was exceeded by 20 %: 3.00 J of IT energy, all rounds together"
    )


def test_images_come_before_tokens(make_case) -> None:
    assert per_sample(make_case(metrics={"tokens": 100_000, "images": 10}), 9.0) != ""


def test_rounds_of_other_sizes_are_weighed_by_them() -> None:
    domains = (Domain("package:0", "rapl", Provenance.MEASURED),)
    rounds = tuple(Round(Window(1.0, {"package:0": j}), {"samples": n}) for j, n in ((100.0, 10), (100.0, 90)))
    case = Case("f.py::t", rounds, domains=domains)
    assert per_sample(case, 2.0) == ""
    assert per_sample(case, 1.99) != ""


def test_what_was_not_recorded_says_what_to_record(make_case) -> None:
    assert "call energy.record(images=...) (or samples=, tokens=)" in per_sample(make_case(), 1.0)
    assert "call energy.record(images=...)" in per_sample(make_case(metrics={"images": 0}), 1.0)
    assert "1 of 1 rounds recorded none; call energy.record(accuracy=...)" in accuracy(make_case(), 0.9)
    some = make_case(joules=(1.0, 1.0), accuracy=(0.95, None))
    assert "1 of 2 rounds recorded none" in accuracy(some, 0.9)


def test_the_mean_accuracy_may_be_the_demanded_and_not_below(make_case) -> None:
    case = make_case(joules=(1.0, 1.0), accuracy=(0.9, 0.92))
    assert accuracy(case, 0.91) == ""
    assert accuracy(case, 0.95) == ("the demanded accuracy of 95 % was missed by 4 points: 91 %, mean of the rounds")


@given(st.floats(0.001, 1), st.integers(1, 7))
def test_equal_rounds_of_exactly_the_demand_meet_it(value: float, rounds: int) -> None:
    case = Case("f.py::t", tuple(Round(Window(1.0), {"accuracy": value}) for _ in range(rounds)))
    assert accuracy(case, value) == ""


def test_estimates_may_be_accurate(make_case) -> None:
    assert accuracy(make_case(provenance=Provenance.ESTIMATED, accuracy=(1.0,)), 0.9) == ""


def test_each_limit_that_is_not_met_is_named(make_case) -> None:
    case = make_case(joules=(7.2e6,), accuracy=(0.5,), metrics={"images": 1})
    failure = budget_failure(case, Budget(max_kwh=1.0, max_j_per_sample=1.0, min_accuracy=0.9))
    assert [part.partition(" of ")[0] for part in failure.split("; ")] == [
        "the budget",
        "the budget",
        "the demanded accuracy",
    ]


def projected(case: Case, low_kwh: float, max_kwh: float | None) -> str:
    """What is said of a projection of 2 kWh whose interval begins at `low_kwh`."""
    basis = {"epochs": 90, "epochs_seen": 5}
    estimate = Estimate("STEP, energy form", 2 * 3.6e6, (low_kwh * 3.6e6, 2.5 * 3.6e6), basis)
    return projected_failure(estimate, case, Budget(max_kwh=max_kwh))


def test_a_projection_breaks_a_budget_only_where_all_of_its_interval_does(make_case) -> None:
    case = make_case()
    assert projected(case, 1.5, 1.4) == (
        "the budget of 1.40 kWh will be exceeded: 2.00 kWh of IT energy (1.50 to 2.50) are projected after "
        "5 of 90 epochs"
    )
    assert projected(case, 1.5, 1.5) == ""
    assert projected(case, 1.5, None) == ""
    assert projected(make_case(provenance=Provenance.ESTIMATED), 1.5, 1.4) == ""
    without = Estimate("STEP, energy form", 2 * 3.6e6)
    assert projected_failure(without, case, Budget(max_kwh=1.0)) == ""

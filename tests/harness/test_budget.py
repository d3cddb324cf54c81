"""A budget that is met, exceeded, and one that nothing trustworthy can meet."""

from __future__ import annotations

import pytest

from energybench.harness.budget import budget_failure
from energybench.model import Domain, Provenance, Round, Window


def test_without_a_budget_nothing_is_asked(make_case) -> None:
    assert budget_failure(make_case(joules=(1e9,)), None) == ""


def test_the_mean_of_the_rounds_may_reach_the_budget_and_not_pass_it(make_case) -> None:
    case = make_case(joules=(3.6e6, 7.2e6))
    assert budget_failure(case, 1.5) == ""
    assert budget_failure(case, 1.2) == (
        "the budget of 1.20 kWh was exceeded by 25 %: 1.50 kWh of IT energy, mean of the rounds"
    )


def test_pue_is_no_part_of_it(make_case) -> None:
    assert budget_failure(make_case(joules=(3.6e6,), pue=2.0), 1.0) == ""


@pytest.mark.parametrize("provenance", [Provenance.INTEGRATED, Provenance.REPLAYED])
def test_sensors_and_recordings_may_meet_it(make_case, provenance: Provenance) -> None:
    assert budget_failure(make_case(joules=(1.0,), provenance=provenance), 1.0) == ""


def test_an_estimate_never_meets_it_however_low(make_case) -> None:
    case = make_case(joules=(1.0,), provenance=Provenance.ESTIMATED)
    assert "cannot be met by an estimate" in budget_failure(case, 1000.0)


def test_one_estimated_domain_spoils_a_measured_total(make_case) -> None:
    domains = (
        Domain("package:0", "rapl", Provenance.MEASURED),
        Domain("ram", "estimate", Provenance.ESTIMATED, in_total=True),
    )
    case = make_case(joules=(1.0,), domains=domains)
    assert "cannot be checked" in budget_failure(case, 1.0)  # its rounds have no reading of `ram`


def test_where_a_part_is_metered_the_way_to_budget_that_part_is_named(make_case) -> None:
    domains = (
        Domain("gpu:0", "nvml", Provenance.MEASURED),
        Domain("cpu", "estimate", Provenance.ESTIMATED),
        Domain("ram", "estimate", Provenance.ESTIMATED),
    )
    rounds = (Round(Window(2.0, {"gpu:0": 600.0, "cpu": 1.0, "ram": 0.1})),)
    failure = budget_failure(make_case(domains=domains, rounds=rounds), 1.0)
    assert "cannot be met while cpu, ram is estimated" in failure
    assert "--energy-no-estimate" in failure
    alone = make_case(domains=domains[:1], rounds=rounds)
    assert budget_failure(alone, 1.0) == ""


def test_an_absent_reading_never_meets_it(make_case) -> None:
    assert "cannot be checked" in budget_failure(make_case(joules=(None,)), 1.0)

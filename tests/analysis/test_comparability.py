"""What may be compared with what."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.analysis.comparability import accuracy_differences, differences
from energybench.model import Domain, Provenance, Round, Status, Window


def test_equal_cases_are_comparable(make_case: Any) -> None:
    case = make_case(comparability={"gpus": [{"name": "H200"}]}, workload="abc")
    assert differences(case, case) == ()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ({"workload": "abc"}, {"workload": "def"}, "workload (abc -> def)"),
        ({"comparability": {"scope": "machine"}}, {"comparability": {}}, "scope (machine -> absent)"),
        ({"comparability": {"gpu": "A100"}}, {"comparability": {"gpu": "H200"}}, "gpu (A100 -> H200)"),
        ({}, {"provenance": Provenance.ESTIMATED}, "provenance (measured -> estimated)"),
        ({}, {"provenance": Provenance.INTEGRATED}, "provenance (measured -> integrated)"),
        ({}, {"status": Status.FAILED}, "the candidate failed (it raised, or an assertion did not hold)"),
        ({"domains": ()}, {}, "no energy reading in the baseline"),
    ],
)
def test_each_difference_is_named(old: dict[str, Any], new: dict[str, Any], named: str, make_case: Any) -> None:
    assert differences(make_case(**old), make_case(**new)) == (named,)


def test_other_domains_are_another_quantity(make_case: Any) -> None:
    domains = (Domain("package:0", "rapl", Provenance.MEASURED), Domain("dram:0", "rapl", Provenance.MEASURED))
    assert differences(make_case(), make_case(domains=domains)) == ("domains (package:0 -> dram:0+package:0)",)


def test_declared_inputs_are_named_where_they_are_stored(make_case: Any) -> None:
    old = make_case(workload="a", facts={"workload": {"batch": 32, "lr": 0.1}})
    new = make_case(workload="b", facts={"workload": {"batch": 64, "lr": 0.1}})
    assert differences(old, new) == ("workload (batch: 32 -> 64)",)
    old = make_case(workload="a", facts={"workload": {"recipe": {"batch": 32, "sgd": {"lr": 0.1}}}})
    new = make_case(workload="b", facts={"workload": {"recipe": {"batch": 32, "sgd": {"lr": 0.2}}}})
    assert differences(old, new) == ("workload (recipe.sgd.lr: 0.1 -> 0.2)",)


def test_what_is_declared_to_vary_may_differ(make_case: Any) -> None:
    old = make_case(comparability={"precision": "fp32"}, workload="a")
    new = make_case(comparability={"precision": "bf16"}, workload="b")
    assert differences(old, new, vary={"precision", "workload"}) == ()
    assert differences(old, new, vary={"workload"}) == ("precision (fp32 -> bf16)",)


def estimated(device: str) -> dict[str, Any]:
    return {
        "rounds": (Round(Window(1.0, {"cpu": 1.0})),),
        "domains": (Domain("cpu", "estimate", Provenance.ESTIMATED, device=device),),
    }


def test_estimates_are_compared_on_one_kind_of_cpu_only(make_case: Any) -> None:
    assert differences(make_case(**estimated("EPYC")), make_case(**estimated("EPYC"))) == ()
    assert differences(make_case(**estimated("EPYC")), make_case(**estimated("Xeon"))) == (
        "device of the estimated cpu (EPYC -> Xeon)",
    )


def test_the_model_of_an_estimate_matters_to_estimates_only(make_case: Any) -> None:
    old, new = {"comparability": {"estimate_w_per_cpu": 4.0}}, {"comparability": {"estimate_w_per_cpu": 8.0}}
    assert differences(make_case(**old), make_case(**new)) == ()
    assert differences(make_case(**estimated("a"), **old), make_case(**estimated("a"), **new)) == (
        "estimate_w_per_cpu (4.0 -> 8.0)",
    )


def test_another_machine_spoils_joules_but_not_accuracy(make_case: Any) -> None:
    old = make_case(comparability={"gpus": ["A100"], "power_limit_w": 400, "profile": "quick"})
    new = make_case(comparability={"gpus": ["H200"], "power_limit_w": 700, "profile": "paper"})
    assert accuracy_differences(old, new) == ("profile (quick -> paper)",)
    assert len(differences(old, new)) == 3

from __future__ import annotations

import pytest

from energybench.errors import UsageError
from energybench.estimators import formulas


def test_the_calculators_agree_with_hand_computed_joules() -> None:
    hour = 3600.0
    assert formulas.tdp_time(250.0, hour) == 900_000.0
    assert formulas.tdp_utilisation_time(250.0, 0.5, hour) == 450_000.0
    # 250 W x 0.5 + 0.3725 W/GB x 64 GB = 125 W + 23.84 W
    assert formulas.green_algorithms(250.0, 0.5, 64.0, hour) == pytest.approx(148.84 * 3600)
    assert formulas.ml_co2_impact(250.0, hour) == 900_000.0


def test_green_algorithms_takes_full_use_where_no_utilisation_is_known() -> None:
    by_name = {one.name: one for one in formulas.beside(100.0, 10.0, memory_gb=10.0)}
    assert by_name["Green Algorithms"].joules == pytest.approx((100 + 3.725) * 10)
    assert "100%" in by_name["Green Algorithms"].takes


def test_what_a_formula_lacks_is_said_and_not_guessed() -> None:
    by_name = {one.name: one for one in formulas.beside(100.0, 10.0)}
    assert by_name["TDP x t"].joules == 1000.0
    assert by_name["ML CO2 Impact"].joules == 1000.0
    for name, option in (("TDP x utilisation x t", "--utilisation"), ("Green Algorithms", "--memory-gb")):
        assert by_name[name].joules is None
        assert option in by_name[name].takes
    unknown = formulas.beside(None, 10.0, 0.5, 8.0)
    assert [one.joules for one in unknown] == [None] * 4
    assert all("--device-w" in one.takes for one in unknown)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: formulas.tdp_time(0.0, 1.0), "rated power must be a positive number"),
        (lambda: formulas.tdp_time(10.0, float("inf")), "seconds must be a positive number"),
        (lambda: formulas.tdp_utilisation_time(10.0, 50.0, 1.0), "between 0 and 1"),
        (lambda: formulas.green_algorithms(10.0, 0.5, -1.0, 1.0), "gigabytes"),
    ],
)
def test_impossible_inputs_are_refused(call: object, said: str) -> None:
    assert callable(call)
    with pytest.raises(UsageError, match=said):
        call()

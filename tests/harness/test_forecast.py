"""What is left of a session, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from energybench.harness.forecast import Forecast, Outlook
from energybench.model import Window


@pytest.fixture
def cases(running: Callable[..., Any]) -> list[Any]:
    """Two models with two compressors each."""
    names = ("small-none", "small-prune", "large-none", "large-prune")
    return [
        running(
            n, f"benches/test_f.py::test_f[{name}]", model=name.partition("-")[0], compressor=name.partition("-")[2]
        )
        for n, name in enumerate(names, 1)
    ]


def begin(forecast: Forecast, case: Any, wall_s: float) -> Outlook | None:
    forecast.begin(case, wall_s)
    return forecast.outlook(None, None, None)


def finish(forecast: Forecast, case: Any, seconds: float, joules: float | None = None) -> None:
    case.finish(seconds, joules)
    case.resting = True
    forecast.take(case)


def test_of_a_session_of_which_nothing_is_known_nothing_is_said(cases: list[Any], session_of: Any) -> None:
    assert begin(Forecast(session_of(*cases), {}), cases[0], 0.0) is None


def test_the_first_cases_are_a_least_and_their_own_model_is_known_by_them(cases: list[Any], session_of: Any) -> None:
    forecast = Forecast(session_of(*cases), {})
    begin(forecast, cases[0], 0.0)
    finish(forecast, cases[0], 10.0, 100.0)
    # small-prune is known by small-none: half of the cases are; the large ones are counted like the mean.
    assert begin(forecast, cases[1], 10.0) == Outlook(30.0, 400.0, is_least=False)
    finish(forecast, cases[1], 20.0, 200.0)
    assert begin(forecast, cases[2], 30.0) == Outlook(15.0, None, is_least=True)  # of itself nothing is known
    assert forecast.outlook(Window(50.0), 100.0, None) == Outlook(65.0, None, is_least=False)
    finish(forecast, cases[2], 100.0, 1000.0)
    assert begin(forecast, cases[3], 130.0) == Outlook(100.0, 2300.0, is_least=False)


def test_while_less_than_half_is_known_the_others_are_counted_like_the_cheapest(running: Any, session_of: Any) -> None:
    cases = [running(n, f"f.py::test_x[{n}]") for n in range(1, 6)]
    forecast = Forecast(session_of(*cases), {})
    begin(forecast, cases[0], 0.0)
    finish(forecast, cases[0], 10.0, 1.0)
    begin(forecast, cases[1], 10.0)
    finish(forecast, cases[1], 30.0, 3.0)
    assert begin(forecast, cases[2], 40.0) == Outlook(20.0, None, is_least=True)
    finish(forecast, cases[2], 50.0, 5.0)
    assert begin(forecast, cases[3], 90.0) == Outlook(30.0, None, is_least=True)
    assert forecast.outlook(None, 30.0, 3.0) == Outlook(60.0, 9.0 + 3.0 + 3.0, is_least=False)


def test_an_earlier_run_tells_at_once_and_is_scaled_by_how_fast_today_is(cases: list[Any], session_of: Any) -> None:
    seconds = (10.0, 10.0, 100.0, 100.0)
    earlier = {case.id: (s, 10 * s) for case, s in zip(cases, seconds, strict=True)}
    forecast = Forecast(session_of(*cases), earlier)
    assert begin(forecast, cases[0], 0.0) == Outlook(220.0, 2200.0, is_least=False)
    finish(forecast, cases[0], 20.0, 100.0)  # twice as long, with the same joules
    assert begin(forecast, cases[1], 20.0) == Outlook(20.0 + 200.0 + 200.0, 2200.0, is_least=False)


def test_time_between_rounds_is_left_for_each_of_the_rounds_to_come(running: Any, session_of: Any) -> None:
    one, two = running(1, "f.py::test_x[a]", rounds=2), running(2, "f.py::test_x[b]", rounds=2)
    forecast = Forecast(session_of(one, two), {})
    begin(forecast, one, 0.0)
    one.finish(10.0)
    forecast.take(one)
    left = begin(forecast, one, 13.0)  # it took 3 s to prepare the first; three rounds are left, two after this one
    assert left == Outlook(10.0 + 2 * (10.0 + 3.0), None, is_least=False)


def test_a_round_of_several_calls_counts_all_of_them(running: Any, session_of: Any) -> None:
    one = running(rounds=2, iterations=5)
    forecast = Forecast(session_of(one), {})
    begin(forecast, one, 0.0)
    one.finish(2.0, 4.0, iterations=5)
    forecast.take(one)
    assert forecast.spent_j == 20.0
    assert begin(forecast, one, 10.0) == Outlook(10.0, 40.0, is_least=False)
    assert forecast.budget is None


def test_rounds_of_an_interrupted_sweep_are_neither_spent_nor_left(running: Any, session_of: Any) -> None:
    one = running(rounds=2)
    one.finish(10.0, 100.0)
    session = session_of(one)
    session.id = "another one"
    forecast = Forecast(session, {})
    assert begin(forecast, one, 0.0) is None
    assert forecast.spent_j == 0.0


def test_searches_count_in_what_was_spent_and_in_no_budget(running: Any, session_of: Any) -> None:
    one = running(max_kwh=0.001)
    one.apart["search"].append(Window(1.0, {"package:0": 50.0, "dram:0": 0.0}))
    forecast = Forecast(session_of(one), {})
    begin(forecast, one, 0.0)
    one.finish(1.0, 100.0)
    one.resting = True
    forecast.take(one)
    assert forecast.spent_j == 150.0
    assert forecast.budget == (100.0, 3600.0)


def test_a_case_without_a_budget_leaves_the_session_without_one(running: Any, session_of: Any) -> None:
    cases = running(1, "f.py::test_x[a]", max_kwh=0.5), running(2, "f.py::test_x[b]")
    assert Forecast(session_of(*cases), {}).budget is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # they make, and keep nothing
@given(seconds=st.lists(st.floats(0.1, 1e4), min_size=2, max_size=8))
def test_what_is_left_is_never_negative_and_nothing_is_left_at_the_end(
    seconds: list[float], running: Any, session_of: Any
) -> None:
    cases = [running(n, f"f.py::test_x[{n}]") for n, _ in enumerate(seconds)]
    forecast = Forecast(session_of(*cases), {})
    wall_s = 0.0
    for case, took in zip(cases, seconds, strict=True):
        forecast.begin(case, wall_s)
        outlook = forecast.outlook(Window(took), None, None)
        assert outlook is None or outlook.seconds >= 0
        finish(forecast, case, took, 1.0)
        wall_s += took
    last = forecast.outlook(Window(seconds[-1]), seconds[-1], 1.0)
    assert last is None or last.seconds == pytest.approx(0.0, abs=1e-6)
    assert forecast.spent_j == pytest.approx(len(seconds))

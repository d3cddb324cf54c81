"""Numbers of a stored run that fit one another, and numbers that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from energybench.estimators.step.consistency import Consistency, consistency
from energybench.model import Case, Domain, Provenance, Round, Run, Span, Window

DOMAIN = Domain("gpu:0", "nvml", Provenance.MEASURED)


def stored(laps: list[tuple[float, float]], joules: float | None = 500.0, **fields: object) -> Case:
    """One round of 50 s with epochs of (seconds, joules)."""
    parts = tuple(Window(seconds, {"gpu:0": value}, label="epoch") for seconds, value in laps)
    round = Round(Window(50.0, {"gpu:0": joules}, laps=parts), **fields)  # type: ignore[arg-type]
    return Case("b.py::t[a]", (round,), domains=(DOMAIN,))


def check(case: Case, source: str = "r.json") -> Consistency:
    return consistency(Run(source, (case,)))


def test_a_sound_run_is_counted_and_nothing_is_found() -> None:
    assert check(stored([(10.0, 100.0), (10.0, 101.0), (10.0, 99.0)])) == Consistency("r", 1, 1, 0, ())


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (stored([(10.0, 200.0)] * 3), "a, round 1: the laps `epoch` took 600 J of gpu:0, the round 500 J"),
        (stored([(20.0, 100.0)] * 3), "a, round 1: the laps `epoch` took 60 s of a round of 50 s"),
        (stored([(5.0, 20.0 * k) for k in range(1, 6)]), "a, round 1: the epochs' joules grow like a running total"),
        (stored([(3.0 * k, 50.0) for k in range(1, 6)]), "a, round 1: the epochs' seconds grow like a running total"),
        (stored([], joules=0.0), "a, round 1: gpu:0 counted 0 J in 50 s"),
    ],
)
def test_what_does_not_fit_is_said_with_both_numbers(case: Case, said: str) -> None:
    assert check(case).findings == (said,)


def test_laps_of_different_names_add_up_where_they_do_not_overlap() -> None:
    case = stored([(20.0, 300.0)])
    window = case.rounds[0].window
    evaluation = Window(20.0, {"gpu:0": 300.0}, label="eval")
    both = replace(case, rounds=(Round(replace(window, laps=(*window.laps, evaluation))),))
    assert check(both).findings == ("a, round 1: all laps took 600 J of gpu:0, the round 500 J",)
    around = replace(evaluation, seconds=45.0, joules={"gpu:0": 480.0})
    nested = replace(case, rounds=(Round(replace(window, laps=(*window.laps, around))),))
    assert check(nested).findings == ()


def test_laps_of_one_call_are_not_held_against_the_mean_of_several() -> None:
    assert check(stored([(60.0, 600.0)], iterations=4)) == Consistency("r", 1, 0, 0, ())


def test_a_meters_stated_error_is_allowed() -> None:
    case = stored([(20.0, 510.0)])
    noisy = replace(case.rounds[0].window, error_j={"gpu:0": 10.0})
    assert check(case).findings
    assert not check(replace(case, rounds=(Round(noisy),))).findings


@pytest.mark.parametrize(("watts", "fits"), [(10.0, True), (10.05, True), (12.0, False), (8.0, False)])
def test_mean_power_times_seconds_is_held_against_the_joules(tmp_path: Path, watts: float, fits: bool) -> None:
    lines = ["time,seconds,gpu:0", *(f"{second},{second},{second * watts}" for second in range(95, 160))]
    (tmp_path / "s.trace.csv").write_text("\n".join(lines) + "\n")
    found = check(stored([], trace=Span("s.trace.csv", 100.0, 150.0)), str(tmp_path / "r.json"))
    assert found.traced == 1
    expected = (
        ()
        if fits
        else (f"a, round 1: mean power of the trace x seconds is {50 * watts:.4g} J, the round counted 500 J",)
    )
    assert found.findings == expected


def test_a_trace_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    found = check(stored([], trace=Span("s.trace.csv", 100.0, 150.0)), str(tmp_path / "r.json"))
    assert found.traced == 0
    assert found.findings[0].startswith("a, round 1: its trace cannot be read: There is no trace")

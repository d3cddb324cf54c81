"""One run in full."""

from __future__ import annotations

from typing import Any

import pytest

from energybench.model import Run, Window
from energybench.reports.show import show


def test_a_run_is_shown_with_all_that_it_holds(make_case: Any) -> None:
    case = make_case(
        "tiny-prune",
        [100.0, 104.0],
        accuracy=[0.9, 0.9],
        epochs=2,
        metrics={"total": 250},
        search=(Window(4.0, {"package:0": 50.0}, warnings=("w",)),),
        warnings=("short window",),
    )
    session = {
        "status": "ok",
        "notes": ["a note"],
        "diagnoses": [
            {"meter": "nvml", "device": "gpu", "state": "absent", "reason": "no driver"},
            {"meter": "rapl", "device": "package:0", "state": "ok", "reason": ""},
        ],
    }
    run = Run("s/0001_r.json", (case,), {"node": "box"}, {"id": "abcdef", "branch": "main"}, session=session, foreign=2)
    text = show(run)
    for part in (
        "0001_r\n  status: ok",
        "commit: abcdef (main)",
        "2 plain pytest-benchmark cases",
        "Accuracy\n",
        "85.7 .. 93.1",
        "Domains, mean of the rounds",
        "Laps, mean of each",
        "Metered apart, mean of each",
        "note: a note",
        "note: gpu: absent: no driver",
        "note: tiny-prune: short window",
    ):
        assert part in text
    assert "package:0: ok" not in text
    assert " nan" not in text


def test_a_run_without_cases_is_still_shown() -> None:
    text = show(Run("s/0001_r.json", session={"status": "failed"}))
    assert "status: failed" in text
    assert "No case was measured." in text


def test_factors_and_projections_stand_in_the_heading_the_total_and_a_table_of_their_own(make_case: Any) -> None:
    session = {
        "carbon_g_per_kwh": 500.0,
        "carbon_source": "given",
        "price_per_kwh": 0.25,
        "currency": "EUR",
        "projections": [{"case": "f.py::test_x[big]", "ended": "stable", "pue": 1.0, "estimate": {"joules": 7.2e6}}],
    }
    run = Run("s/0001_r.json", (make_case("tiny", [1.8e6, 1.8e6], pue=2.0),), session=session)
    text = show(run, width=100)
    assert "\n  carbon: 500 gCO2e/kWh (given)\n  price: 0.25 EUR per kWh\n" in text
    assert "Total of all rounds: 2.00 kWh with PUE 2 (2.00 kWh), 1.00 kg CO2e, 0.500 EUR; IT energy 3.60 MJ." in text
    (row,) = [line for line in text.splitlines() if line.startswith("big ")]
    assert row.split() == ["big", "2.00", "-", "-", "-", "stable", "1.00", "kg", "CO2e,", "0.500", "EUR"]
    joules = [line for line in text.splitlines() if line.startswith("tiny ")]
    assert len(joules) > 1
    without = Run("s/0001_r.json", run.cases)
    assert "CO2e" not in show(without)


@pytest.mark.parametrize(("shown", "says"), [(None, "PUE: 2"), (2.0, "PUE: 2"), (1.58, "PUE: 2, shown with 1.58")])
def test_the_heading_says_the_pue_that_was_stored_and_the_one_it_is_shown_with(
    make_case: Any, shown: float | None, says: str
) -> None:
    run = Run("s/0001_r.json", (make_case("tiny", [3.6e6], pue=2.0),), pue=2.0)
    assert f"  {says}" in show(run, pue=shown).splitlines()

"""An estimate as text and as JSON."""

from __future__ import annotations

import json

import pytest

from energybench.model import Estimate
from energybench.reports.estimate import estimate_json, step_text

BASIS = {
    "epochs": 90,
    "epochs_seen": 4,
    "seen_j": 400.0,
    "window": [2, 4],
    "window_mean_j": 100.0,
    "window_cv": 0.012,
    "stable_by": "all but the first epoch",
    "seconds": 900.0,
    "power_w": 10.0,
    "confidence": 0.9,
}


def test_the_text_holds_the_interval_what_it_rests_on_and_its_warnings() -> None:
    text = step_text(
        Estimate("STEP, energy form", 9000.0, (8700.0, 9300.0), BASIS, ("a note",)), "r, a", width=120, pue=1.5
    )
    assert text.splitlines() == [
        "r, a",
        "  STEP, energy form: 9.000 kJ (90 %: 8.700 kJ to 9.300 kJ) for 90 epochs",
        "  at PUE 1.5: 3.75 Wh",
        "  seen: 4 epochs, 400 J",
        "  window: epochs 2 to 4, 100 J an epoch, standard deviation 1.2 % (all but the first epoch)",
        "  time: 15:00 in all, at 10.0 W in the window",
        "  note: a note",
    ]


def test_a_predicted_number_of_epochs_is_shown_with_its_interval() -> None:
    basis = {**BASIS, "epochs": 12.34, "epochs_interval": [11, 15], "window": [4, 4], "window_cv": None}
    text = step_text(Estimate("STEP", 1234.0, (1000.0, 1500.0), basis), "r", width=120)
    assert "for about 12.3 epochs (11 to 15)" in text
    assert "window: epoch 4, 100 J an epoch (all" in text
    assert "PUE" not in text


def test_a_finished_training_has_no_window() -> None:
    basis = {"epochs": 4, "epochs_seen": 4, "seen_j": 400.0, "seconds": 40.0, "confidence": 0.9}
    assert step_text(Estimate("STEP", 400.0, (400.0, 400.0), basis, ("over",)), "r", width=80).splitlines() == [
        "r",
        "  STEP: 400.0 J for 4 epochs",
        "  note: over",
    ]


def test_json_is_strict_and_names_both_ends() -> None:
    read = json.loads(estimate_json(Estimate("STEP", 9000.0, (8700.0, 9300.0), BASIS, ("a note",))))
    assert (read["joules"], read["low"], read["high"]) == (9000.0, 8700.0, 9300.0)
    assert (read["schema"], read["method"], read["warnings"]) == (1, "STEP", ["a note"])
    assert read["basis"]["window"] == [2, 4]
    assert json.loads(estimate_json(Estimate("PRE", 1.0)))["low"] is None
    with pytest.raises(ValueError, match="not JSON compliant"):
        estimate_json(Estimate("STEP", float("nan")))

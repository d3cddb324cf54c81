"""What was projected and not measured."""

from __future__ import annotations

from typing import Any

from energybench.model import Estimate
from energybench.reports.part import as_text
from energybench.reports.projections import estimate_of, progress, projection_part, with_interval


def entry(case: str = "f.py::test_x[resnet18-none]", **changes: Any) -> dict[str, Any]:
    estimate = {
        "joules": 3600.0,
        "low": 3500.0,
        "high": 3700.0,
        "method": "STEP, energy form",
        "basis": {"epochs": 90, "epochs_seen": 5, "confidence": 0.9},
        "warnings": ["a doubt"],
    }
    return {"case": case, "round": 1, "ended": "stable", "pue": 2.0, "estimate": estimate | changes}


def test_a_session_without_projections_has_no_part() -> None:
    assert projection_part({}) is None
    assert projection_part({"projections": []}) is None


def test_each_is_shown_with_its_interval_its_factors_and_its_warnings() -> None:
    session = {"projections": [entry(), entry("f.py::test_y", low=None)], "carbon_g_per_kwh": 500.0}
    part = projection_part(session)
    assert part is not None
    text = as_text(part, 100)
    rows = [line.split() for line in text.splitlines()]
    assert rows[1] == ["case", "Wh", "from", "to", "after", "epochs", "ended", "as", "CO2e,", "cost"]
    assert rows[3] == ["resnet18-none", "2.00", "1.94", "2.06", "5", "of", "90", "stable", "1.00", "g", "CO2e"]
    assert rows[4][:4] == ["test_y", "2.00", "-", "-"]
    assert "STEP, energy form, 90 % interval; in no total and no verdict." in text
    assert "resnet18-none: a doubt." in text
    at_1 = projection_part(session, pue=1.0)
    assert at_1 is not None
    assert at_1.columns[1].cells == ("1.00", "1.00")


def test_a_number_of_epochs_that_is_itself_predicted_has_its_interval() -> None:
    basis = {"epochs": 12.25, "epochs_interval": [9, 15], "epochs_seen": 4}
    assert progress(Estimate("STEP", 1.0, None, basis)) == "4 of about 12.2 (9 to 15)"
    assert progress(Estimate("STEP", 1.0)) == "-"


def test_an_estimate_in_words_is_on_one_scale_with_pue() -> None:
    assert with_interval(Estimate("STEP", 3.6e6, (3.2e6, 4.4e6)), 1.5) == "1.50 kWh (1.33 to 1.83)"
    assert with_interval(Estimate("STEP", 3600.0), 1.0) == "1.00 Wh"


def test_what_was_stored_is_read_back() -> None:
    read = estimate_of(entry())
    assert (read.joules, read.interval, read.warnings) == (3600.0, (3500.0, 3700.0), ("a doubt",))
    assert estimate_of({"estimate": {"joules": 1}}) == Estimate("", 1.0, None, {}, ())

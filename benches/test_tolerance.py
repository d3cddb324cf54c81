"""The paper's third open question: how does the energy depend on the accuracy that a compressor may cost?

The main job at tolerances of 0.5 to 10 points, for an energy-accuracy frontier per model and compressor.
"""

from __future__ import annotations

from typing import Any

from energybench.lab.study import Study
from energybench.lab.trial import fine_tune_case

POINTS = (0.5, 1.0, 2.0, 5.0, 10.0)


def test_tolerance(energy: Any, study: Study, model: str, compressor: str, points: float) -> None:
    fine_tune_case(energy, study, model, compressor, "early stopping", tolerance=points / 100 if points else None)

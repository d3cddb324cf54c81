"""Energy to a target accuracy: each fine-tune ends as soon as its validation accuracy is the baseline's best.

The target is what the uncompressed model's fine-tune of the same seed reached (trained once, outside every case), or
`--energy-target`. A model that is there before its first epoch trains none; one that never gets there is labelled.
"""

from __future__ import annotations

from typing import Any

from energybench.lab.study import Study
from energybench.lab.trial import fine_tune_case


def test_target(energy: Any, study: Study, model: str, compressor: str) -> None:
    fine_tune_case(
        energy, study, model, compressor, "target accuracy", rule=lambda: study.target_rule(model, energy.seed)
    )

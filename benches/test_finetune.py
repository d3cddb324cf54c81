"""The main job: fine-tune each model under each compressor, with early stopping, from the same starting state.

One round = one fine-tune. Accuracies count the evaluation images, which neither training nor a search has seen. This
is the paper's protocol; test_matched.py, test_target.py and test_controls.py have the others.
"""

from __future__ import annotations

from typing import Any

from energybench.lab.study import Study
from energybench.lab.trial import fine_tune_case


def test_finetune(energy: Any, study: Study, model: str, compressor: str) -> None:
    fine_tune_case(energy, study, model, compressor, "early stopping")

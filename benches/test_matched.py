"""The fine-tune at matched epochs: every compressor trains as long as the `none` case of the same seed did.

What is left of a saving then comes from the work itself and not from stopping sooner. The `none` case trains with early
stopping and says how many epochs that is; without it `--energy-epochs` does.
"""

from __future__ import annotations

from typing import Any

from energybench.lab.stopping import FixedEpochs
from energybench.lab.study import Study
from energybench.lab.trial import fine_tune_case


def test_matched(energy: Any, study: Study, model: str, compressor: str) -> None:
    def rule() -> FixedEpochs | None:
        return None if compressor == "none" else FixedEpochs(study.matched_epochs(model, energy.seed))

    fine_tune_case(energy, study, model, compressor, "matched epochs", rule=rule)

"""The paper's first open question: what do compressors do together? The main job with chains in a stated order.

Factors are dense, so low-rank comes first; clearing bits comes last, since it leaves zeros and shapes alone. One
tolerance holds for the whole chain.
"""

from __future__ import annotations

from typing import Any

from energybench.lab.study import Study
from energybench.lab.trial import fine_tune_case

COMPRESSORS = ("none", "prune+stego", "lowrank+stego", "lowrank+prune", "lowrank+prune+stego")


def test_combined(energy: Any, study: Study, model: str, compressor: str) -> None:
    fine_tune_case(energy, study, model, compressor, "early stopping")

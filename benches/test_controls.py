"""The controls of the study: what a saving must be held against before it is believed.

- `zero`: no training at all, from the same weights: what fine-tuning buys, and at what price;
- `seed`: the baseline once more in another order of the data, the A/A band that every difference must leave;
- `noise`: weights disturbed at random as far as steganographic reduction moves them; what shows here too is no effect
  of cleared bits.
"""

from __future__ import annotations

from typing import Any

import pytest

from energybench.lab.stopping import FixedEpochs
from energybench.lab.study import Study
from energybench.lab.trial import fine_tune_case

FAR = 1000
"""added to a round's seed, so that no round's seed is another round's"""


@pytest.mark.parametrize("control", ["none", "zero", "seed", "noise"])
def test_controls(energy: Any, study: Study, model: str, control: str) -> None:
    if control == "zero":
        fine_tune_case(energy, study, model, "none", "zero epochs", rule=lambda: FixedEpochs(0))
    elif control == "seed":
        fine_tune_case(energy, study, model, "none", "another seed", seed=lambda: energy.seed + FAR)
    elif control == "noise":
        fine_tune_case(energy, study, model, "noise", "random perturbation")
    else:
        fine_tune_case(energy, study, model, "none", "early stopping")

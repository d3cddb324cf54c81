"""STEP, Stable Training Epoch Projection: the energy of a whole training from the epochs that have ended.

`Projection(epochs=90).after(seen)` after every epoch gives a `model.Estimate` or says why there is none yet. numpy is
imported only where a power series is searched for its change of regime.
"""

from __future__ import annotations

from energybench.estimators import EstimateError
from energybench.estimators.step.epochs import Epoch, epochs_of
from energybench.estimators.step.power import Power
from energybench.estimators.step.projection import Projection, width
from energybench.estimators.step.stopping import EarlyStopping
from energybench.estimators.step.window import TooEarlyError

__all__ = ["EarlyStopping", "Epoch", "EstimateError", "Power", "Projection", "TooEarlyError", "epochs_of", "width"]

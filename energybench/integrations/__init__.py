"""Training loops of one's own and of frameworks, metered: laps for epochs, numbers recorded with the round.

- `laps(range(5), energy)`: a plain loop whose iterations are laps
- `energybench.integrations.lightning.EnergyCallback`, `energybench.integrations.transformers.EnergyCallback`
- `metered()`: the same without pytest, in a script or a notebook
- `energybench.integrations.mlflow.log_run(run)`: a stored run as MLflow runs

`energy` is the fixture of a test, inside the function that `energy(...)` meters, or what `metered()` gives. A framework
is imported when its own module is, never before.
"""

from __future__ import annotations

from energybench.integrations.block import Metered, metered
from energybench.integrations.loop import laps
from energybench.integrations.recorder import Recorder

__all__ = ["Metered", "Recorder", "laps", "metered"]

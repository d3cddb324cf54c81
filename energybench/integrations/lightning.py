"""Lightning: epochs and validations as laps, the logged metrics recorded. Needs `lightning` or `pytorch_lightning`."""

from __future__ import annotations

from typing import Any

from energybench.errors import UsageError
from energybench.integrations.recorder import OpenLaps, Recorder, numbers

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:
    try:
        from pytorch_lightning.callbacks import Callback  # type: ignore[assignment, unused-ignore]
    except ImportError:
        raise ImportError("EnergyCallback needs Lightning: pip install 'energybench[lightning]'") from None


class EnergyCallback(Callback):
    """`Trainer(callbacks=[EnergyCallback(energy, accuracy="val_acc")])`.

    Each training epoch is a lap `epoch`, each validation a lap `eval`, which lies in its epoch as Lightning runs it
    there; the sanity check before training is neither. At the end of training the number of epochs and what the module
    logged (`trainer.callback_metrics`) are recorded.
    """

    def __init__(self, energy: Recorder, *, accuracy: str | None = None, loss: str = "val_loss") -> None:
        """Names of logged metrics: `accuracy` is the one that is the accuracy in [0, 1], `loss` the validation loss."""
        self._laps = OpenLaps(energy)
        self._accuracy = accuracy
        self._loss = loss

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._laps.begin("epoch")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._loss in trainer.callback_metrics:
            self._laps.recorder.note(loss=trainer.callback_metrics[self._loss])
        self._laps.end("epoch")

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self._laps.begin("eval")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._laps.end("eval")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Record what was logged. UsageError where the accuracy is not among it."""
        logged = numbers(trainer.callback_metrics)
        if self._accuracy is not None:
            if self._accuracy not in logged:
                there = ", ".join(sorted(logged)) or "nothing"
                raise UsageError(f"the module logged no {self._accuracy!r} to take as accuracy; it logged {there}")
            logged["accuracy"] = logged[self._accuracy]
        self._laps.recorder.record(**{**logged, "epochs": self._laps.ended.get("epoch", 0)})

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._laps.abandon(exception)

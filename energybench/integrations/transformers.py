"""Hugging Face's Trainer: epochs and evaluations as laps, the evaluation's metrics recorded. Needs `transformers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energybench.integrations.recorder import OpenLaps, Recorder, numbers

try:
    from transformers import TrainerCallback
except ImportError:
    raise ImportError("EnergyCallback needs transformers: pip install 'energybench[transformers]'") from None

_TIMINGS = ("_runtime", "_per_second", "_time")
"""ends of names that say how fast it was, which the window says better"""


class EnergyCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """`Trainer(..., callbacks=[EnergyCallback(energy)])`.

    Each training epoch is a lap `epoch`. An evaluation that the Trainer schedules is a lap `eval`: behind its epoch, or
    inside it where evaluation goes by steps. The newest evaluation's numbers are recorded, and at the end of training
    the number of epochs and the mean training loss.
    """

    def __init__(self, energy: Recorder, *, accuracy: str = "eval_accuracy") -> None:
        """`accuracy` names the evaluation's metric that is the accuracy in [0, 1], where it has one."""
        self._laps = OpenLaps(energy)
        self._accuracy = accuracy

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._laps.begin("epoch")

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._await_evaluation(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._laps.end("epoch")
        self._await_evaluation(control)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any] = {}, **more: Any) -> None:
        self._laps.end("eval")
        found = {name: value for name, value in numbers(metrics).items() if not name.endswith(_TIMINGS)}
        if self._accuracy in found:
            found["accuracy"] = found[self._accuracy]
        found.pop("epoch", None)
        if found:
            self._laps.recorder.record(**found)
        if "eval_loss" in found:
            self._laps.recorder.note(loss=found["eval_loss"])

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        last = numbers(state.log_history[-1]) if state.log_history else {}
        loss = {"train_loss": last["train_loss"]} if "train_loss" in last else {}
        self._laps.recorder.record(epochs=self._laps.ended.get("epoch", 0), **loss)

    def _await_evaluation(self, control: Any) -> None:
        """The Trainer says that it will evaluate, and when it has; not when it begins."""
        if control.should_evaluate:
            self._laps.begin("eval")

"""The callback of Hugging Face's Trainer: in the Trainer's own order of events, and in a real Trainer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of another's library

from energybench.integrations.transformers import EnergyCallback  # noqa: E402


def test_epochs_and_evaluations_are_laps_where_the_trainer_says_so(energy: Any) -> None:
    from transformers import TrainerCallback, TrainerControl, TrainerState
    from transformers.trainer_callback import CallbackHandler, DefaultFlowCallback

    callback = EnergyCallback(energy)
    assert isinstance(callback, TrainerCallback)
    handler = CallbackHandler([DefaultFlowCallback, callback], None, None, None, None)
    steps = {"logging_strategy": "no", "save_strategy": "no", "eval_strategy": "epoch", "logging_first_step": False}
    args: Any = SimpleNamespace(**steps, eval_delay=0)
    state, control = TrainerState(global_step=0, max_steps=2, epoch=0.0), TrainerControl()
    control = handler.on_train_begin(args, state, control)
    for epoch in range(2):
        control = handler.on_epoch_begin(args, state, control)
        state.global_step, state.epoch = epoch + 1, epoch + 1.0
        control = handler.on_step_end(args, state, control)
        control = handler.on_epoch_end(args, state, control)
        assert control.should_evaluate
        metrics = {
            "eval_loss": 0.5,
            "eval_accuracy": 0.8,
            "eval_runtime": 0.1,
            "eval_samples_per_second": 9,
            "epoch": 1,
        }
        control = handler.on_evaluate(args, state, control, metrics)
    state.log_history.append({"train_loss": 0.7, "train_runtime": 1.0})
    handler.on_train_end(args, state, control)
    assert energy.events == ["+epoch", "-epoch", "+eval", "-eval"] * 2
    assert energy.metrics == {"epochs": 2, "accuracy": 0.8, "eval_accuracy": 0.8, "eval_loss": 0.5, "train_loss": 0.7}
    assert energy.losses == [0.5, 0.5]


def test_an_evaluation_that_was_not_scheduled_is_no_lap(energy: Any) -> None:
    EnergyCallback(energy).on_evaluate(None, None, None, metrics={"eval_accuracy": 0.6})
    assert (energy.events, energy.metrics) == ([], {"eval_accuracy": 0.6, "accuracy": 0.6})


def test_a_real_trainer_runs_with_it(energy: Any, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="accelerate is not installed: transformers' Trainer does not run")
    import torch

    from energybench.lab.torchvision_compat import import_torchvision

    import_torchvision()  # transformers imports it, and a wheel that is not of a CPU build of torch fails on that
    from transformers import Trainer, TrainingArguments

    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            found = self.layer(x)
            return {"loss": torch.nn.functional.mse_loss(found, labels), "logits": found}

    data: Any = [{"x": torch.ones(1), "labels": torch.ones(1)}] * 4
    args = TrainingArguments(
        str(tmp_path), num_train_epochs=2, eval_strategy="epoch", save_strategy="no", report_to=[], use_cpu=True
    )
    Trainer(Line(), args, train_dataset=data, eval_dataset=data, callbacks=[EnergyCallback(energy)]).train()
    assert energy.events == ["+epoch", "-epoch", "+eval", "-eval"] * 2
    assert energy.metrics["epochs"] == 2
    assert energy.metrics["eval_loss"] >= 0
    assert "eval_runtime" not in energy.metrics

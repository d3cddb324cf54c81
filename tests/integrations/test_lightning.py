"""Lightning's callback, in a real Trainer on the CPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("lightning") is None:
    pytest.skip("Lightning is not installed", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and loggers

from energybench.errors import UsageError  # noqa: E402
from energybench.lab.torchvision_compat import import_torchvision  # noqa: E402

if find_spec("torchvision") is not None:
    import_torchvision()  # which Lightning's metrics load; beside a torch without CUDA it fails otherwise

from energybench.integrations.lightning import EnergyCallback  # noqa: E402


def fit(callback: EnergyCallback, folder: Path, *, fails_in: int = -1) -> None:
    """Two epochs of two batches, with a validation after each."""
    import torch
    from lightning.pytorch import LightningModule, Trainer
    from torch.utils.data import DataLoader, TensorDataset

    class Line(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any, number: int) -> Any:
            if self.current_epoch == fails_in:
                raise RuntimeError("out of memory")
            return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

        def validation_step(self, batch: Any, number: int) -> None:
            self.log_dict({"val_loss": 0.25, "val_acc": 0.75})

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = DataLoader(TensorDataset(torch.ones(4, 1), torch.ones(4, 1)), batch_size=2)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=1,
        callbacks=[callback],
        default_root_dir=folder,
        enable_checkpointing=False,
        **quiet,
    )
    trainer.fit(Line(), data, data)


def test_it_is_a_callback_of_lightning() -> None:
    from lightning.pytorch import Callback

    assert issubclass(EnergyCallback, Callback)


def test_epochs_and_validations_are_laps_and_what_was_logged_is_recorded(energy: Any, tmp_path: Path) -> None:
    fit(EnergyCallback(energy, accuracy="val_acc"), tmp_path)
    assert energy.events == ["+epoch", "+eval", "-eval", "-epoch"] * 2
    assert energy.metrics == {"epochs": 2, "accuracy": 0.75, "val_acc": 0.75, "val_loss": 0.25}
    assert energy.losses == [0.25, 0.25]


def test_an_accuracy_that_was_not_logged_is_named_with_what_was(energy: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="logged no 'acc' to take as accuracy; it logged val_acc, val_loss"):
        fit(EnergyCallback(energy, accuracy="acc"), tmp_path)


def test_an_epoch_that_raised_is_a_lap_that_raised(energy: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(EnergyCallback(energy), tmp_path, fails_in=1)
    assert energy.events == ["+epoch", "+eval", "-eval", "-epoch", "+epoch", "!epoch RuntimeError"]
    assert energy.metrics == {}

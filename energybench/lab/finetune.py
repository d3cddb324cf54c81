"""Training loops of the lab: evaluation, one epoch, and a fine-tune with early stopping.

The loops are bare on purpose: images in memory, indices in batches, one synchronisation per epoch. What a benchmark
meters here is the model's work and not a framework's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from energybench.errors import DataError, EnergybenchError, UsageError
from energybench.lab.data import Data, Part
from energybench.lab.profiles import Recipe

Lap = Callable[[str], AbstractContextManager[Any]]


class DivergenceError(EnergybenchError):
    """The loss became infinite or no number."""


class Hooks(Protocol):
    """What a compressor wants to be told while its model trains."""

    def epoch_end(self) -> None:
        """Called after the last step of an epoch, before its validation."""
        ...


Training = Callable[[torch.optim.Optimizer], AbstractContextManager[Hooks]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A pass over a part without learning."""

    correct: int
    total: int
    loss: float
    """mean cross entropy in nats"""

    @property
    def accuracy(self) -> float:
        """Share of correct answers in [0, 1]."""
        return self.correct / self.total


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training images."""

    images: int
    steps: int
    loss: float
    """mean over the steps"""


@dataclass(frozen=True, slots=True)
class FineTune:
    """What a fine-tune did. The model then has the weights of the best epoch."""

    epochs: int
    images: int
    """training images seen, all epochs together"""
    steps: int
    best_epoch: int
    """1-based; the epoch of the lowest validation loss"""
    stopped_early: bool
    losses: tuple[float, ...]
    """validation loss after each epoch"""
    train_losses: tuple[float, ...]
    evaluation: Evaluation
    """the restored weights on the evaluation images"""

    @property
    def accuracy(self) -> float:
        """Share of the evaluation images that the restored weights get right."""
        return self.evaluation.accuracy


@dataclass(slots=True)
class EarlyStopping:
    """Stops after `patience` epochs in a row whose loss fell by no more than `min_delta` below the best before.

    The first epoch always counts as an improvement. A patience of 0 never stops. Two bests are kept: the one that
    improvements are counted against moves only by more than `min_delta`; `best_epoch` is the lowest loss of all.
    """

    patience: int
    min_delta: float
    best_epoch: int = 0
    lowest: float = math.inf
    _reference: float = math.inf
    _waited: int = 0
    _epoch: int = field(default=0)

    def update(self, loss: float) -> bool:
        """Take the validation loss of the next epoch; True where training should stop now."""
        self._epoch += 1
        if loss < self.lowest:
            self.lowest, self.best_epoch = loss, self._epoch
        if loss < self._reference - self.min_delta:
            self._reference, self._waited = loss, 0
        else:
            self._waited += 1
        return 0 < self.patience <= self._waited


def device() -> torch.device:
    """Where the lab trains: the current CUDA device where there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def optimizer(
    model: nn.Module, name: str, lr: float, weight_decay: float, momentum: float = 0.9
) -> torch.optim.Optimizer:
    """torch's fused optimiser: one pass over the weights instead of several, 5 to 6 times faster on a CPU."""
    if name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay, fused=_fusable(model)
        )
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay, fused=_fusable(model))
    raise UsageError(f"unknown optimizer {name!r}; there are sgd and adamw")


def _fusable(model: nn.Module) -> bool:
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in model.parameters())


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """The multiplications of a recipe: fp32 exactly, tf32 on tensor cores, or autocast to bf16; undone at the end.

    Raises UsageError for tf32 and bf16 without a GPU: CPUs that emulate bf16 are 30 times slower than in fp32.
    """
    if precision != "fp32" and not torch.cuda.is_available():
        raise UsageError(f"precision {precision} needs a CUDA GPU; use fp32 here")
    # Said explicitly either way: cuDNN's own default is TF32, which would be recorded as fp32.
    places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn) if torch.cuda.is_available() else ()
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = precision == "tf32"
        with torch.autocast("cuda", torch.bfloat16) if precision == "bf16" else nullcontext():
            yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value


def evaluate(model: nn.Module, part: Part, batch: int = 100) -> Evaluation:
    """Count what the model gets right in a part, in evaluation mode; the mode is restored."""
    where = next(model.parameters()).device
    correct = torch.zeros((), dtype=torch.int64, device=where)
    loss = torch.zeros((), dtype=torch.float64, device=where)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for x, y in part.batches(batch, where):
                logits = model(x)
                correct += (logits.argmax(1) == y).sum()
                loss += F.cross_entropy(logits.float(), y, reduction="sum")
    finally:
        model.train(training)
    return Evaluation(int(correct), len(part), float(loss) / len(part))


def one_epoch(
    model: nn.Module,
    part: Part,
    steps_with: torch.optim.Optimizer,
    batch: int,
    *,
    order: Tensor | None = None,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    number: int = 1,
) -> Epoch:
    """One pass over `part` in `order` (a permutation of its indices), with a step per batch.

    Leaves the model in training mode. A last batch of a single image is left out: BatchNorm cannot train on it.
    Raises DivergenceError naming epoch `number`, the step and the learning rate where a loss is not finite.
    """
    where = next(model.parameters()).device
    model.train()
    losses: list[Tensor] = []
    rates: list[float] = []
    images = 0
    for x, y in part.batches(batch, where, order):
        if len(y) == 1:
            continue
        steps_with.zero_grad(set_to_none=True)
        output = model(x)
        if isinstance(output, tuple):
            # InceptionV3 with its auxiliary head, weighted as in its paper (Szegedy et al. 2015).
            loss = F.cross_entropy(output[0], y) + 0.4 * F.cross_entropy(output[1], y)
        else:
            loss = F.cross_entropy(output, y)
        loss.backward()
        steps_with.step()
        rates.append(steps_with.param_groups[0]["lr"])
        if schedule is not None:
            schedule.step()
        losses.append(loss.detach())
        images += len(y)
    if not losses:
        raise DataError("one epoch needs at least two training images")
    # Looked at once per epoch: reading each loss would stall a GPU at every step.
    values = torch.stack(losses).float()
    if not torch.isfinite(values).all():
        step = int((~torch.isfinite(values)).nonzero()[0])
        raise DivergenceError(
            f"the loss became {values[step].item()} in epoch {number}, step {step + 1}, at a learning rate of "
            f"{rates[step]:g}; lower it with --energy-set lr=..."
        )
    return Epoch(images, len(losses), values.mean().item())


def fine_tune(
    model: nn.Module,
    data: Data,
    recipe: Recipe,
    *,
    seed: int = 0,
    lap: Lap | None = None,
    training: Training | None = None,
) -> FineTune:
    """Train with early stopping on the validation loss, restore the best epoch's weights, evaluate them.

    `seed` fixes the order of the images (dropout draws from torch's global generator). `lap` is called with `epoch`
    around every pass and with `eval` around every validation and the last evaluation. `training` is a compressor's
    context (`compressed.training`), entered with the optimiser. The model is trained where its parameters are.
    Raises DivergenceError where a loss is not finite.
    """
    lap = lap or (lambda label: nullcontext())
    steps_with = optimizer(model, recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.momentum)
    generator = torch.Generator().manual_seed(seed)
    stopping = EarlyStopping(recipe.patience, recipe.min_delta)
    best: dict[str, Tensor] = {}
    passes: list[Epoch] = []
    losses: list[float] = []
    stop = False
    hooked = nullcontext(None) if training is None else training(steps_with)
    with arithmetic(recipe.precision), hooked as hooks:
        while not stop and len(passes) < recipe.epochs:
            number = len(passes) + 1
            with lap("epoch"):
                order = torch.randperm(len(data.train), generator=generator)
                passes.append(one_epoch(model, data.train, steps_with, recipe.batch, order=order, number=number))
                if hooks is not None:
                    hooks.epoch_end()
            with lap("eval"):
                loss = evaluate(model, data.validation).loss
            if not math.isfinite(loss):
                raise DivergenceError(
                    f"the validation loss is {loss} after epoch {number} at a learning rate of {recipe.lr:g}; "
                    "lower it with --energy-set lr=..."
                )
            losses.append(loss)
            stop = stopping.update(loss)
            if stopping.best_epoch == number and not stop and number < recipe.epochs:
                _copy(model, best)
        if best and stopping.best_epoch < len(passes):
            model.load_state_dict(best)
        best.clear()
        with lap("eval"):
            final = evaluate(model, data.evaluation)
    return FineTune(
        epochs=len(passes),
        images=sum(item.images for item in passes),
        steps=sum(item.steps for item in passes),
        best_epoch=stopping.best_epoch,
        stopped_early=stop,
        losses=tuple(losses),
        train_losses=tuple(item.loss for item in passes),
        evaluation=final,
    )


def _copy(model: nn.Module, into: dict[str, Tensor]) -> None:
    """The model's state, in the tensors of an earlier copy where there is one."""
    for key, value in model.state_dict().items():
        if key in into:
            into[key].copy_(value)
        else:
            into[key] = value.detach().clone()

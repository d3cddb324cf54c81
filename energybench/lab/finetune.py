"""Training loops of the lab: evaluation, one epoch, and a fine-tune that ends by a rule.

The loops are bare on purpose: images in memory, indices in batches, one synchronisation per epoch. What a benchmark
meters here is the model's work and not a framework's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from energybench.errors import DataError, EnergybenchError
from energybench.lab.arithmetic import arithmetic
from energybench.lab.data import Data, Part
from energybench.lab.optimizer import optimizer
from energybench.lab.powerprop import powerpropagation
from energybench.lab.profiles import Recipe
from energybench.lab.scores import Tally
from energybench.lab.stopping import EarlyStopping, Rule

Lap = Callable[[str], AbstractContextManager[Any]]


class DivergenceError(EnergybenchError):
    """The loss became infinite or no number."""


class Hooks(Protocol):
    """What a compressor wants to be told while its model trains."""

    def epoch_end(self) -> None:
        """Called after the last step of an epoch, before its validation."""
        ...

    def finish(self) -> None:
        """Called when training is over and the weights to be kept are in the model."""
        ...

    def scale(self, loss: Tensor) -> Tensor:
        """The loss to call `backward` on."""
        ...

    @property
    def changes(self) -> bool:
        """Whether `finish` may change weights."""
        ...


Training = Callable[[torch.optim.Optimizer], AbstractContextManager[Hooks]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A pass over a part without learning."""

    correct: int
    total: int
    """answers: images, or tokens of a language model"""
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
    """1-based; the epoch of the lowest validation loss, 0 where nothing was trained"""
    stopped_early: bool
    losses: tuple[float, ...]
    """validation loss after each epoch"""
    accuracies: tuple[float, ...]
    """validation accuracy after each epoch"""
    reached: bool | None
    """whether the target accuracy was reached; None where there was none"""
    train_losses: tuple[float, ...]
    evaluation: Evaluation
    """the restored weights on the evaluation images"""

    @property
    def accuracy(self) -> float:
        """Share of the evaluation images that the restored weights get right."""
        return self.evaluation.accuracy

    @property
    def validation_accuracy(self) -> float | None:
        """On the validation images, with the weights of the best epoch; None where nothing was trained."""
        return self.accuracies[self.best_epoch - 1] if self.best_epoch else None


def evaluate(model: nn.Module, part: Part, batch: int | None = None, *, tally: Tally | None = None) -> Evaluation:
    """Count what the model gets right in a part, in evaluation mode; the mode is restored.

    `batch` is the part's own `evaluation_batch` by default. `tally` counts the answers by class too, for macro F1.
    """
    where = next(model.parameters()).device
    total = 0
    correct = torch.zeros((), dtype=torch.int64, device=where)
    loss = torch.zeros((), dtype=torch.float64, device=where)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for x, y in part.batches(batch or part.evaluation_batch, where):
                logits = model(x)
                answers = logits.argmax(1)
                correct += (answers == y).sum()
                if tally is not None:
                    tally.add(answers, y)
                loss += F.cross_entropy(logits.float(), y, reduction="sum")
                total += y.numel()
    finally:
        model.train(training)
    return Evaluation(int(correct), total, float(loss) / total)


def training_loss(output: Tensor | tuple[Tensor, Tensor], y: Tensor) -> Tensor:
    """Mean cross entropy in nats of what a model answers in training mode.

    Of InceptionV3 with its auxiliary head that is a pair, weighted as in its paper (Szegedy et al. 2015).
    """
    if isinstance(output, tuple):
        return F.cross_entropy(output[0], y) + 0.4 * F.cross_entropy(output[1], y)
    return F.cross_entropy(output, y)


def one_epoch(
    model: nn.Module,
    part: Part,
    steps_with: torch.optim.Optimizer,
    batch: int,
    *,
    order: Tensor | None = None,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    hooks: Hooks | None = None,
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
        loss = training_loss(model(x), y)
        (loss if hooks is None else hooks.scale(loss)).backward()
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
    rule: Rule | None = None,
) -> FineTune:
    """Train until `rule` ends it, keep the weights that it says, evaluate them.

    `rule` is early stopping on the validation loss by default, as the recipe says. `seed` fixes the order of the images
    (dropout draws from torch's global generator). `lap` is called with `epoch` around every pass and with `eval`
    around every validation and the last evaluation. `training` is a compressor's context (`compressed.training`),
    entered with the optimiser. The model is trained where its parameters are.
    Raises DivergenceError where a loss is not finite.
    """
    lap = lap or (lambda label: nullcontext())
    rule = rule or EarlyStopping(recipe.patience, recipe.min_delta)
    with powerpropagation(model, recipe.powerprop):
        return _fine_tune(model, data, recipe, seed, lap, training, rule)


def _fine_tune(
    model: nn.Module, data: Data, recipe: Recipe, seed: int, lap: Lap, training: Training | None, rule: Rule
) -> FineTune:
    limit = rule.limit(recipe.epochs)
    steps_with = optimizer(model, recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.momentum)
    generator = torch.Generator().manual_seed(seed)
    best: dict[str, Tensor] = {}
    passes: list[Epoch] = []
    seen: list[Evaluation] = []
    stop = False
    hooked = nullcontext(None) if training is None else training(steps_with)
    with arithmetic(recipe.precision), hooked as hooks:
        if rule.looks_first:
            with lap("eval"):
                stop = rule.look(evaluate(model, data.validation))
        while not stop and len(passes) < limit:
            number = len(passes) + 1
            with lap("epoch"):
                order = torch.randperm(len(data.train), generator=generator)
                passes.append(
                    one_epoch(model, data.train, steps_with, recipe.batch, order=order, hooks=hooks, number=number)
                )
                if hooks is not None:
                    hooks.epoch_end()
            with lap("eval"):
                seen.append(evaluate(model, data.validation))
            if not math.isfinite(seen[-1].loss):
                raise DivergenceError(
                    f"the validation loss is {seen[-1].loss} after epoch {number} at a learning rate of "
                    f"{recipe.lr:g}; lower it with --energy-set lr=..."
                )
            stop = rule.update(seen[-1])
            if rule.restores and rule.best_epoch == number and not stop and number < limit:
                _copy(model, best)
        if rule.restores and best and rule.best_epoch < len(passes):
            model.load_state_dict(best)
        best.clear()
        if hooks is not None:
            hooks.finish()
            if hooks.changes and rule.reached:  # with other weights than those that are kept now
                with lap("eval"):
                    rule.look(evaluate(model, data.validation))
        with lap("eval"):
            final = evaluate(model, data.evaluation)
    return FineTune(
        epochs=len(passes),
        images=sum(item.images for item in passes),
        steps=sum(item.steps for item in passes),
        best_epoch=rule.best_epoch if rule.restores else len(passes),
        stopped_early=stop,
        losses=tuple(item.loss for item in seen),
        accuracies=tuple(item.accuracy for item in seen),
        reached=rule.reached,
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

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from energybench.errors import DataError
from energybench.lab import finetune
from energybench.lab.data import Data, TensorPart, load
from energybench.lab.finetune import DivergenceError, Evaluation, evaluate, fine_tune, one_epoch
from energybench.lab.models import build
from energybench.lab.optimizer import optimizer
from energybench.lab.profiles import Recipe, recipe
from energybench.lab.stopping import FixedEpochs, UntilTarget


def random_part(images: int, classes: int = 3, seed: int = 0) -> TensorPart:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (images, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return TensorPart(pixels, torch.randint(0, classes, (images,), generator=generator), 0.5, 0.25)


def random_data() -> Data:
    parts = [random_part(24, seed=seed) for seed in range(5)]
    return Data("random", 3, 8, *parts, split_hash="")


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 3))


def test_the_best_epochs_weights_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = linear(), random_data()
    scripted = iter([1.0, 0.5, 2.0, 3.0])
    states: list[Tensor] = []

    def script(model: nn.Module, part: Any, batch: int = 100) -> Evaluation:
        if part is data.evaluation:
            return Evaluation(7, 24, 0.1)
        states.append(model.state_dict()["1.weight"].clone())
        return Evaluation(1, 24, next(scripted))

    monkeypatch.setattr(finetune, "evaluate", script)
    done = fine_tune(model, data, Recipe(epochs=9, patience=2, batch=8), seed=0)
    assert (done.epochs, done.best_epoch, done.stopped_early) == (4, 2, True)
    assert done.losses == (1.0, 0.5, 2.0, 3.0)
    assert (done.images, done.steps) == (4 * 24, 4 * 3)
    assert done.accuracy == 7 / 24
    assert not torch.equal(states[1], states[3])
    torch.testing.assert_close(model.state_dict()["1.weight"], states[1], rtol=0, atol=0)


def test_epochs_and_evaluations_are_laps_and_hooks_hear_of_every_epoch() -> None:
    laps: list[str] = []
    heard: list[str] = []

    @contextmanager
    def lap(label: str) -> Iterator[None]:
        laps.append(label)
        yield

    class Hooks:
        changes = False

        def epoch_end(self) -> None:
            heard.append("epoch")

        def finish(self) -> None:
            heard.append("finish")

        def scale(self, loss: Tensor) -> Tensor:
            heard.append("step")
            return loss

    @contextmanager
    def training(steps_with: torch.optim.Optimizer) -> Iterator[Hooks]:
        heard.append("open")
        yield Hooks()
        heard.append("close")

    done = fine_tune(linear(), random_data(), Recipe(epochs=2, batch=8), lap=lap, training=training)
    assert done.epochs == 2
    assert not done.stopped_early
    assert laps == ["epoch", "eval"] * 2 + ["eval"]
    assert heard == ["open", *["step"] * 3, "epoch", *["step"] * 3, "epoch", "finish", "close"]


def test_a_scaled_loss_is_what_the_gradients_come_from() -> None:
    class Doubling:
        def epoch_end(self) -> None: ...

        def finish(self) -> None: ...

        def scale(self, loss: Tensor) -> Tensor:
            return 2 * loss

    part, twice, plain = random_part(8), linear(), linear()
    one_epoch(twice, part, torch.optim.SGD(twice.parameters(), 0.1), 8, hooks=Doubling())
    one_epoch(plain, part, torch.optim.SGD(plain.parameters(), 0.2), 8)
    torch.testing.assert_close(twice.state_dict(), plain.state_dict())


def test_no_epochs_leave_the_model_as_it_was_and_evaluate_it_once() -> None:
    model, data = linear(), random_data()
    before = model.state_dict()["1.weight"].clone()
    done = fine_tune(model, data, Recipe(epochs=3, batch=8), rule=FixedEpochs(0))
    assert (done.epochs, done.best_epoch, done.losses, done.validation_accuracy) == (0, 0, (), None)
    assert done.evaluation == evaluate(model, data.evaluation)
    assert torch.equal(model.state_dict()["1.weight"], before)


def test_fixed_epochs_go_on_where_early_stopping_would_end_and_beyond_the_recipes_limit() -> None:
    done = fine_tune(linear(), random_data(), Recipe(epochs=2, patience=1, batch=8), rule=FixedEpochs(5))
    assert done.epochs == len(done.losses) == len(done.accuracies) == 5


def test_a_target_ends_the_training_in_the_epoch_that_reaches_it_and_keeps_its_weights() -> None:
    model, data = linear(), random_data()
    free = fine_tune(model, data, Recipe(epochs=9, batch=8, lr=0.05), rule=FixedEpochs(9), seed=3)
    best = max(free.accuracies)
    first = free.accuracies.index(best) + 1
    again = linear()
    rule = UntilTarget(best)
    if evaluate(again, data.validation).accuracy >= best:
        pytest.fail("the untrained model is at the target already: choose other data")
    done = fine_tune(again, data, Recipe(epochs=9, batch=8, lr=0.05), rule=rule, seed=3)
    assert (done.epochs, done.reached, done.best_epoch) == (first, True, first)
    assert evaluate(again, data.validation).accuracy == best


def test_a_target_that_the_model_has_already_needs_no_epoch_and_one_out_of_reach_is_not_reached() -> None:
    assert fine_tune(linear(), random_data(), Recipe(batch=8), rule=UntilTarget(0.0)).epochs == 0
    done = fine_tune(linear(), random_data(), Recipe(epochs=2, batch=8), rule=UntilTarget(1.0, most=3))
    assert (done.epochs, done.reached) == (3, False)


def test_an_accuracy_counts_answers_not_examples() -> None:
    class Tokens:
        evaluation_batch = 2
        predictions = 4

        def __len__(self) -> int:
            return 2

        def batches(self, batch: int, device: torch.device, order: Tensor | None = None) -> Iterator[Any]:
            yield torch.tensor([[0, 1], [1, 0]]), torch.tensor([[0, 1], [1, 1]])

    table = nn.Embedding.from_pretrained(torch.eye(2), freeze=False)
    model = nn.Sequential(table, Transpose())
    seen = evaluate(model, Tokens())
    assert (seen.correct, seen.total) == (3, 4)
    right, wrong = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    assert seen.loss == pytest.approx((3 * right + wrong) / 4)


class Transpose(nn.Module):
    """[B, T, V] as [B, V, T], which is how losses over tokens want their logits."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


def test_the_same_seed_trains_the_same_model_and_another_does_not() -> None:
    def trained(seed: int) -> Tensor:
        model = linear()
        fine_tune(model, random_data(), Recipe(epochs=2, batch=8), seed=seed)
        return model.state_dict()["1.weight"]

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


def test_one_epoch_does_what_a_bare_loop_does() -> None:
    part, mine, theirs = random_part(20), linear(), linear()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(3))
    done = one_epoch(mine, part, optimizer(mine, "sgd", 0.01, 1e-4, 0.9), 8, order=order)
    plain = torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    x = ((part.images.float() / 255 - 0.5) / 0.25).expand(-1, 3, -1, -1)
    losses = []
    for chosen in order.split(8):
        plain.zero_grad()
        loss = nn.functional.cross_entropy(theirs(x[chosen]), part.labels[chosen])
        loss.backward()
        plain.step()
        losses.append(loss.item())
    assert (done.images, done.steps) == (20, 3)
    assert done.loss == pytest.approx(sum(losses) / 3, rel=1e-5)
    torch.testing.assert_close(mine.state_dict(), theirs.state_dict())


def test_evaluation_counts_and_leaves_the_mode_alone() -> None:
    model, part = nn.Sequential(linear(), nn.Dropout(0.9)).train(), random_part(30)
    found = evaluate(model, part, batch=7)
    logits = model.eval()(((part.images.float() / 255 - 0.5) / 0.25).expand(-1, 3, -1, -1))
    assert found.correct == int((logits.argmax(1) == part.labels).sum())
    assert found.loss == pytest.approx(nn.functional.cross_entropy(logits, part.labels).item(), rel=1e-5)
    assert found.accuracy == found.correct / 30
    model.train()
    evaluate(model, part)
    assert model.training


def test_a_last_batch_of_one_image_is_left_out() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3))
    assert one_epoch(model, random_part(9), optimizer(model, "sgd", 0.01, 0), 8).images == 8
    with pytest.raises(DataError, match="at least two"):
        one_epoch(model, random_part(1), optimizer(model, "sgd", 0.01, 0), 8)


def test_a_loss_that_is_no_number_names_epoch_step_and_learning_rate() -> None:
    model = linear()

    def poison(steps_with: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        model.state_dict()["1.weight"].fill_(math.nan)

    steps_with = optimizer(model, "sgd", 0.25, 0)
    steps_with.register_step_post_hook(poison)
    with pytest.raises(DivergenceError, match=r"became nan in epoch 3, step 2, at a learning rate of 0\.25"):
        one_epoch(model, random_part(24), steps_with, 8, number=3)


def test_a_validation_loss_that_is_no_number_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "evaluate", lambda model, part: Evaluation(0, 24, math.nan))
    with pytest.raises(DivergenceError, match=r"validation loss is nan after epoch 1 at a learning rate of 0\.01"):
        fine_tune(linear(), random_data(), Recipe(epochs=2, batch=8))


def test_the_auxiliary_output_counts_with_its_weight() -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = linear()

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor] | Tensor:
            logits = self.inner(x)
            return (logits, logits) if self.training else logits

    single, double = linear(), TwoHeads()
    part = random_part(8)
    one = one_epoch(single, part, optimizer(single, "sgd", 0.01, 0), 8)
    two = one_epoch(double, part, optimizer(double, "sgd", 0.01, 0), 8)
    assert two.loss == pytest.approx(1.4 * one.loss, rel=1e-5)


def test_tiny_learns_the_digits_from_random_weights() -> None:
    chosen = recipe(
        "quick", "tiny", train_images=500, pretrain_images=0, epochs=5, optimizer="adamw", lr=3e-3, patience=0
    )
    torch.manual_seed(0)
    model, data = build("tiny", 10, chosen.pixels), load("digits", chosen)
    before = evaluate(model, data.evaluation).accuracy
    done = fine_tune(model, data, chosen, seed=0)
    assert done.accuracy > 0.8 > 0.4 > before
    assert done.train_losses[-1] < done.train_losses[0]

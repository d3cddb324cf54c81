from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.profiler import ProfilerActivity, profile

from energybench.compress import LowRank, forward_flops
from energybench.errors import UsageError
from energybench.lab.intensity import forward_intensity, training_intensity
from energybench.lab.models import build

F32 = 4


def perceptron() -> nn.Module:
    """8 -> 4 -> 2: weights 32 + 4 and 8 + 2, activations 8, 4, 4, 2 an image."""
    return nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))


PARAMETERS = 32 + 4 + 8 + 2
INPUTS, OUTPUTS, INNER = 8 + 4 + 4, 4 + 4 + 2, 4 + 4
FLOPS = 2 * (8 * 4 + 4 * 2)


@pytest.mark.parametrize("batch", [1, 2, 23])
def test_a_forward_pass_reads_weights_once_per_batch_and_every_input_and_output(batch: int) -> None:
    found = forward_intensity(perceptron(), torch.zeros(1, 8), batch)
    assert found.flops_per_image == FLOPS
    assert found.bytes_per_image == round(F32 * (PARAMETERS / batch + INPUTS + OUTPUTS))
    assert found.flops_per_byte == pytest.approx(FLOPS / found.bytes_per_image)
    assert found.batch == batch


@pytest.mark.parametrize(("optimizer", "momentum", "states"), [("sgd", 0.9, 1), ("sgd", 0.0, 0), ("adamw", 0.9, 2)])
def test_a_training_step_is_counted_by_hand(optimizer: str, momentum: float, states: int) -> None:
    batch = 2
    found = training_intensity(perceptron(), torch.zeros(1, 8), batch, optimizer=optimizer, momentum=momentum)
    forward_and_backward = 2 * PARAMETERS
    gradients = 2 * PARAMETERS
    update = 2 * PARAMETERS + 2 * states * PARAMETERS
    forward = INPUTS + OUTPUTS
    backward = OUTPUTS + INPUTS + INNER  # no gradient of the images themselves
    expected = (forward_and_backward + gradients + update) / batch + forward + backward
    assert found.bytes_per_image == F32 * expected
    assert found.flops_per_image == 3 * FLOPS


def test_frozen_weights_are_read_but_have_no_gradient_and_no_state() -> None:
    model = perceptron()
    whole = training_intensity(model, torch.zeros(1, 8), 1).bytes_per_image
    model[0].requires_grad_(False)
    assert whole - training_intensity(model, torch.zeros(1, 8), 1).bytes_per_image == F32 * 6 * (32 + 4)


def test_convolutions_are_counted_by_hand_whatever_the_examples_batch() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, groups=1), nn.Conv2d(4, 4, 3, stride=2, groups=2, bias=False))
    image, first, second = 3 * 36, 4 * 36, 4 * 4
    weights = 4 * 3 * 9 + 4 + 4 * 2 * 9
    for examples in (1, 3):
        found = forward_intensity(model, torch.zeros(examples, 3, 6, 6), 5)
        assert found.flops_per_image == 2 * (first * 3 * 9 + second * 2 * 9)
        assert found.bytes_per_image == round(F32 * (weights / 5 + image + first + first + second))


def test_half_precision_moves_half_the_bytes() -> None:
    single = training_intensity(perceptron(), torch.zeros(1, 8), 4)
    half = training_intensity(perceptron().bfloat16(), torch.zeros(1, 8, dtype=torch.bfloat16), 4)
    assert half.bytes_per_image == single.bytes_per_image / 2
    assert half.flops_per_byte == pytest.approx(2 * single.flops_per_byte)


def test_modules_that_hand_their_input_on_move_nothing_and_work_in_place_moves_all() -> None:
    plain = forward_intensity(perceptron(), torch.zeros(1, 8), 1)
    views = nn.Sequential(nn.Flatten(), nn.Identity(), *perceptron(), nn.Dropout(0.5), nn.Unflatten(1, (2, 1)))
    assert forward_intensity(views, torch.zeros(1, 2, 4), 1) == plain
    inplace = nn.Sequential(nn.Linear(8, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    assert forward_intensity(inplace, torch.zeros(1, 8), 1) == plain
    training = training_intensity(views, torch.zeros(1, 2, 4), 1)
    assert training == training_intensity(perceptron(), torch.zeros(1, 8), 1)


class Squared(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight * weight.abs()


def test_what_computes_a_layers_weight_is_no_activation() -> None:
    plain, parametrized = perceptron(), perceptron()
    parametrize.register_parametrization(parametrized[0], "weight", Squared())
    for count in (forward_intensity, training_intensity):
        assert count(parametrized, torch.zeros(1, 8), 4) == count(plain, torch.zeros(1, 8), 4)


class Dictionaries(nn.Module):
    """Takes ids and hands its parts tensors by name and in nested containers, as language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4)
        self.pair = Pair()

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        (one, two), _ = self.pair(left=self.table(ids), right=[torch.zeros(1, 3, 4)])
        return {"logits": one + two}


class Pair(nn.Module):
    def forward(self, *, left: Tensor, right: list[Tensor]) -> tuple[list[Tensor], None]:
        return [left * 2, right[0] * 3], None


def test_tensors_are_found_in_named_arguments_and_nested_containers() -> None:
    ids = torch.zeros(1, 3, dtype=torch.int64)
    found = forward_intensity(Dictionaries(), ids, 1)
    embedding = 3 * 8 + 12 * F32
    assert found.bytes_per_image == 40 * F32 + embedding + 4 * 12 * F32
    # Ids have no gradient; what the pair reads has.
    step = training_intensity(Dictionaries(), ids, 1, momentum=0.0)
    assert step.bytes_per_image == 6 * 40 * F32 + 2 * (embedding + 4 * 12 * F32) + 2 * 12 * F32


def flops_of(model: nn.Module, images: Tensor, *names: str, backward: bool = False) -> int:
    """What torch's profiler counts for the named operations, all images together."""
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as seen:
        output = model(images)
        if backward:
            output.sum().backward()
    return sum(event.flops for event in seen.key_averages() if event.key in names)


def test_the_forward_pass_has_the_flops_that_torchs_profiler_counts() -> None:
    torch.manual_seed(0)
    model, images = build("tiny", 10, 16).eval(), torch.randn(4, 3, 16, 16)
    assert (
        flops_of(model, images, "aten::conv2d", "aten::addmm")
        == 4 * forward_intensity(model, images, 4).flops_per_image
    )


def test_a_training_step_has_the_profilers_flops_but_for_the_images_gradient() -> None:
    model, images = perceptron(), torch.randn(16, 8)
    counted = flops_of(model, images, "aten::addmm", "aten::mm", backward=True)
    assert counted == 16 * (training_intensity(model, images, 16).flops_per_image - 2 * 8 * 4)


def test_a_larger_batch_shares_the_weights_out_and_raises_the_intensity() -> None:
    model, image = build("tiny", 10, 16), torch.zeros(1, 3, 16, 16)
    found = [training_intensity(model, image, batch) for batch in (1, 8, 64)]
    assert len({each.flops_per_image for each in found}) == 1
    assert found[0].flops_per_byte < found[1].flops_per_byte < found[2].flops_per_byte


def test_factorised_and_narrower_networks_show_less() -> None:
    torch.manual_seed(0)
    image = torch.zeros(1, 3, 16, 16)
    whole = build("tiny", 10, 16)
    factorised = LowRank(rank=0.2)(whole).model
    before, after = (training_intensity(model, image, 32) for model in (whole, factorised))
    assert after.flops_per_image == 3 * forward_flops(factorised, image) < before.flops_per_image
    # Two layers in place of one write one activation more, but at so low a rank weights and operations win.
    assert forward_intensity(factorised, image, 1).bytes_per_image < forward_intensity(whole, image, 1).bytes_per_image
    wide, narrow = (
        nn.Sequential(nn.Conv2d(3, n, 3), nn.BatchNorm2d(n), nn.ReLU(), nn.Conv2d(n, 8, 3)) for n in (16, 8)
    )
    before, after = (training_intensity(model, image, 32) for model in (wide, narrow))
    assert after.flops_per_image == before.flops_per_image / 2
    assert after.bytes_per_image < before.bytes_per_image


def test_counting_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    model = build("tiny", 10, 16).train()
    model[1].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    image = torch.randn(2, 3, 16, 16)
    given = image.clone()
    training_intensity(nn.Sequential(nn.ReLU(inplace=True), model), image, 8)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(image, given)


def test_images_made_in_inference_mode_are_counted_too() -> None:
    with torch.inference_mode():
        image = torch.zeros(1, 8)
    assert forward_intensity(perceptron(), image, 1) == forward_intensity(perceptron(), torch.zeros(1, 8), 1)


def test_what_a_quantised_copy_saves_is_not_read() -> None:
    found = forward_intensity(perceptron(), torch.zeros(1, 8), 2, saved_bytes=50)
    assert found.bytes_per_image == F32 * (PARAMETERS / 2 + INPUTS + OUTPUTS) - 25


def test_facts_are_plain_json() -> None:
    found = training_intensity(perceptron(), torch.zeros(1, 8), 32)
    assert json.loads(json.dumps(found.as_facts(), allow_nan=False)) == {
        "flops_per_image": found.flops_per_image,
        "bytes_per_image": found.bytes_per_image,
        "flops_per_byte": found.flops_per_image / found.bytes_per_image,
        "batch": 32,
        "covers": found.covers,
    }
    assert "training step with sgd" in found.covers


@pytest.mark.parametrize("batch", [0, -1, 1.5, True])
def test_a_batch_has_at_least_one_image(batch: int) -> None:
    with pytest.raises(UsageError, match="a batch has at least one image"):
        training_intensity(perceptron(), torch.zeros(1, 8), batch)


def test_what_cannot_be_counted_is_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match="unknown optimizer 'lion'; there are sgd and adamw"):
        training_intensity(perceptron(), torch.zeros(1, 8), 1, optimizer="lion")
    with pytest.raises(UsageError, match="must hold at least one image"):
        forward_intensity(perceptron(), torch.zeros(0, 8), 1)
    with pytest.raises(UsageError, match="nothing to count"):
        forward_intensity(nn.Identity(), torch.zeros(1, 8), 1)

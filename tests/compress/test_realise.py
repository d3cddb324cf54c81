"""Models moved to lower precisions: what becomes of weights, passes, copies and training, on what this machine runs."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from energybench.compress.arithmetic import LossScaling, in_float32, run_in, tf32_products
from energybench.compress.compressed import Compressed, NoCompression
from energybench.compress.layers import covered_weights
from energybench.compress.lowbit import dense, stored_tensors
from energybench.compress.precision import probe
from energybench.compress.realise import TARGETS, Realised, UnavailableError, realise, required_bits
from energybench.compress.stochastic import StochasticRoundingSGD
from energybench.errors import CompressionError, UsageError
from energybench.lab.models import NINE, build

HALF = pytest.mark.parametrize("target", ["bfloat16", "autocast", "float16"])
CLEARED = {"bfloat16": 16, "autocast": 16, "float16": 13, "int8": 20, "float8": 20}


def clear(model: nn.Module, bits: int) -> tuple[str, ...]:
    """Truncate the covered weights; returns their names."""
    weights = covered_weights(model)
    for weight in weights.values():
        weight.detach().view(torch.int32).bitwise_and_(-1 << bits)
    return tuple(weights)


def moved(network: nn.Module, target: str, **options: Any) -> Realised:
    bits = CLEARED[target]
    names = clear(network, bits)
    if target == "float16":  # nothing between its numbers
        for name in names:
            weight = network.get_parameter(name).detach()
            weight.copy_(weight.half().float())
    return realise(network, target, bits, names, slow=True, **options)


def trained(realised: Realised, images: Tensor, steps: int = 20) -> list[float]:
    """Losses of a training towards ten fixed labels, through the hooks that a compressor's result has."""
    parameters = realised.model.parameters()
    optimizer = StochasticRoundingSGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-4)
    labels = torch.arange(len(images)) % 10
    report = NoCompression()(nn.Linear(1, 1)).report
    losses = []
    realised.model.train()
    with Compressed(realised.model, report, realised.upkeep).training(optimizer) as hooks:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(realised.model(images), labels)
            hooks.scale(loss).backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test_bfloat16_halves_the_covered_weights_and_keeps_every_value_and_name(network: nn.Sequential) -> None:
    names = clear(network, 16)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    held = network.get_parameter("0.weight")
    done = realise(network, "bfloat16", 16, names, slow=True)
    assert done.model is network
    assert done.dtype == "bfloat16"
    assert done.changed
    assert network.get_parameter("0.weight") is held
    after = done.model.state_dict()
    assert after.keys() == before.keys()
    for name, value in after.items():
        assert value.dtype == (torch.bfloat16 if name in names else before[name].dtype)
        assert torch.equal(value.to(before[name].dtype), before[name])
    saved = sum(before[name].nbytes for name in names) // 2
    total = sum(tensor.nbytes for tensor in before.values())
    assert f"{total:,} bytes of parameters and buffers before, {total - saved:,} after (bfloat16)" in done.notes


@HALF
def test_a_forward_pass_is_that_of_autocast_and_its_output_float32(
    network: nn.Sequential, images: Tensor, target: str
) -> None:
    done = moved(network, target)
    plain = copy.deepcopy(network).float()
    plain.__class__ = nn.Sequential
    dtype = torch.float16 if target == "float16" else torch.bfloat16
    with torch.no_grad():
        result = done.model(images)
        with torch.autocast("cpu", dtype):
            expected = plain(images)
    assert expected.dtype == dtype
    assert result.dtype == torch.float32
    assert torch.equal(result, expected.float())
    assert not torch.is_autocast_enabled("cpu")
    assert isinstance(done.model, nn.Sequential)


@HALF
def test_a_realised_model_learns_and_keeps_its_dtypes(network: nn.Sequential, images: Tensor, target: str) -> None:
    done = moved(network, target)
    dtypes = {name: p.dtype for name, p in done.model.named_parameters()}
    losses = trained(done, images[:20])
    assert losses[-1] < 0.6 * losses[0]
    assert {name: p.dtype for name, p in done.model.named_parameters()} == dtypes
    assert all(torch.isfinite(p).all() for p in done.model.parameters())


def test_training_in_bfloat16_follows_float32(network: nn.Sequential, images: Tensor) -> None:
    names = clear(network, 16)
    plain = Realised(copy.deepcopy(network), (), "float32")
    done = realise(network, "bfloat16", 16, names, slow=True)
    reference, losses = trained(plain, images[:20]), trained(done, images[:20])
    assert losses[0] == pytest.approx(reference[0], rel=0.01)
    assert losses[-1] == pytest.approx(reference[-1], abs=0.25)


@HALF
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_run_in_the_same_precision_and_are_independent(
    network: nn.Sequential, images: Tensor, target: str, duplicate: Callable[[nn.Module], nn.Module]
) -> None:
    model = moved(network, target).model
    other = duplicate(model)
    assert type(other) is type(model)
    with torch.no_grad():
        expected = model(images)
        assert torch.equal(other(images), expected)
        other.get_parameter("0.weight").zero_()
        assert torch.equal(model(images), expected)


@HALF
def test_a_state_dict_goes_to_disk_and_back(network: nn.Sequential, images: Tensor, target: str) -> None:
    other = copy.deepcopy(network)
    model = moved(network, target).model
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    # Into a realised model, and as plain float32 values into one that is not.
    for receiver in (moved(copy.deepcopy(other), target).model, other):
        with torch.no_grad():
            for parameter in receiver.parameters():
                parameter.zero_()
        file.seek(0)
        receiver.load_state_dict(torch.load(file, weights_only=True))
        for name, value in model.state_dict().items():
            assert torch.equal(receiver.state_dict()[name].float(), value.float())
    assert torch.equal(receiver.eval()(images).argmax(1), receiver(images).argmax(1))


@HALF
def test_modes_devices_and_compilers_treat_it_as_before(network: nn.Sequential, images: Tensor, target: str) -> None:
    model = moved(network, target).model
    assert not model.training
    assert model.train().training
    assert model.eval() is model
    assert model.to("cpu") is model
    assert [name for name, _ in model.named_children()] == [str(i) for i in range(8)]
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), model(images))
    assert not torch.is_autocast_enabled("cpu")


def test_an_error_in_the_forward_pass_ends_the_precision_too(network: nn.Sequential) -> None:
    model = moved(network, "autocast").model
    with pytest.raises(RuntimeError):
        model(torch.randn(2, 5, 8, 8))
    assert not torch.is_autocast_enabled("cpu")


def test_weights_are_cast_anew_after_each_step_inside_a_callers_autocast(
    network: nn.Sequential, images: Tensor
) -> None:
    # torch's own cache of cast weights lives as long as the outermost autocast, across steps.
    model = moved(network, "autocast").model
    with torch.autocast("cpu", torch.bfloat16):
        first = model(images)
        with torch.no_grad():
            model.get_parameter("7.bias").add_(1)
            model.get_parameter("7.weight").mul_(0)
        second = model(images)
    assert not torch.equal(first, second)
    assert (second - second[0]).abs().max() == 0


class Pair(NamedTuple):
    logits: Tensor
    extra: Tensor | None


def test_outputs_of_every_shape_come_back_in_float32() -> None:
    low, ids = torch.ones(2, dtype=torch.bfloat16), torch.arange(2)
    pair = in_float32(Pair(low, None))
    assert isinstance(pair, Pair)
    assert pair.logits.dtype == torch.float32
    listed = in_float32([low, (ids, low.half()), {"a": low, "b": "text"}])
    assert listed[0].dtype == listed[1][1].dtype == listed[2]["a"].dtype == torch.float32
    assert listed[1][0] is ids
    assert in_float32(low.double()).dtype == torch.float64


def test_token_ids_stay_integers_and_embeddings_can_be_covered() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(11, 8)
            self.norm = nn.LayerNorm((3, 8))
            self.out = nn.Linear(8, 4)

        def forward(self, ids: Tensor) -> dict[str, Tensor]:
            assert ids.dtype == torch.int64
            return {"logits": self.out(self.norm(self.embedding(ids)))}

    torch.manual_seed(0)
    model = Tagger()
    names = [name for name, _ in model.named_parameters()]
    for parameter in model.parameters():
        parameter.detach().view(torch.int32).bitwise_and_(-1 << 16)
    done = realise(model, "bfloat16", 16, names, slow=True)
    low = {name for name, p in model.named_parameters() if p.dtype == torch.bfloat16}
    assert low == {"embedding.weight", "out.weight"}
    assert "3 covered biases and norms stay float32" in done.notes
    output = model(torch.tensor([[1, 2, 3]]))["logits"]
    assert output.dtype == torch.float32
    output.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == p.dtype for p in model.parameters())


def test_a_tensor_that_would_lose_values_is_named_and_nothing_changes(network: nn.Sequential, images: Tensor) -> None:
    names = clear(network, 16)
    with torch.no_grad():
        network.get_parameter("3.weight")[0, 0, 0, :2] = 1 / 3
    start = {name: value.clone() for name, value in network.state_dict().items()}
    expected = network(images)
    with pytest.raises(CompressionError, match=r"^3\.weight holds 2 values that are no bfloat16 numbers"):
        realise(network, "bfloat16", 16, names, slow=True)
    assert type(network) is nn.Sequential
    assert all(torch.equal(value, start[name]) for name, value in network.state_dict().items())
    assert torch.equal(network(images), expected)
    with torch.no_grad():
        network.get_parameter("3.weight")[0, 0, 0, :2] = float("nan")
    with pytest.raises(CompressionError, match="2 values"):
        realise(network, "bfloat16", 16, names, slow=True)


def test_bad_arguments_are_refused(network: nn.Sequential) -> None:
    names = clear(network, 16)
    with pytest.raises(UsageError, match="unknown precision 'fp4' to realise; there are bfloat16"):
        realise(network, "fp4", 16, names)
    for bits in (-1, 33, True, 16.0):
        with pytest.raises(UsageError, match="whole number from 0 to 32"):
            realise(network, "bfloat16", bits, names)  # type: ignore[arg-type]
    for target in TARGETS:
        need = required_bits(target)
        with pytest.raises(CompressionError, match=f"{target} needs {need} cleared bits, and only {need - 1} are"):
            realise(network, target, need - 1, names)
    with pytest.raises(UsageError, match="names no tensor"):
        realise(network, "bfloat16", 16, ())
    with pytest.raises(CompressionError, match=r"no parameter 9\.weight"):
        realise(network, "bfloat16", 16, ("9.weight",))
    with pytest.raises(CompressionError, match=r"none of the covered tensors is a matrix or filter"):
        realise(network, "bfloat16", 16, ("0.bias", "1.weight"), slow=True)
    realise(network, "bfloat16", 16, names, slow=True)
    with pytest.raises(CompressionError, match=r"0\.weight is torch.bfloat16, and only float32"):
        realise(network, "bfloat16", 16, names, slow=True)


def test_a_forward_of_the_instance_is_refused(network: nn.Sequential) -> None:
    names = clear(network, 16)
    network.forward = network.forward  # type: ignore[method-assign]
    with pytest.raises(CompressionError, match="has a forward of its own"):
        realise(network, "autocast", 16, names, slow=True)
    traced = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(CompressionError, match="has a forward of its own"):
        run_in(traced, "bfloat16")


@pytest.mark.parametrize("target", ["bfloat16", "autocast", "float16"])
def test_a_precision_without_a_fast_path_needs_slow_and_is_noted(network: nn.Sequential, target: str) -> None:
    found = probe(target)
    names = clear(network, 16)
    if found.fast:
        assert not any(note.startswith("slow") for note in realise(network, target, 16, names).notes)
        return
    with pytest.raises(UnavailableError, match=f"{target} has no fast path: this CPU takes .* pass slow=True"):
        realise(network, target, 16, names)
    assert type(network) is nn.Sequential
    assert realise(network, target, 16, names, slow=True).notes[-1].startswith(f"slow: {target} has no fast path")


def test_tf32_is_not_pretended_on_a_cpu(network: nn.Sequential) -> None:
    with pytest.raises(UnavailableError, match="tf32 cannot run here: TF32 exists on CUDA GPUs"):
        realise(network, "tf32", 13, clear(network, 13), slow=True)


def _switches() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_tf32_switches_are_on_in_passes_and_training_and_restored(network: nn.Sequential, images: Tensor) -> None:
    # The switches exist without a GPU, so all but their effect can be seen here.
    from energybench.compress.arithmetic import TF32Training

    before = _switches()
    seen: list[tuple[bool, bool]] = []
    network[2].register_forward_hook(lambda *_: seen.append(_switches()))
    run_in(network, "tf32")
    expected = nn.Sequential.forward(network, images)
    assert torch.equal(network(images), expected)
    assert seen == [before, (True, True)]
    assert _switches() == before
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    report = NoCompression()(nn.Linear(1, 1)).report
    with Compressed(network, report, (TF32Training(),)).training(optimizer):
        assert _switches() == (True, True)
    assert _switches() == before
    with pytest.raises(ZeroDivisionError), tf32_products():
        raise ZeroDivisionError
    assert _switches() == before


def test_float16_keeps_float32_weights_where_values_lie_between_its_numbers(
    network: nn.Sequential, images: Tensor
) -> None:
    names = clear(network, 13)
    with torch.no_grad():
        network.get_parameter("0.weight")[0, 0, 0, 0] = 2.0**-20 + 2.0**-26
    done = realise(network, "float16", 13, names, slow=True)
    assert done.dtype == "autocast float16"
    assert all(p.dtype == torch.float32 for p in done.model.parameters())
    assert any("weights stay float32" in note and "between float16's numbers" in note for note in done.notes)
    assert trained(done, images[:20])[-1] < 2


def test_float16_changes_nothing_where_a_value_is_beyond_its_range(network: nn.Sequential) -> None:
    names = clear(network, 13)
    with torch.no_grad():
        network.get_parameter("0.weight")[0, 0, 0, 0] = 65536
    done = realise(network, "float16", 13, names, slow=True)
    assert done.dtype == "float32"
    assert not done.changed
    assert done.upkeep == ()
    assert type(done.model) is nn.Sequential
    assert "not realised: 0.weight holds values beyond float16's range" in done.notes[0]


@pytest.mark.parametrize("make", [StochasticRoundingSGD, torch.optim.SGD])
def test_scaled_losses_give_the_step_of_unscaled_ones(make: type[torch.optim.Optimizer]) -> None:
    results = []
    for upkeep in ((), (LossScaling(initial=1024.0),)):
        torch.manual_seed(0)
        model = nn.Linear(5, 3)
        optimizer = make(model.parameters(), lr=0.1, momentum=0.9)  # type: ignore[call-arg]
        compressed = Compressed(model, NoCompression()(nn.Linear(1, 1)).report, upkeep)
        with compressed.training(optimizer) as hooks:
            for _ in range(3):
                optimizer.zero_grad()
                hooks.scale(model(torch.ones(2, 5)).square().sum()).backward()
                optimizer.step()
        results.append(model.weight.detach().clone())
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_a_step_with_an_infinite_gradient_moves_nothing_and_halves_the_scale(bad: float) -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=1.0, momentum=0.9, weight_decay=0.5)
    scaler = LossScaling(initial=8.0, growth_steps=2).attach(nn.Linear(1, 1), optimizer)
    values, scales = [], []
    for factor in (1.0, bad, 1.0, 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        optimizer.step()
        values.append(weight.detach().clone())
        scales.append(scaler.value)
    assert scales == [8.0, 4.0, 4.0, 8.0, 8.0]
    assert scaler.skipped == 1
    assert torch.equal(values[1], values[0])
    assert not torch.equal(values[2], values[1])
    scaler.detach()
    weight.grad = torch.full((3,), bad)
    optimizer.step()  # the hook is gone: nothing looks at gradients any more
    assert not torch.isfinite(weight).any()


def test_float16_training_without_a_scaled_loss_is_refused() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    report = NoCompression()(nn.Linear(1, 1)).report
    with Compressed(model, report, (LossScaling(),)).training(optimizer):
        model(torch.ones(1, 2)).sum().backward()
        with pytest.raises(CompressionError, match=r"call hooks\.scale\(loss\)\.backward"):
            optimizer.step()


def test_an_optimiser_that_rounds_to_nearest_is_warned_about(network: nn.Sequential) -> None:
    done = moved(network, "bfloat16")
    report = NoCompression()(nn.Linear(1, 1)).report
    compressed = Compressed(done.model, report, done.upkeep)
    optimizer = torch.optim.SGD(done.model.parameters(), lr=0.1)
    with pytest.warns(UserWarning, match="SGD rounds bfloat16 weights"), compressed.training(optimizer):
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with compressed.training(StochasticRoundingSGD(done.model.parameters(), lr=0.1)):
            pass


@pytest.fixture
def linears() -> nn.Sequential:
    pytest.importorskip("torchao", reason="torchao (extra lowbit) is not installed", exc_type=ImportError)
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 32), nn.Linear(32, 10)
    ).eval()


def test_int8_stores_linear_layers_in_a_quarter_and_says_what_it_reached(
    linears: nn.Sequential, images: Tensor
) -> None:
    names = clear(linears, 20)
    plain = copy.deepcopy(linears)
    done = realise(linears, "int8", 20, names, slow=True, example_input=images)
    inside = 144 * 32 + 32 * 32 + 32 * 10
    flops = (inside / (inside + 108 * 36)) * 100
    share = 100 * inside / (inside + 108)
    assert done.dtype == "int8"
    assert (
        f"reached: 3 of 4 covered tensors, {share:.1f}% of their values, {flops:.1f}% of the forward FLOPs; "
        "the rest stays float32"
    ) in done.notes
    for place in (2, 4, 5):
        weight, given = linears[place].weight, plain[place].weight.detach()
        levels, *_ = stored_tensors(weight)
        assert levels.dtype == torch.int8
        assert levels.shape == given.shape
        # Half a step of 1/127 of the channel's largest weight, and the last place of the scale.
        step = given.abs().amax(1, keepdim=True) / 127
        assert ((dense(weight) - given).abs() <= 0.51 * step).all()
    with torch.no_grad():
        difference = (linears(images) - plain(images)).norm() / plain(images).norm()
    assert 0 < difference < 0.05
    copied = copy.deepcopy(linears)
    assert torch.equal(copied(images), linears(images))
    file = io.BytesIO()
    torch.save(linears.state_dict(), file)
    file.seek(0)
    copied.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(copied(images), linears(images))


def test_int8_is_not_trained(linears: nn.Sequential) -> None:
    done = moved(linears, "int8")
    optimizer = torch.optim.SGD([p for p in done.model.parameters() if p.requires_grad], lr=0.1)
    compressed = Compressed(done.model, NoCompression()(nn.Linear(1, 1)).report, done.upkeep)
    with pytest.raises(CompressionError, match="int8 weights are for inference"), compressed.training(optimizer):
        pass


def test_8_bits_without_a_linear_layer_are_refused_and_nothing_changes() -> None:
    pytest.importorskip("torchao", reason="torchao (extra lowbit) is not installed", exc_type=ImportError)
    for target, layer in (("int8", nn.Conv2d(3, 4, 3)), ("float8", nn.Linear(16, 10))):
        model = nn.Sequential(layer)
        with pytest.raises(CompressionError, match=f"{target} reaches Linear layers"):
            realise(model, target, 20, clear(model, 20), slow=True)
        assert type(model[0]) is type(layer)


def test_float8_takes_the_layers_that_fit_and_trains_from_float32_weights(
    linears: nn.Sequential, images: Tensor
) -> None:
    names = clear(linears, 20)
    plain = copy.deepcopy(linears)
    done = realise(linears, "float8", 20, names, slow=True)
    assert done.dtype == "float8_e4m3fn"
    assert any(note.startswith("reached: 2 of 4 covered tensors") for note in done.notes)
    assert type(linears[5]) is nn.Linear
    assert type(linears[2]) is not nn.Linear
    assert all(p.dtype == torch.float32 for p in linears.parameters())
    assert linears.state_dict().keys() == plain.state_dict().keys()
    with torch.no_grad():
        difference = (linears(images) - plain(images)).norm() / plain(images).norm()
    assert 0 < difference < 0.2
    losses = trained(done, images[:32])
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", NINE)
def test_the_nine_models_run_forward_and_backward_in_bfloat16(name: str) -> None:
    pixels = 75 if name == "inception_v3" else 64 if name == "alexnet" else 32
    torch.manual_seed(0)
    model = build(name, 10, pixels)
    done = realise(model, "bfloat16", 16, clear(model, 16), slow=True)
    logits = done.model.train()(torch.randn(2, 3, pixels, pixels))
    F.cross_entropy(logits, torch.tensor([1, 2])).backward()
    assert logits.dtype == torch.float32
    assert logits.shape == (2, 10)
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype == parameter.dtype
        assert torch.isfinite(parameter.grad).all()
    assert sum(p.dtype == torch.bfloat16 for p in model.parameters()) > 5

from __future__ import annotations

import copy
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from energybench.compress import Effect
from energybench.compress.precision import UnavailableError
from energybench.errors import UsageError
from energybench.lab.execution import WAYS, prepared, quantisation_report, run, start_compiler, unavailable

CPU = torch.device("cpu")

needs_int8 = pytest.mark.skipif(bool(unavailable("int8_dynamic", CPU)), reason=unavailable("int8_dynamic", CPU))
needs_compiler = pytest.mark.skipif(bool(unavailable("compile", CPU)), reason=unavailable("compile", CPU))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 5)
    )


def images(batch: int = 6) -> Tensor:
    return torch.randn(batch, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown way 'onnx' to run a model; there are eager, compile, int8_dynamic"):
        unavailable("onnx", CPU)
    with pytest.raises(UsageError, match="unknown way"):
        prepared(network(), "onnx", images())


def test_an_eager_copy_is_in_evaluation_mode_and_its_own() -> None:
    model = network().train()
    made = prepared(model, "eager", images())
    assert model.training
    assert not made.training
    own = {parameter.data_ptr() for parameter in model.parameters()}
    assert own.isdisjoint(parameter.data_ptr() for parameter in made.parameters())
    assert torch.equal(run(made, images()), run(model.eval(), images()))
    assert run(made, images()).is_inference()


@needs_int8
def test_linear_weights_become_the_nearest_of_256_steps_in_each_output_channel() -> None:
    model = network()
    made = prepared(model, "int8_dynamic", images())
    for place in (4, 6):
        weight = model[place].weight.detach().numpy()
        step = np.abs(weight).max(axis=1, keepdims=True) / 127.5
        codes = made[place].weight().int_repr().numpy()
        assert codes.dtype == np.int8
        np.testing.assert_allclose(made[place].weight().q_per_channel_scales().numpy(), step[:, 0], rtol=1e-6)
        assert (np.abs(codes * step - weight) <= 0.50001 * step).all()
    assert torch.equal(made[0].weight, model[0].weight)


@needs_int8
def test_a_quantised_layers_output_is_as_near_as_its_steps_allow() -> None:
    torch.manual_seed(0)
    layer, rows = nn.Sequential(nn.Linear(40, 7)), torch.randn(9, 40)
    made = prepared(layer, "int8_dynamic", rows)
    weight = made[0].weight().dequantize().double()
    exact = rows.double() @ weight.T + layer[0].bias.detach().double()
    # Some engines keep 7 of the 8 bits, so that sums of products cannot overflow; zero is among the values.
    step = (max(float(rows.max()), 0.0) - min(float(rows.min()), 0.0)) / 127
    assert bool(((run(made, rows).double() - exact).abs() <= step * weight.abs().sum(1) + 1e-5).all())


@needs_int8
def test_the_report_on_quantisation_counts_bytes_by_hand() -> None:
    model = network()
    report = quantisation_report(model, prepared(model, "int8_dynamic", images()), images())
    assert (report.kind, report.effect, report.dtype) == ("int8_dynamic", Effect.REALISED, "int8")
    assert report.covered == ("4.weight", "6.weight")
    weights, outputs = 64 * 32 + 32 * 5, 32 + 5
    others = 4 * (4 * 3 * 9 + 4 + 4 * 4) + 8  # convolution, BatchNorm and its counter of batches
    assert report.before.bytes_memory == others + 4 * (weights + outputs)
    # A byte a weight; a float64 scale and an int64 zero point for each output; biases stay float32.
    assert report.after.bytes_memory == others + weights + 16 * outputs + 4 * outputs
    assert report.after.bytes_disk == report.after.bytes_memory
    assert report.rate == 1 - report.after.bytes_memory / report.before.bytes_memory
    assert report.after.parameters == report.before.parameters
    assert report.before.flops is not None
    assert report.after.flops == report.before.flops
    # A few weights near zero are rounded to it; the zero points, all zero, are not parameters.
    assert 0.97 * report.before.nonzero < report.after.nonzero <= report.before.nonzero
    share = 2 * weights / (2 * weights + 2 * 4 * 16 * 27)
    assert report.notes[0] == f"{share:.1%} of the forward FLOPs are in the layers reached"


@needs_int8
def test_layers_whose_weights_others_read_stay_as_they_are() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    tokens = torch.randn(2, 3, 16)
    made = prepared(layer, "int8_dynamic", tokens)
    assert quantisation_report(layer, made, tokens).covered == ("linear1.weight", "linear2.weight")
    assert torch.equal(made.self_attn.out_proj.weight, layer.self_attn.out_proj.weight)


@needs_int8
def test_a_model_without_a_linear_layer_cannot_be_quantised_and_is_left_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UnavailableError, match="reaches Linear layers only, and the model has none"):
        prepared(model, "int8_dynamic", images())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_without_a_compiler_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler++")
    assert "no no-such-compiler++: install it or set CXX" in unavailable("compile", CPU)
    with pytest.raises(UnavailableError, match="needs a C\\+\\+ compiler"):
        prepared(network(), "compile", images())


def test_on_a_gpu_the_reason_names_the_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "needs Triton" in unavailable("compile", torch.device("cuda"))
    assert "needs torchao" in unavailable("int8_dynamic", torch.device("cuda"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert not any(unavailable(way, torch.device("cuda")) for way in WAYS)


class Branches(nn.Module):
    """What it computes depends on the values, which a graph cannot hold."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@needs_compiler
def test_a_model_that_is_no_single_graph_is_refused_with_the_compilers_words() -> None:
    with pytest.raises(UnavailableError, match=r"torch\.compile failed here: \S+"):
        prepared(Branches(), "compile", images())


@needs_compiler
def test_a_compiled_model_computes_the_same_and_leaves_the_users_cache_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(mine))
    monkeypatch.delenv("TRITON_CACHE_DIR", raising=False)
    torch.manual_seed(0)
    model, rows = nn.Sequential(nn.Linear(8, 8), nn.ReLU()).train(), torch.randn(3, 8)
    start_compiler("cpu")
    made = prepared(model, "compile", rows)
    torch.testing.assert_close(run(made, rows), run(model, rows))
    assert model.training
    assert not mine.exists()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(mine)
    assert "TRITON_CACHE_DIR" not in os.environ
    torch.compiler.reset()

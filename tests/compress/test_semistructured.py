"""The pattern 2:4 against a slow reference, its search over layers, its masks, and its storage."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.sparse import SparseSemiStructuredTensorCUTLASS

from energybench.compress import Effect, size_of
from energybench.compress.precision import UnavailableError
from energybench.compress.semistructured import SemiStructured, two_of_four
from energybench.compress.sparse import stored_size, to_sparse, why_not
from energybench.errors import CompressionError, UsageError

SHAPES = [(3, 8), (2, 4, 3, 3), (5, 12, 1, 1), (1, 8, 5)]
values = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, -2.0, 3e38, float("inf"), float("nan")])


def reference(weight: np.ndarray) -> np.ndarray:
    """Where values stay: slowly, one four after the other, NaN as the largest."""
    keep = np.ones(weight.shape, dtype=bool)
    for place in np.ndindex(weight.shape[0], *weight.shape[2:]):
        for start in range(0, weight.shape[1], 4):
            four = [(place[0], channel, *place[1:]) for channel in range(start, start + 4)]
            by_size = sorted(four, key=lambda at: (np.isnan(weight[at]), np.nan_to_num(abs(weight[at]), nan=0.0)))
            for at in by_size[:2]:
                keep[at] = False
    return keep


@given(st.sampled_from(SHAPES), st.booleans(), st.data())
def test_the_two_smallest_of_each_four_go_and_of_equals_the_first(
    shape: tuple[int, ...], channels_last: bool, data: st.DataObject
) -> None:
    size = int(np.prod(shape))
    weight = torch.tensor(data.draw(st.lists(values, min_size=size, max_size=size))).reshape(shape)
    if channels_last and weight.dim() == 4:
        weight = weight.to(memory_format=torch.channels_last)
    mask, _ = two_of_four(weight)
    assert mask.stride() == weight.stride()
    assert np.array_equal(mask.numpy(), reference(weight.numpy()))


def test_a_weight_longer_than_a_piece_and_the_share_of_its_squares_that_is_lost() -> None:
    weight = torch.randn(300, 256, generator=torch.Generator().manual_seed(0))
    mask, lost = two_of_four(weight)
    assert np.array_equal(mask.numpy(), reference(weight.numpy()))
    squares = weight.numpy().astype(np.float64) ** 2
    assert lost == pytest.approx(squares[~mask.numpy()].sum() / squares.sum(), rel=1e-12)
    assert two_of_four(torch.zeros(1, 4))[1] == 0.0


@pytest.mark.parametrize("inplace", [False, True])
def test_layers_with_a_multiple_of_four_inputs_get_the_pattern(network: nn.Sequential, inplace: bool) -> None:
    before = copy.deepcopy(network.state_dict())
    compressed = SemiStructured(1.0)(network, inplace=inplace)
    for name in ("3.weight", "7.weight"):
        keep = torch.from_numpy(reference(before[name].numpy()))
        assert torch.equal(compressed.model.get_parameter(name), before[name] * keep)
        assert torch.equal(compressed.masks[name], keep)
    assert torch.equal(compressed.model[0].weight, before["0.weight"])
    report = compressed.report
    assert (report.effect, report.structure, report.amount) == (Effect.SIMULATED, "2:4", 1.0)
    assert report.rate == (4608 + 320) / 2 / 5360
    assert report.covered == ("3.weight", "7.weight")
    assert report.notes == ("left alone, inputs no multiple of four: 0",)
    assert inplace or all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_search_gives_the_pattern_to_the_layers_that_lose_least_first(network: nn.Sequential) -> None:
    with torch.no_grad():
        network[3].weight.view(32, 4, 4, 9)[:, :, 2:] /= 1000  # hardly anything to lose
    before = copy.deepcopy(network.state_dict())

    def evaluate(model: nn.Module) -> float:
        changed = [not torch.equal(model.get_parameter(name), before[name]) for name in ("3.weight", "7.weight")]
        return 0.9 - 0.01 * changed[0] - 0.1 * changed[1]

    for inplace in (False, True):
        compressed = SemiStructured(tolerance=0.05)(copy.deepcopy(network), evaluate, inplace=inplace)
        report = compressed.report
        assert (report.amount, report.accuracy_compressed) == (0.5, 0.89)
        assert report.rate == 4608 / 2 / 5360
        assert set(compressed.masks) == {"3.weight"}
        assert torch.equal(compressed.model[7].weight, before["7.weight"])
        assert SemiStructured(tolerance=0.05).settled(report) == SemiStructured(0.5, tolerance=0.05)
    nothing = SemiStructured(tolerance=0.001)(network, evaluate)
    assert (nothing.report.effect, nothing.report.amount, nothing.upkeep) == (Effect.UNCHANGED, 0.0, ())


@pytest.mark.parametrize("masks", ["keep", "epoch", "release"])
def test_the_pattern_holds_in_training_as_asked(network: nn.Sequential, images: Tensor, masks: str) -> None:
    compressed = SemiStructured(1.0, masks=masks)(network)
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.05, momentum=0.9)
    zeros = []
    with compressed.training(optimizer) as hooks:
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(compressed.model(images), torch.arange(64) % 10).backward()
            optimizer.step()
            zeros.append(int((compressed.model[3].weight == 0).sum()))
        hooks.epoch_end()
        zeros.append(int((compressed.model[3].weight == 0).sum()))
    half = 4608 // 2
    assert [count == half for count in zeros] == {
        "keep": [True] * 4,
        "epoch": [False] * 3 + [True],
        "release": [False] * 4,
    }[masks]


def test_a_model_without_fours_is_refused() -> None:
    with pytest.raises(CompressionError, match="no layer has a multiple of four inputs"):
        SemiStructured(1.0)(nn.Linear(6, 4))


@pytest.mark.parametrize(
    "bad", [{"amount": 1.5}, {"masks": "drop"}, {"realise": "float32"}, {"realise": True}, {"tolerance": -1}]
)
def test_bad_parameters_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"SemiStructured: {next(iter(bad))}"):
        SemiStructured(**bad)


def test_on_a_cpu_nothing_can_be_realised_and_it_is_said_before_anything_runs(network: nn.Sequential) -> None:
    said = "compute capability 8.0 and above, not on cpu"
    assert said in str(why_not(torch.device("cpu"), "bfloat16"))
    with pytest.raises(UnavailableError, match=said):
        SemiStructured(realise="bfloat16")(network, lambda model: pytest.fail("evaluated"))
    kind = type(network)
    reached, reasons = to_sparse(network, ["3.weight", "7.weight"], "bfloat16")
    assert reached == []
    assert list(reasons.values()) == [["3"], ["7"]]
    assert type(network) is kind
    assert network[7].weight.dtype == torch.float32


def test_the_size_of_a_stored_pattern_is_that_of_what_is_stored() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64))
    dense = size_of(model)
    assert stored_size(model, dense) == dense
    packed, meta = torch.zeros(64, 32, dtype=torch.bfloat16), torch.zeros(64, 4, dtype=torch.int16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        stored = SparseSemiStructuredTensorCUTLASS(torch.Size([64, 64]), packed, meta, None, None, None)
    model[0].weight = nn.Parameter(stored, requires_grad=False)
    after = stored_size(model, dense)
    saved = 64 * 64 * 4 - (64 * 32 * 2 + 64 * 4 * 2)
    assert (after.bytes_memory, after.bytes_disk) == (dense.bytes_memory - saved, dense.bytes_disk - saved)
    assert (after.parameters, after.nonzero) == (dense.parameters, dense.nonzero)


@pytest.mark.skipif(
    not torch.cuda.is_available() or why_not(torch.device("cuda", 0), "bfloat16") is not None,
    reason="no CUDA GPU with sparse tensor cores",
)
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_on_a_gpu_linear_layers_are_stored_as_the_pattern_and_give_the_dense_result(precision: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 12)).cuda()
    rows = torch.randn(128, 256, device="cuda")
    simulated = SemiStructured(1.0)(model).model
    compressed = SemiStructured(1.0, realise=precision)(model)
    report = compressed.report
    assert (report.effect, report.dtype) == (Effect.REALISED, precision)
    assert report.after.bytes_memory < report.before.bytes_memory / 2
    with torch.no_grad():
        difference = (compressed.model(rows) - simulated(rows)).abs().max()
        assert difference < 0.02 * simulated(rows).abs().max()
        assert torch.equal(copy.deepcopy(compressed.model)(rows), compressed.model(rows))

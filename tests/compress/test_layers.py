"""Which weights are covered, and models that no compressor can work on."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from energybench.compress import NoCompression, Pruning
from energybench.compress.layers import CHUNK, chunks, covered_weights, flat
from energybench.errors import CompressionError


def test_convolutions_and_linears_are_covered_and_nothing_else(network: nn.Sequential) -> None:
    assert list(covered_weights(network)) == ["0.weight", "3.weight", "7.weight"]
    assert list(covered_weights(nn.Linear(2, 2))) == ["weight"]


def test_flat_views_reach_every_element_of_any_dense_layout() -> None:
    weight = torch.randn(4, 5, 3, 3).to(memory_format=torch.channels_last)
    view = flat(weight)
    assert view.data_ptr() == weight.data_ptr()
    view.zero_()
    assert not weight.any()


def test_chunks_cover_everything_once() -> None:
    first, second = torch.zeros(3 * CHUNK + 5), torch.arange(3 * CHUNK + 5)
    for values, numbers in chunks(first, second):
        values += numbers
    assert torch.equal(first, second.float())


def _tied() -> nn.Module:
    model = nn.Module()
    model.embedding, model.head = nn.Embedding(7, 5), nn.Linear(5, 7, bias=False)
    model.head.weight = model.embedding.weight
    return model


def _pruned() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4))
    torch_prune.l1_unstructured(model[0], "weight", 0.5)
    return model


def _gaps() -> nn.Module:
    model = nn.Linear(4, 4)
    model.weight = nn.Parameter(torch.randn(4, 8)[:, ::2])
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.BatchNorm2d(3)), "no Conv2d or Linear"),
        (nn.Sequential(nn.Linear(3, 3).half()), r"0\.weight is torch\.float16"),
        (_tied(), r"embedding\.weight and head\.weight share|head\.weight and embedding\.weight share"),
        (_pruned(), r"0\.weight is re-parametrised"),
        (_gaps(), "not dense"),
        (nn.Linear(3, 3, device="meta"), "no values yet"),
        (nn.Sequential(nn.LazyLinear(3)), "no values yet"),
    ],
)
def test_a_model_that_cannot_be_compressed_gets_a_reason(model: nn.Module, message: str) -> None:
    with pytest.raises(CompressionError, match=message):
        Pruning(0.5)(model)


def test_parameters_that_are_pieces_of_one_buffer_are_no_tie() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(model.parameters()), model.parameters())
    assert len(covered_weights(model)) == 2


def test_a_tied_model_is_a_baseline_like_any_other() -> None:
    assert NoCompression()(_tied()).report.before.parameters == 35

"""Which weights are covered, and models that no compressor can work on."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from energybench.compress import NoCompression, Pruning
from energybench.compress.layers import CHUNK, check_cover, chunks, covered_weights, flat, layer_of
from energybench.errors import CompressionError, UsageError


def test_convolutions_and_linears_are_covered_and_nothing_else(network: nn.Sequential) -> None:
    assert list(covered_weights(network)) == ["0.weight", "3.weight", "7.weight"]
    assert list(covered_weights(nn.Linear(2, 2))) == ["weight"]


class Everything(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.bag = nn.EmbeddingBag(7, 4)
        self.position = nn.Parameter(torch.zeros(1, 4))
        self.filters = nn.ModuleList([nn.Conv1d(4, 4, 1), nn.Conv3d(4, 4, 1, bias=False), nn.ConvTranspose2d(4, 4, 1)])
        self.attention = nn.MultiheadAttention(4, 2)
        self.other = nn.MultiheadAttention(4, 2, kdim=3, vdim=5, bias=False)
        self.norms = nn.ModuleList(
            [nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.RMSNorm(4), nn.BatchNorm1d(4, affine=False), OwnNorm()]
        )
        self.head = nn.Linear(4, 2)


class OwnNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))


COVERED = {
    "weights": [
        "filters.0.weight",
        "filters.1.weight",
        "filters.2.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "other.q_proj_weight",
        "other.k_proj_weight",
        "other.v_proj_weight",
        "other.out_proj.weight",
        "head.weight",
    ],
    "biases": ["filters.0.bias", "filters.2.bias", "attention.in_proj_bias", "attention.out_proj.bias", "head.bias"],
    "norms": ["norms.0.weight", "norms.0.bias", "norms.1.weight", "norms.1.bias", "norms.2.weight", "norms.4.weight"],
    "embeddings": ["table.weight", "bag.weight"],
}


@pytest.mark.parametrize("cover", list(COVERED))
def test_each_word_covers_its_tensors(cover: str) -> None:
    assert list(covered_weights(Everything(), (cover,))) == COVERED[cover]


def test_all_words_together_cover_everything_that_stands_in_a_layer() -> None:
    model = Everything()
    covered = covered_weights(model, tuple(COVERED))
    assert sorted(covered) == sorted(name for names in COVERED.values() for name in names)
    assert {name for name, _ in model.named_parameters()} - covered.keys() == {"position"}


def test_a_linear_layer_of_transformers_is_covered_under_its_other_name() -> None:
    utils = pytest.importorskip("transformers.pytorch_utils", reason="transformers is not installed")
    assert list(covered_weights(nn.Sequential(utils.Conv1D(6, 4)), ("weights", "biases"))) == ["0.weight", "0.bias"]


@pytest.mark.parametrize("cover", [(), "weights", ("weights", "weights"), ("heads",), None, {"weights"}])
def test_what_is_to_be_covered_must_be_known(cover: object) -> None:
    with pytest.raises(UsageError, match="Thing: cover must be a tuple of names among weights, biases, norms, embed"):
        check_cover("Thing", cover)


def test_a_parameter_belongs_to_the_layer_that_its_path_names() -> None:
    assert [layer_of(name) for name in ("features.0.weight", "fc.bias", "weight")] == ["features.0", "fc", "weight"]


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
        (nn.Sequential(nn.BatchNorm2d(3)), "no weights of convolutions and linear layers, so there is nothing"),
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


@pytest.mark.parametrize("cover", ["biases", "norms", "embeddings"])
def test_a_model_without_what_is_asked_for_gets_a_reason(cover: str) -> None:
    with pytest.raises(CompressionError, match=r"the model has no .*, so there is nothing to compress"):
        covered_weights(nn.Sequential(nn.Linear(3, 3, bias=False)), (cover,))


def test_a_tie_outside_what_is_covered_does_no_harm() -> None:
    model = _tied()
    model.other = nn.Linear(5, 5)
    assert list(covered_weights(model, ("biases",))) == ["other.bias"]
    with pytest.raises(CompressionError, match="share their memory"):
        covered_weights(model, ("embeddings",))


def test_parameters_that_are_pieces_of_one_buffer_are_no_tie() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(model.parameters()), model.parameters())
    assert len(covered_weights(model)) == 2


def test_a_tied_model_is_a_baseline_like_any_other() -> None:
    assert NoCompression()(_tied()).report.before.parameters == 35

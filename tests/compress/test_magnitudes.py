"""Exact selection of the smallest magnitudes against a stable sort and against torch.nn.utils.prune."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils import prune as torch_prune

from energybench.compress.layers import covered_weights
from energybench.compress.magnitudes import Magnitudes, Threshold, marked_zeros, zero_below
from energybench.lab.models import NINE, architecture, build

few_values = st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, -2.0, 3e38]), min_size=1, max_size=60)
many_values = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=60)


@given(st.lists(few_values | many_values, min_size=1, max_size=4), st.data())
def test_exactly_the_smallest_are_zeroed_and_ties_go_by_position(lists: list[list[float]], data: st.DataObject) -> None:
    tensors = [torch.tensor(values, dtype=torch.float32) for values in lists]
    together = torch.cat(tensors)
    count = data.draw(st.integers(0, len(together)))
    kept = [torch.empty_like(tensor, dtype=torch.bool) for tensor in tensors]
    outputs = [tensor.clone() for tensor in tensors]
    zero_below(Magnitudes(tensors).threshold(count), tensors, outputs, kept)
    order = torch.sort(together.abs(), stable=True).indices
    expected = torch.ones(len(together), dtype=torch.bool)
    expected[order[:count]] = False
    assert torch.equal(torch.cat(kept), expected)
    assert torch.equal(torch.cat(outputs), torch.where(expected, together, 0.0))


def test_tensors_longer_than_a_piece_are_cut_at_the_same_places() -> None:
    values = torch.randint(-40, 40, (100_003,), generator=torch.Generator().manual_seed(0)).float()
    target = values.clone()
    zero_below(Magnitudes([values]).threshold(61_000), [values], [target])
    order = torch.sort(values.abs(), stable=True).indices
    expected = values.clone()
    expected[order[:61_000]] = 0
    assert torch.equal(target, expected)


def test_masks_made_afterwards_mark_what_was_just_taken() -> None:
    tensors = [torch.tensor([0.0, -3.0, 1.0, 1.0]), torch.tensor([[0.0, 1.0], [2.0, -0.0]])]
    for count in range(9):
        outputs, kept = [tensor.clone() for tensor in tensors], [torch.empty_like(t, dtype=torch.bool) for t in tensors]
        threshold = Magnitudes(tensors).threshold(count)
        zero_below(threshold, tensors, outputs, kept)
        for mask, expected in zip(marked_zeros(outputs, threshold), kept, strict=True):
            assert torch.equal(mask, expected)
        assert sum(int((~mask).sum()) for mask in kept) == count


def test_a_threshold_of_nothing_copies() -> None:
    source, target = torch.tensor([-0.0, 2.0, float("nan")]), torch.ones(3)
    zero_below(Threshold(0, 0), [source], [target])
    assert torch.equal(target.view(torch.int32), source.view(torch.int32))


def assert_same_but_for_ties(mine: Tensor, kept: Tensor, weights: Tensor) -> None:
    """torch breaks ties as its selection happens to; all other weights, and the number of zeros, must agree."""
    zeroed = mine == 0
    assert int(zeroed.sum()) == len(kept) - int(kept.count_nonzero())
    assert len(weights[zeroed == kept.bool()].abs().unique()) <= 1


@pytest.mark.parametrize("name", NINE)
def test_the_pruned_set_of_every_model_is_the_one_that_torch_prunes(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, 10, architecture(name).minimum_pixels)
    sources = [weight.detach() for weight in covered_weights(model).values()]
    # What global_unstructured does, without its re-parametrisation; a larger share of the large models takes minutes.
    together = torch.cat([source.flatten() for source in sources])
    kept = torch_prune.L1Unstructured(amount=0.02).compute_mask(together, torch.ones(1).expand_as(together))
    magnitudes = Magnitudes(sources)
    zero_below(magnitudes.threshold(round(0.02 * magnitudes.total)), sources, sources)
    assert_same_but_for_ties(torch.cat([source.flatten() for source in sources]), kept, together)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "inception_v3"])
def test_every_layer_pruned_alone_is_as_torch_prunes_it(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, 10, architecture(name).minimum_pixels)
    for path, weight in covered_weights(model).items():
        source, mine = weight.detach(), torch.empty_like(weight)
        zero_below(Magnitudes([source]).threshold(round(0.3 * source.numel())), [source], [mine])
        layer = model.get_submodule(path.removesuffix(".weight"))
        torch_prune.l1_unstructured(layer, "weight", amount=0.3)
        mask = layer.get_buffer("weight_mask")
        assert_same_but_for_ties(mine.flatten(), mask.flatten(), source.flatten())

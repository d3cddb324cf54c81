"""The control that disturbs weights as far as another compressor moves them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from energybench.compress import LowRank, Perturbation, Pruning, StegoReduction
from energybench.errors import CompressionError, UsageError

COVERED = ("0.weight", "3.weight", "7.weight")


@pytest.mark.parametrize("like", [StegoReduction(21), Pruning(0.5)])
def test_each_tensor_moves_as_far_as_the_other_compressor_moves_it(
    like: StegoReduction | Pruning, network: nn.Module
) -> None:
    target = like(network).model
    moved = Perturbation(like)(network).model
    for name in COVERED:
        start = network.get_parameter(name).detach()
        distances = [(model.get_parameter(name).detach() - start).double().norm().item() for model in (target, moved)]
        assert distances[1] == pytest.approx(distances[0], rel=1e-4)
        assert distances[0] > 0
    untouched = set(dict(network.named_parameters())) - set(COVERED)
    for name in untouched:
        assert torch.equal(moved.get_parameter(name), network.get_parameter(name))


def test_the_noise_belongs_to_its_seed_and_points_elsewhere_than_the_change(network: nn.Module) -> None:
    like = StegoReduction(22)
    first, again, other = (Perturbation(like, seed=seed)(network).model for seed in (0, 0, 1))
    assert torch.equal(first[3].weight, again[3].weight)
    assert not torch.equal(first[3].weight, other[3].weight)
    start = network[3].weight.detach()
    change, noise = like(network).model[3].weight.detach() - start, first[3].weight.detach() - start
    assert abs(nn.functional.cosine_similarity(change.flatten(), noise.flatten(), dim=0).item()) < 0.1


def test_what_changes_nothing_disturbs_nothing(network: nn.Module) -> None:
    report = Perturbation(StegoReduction(0))(network).report
    assert report.effect == "unchanged"


def test_a_compressor_that_changes_shapes_cannot_be_imitated(network: nn.Module) -> None:
    with pytest.raises(CompressionError, match="changes the shape"):
        Perturbation(LowRank(rank=0.25))(network)


@pytest.mark.parametrize("bad", [{"like": "stego"}, {"seed": 1.5}])
def test_bad_parameters_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="Perturbation"):
        Perturbation(**bad)


def test_a_model_that_is_changed_in_place_is_what_it_was_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    calls = 0

    def evaluate(candidate: nn.Module) -> float:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("out of memory")
        return 0.5

    with pytest.raises(RuntimeError, match="out of memory"):
        Perturbation(StegoReduction(bits=16))(model, evaluate, inplace=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

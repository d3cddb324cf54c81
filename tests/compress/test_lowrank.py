"""The compressor: which layers it replaces at which ranks, what its searches end at, and what it refuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from energybench.compress import Chain, CompressionReport, Effect, LowRank, NoCompression, StegoReduction
from energybench.compress.factors import factorable, saving_rank
from energybench.compress.lowrank import BUDGETS, ENERGIES
from energybench.compress.report import forward_flops
from energybench.errors import CompressionError, UsageError
from energybench.lab.models import NINE, architecture, build


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def same(first: nn.Module, second: nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("inplace", [False, True])
def test_layers_below_break_even_are_replaced_and_the_rest_stays(
    network: nn.Sequential, images: Tensor, inplace: bool
) -> None:
    before = copy.deepcopy(network)
    compressed = LowRank(rank=0.25)(network, inplace=inplace, example_input=images)
    model, report = compressed.model, compressed.report
    assert report.ranks == {"0": 4, "3": 8, "7": 2}
    assert report.effect is Effect.REALISED
    assert isinstance(model[3], nn.Sequential)
    assert model[3][0].stride == (2, 2)
    assert model[3][1].bias is not None
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert report.after.parameters == parameters < report.before.parameters
    assert report.rate == 1 - parameters / report.before.parameters
    assert report.before.flops is not None
    assert report.after.flops is not None
    assert report.after.flops < report.before.flops
    weight = before[3].weight.detach().flatten(1)
    approximation = model[3][1].weight.flatten(1) @ model[3][0].weight.flatten(1)
    optimum = torch.linalg.svdvals(weight)[8:].square().sum().sqrt()
    assert float(torch.linalg.norm(weight - approximation.detach())) == pytest.approx(float(optimum), rel=1e-5)
    if not inplace:
        assert all(torch.equal(value, before.state_dict()[name]) for name, value in network.state_dict().items())


def test_no_memory_is_shared_with_the_model_given_nor_kept_of_the_decomposition(network: nn.Sequential) -> None:
    compressed = LowRank(rank=0.6)(network)  # 0.6 * 10 = 6 of the head's break-even 7.6; the first layer stays at 10
    own = {parameter.untyped_storage().data_ptr() for parameter in compressed.model.parameters()}
    assert not own & {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    for parameter in compressed.model.parameters():
        assert parameter.untyped_storage().nbytes() == parameter.nbytes
        assert parameter.is_leaf


def test_a_factorised_model_trains(network: nn.Sequential, images: Tensor) -> None:
    compressed = LowRank(rank=0.25)(network)
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.05)
    with compressed.training(optimizer):
        losses = []
        for _ in range(6):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(compressed.model(images), torch.arange(64) % 10)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("inplace", [False, True])
def test_the_search_ends_at_the_energy_reported(network: nn.Sequential, inplace: bool) -> None:
    full = sum(parameter.numel() for parameter in network.parameters())
    given = copy.deepcopy(network)

    def evaluate(model: nn.Module) -> float:
        return sum(parameter.numel() for parameter in model.parameters()) / full

    compressed = LowRank(tolerance=0.4)(network, evaluate, inplace=inplace)
    report = compressed.report
    assert report.energy in ENERGIES
    assert report.evaluations <= 6
    assert report.accuracy_compressed == evaluate(compressed.model) >= 0.6
    stronger = LowRank(energy=ENERGIES[ENERGIES.index(report.energy) + 1])(given)
    assert stronger.report.after.parameters / full < 0.6


@pytest.mark.parametrize("inplace", [False, True])
def test_where_nothing_passes_the_model_stays(network: nn.Sequential, inplace: bool) -> None:
    keys = list(network.state_dict())
    compressed = LowRank(tolerance=0.0)(
        network,
        lambda model: float(isinstance(model[0], nn.Conv2d) and isinstance(model[3], nn.Conv2d)),
        inplace=inplace,
    )
    assert list(compressed.model.state_dict()) == keys
    assert compressed.report.ranks == {}
    assert compressed.report.effect is Effect.UNCHANGED
    assert "no compression" in compressed.report.notes[-1]


def test_layers_that_others_read_or_hook_are_left_alone_with_a_reason() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 2)
            self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
            self.hooked = nn.Linear(32, 32)
            self.hooked.register_forward_hook(lambda *_: None)
            self.free = nn.Linear(32, 32)

    report = LowRank(rank=0.25)(Attention()).report
    assert report.ranks == {"free": 8}
    notes = " ".join(report.notes)
    assert all(name in notes for name in ("attention.out_proj", "depthwise", "hooked"))


def test_the_global_generator_is_not_touched(network: nn.Sequential) -> None:
    state = torch.get_rng_state()
    LowRank(rank=0.25)(network)
    assert torch.equal(torch.get_rng_state(), state)


def test_ranks_by_layer_factorise_these_layers_and_no_other(network: nn.Sequential) -> None:
    compressed = LowRank(rank={"7": 2, "3": 8})(network)
    assert compressed.report.ranks == {"3": 8, "7": 2}
    assert compressed.report.covered == ("3.weight", "7.weight")
    assert isinstance(compressed.model[0], nn.Conv2d)
    assert compressed.report.curve == ()
    everywhere = LowRank(rank=0.25)(network)
    for name in ("3", "7"):
        assert same(compressed.model.get_submodule(name), everywhere.model.get_submodule(name))


def test_a_rank_that_saves_nothing_leaves_its_layer_alone_with_a_note(network: nn.Sequential) -> None:
    highest = saving_rank(network[7].weight)
    report = LowRank(rank={"3": 4, "7": highest + 1})(network).report
    assert report.ranks == {"3": 4}
    assert report.notes == ("left alone, two layers of that rank would be no smaller: 7",)
    assert LowRank(rank={"7": highest})(network).report.after.parameters < parameters(network)
    assert LowRank(rank=1.0)(network).report.effect is Effect.UNCHANGED


@pytest.mark.parametrize("name", NINE)
def test_layers_of_low_rank_are_recovered_in_the_nine_models(name: str) -> None:
    pixels = max(32, architecture(name).minimum_pixels)
    torch.manual_seed(0)
    model = build(name, 10, pixels).eval()
    ranks: dict[str, int] = {}
    shapes = set()
    for path, layer in factorable(model)[0].items():
        highest = saving_rank(layer.weight)
        # One layer of every shape up to this side: larger ones only take longer.
        if min(layer.weight.flatten(1).shape) <= 512 and highest and layer.weight.shape not in shapes:
            shapes.add(layer.weight.shape)
            ranks[path] = rank = min(4, highest)
            rows, columns = layer.weight.flatten(1).shape
            thin = torch.randn(rows, rank) @ torch.randn(rank, columns) * float(layer.weight.detach().std()) / rank**0.5
            layer.weight.detach().copy_(thin.view_as(layer.weight))
    images = torch.randn(2, 3, pixels, pixels)
    with torch.no_grad():
        dense = model(images)
        compressed = LowRank(rank=ranks)(model, inplace=True)
        factorised = compressed.model(images)
    assert compressed.report.ranks == ranks
    assert float((factorised - dense).abs().max()) <= 1e-5 * float(dense.abs().max())


@pytest.mark.parametrize("budget", [0.8, 0.5, 0.3])
def test_a_budget_of_parameters_is_kept(network: nn.Sequential, budget: float) -> None:
    compressed = LowRank(budget=budget)(network)
    covered = [network[index].weight.numel() for index in (0, 3, 7)]
    fixed = parameters(network) - sum(covered)
    kept = parameters(compressed.model) - fixed
    assert kept <= budget * sum(covered)
    assert compressed.report.budget == budget
    assert compressed.report.energy is None
    assert compressed.report.effect is Effect.REALISED


def test_a_budget_of_flops_is_kept_in_the_forward_pass(network: nn.Sequential, images: Tensor) -> None:
    before = forward_flops(network, images)
    by_flops = LowRank(budget=0.5, cost="flops")(network, example_input=images)
    by_parameters = LowRank(budget=0.5)(network, example_input=images)
    assert by_flops.report.after.flops == forward_flops(by_flops.model, images) <= 0.5 * before
    assert by_parameters.report.after.flops is not None
    assert by_flops.report.after.flops < by_parameters.report.after.flops
    with pytest.raises(UsageError, match="needs example_input, a batch of inputs"):
        LowRank(budget=0.5, cost="flops")(network)


def test_a_layer_that_the_example_does_not_run_is_left_alone_under_a_budget_of_flops() -> None:
    class Network(nn.Sequential):
        def forward(self, inputs: Tensor) -> Tensor:
            return self[0](inputs)

    model = Network(nn.Linear(30, 30), nn.Linear(30, 30))
    report = LowRank(budget=0.3, cost="flops")(model, example_input=torch.zeros(2, 30)).report
    assert report.ranks == {"0": 4}
    assert "left alone, not run with example_input: 1" in report.notes


def test_a_budget_for_all_loses_less_than_the_same_cut_in_every_layer(network: nn.Sequential) -> None:
    """At equal parameters the summed relative error of a global allocation is below that of a fraction per layer."""

    def lost(model: nn.Module) -> float:
        total = 0.0
        for name in ("0", "3", "7"):
            layer, weight = model.get_submodule(name), network.get_submodule(name).weight.detach().flatten(1)
            if isinstance(layer, nn.Sequential):
                product = layer[1].weight.detach().flatten(1) @ layer[0].weight.detach().flatten(1)
                total += float((weight - product).square().sum() / weight.square().sum())
        return total

    by_layer = LowRank(rank=0.4)(network)
    covered = sum(network[index].weight.numel() for index in (0, 3, 7))
    budget = 1 - (parameters(network) - parameters(by_layer.model)) / covered
    everywhere = LowRank(budget=budget)(network)
    assert parameters(everywhere.model) <= parameters(by_layer.model)
    assert 0 < lost(everywhere.model) < lost(by_layer.model)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("cost", ["parameters", "flops"])
def test_the_global_search_ends_at_the_budget_reported(
    network: nn.Sequential, images: Tensor, cost: str, inplace: bool
) -> None:
    full = parameters(network)
    given = copy.deepcopy(network)

    def evaluate(model: nn.Module) -> float:
        return parameters(model) / full

    asked = LowRank(allocation="global", cost=cost, tolerance=0.4)
    compressed = asked(network, evaluate, inplace=inplace, example_input=images)
    report = compressed.report
    assert report.budget in BUDGETS
    assert report.energy is None
    assert report.evaluations <= 6
    assert report.accuracy_compressed == evaluate(compressed.model) >= 0.6
    stronger = LowRank(budget=BUDGETS[BUDGETS.index(report.budget) + 1], cost=cost)(given, example_input=images)
    assert evaluate(stronger.model) < 0.6


@pytest.mark.parametrize(
    "asked",
    [
        LowRank(tolerance=0.3),
        LowRank(allocation="global", tolerance=0.3),
        LowRank(allocation="global", cost="flops", tolerance=0.3),
    ],
    ids=["layer", "global", "flops"],
)
def test_what_was_found_gives_the_same_model_without_a_search(
    network: nn.Sequential, images: Tensor, agreement: Any, asked: LowRank
) -> None:
    found = asked(network, agreement, example_input=images)
    assert found.report.effect is Effect.REALISED
    again = asked.settled(found.report)
    assert again.sought == ""
    assert again.settled(found.report) == again
    repeated = again(network, example_input=images)
    assert same(repeated.model, found.model)
    assert repeated.report.ranks == found.report.ranks


def test_a_compressor_that_was_given_its_ranks_is_settled(network: nn.Sequential) -> None:
    for asked in (LowRank(rank=0.3), LowRank(rank={"3": 5}), LowRank(energy=0.8), LowRank(budget=0.5)):
        assert asked.sought == ""
        assert asked.settled(asked(network).report) is asked


def test_where_a_search_finds_nothing_the_settled_compressor_does_nothing(network: nn.Sequential) -> None:
    def evaluate(model: nn.Module) -> float:
        return float(parameters(model) == parameters(network))

    for asked in (LowRank(), LowRank(allocation="global")):
        report = asked(network, evaluate).report
        assert (report.energy, report.budget, report.effect) == (None, None, Effect.UNCHANGED)
        assert asked.settled(report) == NoCompression()


def test_a_chain_of_a_global_search_and_cleared_bits_ends_as_it_reports(
    network: nn.Sequential, images: Tensor, agreement: Any
) -> None:
    chain = Chain((LowRank(allocation="global", tolerance=0.2), StegoReduction(tolerance=0.2)))
    found = chain(network, agreement, example_input=images)
    repeated = chain.settled(found.report)(network, example_input=images)
    assert same(repeated.model, found.model)


def test_transformer_encoders_of_linear_layers_are_factorised_everywhere_but_in_attention() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value, self.out = (nn.Linear(24, 24, bias=False) for _ in range(4))
            self.norm, self.up, self.down = nn.LayerNorm(24), nn.Linear(24, 96), nn.Linear(96, 24)

        def forward(self, tokens: Tensor) -> Tensor:
            mixed = nn.functional.scaled_dot_product_attention(self.query(tokens), self.key(tokens), self.value(tokens))
            tokens = tokens + self.out(mixed)
            return tokens + self.down(torch.relu(self.up(self.norm(tokens))))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(11, 24), Block(), Block(), nn.Linear(24, 11))
    ids = torch.randint(11, (4, 6))
    before = forward_flops(model, ids)
    compressed = LowRank(budget=0.5, cost="flops")(model, example_input=ids)
    assert compressed.report.notes == ()
    assert len(compressed.report.covered) == 13
    assert forward_flops(compressed.model, ids) <= 0.5 * before
    assert compressed.model(ids).shape == (4, 6, 11)


@pytest.mark.parametrize("name", ["causal_lm", "vit"])
def test_the_transformers_of_the_study_are_factorised_where_they_are_linear(name: str) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    model = build(name, 10, 32)
    inputs = torch.randint(10, (2, 12)) if name == "causal_lm" else torch.randn(2, 3, 32, 32)
    before = forward_flops(model, inputs)
    report = LowRank(budget=0.5, cost="flops")(model, inplace=True, example_input=inputs).report
    assert report.ranks
    assert forward_flops(model, inputs) == report.after.flops < 0.6 * before
    assert torch.isfinite(model(inputs)).all()


def test_factors_keep_the_memory_format_of_the_layer(network: nn.Sequential, images: Tensor) -> None:
    plain = LowRank(rank=0.25)(network).model
    compressed = LowRank(rank=0.25)(network.to(memory_format=torch.channels_last)).model
    weight = compressed[3][0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    assert plain[3][0].weight.is_contiguous()
    torch.testing.assert_close(compressed(images), plain(images))


@pytest.mark.parametrize("asked", [LowRank(rank=0.5), LowRank(budget=0.5), LowRank(rank={"3": 2})])
@pytest.mark.parametrize("inplace", [False, True])
def test_weights_that_are_not_finite_are_refused_and_the_model_stays(
    network: nn.Sequential, asked: LowRank, inplace: bool
) -> None:
    with torch.no_grad():
        network[3].weight[0, 0, 0, 0] = float("nan")
    layers, state = list(network), {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CompressionError, match=r"3\.weight has infinite or NaN"):
        asked(network, inplace=inplace)
    assert list(network) == layers
    assert all(
        torch.equal(value.nan_to_num(), state[name].nan_to_num()) for name, value in network.state_dict().items()
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (LowRank(rank={"5": 2}), "'5' is no layer that can be factorised; there are 3, such as"),
        (LowRank(rank={"7": 11}), "rank 11 of 7 is above its full rank 10"),
        (LowRank(rank={"0": 17}), "rank 17 of 0 is above its full rank 16"),
        (LowRank(budget=0.01), r"a budget of 0\.01 is too small: rank 1 in every layer that shrinks still keeps 0\.0"),
    ],
)
@pytest.mark.parametrize("inplace", [False, True])
def test_what_the_model_cannot_give_is_refused_before_anything_is_evaluated(
    network: nn.Sequential, asked: LowRank, message: str, inplace: bool
) -> None:
    before = copy.deepcopy(network)

    def evaluate(model: nn.Module) -> float:
        raise AssertionError("not to be called")

    with pytest.raises(CompressionError, match=message):
        asked(network, evaluate, inplace=inplace)
    assert same(network, before)


def test_a_named_layer_that_may_not_be_replaced_comes_with_the_reason() -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Linear(8, 8))
    with pytest.raises(
        CompressionError, match=r"'0' is no layer .* \(left alone, grouped convolutions: 0\); there are 1"
    ):
        LowRank(rank={"0": 1})(model)


@pytest.mark.parametrize(
    "bad",
    [
        {"energy": 0.0},
        {"energy": 1.5},
        {"energy": float("nan")},
        {"rank": -0.1},
        {"rank": 64},
        {"rank": "full"},
        {"rank": {}},
        {"rank": {"fc": 0}},
        {"rank": {"fc": 0.5}},
        {"rank": {"fc": True}},
        {"rank": {3: 4}},
        {"budget": 0},
        {"budget": 1.01},
        {"tolerance": 2},
        {"allocation": "model"},
        {"cost": "seconds"},
        {"cost": "flops"},
    ],
)
def test_bad_parameters_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"LowRank: {next(iter(bad))}"):
        LowRank(**bad)


@pytest.mark.parametrize(
    ("both", "message"),
    [
        ({"energy": 0.9, "rank": 0.5}, "give energy, rank or budget, not both energy and rank"),
        ({"rank": {"0": 1}, "budget": 0.5}, "not both rank and budget"),
        ({"energy": 0.9, "allocation": "global"}, "energy allocates ranks by layer, not by global"),
        ({"budget": 0.9, "allocation": "layer"}, "budget allocates ranks by global, not by layer"),
        ({"energy": 0.9, "cost": "flops"}, "cost='flops' needs a budget or allocation='global'"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(both: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LowRank(**both)


@pytest.mark.parametrize(
    "asked", [LowRank(), LowRank(allocation="global"), LowRank(rank={"0": 3}), LowRank(budget=0.5)]
)
def test_parameters_are_plain_values_that_make_the_compressor_again(asked: LowRank) -> None:
    assert LowRank(**asked.given()) == asked


def test_the_ranks_given_are_kept_as_they_were() -> None:
    ranks = {"0": 3}
    asked = LowRank(rank=ranks)
    ranks["0"] = 99
    assert asked.rank == {"0": 3}


def test_a_report_is_stored_with_its_budget(network: nn.Sequential) -> None:
    report: CompressionReport = LowRank(budget=0.5)(network).report
    facts = report.as_facts()
    assert facts["budget"] == 0.5
    assert facts["ranks"] == report.ranks
    assert facts["given"] == {**LowRank().given(), "budget": 0.5}

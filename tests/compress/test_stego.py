"""The capacity search on a model, layer by layer too, what a report says of it, and bits that are kept clear."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from energybench.compress import Chain, Effect, Pruning, StegoReduction
from energybench.compress.bits import clear_bits, low_bits_set
from energybench.compress.precision import probe
from energybench.errors import CompressionError, UsageError

LAYERS = ("0", "3", "7")
RULES = ["truncate", "nearest", "random", "stochastic"]


def weights_of(model: nn.Module) -> list[nn.Parameter]:
    return [model.get_parameter(f"{layer}.weight") for layer in LAYERS]


def steady(network: nn.Module) -> Any:
    """evaluate: falls steadily with the size of the change."""
    before = [weight.detach().clone() for weight in weights_of(network)]

    def evaluate(model: nn.Module) -> float:
        pairs = zip(weights_of(model), before, strict=True)
        moved = sum(float((weight - old).detach().abs().sum()) for weight, old in pairs)
        return 1 / (1 + moved / 10) if moved == moved else 0.0

    return evaluate


@pytest.mark.parametrize("rule", RULES)
def test_the_search_finds_what_a_scan_finds_in_at_most_8_evaluations(network: nn.Module, rule: str) -> None:
    evaluate = steady(network)
    scan = []
    for bits in range(33):
        trial = copy.deepcopy(network)
        clear_bits(weights_of(trial), bits, rule)
        scan.append(evaluate(trial) >= 0.99)
    capacity = max(bits for bits, passed in enumerate(scan) if passed)
    compressed = StegoReduction(rule=rule)(network, evaluate)
    assert compressed.report.bits == capacity
    assert compressed.report.rule == rule
    if scan == sorted(scan, reverse=True):
        assert compressed.report.evaluations <= 8
    assert compressed.report.accuracy_compressed == evaluate(compressed.model)


@pytest.mark.parametrize("inplace", [False, True])
def test_weights_change_and_nothing_else_does(network: nn.Sequential, agreement: Any, inplace: bool) -> None:
    before = copy.deepcopy(network.state_dict())
    compressed = StegoReduction(tolerance=0.05)(network, agreement, evaluation_size=64, inplace=inplace)
    report, after = compressed.report, compressed.model.state_dict()
    assert report.effect is Effect.SIMULATED
    assert report.bits
    assert report.covered == ("0.weight", "3.weight", "7.weight")
    assert list(after) == list(before)
    for name, value in before.items():
        expected = value.clone()
        if name in report.covered:
            clear_bits([expected], report.bits)
        assert torch.equal(after[name], expected)
        assert inplace or torch.equal(network.state_dict()[name], value)
    assert (compressed.model is network) == inplace
    assert report.rate == pytest.approx(report.bits / 32 * (432 + 4608 + 320) / report.before.parameters)
    assert report.after.bytes_zlib < report.before.bytes_zlib
    assert report.after.bytes_memory == report.before.bytes_memory
    assert report.bytes_packed is not None
    assert report.bytes_packed < report.before.bytes_disk


def test_a_reported_capacity_names_its_rule_its_size_and_its_interval(network: nn.Sequential, agreement: Any) -> None:
    facts = StegoReduction(rule="nearest", tolerance=0.05)(network, agreement, evaluation_size=64).report.as_facts()
    json.dumps(facts, allow_nan=False)
    assert (facts["rule"], facts["evaluation_size"]) == ("nearest", 64)
    low, high = facts["accuracy_compressed_interval"]
    assert low < facts["accuracy_compressed"] <= high


def test_what_is_covered_is_what_was_asked_for(network: nn.Sequential) -> None:
    compressed = StegoReduction(bits=20, cover=("biases", "norms"))(network)
    covered = compressed.report.covered
    assert covered == ("0.bias", "1.weight", "1.bias", "3.bias", "7.bias")
    for name, value in network.state_dict().items():
        after = compressed.model.state_dict()[name]
        assert torch.equal(after, value) == (name not in covered or not low_bits_set(value, 20))


def test_a_relative_tolerance_is_a_share_of_the_accuracy(network: nn.Sequential) -> None:
    evaluate = steady(network)
    start = StegoReduction(bits=18)(network).model  # accuracy below 1
    own = evaluate(start)
    for relative in (False, True):
        report = StegoReduction(tolerance=0.3, relative=relative)(start, evaluate).report
        allowed = 0.3 * own if relative else 0.3
        assert report.accuracy_compressed is not None
        assert own - report.accuracy_compressed <= allowed
        assert report.bits is not None
        more = StegoReduction(bits=report.bits + 1)(start, evaluate).report
        assert own - (more.accuracy_compressed or 0.0) > allowed


@pytest.mark.parametrize("rule", RULES)
def test_every_layer_gets_at_least_the_whole_models_bits_and_the_whole_stays_within_the_tolerance(
    network: nn.Module, rule: str
) -> None:
    evaluate = steady(network)
    whole = StegoReduction(rule=rule, tolerance=0.05)(network, evaluate).report.bits
    calls: list[float] = []

    def counted(model: nn.Module) -> float:
        calls.append(evaluate(model))
        return calls[-1]

    compressed = StegoReduction(rule=rule, tolerance=0.05, scope="layers")(network, counted)
    report = compressed.report
    assert report.bits_by_layer is not None
    assert list(report.bits_by_layer) == list(LAYERS)
    assert whole is not None
    assert report.bits == min(report.bits_by_layer.values()) >= whole
    assert report.accuracy_compressed == evaluate(compressed.model) >= 0.95
    assert report.evaluations == len(calls) <= 8 + 6 * 3
    sizes = {"0": 432, "3": 4608, "7": 320}
    cleared = sum(sizes[layer] * bits for layer, bits in report.bits_by_layer.items())
    assert report.rate == pytest.approx(cleared / 32 / report.before.parameters)
    assert report.curve[-1][0] >= cleared / sum(sizes.values())
    # the largest layer comes first and takes what the whole leaves: one more bit there is too much
    trial = {**dict.fromkeys(LAYERS, whole), "3": report.bits_by_layer["3"] + 1}
    assert evaluate(StegoReduction(bits=trial, rule=rule)(network).model) < 0.95


@pytest.mark.parametrize("scope", ["whole", "layers"])
@pytest.mark.parametrize("rule", RULES)
def test_what_was_found_makes_the_same_model_again_without_an_evaluate(
    network: nn.Module, scope: str, rule: str
) -> None:
    first = StegoReduction(rule=rule, scope=scope, tolerance=0.05, seed=3)
    compressed = first(network, steady(network))
    again = first.settled(compressed.report)(network)
    for name, value in compressed.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value)
    assert again.report.bits_by_layer == compressed.report.bits_by_layer
    assert again.report.rate == compressed.report.rate


@pytest.mark.parametrize("target", ["bfloat16", "autocast", "float16"])
def test_an_evaluate_that_fails_on_the_realised_model_gives_all_of_it_back(network: nn.Sequential, target: str) -> None:
    before, kind = copy.deepcopy(network.state_dict()), type(network)
    held = {name: id(parameter) for name, parameter in network.named_parameters()}

    def failing(model: nn.Module) -> float:
        if type(model) is not kind:
            raise ZeroDivisionError
        return 1.0

    with pytest.raises(ZeroDivisionError):
        StegoReduction(16, realise=target, slow=True)(network, failing, inplace=True)
    assert type(network) is kind
    assert {name: id(parameter) for name, parameter in network.named_parameters()} == held
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(("scope", "good"), [("whole", 2), ("layers", 2), ("layers", 12)])
def test_an_inplace_search_that_fails_gives_the_weights_back(network: nn.Sequential, scope: str, good: int) -> None:
    before, evaluate = copy.deepcopy(network.state_dict()), steady(network)
    answers: list[float] = []

    def failing(model: nn.Module) -> float:
        answers.append(evaluate(model) if len(answers) < good else float("nan"))
        return answers[-1]

    with pytest.raises(CompressionError, match="nan"):
        StegoReduction(scope=scope)(network, failing, inplace=True)
    assert len(answers) == good + 1
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("scope", ["whole", "layers"])
def test_no_capacity_is_a_result_not_an_error(network: nn.Sequential, scope: str) -> None:
    before = [weight.detach().clone() for weight in weights_of(network)]

    def untouched(model: nn.Module) -> float:
        return float(all(torch.equal(*pair) for pair in zip(weights_of(model), before, strict=True)))

    compressed = StegoReduction(scope=scope)(network, untouched)
    report = compressed.report
    assert (report.bits, report.rate, report.effect) == (0, 0.0, Effect.UNCHANGED)
    assert report.accuracy_compressed == 1.0 == untouched(compressed.model)
    assert "model unchanged" in report.notes[0]


@pytest.mark.parametrize("scope", ["whole", "layers"])
def test_accuracy_that_is_not_monotone_is_scanned_and_said(network: nn.Sequential, scope: str) -> None:
    start = network[3].weight.detach().clone()

    def evaluate(model: nn.Module) -> float:
        share = float((model[3].weight.detach() - start).norm() / start.norm())
        return 0.5 if 1e-4 < share < 1e-3 or share > 0.2 else 1.0  # a gap below, then good again

    compressed = StegoReduction(scope=scope)(network, evaluate)
    scan = [evaluate(StegoReduction(bits=bits)(network).model) == 1.0 for bits in range(33)]
    capacity = max(bits for bits, passed in enumerate(scan) if passed)
    assert not all(scan[:capacity])
    assert compressed.report.bits == capacity
    assert evaluate(compressed.model) == 1.0


def test_given_bits_need_no_evaluate_and_draw_nothing_from_the_global_generator(network: nn.Sequential) -> None:
    state = torch.get_rng_state()
    report = StegoReduction(bits=24, rule="random")(network).report
    assert torch.equal(torch.get_rng_state(), state)
    assert (report.bits, report.evaluations, report.accuracy_compressed) == (24, 0, None)
    assert report.bytes_packed is None
    assert "infinite or NaN" in report.notes[0]


@pytest.mark.parametrize(
    "bad",
    [
        {"bits": 33},
        {"bits": -1},
        {"bits": 1.5},
        {"bits": True},
        {"bits": {"0": 40}},
        {"rule": "up"},
        {"tolerance": 1.0},
        {"tolerance": float("nan")},
        {"seed": 0.5},
        {"cover": ()},
        {"cover": "weights"},
        {"cover": ("weights", "heads")},
        {"when": "never"},
        {"scope": "layer"},
        {"realise": "float4"},
        {"when": "step", "realise": "bfloat16"},
        {"rule": "random", "realise": "bfloat16"},
    ],
)
def test_bad_parameters_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"StegoReduction: {next(iter(bad))}"):
        StegoReduction(**bad)


def test_bits_for_a_layer_that_is_not_there_are_refused(network: nn.Sequential) -> None:
    with pytest.raises(CompressionError, match="'conv1', and the covered layers are 0, 3, 7"):
        StegoReduction(bits={"0": 3, "conv1": 5})(network)


def train(compressed: Any, images: Tensor, epochs: int = 1, steps: int = 2) -> list[list[Tensor]]:
    """SGD without a goal; the covered weights after each step, each epoch and at the end."""
    model = compressed.model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    seen = []

    def look() -> None:
        seen.append([weight.detach().clone() for weight in weights_of(model)])

    with compressed.training(optimizer) as hooks:
        for _ in range(epochs):
            for _ in range(steps):
                optimizer.zero_grad()
                model(images).square().mean().backward()
                optimizer.step()
                look()
            hooks.epoch_end()
            look()
    look()
    return seen


def clear(weights: list[Tensor], bits: int) -> bool:
    return not any(low_bits_set(weight, bits) for weight in weights)


@pytest.mark.parametrize(
    ("when", "step", "epoch", "end"),
    [
        ("once", False, False, False),
        ("epoch", False, True, True),
        ("end", False, False, True),
        ("step", True, True, True),
    ],
)
def test_bits_are_clear_when_they_should_be(
    network: nn.Sequential, images: Tensor, when: str, step: bool, epoch: bool, end: bool
) -> None:
    compressed = StegoReduction(bits=16, when=when)(network)
    assert clear(weights_of(compressed.model), 16)
    seen = train(compressed, images)
    assert [clear(weights, 16) for weights in seen] == [step, step, epoch, end]


def test_at_each_step_the_default_rounds_by_chance_and_anything_else_is_labelled(network: nn.Sequential) -> None:
    honest = StegoReduction(bits=16, when="step")
    assert honest.rule == honest.given()["rule"] == "stochastic"
    assert honest(network).report.notes == ()
    ablation = StegoReduction(bits=16, when="step", rule="truncate")(network).report
    assert "ablation" in ablation.notes[0]
    assert StegoReduction().rule == StegoReduction(when="end").rule == "truncate"


def test_truncation_at_each_step_shrinks_weights_and_stochastic_rounding_does_not(network: nn.Sequential) -> None:
    shrunk = {}
    for rule in ("truncate", "stochastic"):
        compressed = StegoReduction(bits=16, when="step", rule=rule)(network)
        optimizer = torch.optim.SGD(compressed.model.parameters(), lr=1.0)
        weight = compressed.model.get_parameter("3.weight")
        start = float(weight.detach().abs().sum())
        with compressed.training(optimizer):
            for _ in range(200):  # updates of both signs that cancel out, each far below the grid's step
                weight.grad = torch.randn(weight.shape) * 1e-5
                optimizer.step()
        shrunk[rule] = float(weight.detach().abs().sum()) / start
    assert shrunk["truncate"] < 0.8
    assert abs(shrunk["stochastic"] - 1) < 0.02


def test_a_training_with_bits_kept_clear_can_be_repeated(network: nn.Sequential, images: Tensor) -> None:
    runs = [train(StegoReduction(bits=18, when="step", seed=seed)(network), images) for seed in (1, 1, 2)]
    assert all(torch.equal(*pair) for pair in zip(runs[0][-1], runs[1][-1], strict=True))
    assert not all(torch.equal(*pair) for pair in zip(runs[0][-1], runs[2][-1], strict=True))
    steps = runs[0][0][1] - runs[0][1][1]
    assert steps.count_nonzero()  # other draws at each step: not the same rounding again


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("when", ["epoch", "end", "step"])
def test_pruned_weights_stay_zero_and_the_end_is_on_the_grid(
    network: nn.Sequential, images: Tensor, rule: str, when: str
) -> None:
    compressed = Chain((Pruning(0.5), StegoReduction(bits=16, rule=rule, when=when)))(network)
    end = train(compressed, images)[-1]
    for name, weight in zip(compressed.masks, end, strict=True):
        assert not weight[~compressed.masks[name]].any()
    assert rule == "random" or clear(end, 16)


def test_random_bits_are_written_again_as_they_were(network: nn.Sequential, images: Tensor) -> None:
    compressed = StegoReduction(bits=16, rule="random", when="epoch")(network)
    before = [weight.detach().view(torch.int32) & 0xFFFF for weight in weights_of(compressed.model)]
    seen = train(compressed, images)
    for place, low in enumerate(before):
        assert not torch.equal(seen[0][place].view(torch.int32) & 0xFFFF, low)
        assert torch.equal(seen[2][place].view(torch.int32) & 0xFFFF, low)


def test_the_weights_that_are_put_back_at_the_end_are_on_the_grid_too(network: nn.Sequential, images: Tensor) -> None:
    compressed = StegoReduction(bits=16, when="end")(network)
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.05)
    with compressed.training(optimizer) as hooks:
        with torch.no_grad():
            for weight in weights_of(compressed.model):
                weight.normal_()  # as an early stop restores the best epoch
        hooks.finish()
        assert clear(weights_of(compressed.model), 16)


def test_bits_are_kept_clear_of_float32_only_and_of_weights_that_are_there(network: nn.Sequential) -> None:
    compressed = StegoReduction(bits=16, when="end")(network)
    optimizer = torch.optim.SGD(compressed.model.parameters(), lr=0.05)
    compressed.model.bfloat16()
    with pytest.raises(CompressionError, match=r"0\.weight became torch\.bfloat16"), compressed.training(optimizer):
        pass
    (keep,) = compressed.upkeep
    with pytest.raises(CompressionError, match="none of the weights"):
        keep.attach(nn.ReLU(), optimizer)


def needs(target: str) -> Any:
    found = probe(target)
    return pytest.mark.skipif(not found.possible, reason=f"{target} cannot run here: {found.reason}")


@needs("bfloat16")
def test_a_capacity_of_16_is_realised_in_bfloat16(network: nn.Sequential) -> None:
    compressed = StegoReduction(tolerance=0.2, realise="bfloat16", slow=True)(network, steady(network))
    report = compressed.report
    assert report.bits is not None
    assert report.bits >= 16
    assert (report.effect, report.dtype) == (Effect.REALISED, "bfloat16")
    assert report.after.bytes_memory < report.before.bytes_memory
    assert report.evaluations <= 9
    assert report.accuracy_compressed == pytest.approx(steady(network)(compressed.model))
    assert all(weight.dtype == torch.bfloat16 for weight in weights_of(compressed.model))
    assert all(weight.dtype == torch.float32 for weight in weights_of(network))


@needs("bfloat16")
def test_a_capacity_below_what_is_needed_stays_simulated_with_a_note(network: nn.Sequential) -> None:
    compressed = StegoReduction(bits=15, realise="bfloat16", slow=True)(network)
    report = compressed.report
    assert (report.effect, report.dtype) == (Effect.SIMULATED, None)
    assert "needs 16 cleared bits, and 15 may be cleared" in report.notes[-1]
    assert clear(weights_of(compressed.model), 15)


def test_what_this_machine_cannot_run_is_refused_before_anything_is_searched(network: nn.Sequential) -> None:
    calls: list[nn.Module] = []

    def evaluate(model: nn.Module) -> float:
        calls.append(model)
        return 1.0

    if probe("tf32").possible:
        pytest.skip("this machine's CPU multiplies in TF32")
    with pytest.raises(CompressionError, match="tf32 cannot run here"):
        StegoReduction(realise="tf32")(network, evaluate)
    assert not calls

"""A number of bits for every layer of its own, under one tolerance for the whole model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from energybench.compress.bits import Levels
from energybench.compress.layers import layer_of
from energybench.compress.report import Evidence
from energybench.compress.search import Evaluation, Tolerance, largest_passing


@dataclass(frozen=True)
class LayerBits:
    """What the search came to."""

    bits: dict[str, int]
    """layer -> bits, in the order of the model"""
    evidence: Evidence
    notes: tuple[str, ...] = ()


def places_by_layer(names: Sequence[str]) -> dict[str, list[int]]:
    """Layer -> places of its tensors in `names`."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(layer_of(name), []).append(place)
    return places


def search_layers(
    model: nn.Module,
    weights: dict[str, Tensor],
    levels: Levels,
    evaluation: Evaluation,
    tolerance: Tolerance,
    *,
    reference: float | None = None,
) -> LayerBits:
    """Bring each layer to as many bits as the accuracy of the whole model allows, and leave them there.

    First the whole model's number is found (8 evaluations where accuracy is monotone). From there the layers are raised
    one after the other, the largest first and equal ones in the model's order, each to the most that passes with all
    others as they then are (bisection, at most 6 evaluations a layer, 4 from 17 bits on). So no layer has fewer bits
    than the whole model can do without, the final state was evaluated and is within the tolerance of `reference` (the
    model's own accuracy where None), and the same model gives the same answer. The largest layers get most of the
    tolerance. The curve's parameter is the mean number of bits per covered weight.
    Where `evaluate` raises, all weights are what they were.
    """
    begun = evaluation.calls
    layers = places_by_layer(list(weights))
    numels = [weight.numel() for weight in weights.values()]
    numel = {layer: sum(numels[place] for place in places) for layer, places in layers.items()}
    bits = dict.fromkeys(layers, 0)
    accuracies: dict[tuple[int, ...], float] = {}

    def accuracy(state: dict[str, int]) -> float:
        for layer, level in state.items():
            levels.bring(level, layers[layer])
        key = tuple(state.values())
        if key not in accuracies:
            accuracies[key] = evaluation(model)
        return accuracies[key]

    try:
        own = accuracy(bits)
        wanted = own if reference is None else reference

        def together(level: int) -> bool:
            return tolerance.met(wanted, accuracy(dict.fromkeys(layers, level)))

        threshold = largest_passing(together, 32, verify=True)
        whole = threshold.index
        bits = dict.fromkeys(layers, whole)

        def alone(layer: str, more: int) -> bool:
            return tolerance.met(wanted, accuracy({**bits, layer: whole + more}))

        for layer in sorted(layers, key=lambda name: -numel[name]):
            bits[layer] = whole + largest_passing(partial(alone, layer), 32 - whole).index
        chosen = accuracy(bits)  # known: this only brings the weights there
    except BaseException:
        levels.restore()
        raise
    total = sum(numels)
    curve = {
        (sum(level * numel[layer] for layer, level in zip(layers, key, strict=True)) / total, value)
        for key, value in accuracies.items()
    }
    notes = list(tolerance.notes(wanted))
    if not threshold.monotone:
        failed = ", ".join(str(level) for level, passed in threshold.tried.items() if level < whole and not passed)
        notes.append(f"accuracy is not monotone: {failed} failed although more bits of the whole model passed")
    if not any(bits.values()):
        notes.append(f"no layer can lose a bit for at most {tolerance.words} of accuracy: model unchanged")
    evidence = Evidence(evaluation.calls - begun, evaluation.size, own, chosen, tuple(sorted(curve)))
    return LayerBits(bits, evidence, tuple(notes))

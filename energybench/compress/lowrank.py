"""Low-rank factorisation: Linear and Conv2d layers split in two at a rank that saves parameters and operations."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from energybench.compress.allocation import Choice, allocate, smallest_budget
from energybench.compress.compressed import Compressed, Compressor, NoCompression, Request
from energybench.compress.factors import applications, factorable, saving_rank, split
from energybench.compress.report import CompressionReport, Effect
from energybench.compress.search import Candidates, check_share
from energybench.compress.spectrum import Spectrum
from energybench.errors import CompressionError, UsageError

ENERGIES = tuple(1 - (step / 32) ** 2 for step in range(1, 32))
"""a search tries these shares of the squared singular values: close together near 1, where accuracy is decided"""
BUDGETS = tuple(1 - step / 32 for step in range(1, 32))
"""with global allocation a search tries these shares of the layers' parameters or FLOPs"""
ALLOCATIONS = ("layer", "global")
COSTS = ("parameters", "flops")


@dataclass(frozen=True)
class LowRank(Compressor):
    """Factorise Linear and Conv2d layers by truncated singular value decomposition; the head is included.

    A Linear becomes two; a k x k Conv2d becomes a k x k convolution to r channels, without bias and with the old
    stride, padding and dilation, and a 1 x 1 convolution to the old channels with the old bias. The singular values go
    half to each side. A layer of out x in weights (in * k * k for a convolution) is factorised only at a rank below
    out * in / (out + in), where it saves parameters; else it stays. Grouped convolutions stay, and so do layers with
    hooks and those that other modules read instead of calling (subclasses of Linear and Conv2d, parts of attention).

    Ranks are given by one of

    - `energy`, the share of the squared singular values kept in every layer;
    - `rank`, a fraction of the full rank in every layer, or {layer: rank} for the layers to factorise;
    - `budget`, the share of the covered layers' parameters (or, with `cost="flops"`, of their operations in a forward
      pass of `example_input`, which is then needed) kept in all. Ranks are allocated to all layers together so that
      the sum of their relative squared errors is as small as that allows: see `allocation.allocate`.

    Where none is given, a search takes the smallest energy of ENERGIES, or with `allocation="global"` the smallest
    budget of BUDGETS, whose accuracy is within `tolerance` (absolute, 0.01 = 1 point) of the model's, by bisection: at
    most 6 evaluations, the reference included. The result always is one that was tried and passed. It is realised:
    shapes, bytes and operations change.

    Raises UsageError for parameters outside their range; when called, CompressionError for a layer that is not there, a
    rank above the layer's full rank, a budget that even rank 1 everywhere exceeds, and weights that are not finite.
    """

    kind: ClassVar[str] = "lowrank"
    energy: float | None = None
    rank: float | Mapping[str, int] | None = None
    budget: float | None = None
    cost: str = "parameters"
    allocation: str | None = None
    """what a search is over, an energy for every `layer` or a `global` budget; None: `layer`, or what was given"""
    tolerance: float = 0.01
    relative: bool = False

    def __post_init__(self) -> None:
        given = [name for name in ("energy", "rank", "budget") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(f"LowRank: give energy, rank or budget, not both {' and '.join(given)}")
        if isinstance(self.rank, Mapping):
            _check_ranks(self.rank)
            object.__setattr__(self, "rank", dict(self.rank))
        elif given:
            check_share("LowRank", given[0], getattr(self, given[0]), zero=False)
        if self.allocation is not None and self.allocation not in ALLOCATIONS:
            raise UsageError(f"LowRank: allocation must be one of {', '.join(ALLOCATIONS)}, not {self.allocation!r}")
        if self.cost not in COSTS:
            raise UsageError(f"LowRank: cost must be one of {', '.join(COSTS)}, not {self.cost!r}")
        if given and self.allocation not in (None, belongs := "global" if given == ["budget"] else "layer"):
            raise UsageError(f"LowRank: {given[0]} allocates ranks by {belongs}, not by {self.allocation}")
        if self.cost == "flops" and not self._global:
            raise UsageError("LowRank: cost='flops' needs a budget or allocation='global'")
        check_share("LowRank", "tolerance", self.tolerance, one=False)

    @property
    def _global(self) -> bool:
        return self.budget is not None or self.allocation == "global"

    @property
    def sought(self) -> str:
        if self.energy is not None or self.rank is not None or self.budget is not None:
            return ""
        return "budget" if self._global else "energy or rank"

    def settled(self, report: CompressionReport) -> Compressor:
        if not self.sought:
            return self
        if self._global:
            return replace(self, budget=report.budget) if report.budget is not None else NoCompression()
        return replace(self, energy=report.energy) if report.energy is not None else NoCompression()

    def at(self, value: Any) -> Compressor:
        return replace(self, **{"budget" if self._global else "energy": value})

    def _compress(self, request: Request) -> Compressed:
        # Decompositions are made once per layer and shared by all candidates of a search. With them memory holds about
        # one further copy of the factorised layers; the model's own copy shares its weights until the end.
        layers, notes = factorable(request.model)
        if isinstance(self.rank, Mapping):
            layers = _named(layers, self.rank, notes)
        applied = self._applications(request, layers)
        before = request.size()
        weights = {name: layer.weight for name, layer in layers.items()}
        # The copy shares the weights of the layers that may be replaced; those that stay are cloned at the end.
        work = (
            request.model
            if request.inplace
            else copy.deepcopy(request.model, {id(weight): weight for weight in weights.values()})
        )
        originals = {name: _layer(work, name) for name in layers}
        spectra = {
            name: Spectrum(name, weight.detach().flatten(1), saving_rank(weight)) for name, weight in weights.items()
        }
        choices = {name: _choice(weights[name], spectra[name], applied[name]) for name in layers}
        known: dict[float, dict[str, int]] = {}

        def ranks_at(value: float) -> dict[str, int]:
            if value not in known:
                known[value] = self._ranks(value, spectra, choices)
            return known[value]

        def apply(value: float) -> None:
            ranks = ranks_at(value)
            for name, layer in originals.items():
                rank = ranks.get(name)
                work.set_submodule(name, layer if rank is None else split(layer, *spectra[name].factors(rank)))

        def restore() -> None:
            for name, layer in originals.items():
                work.set_submodule(name, layer)

        candidates = Candidates(
            self._grid(choices), 1.0, apply, restore, key=lambda value: tuple(ranks_at(value).items()), untouched=()
        )
        given = self._value(spectra)
        if given is not None:
            ranks_at(given)  # what cannot be allocated is refused before anything is evaluated
        tolerance = request.tolerance(self.tolerance, relative=self.relative)
        found = request.bring(work, candidates, given, tolerance)
        value = found.value
        ranks = {} if value is None else ranks_at(value)
        notes += found.notes + self._left_dense(value, ranks, choices)
        _own_memory(work, originals, ranks, spectra, shared=not request.inplace)
        after = request.size(work) if ranks else before
        report = CompressionReport(
            kind=self.kind,
            given=self.given(),
            effect=Effect.REALISED if ranks else Effect.UNCHANGED,
            rate=1 - after.parameters / before.parameters,
            rate_definition="1 - parameters after / parameters before",
            before=before,
            after=after,
            evidence=found.evidence,
            covered=tuple(f"{name}.weight" for name in layers),
            energy=value if self.rank is None and not self._global else None,
            budget=value if self._global else None,
            ranks=ranks,
            notes=notes,
        )
        return Compressed(work, report)

    def _applications(self, request: Request, layers: Mapping[str, nn.Conv2d | nn.Linear]) -> dict[str, int]:
        """How many times an example pays for a layer's weights: once in parameters, once per application in FLOPs."""
        if self.cost == "parameters":
            return dict.fromkeys(layers, 1)
        if request.example_input is None:
            raise UsageError(
                "LowRank(cost='flops') needs example_input, a batch of inputs, to count each layer's FLOPs"
            )
        return applications(request.model, layers, request.example_input)

    def _value(self, spectra: Mapping[str, Spectrum]) -> float | None:
        """The parameter given, as one number; for ranks by layer their share of the full ranks."""
        if isinstance(self.rank, Mapping):
            return sum(self.rank.values()) / sum(spectrum.side for spectrum in spectra.values())
        return next((value for value in (self.energy, self.rank, self.budget) if value is not None), None)

    def _grid(self, choices: Mapping[str, Choice]) -> Sequence[float]:
        """What a search tries, without budgets that cannot be met."""
        if not self._global:
            return ENERGIES
        smallest = smallest_budget(choices)
        return [budget for budget in BUDGETS if budget >= smallest]

    def _ranks(self, value: float, spectra: Mapping[str, Spectrum], choices: Mapping[str, Choice]) -> dict[str, int]:
        """Layer -> rank at a value of the parameter, for those whose rank is below their break-even."""
        if self._global:
            return allocate(choices, value)
        if isinstance(self.rank, Mapping):
            ranks = {name: self.rank[name] for name in spectra}
        elif self.rank is not None:
            ranks = {name: max(1, round(value * spectrum.side)) for name, spectrum in spectra.items()}
        else:
            ranks = {name: spectrum.rank_for(value) for name, spectrum in spectra.items()}
        return {name: rank for name, rank in ranks.items() if rank <= spectra[name].most}

    def _left_dense(
        self, value: float | None, ranks: Mapping[str, int], choices: Mapping[str, Choice]
    ) -> tuple[str, ...]:
        """Notes on layers that stay as they are although they were named, not run, or all of them."""
        notes: tuple[str, ...] = ()
        if idle := [name for name, choice in choices.items() if choice.dense == 0]:
            notes += (f"left alone, not run with example_input: {', '.join(idle)}",)
        if isinstance(self.rank, Mapping) and (large := [name for name in choices if name not in ranks]):
            notes += (f"left alone, two layers of that rank would be no smaller: {', '.join(large)}",)
        if value is not None and not ranks:
            notes += ("no layer has a rank below its break-even at this setting: model unchanged",)
        return notes


def _check_ranks(ranks: Mapping[Any, Any]) -> None:
    """UsageError where ranks by layer are not whole numbers from 1 on by name."""
    if not ranks:
        raise UsageError("LowRank: rank by layer is empty: name at least one layer, or give a fraction")
    for name, rank in ranks.items():
        if not isinstance(name, str) or isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            raise UsageError(f"LowRank: rank of {name!r} must be a whole number of at least 1, not {rank!r}")


def _named(
    layers: Mapping[str, nn.Conv2d | nn.Linear], ranks: Mapping[str, int], notes: tuple[str, ...]
) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers that `ranks` names, in the model's order."""
    for name, rank in ranks.items():
        if name not in layers:
            close = difflib.get_close_matches(name, layers, 3) or list(layers)[:3]
            why = "".join(f" ({note})" for note in notes if name in note.replace(",", " ").split())
            raise CompressionError(
                f"LowRank: {name!r} is no layer that can be factorised{why}; there are {len(layers)}, such as "
                f"{', '.join(close)}"
            )
        full = min(layers[name].weight.flatten(1).shape)
        if rank > full:
            raise CompressionError(f"LowRank: rank {rank} of {name} is above its full rank {full}")
    return {name: layer for name, layer in layers.items() if name in ranks}


def _choice(weight: Tensor, spectrum: Spectrum, applied: int) -> Choice:
    """What a layer costs that is applied so often; one that is never run stays dense, as does one of zeros."""
    rows, columns = weight.flatten(1).shape
    shares = spectrum.shares if applied else spectrum.shares[:0]
    return Choice(applied * rows * columns, applied * (rows + columns), shares)


def _own_memory(
    work: nn.Module,
    originals: Mapping[str, nn.Conv2d | nn.Linear],
    ranks: Mapping[str, int],
    spectra: dict[str, Spectrum],
    *,
    shared: bool,
) -> None:
    """Give every covered layer of `work` weights of its own, releasing the decompositions one by one."""
    for name, original in originals.items():
        del spectra[name]
        parts = [f"{name}.0", f"{name}.1"] if name in ranks else [name] if shared else []
        for part in (_layer(work, path) for path in parts):
            fresh = part.weight.detach().clone(memory_format=_memory_format(original.weight))
            part.weight = nn.Parameter(fresh, part.weight.requires_grad)


def _memory_format(weight: Tensor) -> torch.memory_format:
    """`channels_last` where the weight is laid out so and only so."""
    last = weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last and not weight.is_contiguous() else torch.contiguous_format


def _layer(model: nn.Module, path: str) -> nn.Conv2d | nn.Linear:
    layer = model.get_submodule(path)
    assert isinstance(layer, (nn.Conv2d, nn.Linear))
    return layer

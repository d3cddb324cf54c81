"""Low-rank factorisation: Linear and Conv2d layers split in two at a rank that saves parameters and operations."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from energybench.compress.compressed import Compressed
from energybench.compress.layers import covered_weights
from energybench.compress.report import CompressionReport, Effect, size_of
from energybench.compress.search import Candidates, Evaluate, Tolerance, check_share, evaluation_for, fixed, search
from energybench.compress.spectrum import Spectrum
from energybench.errors import CompressionError, UsageError

ENERGIES = tuple(1 - (step / 32) ** 2 for step in range(1, 32))
"""a search tries these shares of the squared singular values: close together near 1, where accuracy is decided"""
# These read the weights of their layers instead of calling them.
_READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


@dataclass(frozen=True)
class LowRank:
    """Factorise Linear and Conv2d layers by truncated singular value decomposition; the head is included.

    A Linear becomes two; a k x k Conv2d becomes a k x k convolution to r channels, without bias and with the old
    stride, padding and dilation, and a 1 x 1 convolution to the old channels with the old bias. The singular values go
    half to each side. A layer of out x in weights (in * k * k for a convolution) is factorised only at a rank below
    out * in / (out + in), where it saves parameters; else it stays. Grouped convolutions stay, and so do layers with
    hooks and those that other modules read instead of calling (subclasses of Linear and Conv2d, parts of attention).

    Ranks: `energy`, the share of the squared singular values kept in every layer; or `rank`, a fraction of the full
    rank; or, where both are None, the smallest energy of ENERGIES whose accuracy is within `tolerance` (absolute,
    0.01 = 1 point) of the model's, by bisection: at most 6 evaluations, the reference included. The result always is
    an energy that was tried and passed. It is realised: shapes, bytes and operations change.
    """

    kind: ClassVar[str] = "lowrank"
    energy: float | None = None
    rank: float | None = None
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        if self.energy is not None and self.rank is not None:
            raise UsageError("LowRank: give energy or rank, not both")
        for name, value in (("energy", self.energy), ("rank", self.rank)):
            if value is not None:
                check_share("LowRank", name, value, zero=False)
        check_share("LowRank", "tolerance", self.tolerance, one=False)

    def __call__(
        self,
        model: nn.Module,
        evaluate: Evaluate | None = None,
        *,
        evaluation_size: int | None = None,
        inplace: bool = False,
        example_input: Tensor | None = None,
    ) -> Compressed:
        """Compress `model`; see `Compressor` for the arguments.

        Decompositions are made once per layer and shared by all candidates of a search. Together with them memory holds
        about one further copy of the factorised layers; the model's own copy shares its weights until the end.
        """
        value = self.energy if self.rank is None else self.rank
        evaluation = evaluation_for("LowRank", "energy or rank", value, evaluate, evaluation_size)
        layers, notes = factorable(model)
        before = size_of(model, example_input)
        weights = {name: layer.weight for name, layer in layers.items()}
        # The copy shares the weights of the layers that may be replaced; those that stay are cloned at the end.
        work = model if inplace else copy.deepcopy(model, {id(weight): weight for weight in weights.values()})
        originals = {name: _layer(work, name) for name in layers}
        spectra = {name: Spectrum(name, weight.detach().flatten(1)) for name, weight in weights.items()}

        def ranks_at(value: float) -> dict[str, int]:
            ranks = {
                name: spectrum.rank_for(value) if self.rank is None else max(1, round(value * spectrum.side))
                for name, spectrum in spectra.items()
            }
            return {name: rank for name, rank in ranks.items() if rank < spectra[name].break_even}

        def apply(value: float) -> None:
            ranks = ranks_at(value)
            for name, layer in originals.items():
                rank = ranks.get(name)
                work.set_submodule(name, layer if rank is None else split(layer, *spectra[name].factors(rank)))

        def restore() -> None:
            for name, layer in originals.items():
                work.set_submodule(name, layer)

        candidates = Candidates(
            ENERGIES, 1.0, apply, restore, key=lambda value: tuple(ranks_at(value).items()), untouched=()
        )
        if value is None:
            assert evaluation is not None
            found = search(work, candidates, evaluation, Tolerance(self.tolerance, evaluation_size))
            value, evidence, notes = found.value, found.evidence, notes + found.notes
        else:
            evidence = fixed(work, value, candidates, evaluation)
        ranks = {} if value is None else ranks_at(value)
        if value is not None and not ranks:
            notes += ("no layer has a rank below its break-even at this setting: model unchanged",)
        _own_memory(work, originals, ranks, spectra, shared=not inplace)
        after = size_of(work, example_input) if ranks else before
        report = CompressionReport(
            kind=self.kind,
            given=asdict(self),
            effect=Effect.REALISED if ranks else Effect.UNCHANGED,
            rate=1 - after.parameters / before.parameters,
            rate_definition="1 - parameters after / parameters before",
            before=before,
            after=after,
            evidence=evidence,
            covered=tuple(f"{name}.weight" for name in layers),
            energy=value if self.rank is None else None,
            ranks=ranks,
            notes=notes,
        )
        return Compressed(work, report)


def factorable(model: nn.Module) -> tuple[dict[str, nn.Conv2d | nn.Linear], tuple[str, ...]]:
    """The layers that may be replaced by two, by name, and a note on those that may not and why.

    CompressionError where there is none, or where `covered_weights` finds a weight that no compressor can work on.
    """
    covered_weights(model)
    layers: dict[str, nn.Conv2d | nn.Linear] = {}
    reasons: dict[str, list[str]] = {}
    readers = tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, _READERS))
    for path, module in model.named_modules():
        if not isinstance(module, (nn.Conv2d, nn.Linear)):
            continue
        if isinstance(module, nn.Conv2d) and module.groups != 1:
            reasons.setdefault("grouped convolutions", []).append(path)
        elif type(module) not in (nn.Conv2d, nn.Linear) or path.startswith(readers) or not path:
            reasons.setdefault("layers that other modules may read instead of calling", []).append(path)
        elif module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            reasons.setdefault("layers with hooks", []).append(path)
        else:
            layers[path] = module
    if not layers:
        raise CompressionError("the model has no Conv2d or Linear layer that can be replaced by a factorised one")
    return layers, tuple(f"left alone, {reason}: {', '.join(paths)}" for reason, paths in reasons.items())


def split(layer: nn.Conv2d | nn.Linear, first: Tensor, second: Tensor) -> nn.Sequential:
    """`layer` (Linear or Conv2d) as two with the weights `first` (r, in * k * k) and `second` (out, r), not copied."""
    rank, bias = len(first), layer.bias is not None
    inner: nn.Conv2d | nn.Linear
    outer: nn.Conv2d | nn.Linear
    # Built on the meta device: no memory, no initialisation, and no draw from the random generator.
    if isinstance(layer, nn.Conv2d):
        inner = nn.Conv2d(
            layer.in_channels,
            rank,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            bias=False,
            padding_mode=layer.padding_mode,
            device="meta",
        )
        outer = nn.Conv2d(rank, layer.out_channels, 1, bias=bias, device="meta")
        first, second = first.unflatten(1, layer.weight.shape[1:]), second[:, :, None, None]
    else:
        inner = nn.Linear(layer.in_features, rank, bias=False, device="meta")
        outer = nn.Linear(rank, layer.out_features, bias=bias, device="meta")
    trains = layer.weight.requires_grad
    inner.weight, outer.weight = nn.Parameter(first, trains), nn.Parameter(second, trains)
    outer.bias = layer.bias
    return nn.Sequential(inner, outer).train(layer.training)


def _own_memory(
    work: nn.Module,
    originals: Mapping[str, nn.Conv2d | nn.Linear],
    ranks: Mapping[str, int],
    spectra: dict[str, Spectrum],
    *,
    shared: bool,
) -> None:
    """Give every covered layer of `work` weights of its own, releasing the decompositions one by one."""
    for name in originals:
        del spectra[name]
        parts = [f"{name}.0", f"{name}.1"] if name in ranks else [name] if shared else []
        for part in (_layer(work, path) for path in parts):
            fresh = part.weight.detach().clone(memory_format=torch.contiguous_format)
            part.weight = nn.Parameter(fresh, part.weight.requires_grad)


def _layer(model: nn.Module, path: str) -> nn.Conv2d | nn.Linear:
    layer = model.get_submodule(path)
    assert isinstance(layer, (nn.Conv2d, nn.Linear))
    return layer

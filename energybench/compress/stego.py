"""Steganographic capacity reduction: how many low bits of every float32 weight a model can do without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from energybench.compress.bits import RULES, Levels
from energybench.compress.compressed import Compressed, Compressor, Request
from energybench.compress.keepbits import TIMES, KeepBits
from energybench.compress.layers import check_cover, covered_weights, layer_of
from energybench.compress.layerwise import search_layers
from energybench.compress.packing import packed_bytes
from energybench.compress.report import CompressionReport, Effect, Evidence
from energybench.compress.search import Candidates, check_share
from energybench.compress.snapshot import Snapshot
from energybench.errors import CompressionError, UsageError

SCOPES = ("whole", "layers")


@dataclass(frozen=True)
class StegoReduction(Compressor):
    """Overwrite the `bits` low bits of the weights, once before training, and again where `when` says so.

    Where `bits` is None the largest number is found whose accuracy is within `tolerance` (absolute, 0.01 = 1 point, or
    `relative` to the model's) of the model's: the steganographic capacity (Agrawal et al., arXiv 2308.15502), which
    belongs to its `rule`:

    - `truncate`: zeros, as in Mei and Stamp, arXiv 2506.01311; shrinks magnitudes; 16 bits give bfloat16 values;
    - `nearest`: rounded to the nearest value with zeros there, ties to even;
    - `random`: overwritten by random bits of `seed`, the rule of the capacity's first papers;
    - `stochastic`: rounded up or down by chance, unbiased, by `seed`.

    `when`: `once` (the first optimiser step fills the bits again), or also after each `epoch`, at the `end` of the
    training, or after every `step` of the optimiser. The default rule is `truncate`, at each step `stochastic`:
    training in 32 - bits bits. The other rules at each step are an ablation (they shrink, freeze or shake the weights),
    and the report says so.

    `scope`: the same number for all layers (`whole`), or one for every layer (`layers`), as in
    `layerwise.search_layers`; the report's `bits` then is the smallest, and `bits` may be given as {layer: bits}.
    `cover`: which tensors: `weights` (of convolutions and linear layers), `biases`, `norms`, `embeddings`; see
    `layers.covered_weights`.

    The result is simulated: dtype, bytes in memory and kernels stay. With `realise` (see `realise.TARGETS`) the model
    is moved to arithmetic that needs no more than the bits that are left, where the bits found suffice for it; else the
    result stays simulated and a note says so. `slow`: also where this machine has no fast path for it.

    A search of the whole takes at most 8 evaluations where accuracy falls monotonically with the bits, and 33 at the
    very most; one more looks at a model that was realised.
    """

    kind: ClassVar[str] = "stego"
    parameter: ClassVar[str] = "bits"
    bits: int | Mapping[str, int] | None = None
    rule: str = "auto"
    tolerance: float = 0.01
    relative: bool = False
    seed: int = 0
    cover: tuple[str, ...] = ("weights",)
    when: str = "once"
    scope: str = "whole"
    realise: str | None = None
    slow: bool = False

    def __post_init__(self) -> None:
        given = self.bits.values() if isinstance(self.bits, Mapping) else [] if self.bits is None else [self.bits]
        if any(isinstance(bits, bool) or not isinstance(bits, int) or not 0 <= bits <= 32 for bits in given):
            raise UsageError(f"StegoReduction: bits must be whole numbers from 0 to 32, not {self.bits!r}")
        for name, known in (("rule", (*RULES, "auto")), ("when", TIMES), ("scope", SCOPES)):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"StegoReduction: {name} must be one of {', '.join(known)}, not {getattr(self, name)!r}"
                )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise UsageError(f"StegoReduction: seed must be a whole number, not {self.seed!r}")
        check_share("StegoReduction", "tolerance", self.tolerance, one=False)
        check_cover("StegoReduction", self.cover)
        if self.realise is not None:
            self._check_realise()
        # Settled here, so that whatever is stored of this compressor names its rule.
        if self.rule == "auto":
            object.__setattr__(self, "rule", "stochastic" if self.when == "step" else "truncate")
        object.__setattr__(self, "cover", tuple(self.cover))

    def _check_realise(self) -> None:
        from energybench.compress.realise import TARGETS

        if self.realise not in TARGETS:
            raise UsageError(f"StegoReduction: realise must be one of {', '.join(TARGETS)}, not {self.realise!r}")
        if self.when != "once":
            raise UsageError(
                f"StegoReduction: when must be once with realise={self.realise}, whose own arithmetic keeps to its "
                f"bits in training, not {self.when!r}"
            )
        if self.rule == "random":
            raise UsageError(f"StegoReduction: rule must not be random with realise={self.realise}: its bits would go")

    def settled(self, report: CompressionReport) -> Compressor:
        return self.at(report.bits if report.bits_by_layer is None else dict(report.bits_by_layer))

    def _compress(self, request: Request) -> Compressed:
        given = covered_weights(request.model, self.cover)
        if isinstance(self.bits, Mapping):
            _check_layers(self.bits, given)
        if self.realise is not None:
            self._refuse_unavailable(next(iter(given.values())).device)
        before = request.size()
        work = request.work()
        weights: dict[str, Tensor] = {name: work.get_parameter(name) for name in given}
        # In place, what `evaluate` sees must be undone from a copy; else the model given serves.
        copies = request.inplace and request.evaluation is not None
        sources = [weight.detach().clone() if copies else weight.detach() for weight in given.values()]
        levels = Levels(list(weights.values()), sources, self.rule, self.seed)
        by_name, evidence, notes = self._overwritten(work, weights, levels, request)
        cleared = sum(by_name[name] * weight.numel() for name, weight in weights.items())
        differ = self.scope == "layers" or isinstance(self.bits, Mapping)
        upkeep = (KeepBits(by_name, self.when, self.rule, self.seed),) if cleared and self.when != "once" else ()
        report = CompressionReport(
            kind=self.kind,
            given=self.given(),
            effect=Effect.SIMULATED if cleared else Effect.UNCHANGED,
            rate=cleared / 32 / before.parameters,
            rate_definition="cleared bits / 32, times the share of the parameters that is covered",
            before=before,
            after=request.size(work) if cleared else before,
            evidence=evidence,
            covered=tuple(given),
            bits=min(by_name.values()),
            rule=self.rule,
            bits_by_layer={layer_of(name): bits for name, bits in by_name.items()} if differ else None,
            # Random bits carry something: nothing can be left out.
            bytes_packed=None if self.rule == "random" else packed_bytes(work, by_name),
            notes=(*notes, *self._notes(max(by_name.values()))),
        )
        if self.realise is None:
            return Compressed(work, report, upkeep)
        before_realising = Snapshot(work)
        try:
            return self._realised(Compressed(work, report), request)
        except BaseException:
            before_realising.restore()
            levels.restore()
            raise

    def _overwritten(
        self, work: nn.Module, weights: dict[str, Tensor], levels: Levels, request: Request
    ) -> tuple[dict[str, int], Evidence, tuple[str, ...]]:
        """Bring `work` to the given bits or to those found: bits by tensor, what was seen, and notes."""
        tolerance = request.tolerance(self.tolerance, relative=self.relative)
        if self.bits is None:
            if self.scope == "layers":
                evaluation = request.evaluation
                assert evaluation is not None
                each = search_layers(work, weights, levels, evaluation, tolerance, reference=request.reference)
                return {name: each.bits[layer_of(name)] for name in weights}, each.evidence, each.notes
            whole = Candidates(
                range(1, 33), 0.0, lambda bits: levels.bring(int(bits)), levels.restore, key=int, untouched=0
            )
            found = request.bring(work, whole, None, tolerance, verify=True)
            return dict.fromkeys(weights, int(found.value or 0)), found.evidence, found.notes
        if not isinstance(self.bits, Mapping):
            given = dict.fromkeys(weights, self.bits)
        else:
            given = {name: self.bits.get(layer_of(name), 0) for name in weights}

        def apply(_: float) -> None:
            for place, bits in enumerate(given.values()):
                levels.bring(bits, [place])

        sizes = [weight.numel() for weight in weights.values()]
        mean = sum(bits * size for bits, size in zip(given.values(), sizes, strict=True)) / max(1, sum(sizes))
        at_mean = Candidates((mean,), 0.0, apply, levels.restore)
        return given, request.bring(work, at_mean, mean, tolerance).evidence, ()

    def _notes(self, bits: int) -> tuple[str, ...]:
        notes: tuple[str, ...] = ()
        if self.rule == "random" and bits > 23:
            notes += ("random bits above 23 reach the exponent: some weights may have become infinite or NaN",)
        if self.when == "step" and self.rule != "stochastic":
            notes += (
                f"ablation: rule {self.rule} after every step is no training in fewer bits, for which rule stochastic "
                "stands",
            )
        return notes

    def _refuse_unavailable(self, device: torch.device) -> None:
        """Before a search is paid for: UnavailableError where this machine cannot run what is to be realised."""
        from energybench.compress.precision import UnavailableError, probe

        assert self.realise is not None
        found = probe(self.realise, device)
        if not found.possible:
            raise UnavailableError(f"{self.realise} cannot run here: {found.reason}")
        if not (found.fast or self.slow):
            raise UnavailableError(f"{self.realise} has no fast path: {found.reason}; slow=True runs it all the same")

    def _realised(self, simulated: Compressed, request: Request) -> Compressed:
        from energybench.compress.realise import realise, required_bits

        assert self.realise is not None
        report = simulated.report
        needed, found = required_bits(self.realise), report.bits or 0
        if found < needed:
            note = f"{self.realise} needs {needed} cleared bits, and {found} may be cleared: the result stays simulated"
            return replace(simulated, report=replace(report, notes=(*report.notes, note)))
        done = realise(
            simulated.model,
            self.realise,
            found,
            report.covered,
            slow=self.slow,
            example_input=request.example_input,
        )
        notes = (*report.notes, *done.notes)
        if not done.changed:
            return replace(simulated, report=replace(report, notes=notes))
        evidence = report.evidence
        if request.evaluation is not None:
            accuracy = request.evaluation(done.model)
            evidence = replace(evidence, evaluations=evidence.evaluations + 1, accuracy_compressed=accuracy)
            reference = evidence.accuracy_reference if request.reference is None else request.reference
            tolerance = request.tolerance(self.tolerance, relative=self.relative)
            if reference is not None and not tolerance.met(reference, accuracy):
                notes += (f"realised in {done.dtype} it loses more than {tolerance.words} of accuracy",)
        realised = replace(
            report,
            effect=Effect.REALISED,
            after=request.size(done.model),
            evidence=evidence,
            dtype=done.dtype,
            notes=notes,
        )
        return Compressed(done.model, realised, done.upkeep)


def _check_layers(bits: Mapping[str, int], given: Mapping[str, Any]) -> None:
    known = {layer_of(name) for name in given}
    for layer in bits:
        if layer not in known:
            raise CompressionError(
                f"StegoReduction: bits names the layer {layer!r}, and the covered layers are {', '.join(sorted(known))}"
            )

"""What a compression changed, in numbers that can be stored: sizes before and after, rate, accuracies, evaluations."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn

from energybench.compress.lowbit import dense, stored_tensors
from energybench.compress.snapshot import looking

ZLIB_BLOCK_BYTES = 1 << 16
ZLIB_BLOCKS = 64


class Effect(StrEnum):
    """What became of the model's tensors."""

    UNCHANGED = "unchanged"
    """nothing was done: no compression asked for, or none found within the tolerance"""
    SIMULATED = "simulated"
    """values changed; shapes, dtypes, bytes in memory and kernels are the old ones"""
    REALISED = "realised"
    """shapes or dtypes changed, and with them bytes and kernels"""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a model is. Zeros in a dense float32 tensor shrink only `nonzero` and `bytes_zlib`."""

    parameters: int
    nonzero: int
    """parameters that are not 0"""
    bytes_memory: int
    """parameters and buffers as they lie in memory, without gradients and optimiser state"""
    bytes_disk: int
    """the tensors of the state dict as `torch.save` stores them (uncompressed), without the container's headers"""
    bytes_zlib: int
    """an estimate of the state dict's bytes after zlib level 1, extrapolated from a sample of at most 4 MiB"""
    flops: int | None = None
    """forward pass of one example, Conv2d and Linear only, two per multiply-add; None without an example input"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The accuracies that a compression rests on, all measured with the caller's `evaluate`."""

    evaluations: int = 0
    """calls of `evaluate`, the one of the uncompressed model included"""
    evaluation_size: int | None = None
    """examples in one evaluation, where the caller said so"""
    accuracy_reference: float | None = None
    accuracy_compressed: float | None = None
    curve: tuple[tuple[float, float], ...] = ()
    """(parameter, accuracy) of every candidate tried, by growing parameter"""

    def interval(self, accuracy: float | None) -> tuple[float, float] | None:
        """95 % interval of an accuracy; None where it or the number of examples is not known."""
        if accuracy is None or self.evaluation_size is None:
            return None
        return wilson_interval(accuracy, self.evaluation_size)


@dataclass(frozen=True, slots=True)
class CompressionReport:
    """The result of one compressor on one model."""

    kind: str
    """`none`, `stego`, `prune`, `channels`, `semistructured`, `lowrank`, `chain` or `perturbation`"""
    given: Mapping[str, Any]
    """the compressor's own parameters; None stands for `found by search`"""
    effect: Effect
    rate: float
    rate_definition: str
    before: Size
    after: Size
    evidence: Evidence
    covered: tuple[str, ...] = ()
    """names of the tensors that the compressor could change, in the model as it was given"""
    value: float | None = None
    """what a search found for a parameter that has no field of its own here; None where nothing was within tolerance"""
    bits: int | None = None
    amount: float | None = None
    energy: float | None = None
    """share of the squared singular values that was asked for in every layer; None where ranks were given"""
    ranks: Mapping[str, int] | None = None
    """layer -> rank, for the layers that were factorised"""
    rule: str | None = None
    """how bits are overwritten; a number of bits means something only together with it"""
    bits_by_layer: Mapping[str, int] | None = None
    """layer -> bits, where layers differ"""
    structure: str | None = None
    """what pruning takes away: `unstructured`, `channels`, `2:4`"""
    budget: float | None = None
    """share of the parameters or FLOPs that ranks were allocated for"""
    dtype: str | None = None
    """what the weights or their arithmetic became where that was realised, such as `bfloat16`; None: float32"""
    bytes_packed: int | None = None
    """the state dict with only the kept bits, as `packing.pack(compression="none")` writes it; None where it cannot"""
    parts: tuple[CompressionReport, ...] = ()
    """the reports of a chain's compressors, in their order"""
    notes: tuple[str, ...] = field(default=())

    @property
    def evaluations(self) -> int:
        """Calls of `evaluate`, the reference included."""
        return self.evidence.evaluations

    @property
    def accuracy_reference(self) -> float | None:
        """Accuracy before compression on the caller's search set."""
        return self.evidence.accuracy_reference

    @property
    def accuracy_compressed(self) -> float | None:
        """Accuracy after compression, before any training, on the caller's search set."""
        return self.evidence.accuracy_compressed

    @property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """(parameter, accuracy) of every candidate tried."""
        return self.evidence.curve

    def as_facts(self) -> dict[str, Any]:
        """The report as plain JSON types, without NaN; absent values are None."""
        evidence = self.evidence
        return {
            "kind": self.kind,
            "given": dict(self.given),
            "effect": str(self.effect),
            "value": self.value,
            "bits": self.bits,
            "amount": self.amount,
            "energy": self.energy,
            "ranks": None if self.ranks is None else dict(self.ranks),
            "rule": self.rule,
            "bits_by_layer": None if self.bits_by_layer is None else dict(self.bits_by_layer),
            "structure": self.structure,
            "budget": self.budget,
            "dtype": self.dtype,
            "bytes_packed": self.bytes_packed,
            "parts": [part.as_facts() for part in self.parts],
            "rate": self.rate,
            "rate_definition": self.rate_definition,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "evaluations": evidence.evaluations,
            "evaluation_size": evidence.evaluation_size,
            "accuracy_reference": evidence.accuracy_reference,
            "accuracy_reference_interval": _listed(evidence.interval(evidence.accuracy_reference)),
            "accuracy_compressed": evidence.accuracy_compressed,
            "accuracy_compressed_interval": _listed(evidence.interval(evidence.accuracy_compressed)),
            "curve": [list(point) for point in evidence.curve],
            "covered": list(self.covered),
            "notes": list(self.notes),
        }


def wilson_interval(accuracy: float, size: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share `accuracy` in [0, 1] seen on `size` examples.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927) 209-212.
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    shrink = 1 + z * z / size
    centre = (accuracy + z * z / (2 * size)) / shrink
    half = z / shrink * math.sqrt(accuracy * (1 - accuracy) / size + z * z / (4 * size * size))
    return max(0.0, centre - half), min(1.0, centre + half)


def size_of(model: nn.Module, example_input: Tensor | None = None) -> Size:
    """Measure `model`; with `example_input` (batch first) its forward FLOPs per example are counted too."""
    parameters = list(model.parameters())
    entries = _distinct(model.state_dict(keep_vars=True).values())
    # A quantised tensor is a wrapper of several plain ones.
    stored = [plain for entry in entries for plain in stored_tensors(entry.detach())]
    held = (*parameters, *model.buffers())
    return Size(
        parameters=sum(parameter.numel() for parameter in parameters),
        nonzero=sum(int(torch.count_nonzero(dense(parameter.detach()))) for parameter in parameters),
        bytes_memory=sum(plain.nbytes for tensor in held for plain in stored_tensors(tensor.detach())),
        bytes_disk=sum(tensor.nbytes for tensor in stored),
        bytes_zlib=_zlib_bytes(stored),
        flops=None if example_input is None else forward_flops(model, example_input),
    )


def forward_flops(model: nn.Module, example_input: Tensor) -> int:
    """Floating-point operations of one forward pass per example: Conv2d and Linear, two per multiply-add.

    The pass runs in evaluation mode without gradients; every module's mode is put back afterwards.
    """
    total = 0

    def count(module: nn.Module, _: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            per_output = module.in_channels // module.groups * math.prod(module.kernel_size)
        else:
            assert isinstance(module, nn.Linear)
            per_output = module.in_features
        total += 2 * per_output * output.numel()

    counted = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    handles = [module.register_forward_hook(count) for module in counted]
    try:
        with looking(model):
            model(example_input)
    finally:
        for handle in handles:
            handle.remove()
    return total // example_input.shape[0]


def _zlib_bytes(tensors: list[Tensor]) -> int:
    """Bytes after zlib level 1: of all tensors up to 4 MiB, else from blocks of 64 KiB at even distances over them."""
    total = sum(tensor.nbytes for tensor in tensors)
    step = -(-total // ZLIB_BLOCKS)
    whole = step <= ZLIB_BLOCK_BYTES
    sample: list[bytes] = []
    start = position = 0  # in bytes over all tensors laid end to end: this tensor, the next block
    for tensor in tensors:
        if whole:
            sample.append(_bytes_of(tensor.detach().reshape(-1)))
        while not whole and position < start + tensor.nbytes:
            first = (position - start) // tensor.itemsize
            sample.append(_bytes_of(tensor.detach().reshape(-1)[first : first + ZLIB_BLOCK_BYTES // tensor.itemsize]))
            position += step
        start += tensor.nbytes
    data = b"".join(sample)
    return round(total * len(zlib.compress(data, 1)) / len(data)) if data else 0


def _bytes_of(values: Tensor) -> bytes:
    return values.cpu().contiguous().view(torch.uint8).numpy().tobytes()


def _distinct(values: Iterable[Any]) -> list[Tensor]:
    return list({id(value): value for value in values if isinstance(value, Tensor)}.values())


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)

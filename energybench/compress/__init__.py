"""Compressors as frozen dataclasses of their parameters: call one on a model and get a smaller one with a report.

compressed = StegoReduction()(model, evaluate)
with compressed.training(optimizer) as hooks:
    ...
"""

from __future__ import annotations

from collections.abc import Callable

from energybench.compress.compressed import Compressed, Compressor, NoCompression, TrainingHooks
from energybench.compress.lowrank import LowRank
from energybench.compress.prune import Pruning
from energybench.compress.report import CompressionReport, Effect, Evidence, Size, forward_flops, size_of
from energybench.compress.search import Evaluate
from energybench.compress.stego import StegoReduction

COMPRESSORS: dict[str, Callable[..., Compressor]] = {
    "none": NoCompression,
    "stego": StegoReduction,
    "prune": Pruning,
    "lowrank": LowRank,
}
"""the compressors by the name that case ids use"""

__all__ = [
    "COMPRESSORS",
    "Compressed",
    "CompressionReport",
    "Compressor",
    "Effect",
    "Evaluate",
    "Evidence",
    "LowRank",
    "NoCompression",
    "Pruning",
    "Size",
    "StegoReduction",
    "TrainingHooks",
    "forward_flops",
    "size_of",
]

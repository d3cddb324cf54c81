"""Compressors as frozen dataclasses of their parameters: call one on a model and get a smaller one with a report.

compressed = StegoReduction()(model, evaluate)
with compressed.training(optimizer) as hooks:
    ...
"""

from __future__ import annotations

from energybench.compress.capacity import Capacity, capacity_curve
from energybench.compress.chain import Chain
from energybench.compress.channels import ChannelPruning
from energybench.compress.compressed import Compressed, Compressor, NoCompression, Request
from energybench.compress.layers import covered_weights
from energybench.compress.lowrank import LowRank
from energybench.compress.named import COMPRESSORS, PAPER, compressor
from energybench.compress.packing import pack, unpack
from energybench.compress.payload import embed, extract, room
from energybench.compress.perturbation import Perturbation
from energybench.compress.prune import Pruning
from energybench.compress.report import CompressionReport, Effect, Evidence, Size, forward_flops, size_of
from energybench.compress.search import Candidates, Evaluate
from energybench.compress.semistructured import SemiStructured
from energybench.compress.stego import StegoReduction
from energybench.compress.stochastic import StochasticRoundingSGD
from energybench.compress.upkeep import TrainingHooks, Upkeep

__all__ = [
    "COMPRESSORS",
    "PAPER",
    "Candidates",
    "Capacity",
    "Chain",
    "ChannelPruning",
    "Compressed",
    "CompressionReport",
    "Compressor",
    "Effect",
    "Evaluate",
    "Evidence",
    "LowRank",
    "NoCompression",
    "Perturbation",
    "Pruning",
    "Request",
    "SemiStructured",
    "Size",
    "StegoReduction",
    "StochasticRoundingSGD",
    "TrainingHooks",
    "Upkeep",
    "capacity_curve",
    "compressor",
    "covered_weights",
    "embed",
    "extract",
    "forward_flops",
    "pack",
    "room",
    "size_of",
    "unpack",
]

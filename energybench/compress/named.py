"""Compressors by the names that case ids use."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from energybench.compress.chain import Chain
from energybench.compress.channels import ChannelPruning
from energybench.compress.compressed import Compressor, NoCompression
from energybench.compress.gradual import Gradual
from energybench.compress.lowrank import LowRank
from energybench.compress.perturbation import Perturbation
from energybench.compress.prune import Pruning
from energybench.compress.semistructured import SemiStructured
from energybench.compress.stego import StegoReduction
from energybench.errors import UsageError

PAPER = ("none", "stego", "prune", "lowrank")
"""the four techniques of the study"""

COMPRESSORS: dict[str, Callable[..., Compressor]] = {
    "none": NoCompression,
    "stego": StegoReduction,
    "stego_nearest": partial(StegoReduction, rule="nearest"),
    "stego_random": partial(StegoReduction, rule="random"),
    "stego_layers": partial(StegoReduction, scope="layers"),
    "stego_epoch": partial(StegoReduction, when="epoch"),
    "stego_end": partial(StegoReduction, when="end"),
    "stego_step": partial(StegoReduction, when="step"),
    "stego_bf16": partial(StegoReduction, realise="bfloat16"),
    "stego_autocast": partial(StegoReduction, realise="autocast"),
    "stego_tf32": partial(StegoReduction, realise="tf32"),
    "stego_fp16": partial(StegoReduction, realise="float16"),
    "stego_fp8": partial(StegoReduction, realise="float8"),
    "stego_int8": partial(StegoReduction, realise="int8"),
    "prune": Pruning,
    "prune_layer": partial(Pruning, scope="layer"),
    "prune_epoch": partial(Pruning, masks="epoch"),
    "prune_release": partial(Pruning, masks="release"),
    "prune_gradual": partial(Pruning, schedule=Gradual(epochs=3)),
    "prune_2to4": SemiStructured,
    "channels": ChannelPruning,
    "lowrank": LowRank,
    "lowrank_global": partial(LowRank, allocation="global"),
    "lowrank_flops": partial(LowRank, allocation="global", cost="flops"),
}
"""what can be asked for by name; `channels@0.5` gives the value of a search, and `lowrank+prune+stego` is a chain"""


def compressor(name: str, *, tolerance: float = 0.01, relative: bool = False, slow: bool = False) -> Compressor:
    """The compressor of that name, searching within `tolerance`; several names joined by `+` make a Chain.

    `name@value` is given the value that it else searches for: `channels@0.5`, `stego@16`. `noise` is the control that
    perturbs weights as much as `stego` does. With `slow` low precision is realised also where this machine has no fast
    path for it. Raises UsageError for an unknown name, and for a value that is none of its own.
    """
    if "+" in name:
        parts = [compressor(part, tolerance=tolerance, relative=relative, slow=slow) for part in name.split("+")]
        if any(isinstance(part, NoCompression) for part in parts):
            raise UsageError(f"unknown compressor {name!r}: none cannot be part of a chain")
        return Chain(tuple(parts))
    if name == "noise":
        return Perturbation(StegoReduction(tolerance=tolerance, relative=relative))
    name, at, value = name.partition("@")
    if name not in COMPRESSORS:
        close = difflib.get_close_matches(name, COMPRESSORS, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"unknown compressor {name!r}; {hint}there are {', '.join(COMPRESSORS)}, and chains of them")
    made = COMPRESSORS[name]
    asked = made() if name == "none" else made(tolerance=tolerance, relative=relative)
    if isinstance(asked, StegoReduction):
        asked = replace(asked, slow=slow)
    return asked.at(_number(asked, name, value)) if at else asked


def _number(asked: Compressor, name: str, value: str) -> float:
    try:
        return int(value) if asked.parameter == "bits" else float(value)
    except ValueError:
        raise UsageError(f"compressor {name}@{value}: {value!r} is no number; it is given as in channels@0.5") from None

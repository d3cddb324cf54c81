"""Where the lab trains, and how that place multiplies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from energybench.errors import UsageError


def device() -> torch.device:
    """Where the lab trains: the current CUDA device where there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """The multiplications of a recipe: fp32 exactly, tf32 on tensor cores, or autocast to bf16; undone at the end.

    Raises UsageError for tf32 and bf16 without a GPU: CPUs that emulate bf16 are 30 times slower than in fp32.
    """
    if precision != "fp32" and not torch.cuda.is_available():
        raise UsageError(f"precision {precision} needs a CUDA GPU; use fp32 here")
    # Said explicitly either way: cuDNN's own default is TF32, which would be recorded as fp32.
    places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn) if torch.cuda.is_available() else ()
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = precision == "tf32"
        # Without its cache, which would keep the weights of the first step as long as this context lasts.
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False) if precision == "bf16" else nullcontext():
            yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value

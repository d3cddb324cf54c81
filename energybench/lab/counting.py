"""What a training step of a named model does, counted without weights: nothing is computed and no memory is taken."""

from __future__ import annotations

import torch

from energybench.errors import UsageError
from energybench.lab.intensity import training_intensity
from energybench.lab.models import architecture, build, count_parameters

EXAMPLES = 2
"""images of the pass; all figures are per image"""


def count_training(
    name: str, pixels: int, batch: int, *, classes: int = 1000, optimizer: str = "sgd", bits: float = 32.0
) -> dict[str, float]:
    """The features of PRE that follow from a model's layers: GFLOPs and MB of a training step per image, parameters.

    The model is built on torch's meta device, on which tensors have shapes and no values. Bytes are those of float32,
    times `bits` / 32. Raises UsageError where `build` does, and for language models, whose windows are no images.
    """
    if architecture(name).unit == "tokens":
        raise UsageError(
            f"{name} reads windows of tokens, not images: describe it with --feature train_gflops_per_image=..., "
            f"parameters_m=... and context=..."
        )
    with torch.device("meta"):
        model = build(name, classes, pixels)
        example = torch.empty(EXAMPLES, 3, pixels, pixels)
    counted = training_intensity(model, example, batch, optimizer=optimizer)
    return {
        "train_gflops_per_image": counted.flops_per_image / 1e9,
        "train_mb_per_image": counted.bytes_per_image / 1e6 * bits / 32,
        "parameters_m": count_parameters(model)[0] / 1e6,
    }

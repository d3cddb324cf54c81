"""The lab's models: torchvision's definitions with the head replaced, the study's nine among them, and transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from energybench.errors import UsageError
from energybench.lab.checkpoint import build_from
from energybench.lab.torchvision_compat import import_torchvision
from energybench.lab.transformers import SHAPES, build_causal_lm, build_vit, check_installed


@dataclass(frozen=True, slots=True)
class Architecture:
    """What has to be known of a model before it is built."""

    name: str
    parameters: int
    """with 1000 classes, InceptionV3's auxiliary head included; `tiny` and `vit` with 10, language models with 256"""
    minimum_pixels: int
    """side of the smallest square image that reaches the head; 0 for language models"""
    head: str = "fc"
    """name of the last layer, whose shape depends on the classes"""
    native_pixels: int = 224
    """side of the images that the model was made for"""
    unit: str = "images"
    """what it predicts: a class for `images`, or the next one for `tokens`"""
    imagenet: bool = True
    """whether torchvision publishes ImageNet weights that fit"""


_ARCHITECTURES = (
    Architecture("tiny", 78_042, 8, native_pixels=16, imagenet=False),
    Architecture("causal_lm", 1_035_360, 0, "network.lm_head", unit="tokens", imagenet=False),
    Architecture("vit", 1_205_898, 4, "network.classifier", native_pixels=32, imagenet=False),
    Architecture("densenet121", 7_978_856, 29, "classifier"),
    Architecture("causal_lm_10m", 10_818_432, 0, "network.lm_head", unit="tokens", imagenet=False),
    Architecture("resnet18", 11_689_512, 8),
    Architecture("resnet34", 21_797_672, 8),
    Architecture("resnet50", 25_557_032, 8),
    Architecture("inception_v3", 27_161_264, 75, native_pixels=299),
    Architecture("resnet101", 44_549_160, 8),
    Architecture("resnet152", 60_192_808, 8),
    Architecture("alexnet", 61_100_840, 63, "classifier.6"),
    Architecture("causal_lm_85m", 85_347_072, 0, "network.lm_head", unit="tokens", imagenet=False),
    Architecture("vit_b_16", 86_567_656, 16, "network.classifier", imagenet=False),
    Architecture("convnext_base", 88_591_464, 32, "classifier.2"),
    Architecture("vgg16", 138_357_544, 32, "classifier.6"),
    Architecture("causal_lm_1b", 1_013_008_384, 0, "network.lm_head", unit="tokens", imagenet=False),
    Architecture("causal_lm_3b", 2_946_137_088, 0, "network.lm_head", unit="tokens", imagenet=False),
)

ARCHITECTURES = {architecture.name: architecture for architecture in _ARCHITECTURES}
"""every model that can be built, smallest first"""

NINE = (
    "resnet18",
    "densenet121",
    "resnet34",
    "alexnet",
    "resnet50",
    "inception_v3",
    "resnet101",
    "convnext_base",
    "vgg16",
)
"""the study's models, cheapest fine-tune first, so that the first finished case is on the screen early"""

TRANSFORMERS = ("causal_lm", "vit")
"""the models of the study of transformers that run on a CPU; the larger ones are chosen by name"""

AUXILIARY_PIXELS = 299
"""InceptionV3's auxiliary classifier convolves a 5 x 5 map that smaller images do not leave"""


def architecture(name: str) -> Architecture:
    """The entry of a model by its torchvision name; UsageError with all names where it is unknown."""
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise UsageError(f"unknown model {name!r}; there are {', '.join(ARCHITECTURES)}") from None


def check_model(name: str, pixels: int) -> None:
    """UsageError where the model is unknown, cannot take square images of `pixels`, or lacks its package."""
    entry = architecture(name)
    if pixels < entry.minimum_pixels:
        raise UsageError(f"{name} needs images of at least {entry.minimum_pixels} pixels, not {pixels}")
    if name in SHAPES:
        check_installed(name)
        if (patch := SHAPES[name].patch) and pixels % patch:
            raise UsageError(f"{name} needs images whose side is a multiple of {patch} pixels, not {pixels}")


def build(name: str, classes: int, pixels: int, checkpoint: Path | None = None) -> nn.Module:
    """A model with random weights and a head for `classes`, for square images of `pixels`.

    For language models `classes` is the size of the vocabulary and `pixels` is not looked at. The architecture of a
    `checkpoint` (a local folder as Hugging Face saves it) stands in for that of a language model's name. The weights
    come from torch's global generator: seed it to get the same model twice. InceptionV3 has its auxiliary head from 299
    pixels on. Raises UsageError where `check_model` does, below two classes, and on a checkpoint for other models.
    """
    check_model(name, pixels)
    if classes < 2:
        raise UsageError(f"{name} needs at least two classes, not {classes}")
    if architecture(name).unit == "tokens":
        return build_causal_lm(name, classes) if checkpoint is None else build_from(checkpoint)
    if checkpoint is not None:
        raise UsageError(f"{name} starts from a file of weights, and {checkpoint} is a folder; causal_lm takes one")
    if name in SHAPES:
        return build_vit(name, classes, pixels)
    if name == "tiny":
        return _tiny(classes)
    import_torchvision()
    from torchvision import models

    if name == "inception_v3":
        # Published weights were trained on inputs between -1 and 1, and torchvision lets the model itself make them of
        # images that are normalised as for all others. It matters at their size only, where they may be loaded.
        whole = pixels >= AUXILIARY_PIXELS
        return models.inception_v3(
            weights=None, num_classes=classes, aux_logits=whole, transform_input=whole, init_weights=False
        )
    # Residual branches that start at zero (Goyal et al. 2017, section 5.1): without it ResNet50 and 101 hardly learn in
    # the few hundred steps of the quick profile's pretraining.
    extra = {"zero_init_residual": True} if name.startswith("resnet") else {}
    model: nn.Module = models.get_model(name, weights=None, num_classes=classes, **extra)
    if name in ("alexnet", "vgg16"):
        # No BatchNorm: with torchvision's initial values activations shrink from layer to layer, and a short
        # pretraining stays at chance.
        model.apply(_kaiming)
    return model


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Parameters of the model without its auxiliary head, and those of the auxiliary head (0 where there is none)."""
    auxiliary = getattr(model, "AuxLogits", None)
    apart = sum(p.numel() for p in auxiliary.parameters()) if isinstance(auxiliary, nn.Module) else 0
    return sum(p.numel() for p in model.parameters()) - apart, apart


def load_backbone(model: nn.Module, name: str, state: dict[str, torch.Tensor]) -> tuple[str, ...]:
    """Load `state` into `model`, leaving out a head of another shape and an auxiliary head the model lacks.

    Returns the names that kept their random values. Raises ValueError naming the first entry that does not fit.
    """
    own = model.state_dict()
    # DenseNet's published files date from before module names could hold no dots: norm.1 is norm1 in the model.
    state = {_modern_name(key) if name == "densenet121" else key: value for key, value in state.items()}
    head = architecture(name).head
    replaceable = (f"{head}.", "AuxLogits.fc.")
    kept: list[str] = []
    for key, value in own.items():
        given = state.get(key)
        # Counters of BatchNorm are missing in the oldest files; they start at zero.
        if given is None and key.endswith("num_batches_tracked"):
            state[key] = value
        elif given is None:
            raise ValueError(f"{key} is missing")
        elif given.shape != value.shape:
            if not key.startswith(replaceable):
                raise ValueError(f"{key} has shape {tuple(given.shape)}, the model needs {tuple(value.shape)}")
            kept.append(key)
    unknown = [key for key in state if key not in own and not key.startswith("AuxLogits.")]
    if unknown:
        raise ValueError(f"{unknown[0]} is no part of the model")
    model.load_state_dict({key: value if key in kept else state[key] for key, value in own.items()})
    return tuple(kept)


def _modern_name(key: str) -> str:
    for kind in ("norm", "relu", "conv"):
        for number in ("1", "2"):
            key = key.replace(f".{kind}.{number}.", f".{kind}{number}.")
    return key


def _kaiming(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _tiny(classes: int) -> nn.Module:
    """ResNet-8 for small images: 16, 32 and 64 channels, one residual block each (He et al. 2015, section 4.2)."""
    import_torchvision()
    from torchvision.models.resnet import BasicBlock

    def block(inside: int, outside: int, stride: int) -> Any:
        shortcut = None
        if stride != 1:
            shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
        return BasicBlock(inside, outside, stride, shortcut)

    layers: Sequence[tuple[str, nn.Module]] = (
        ("conv1", nn.Conv2d(3, 16, 3, padding=1, bias=False)),
        ("bn1", nn.BatchNorm2d(16)),
        ("relu", nn.ReLU(inplace=True)),
        ("layer1", block(16, 16, 1)),
        ("layer2", block(16, 32, 2)),
        ("layer3", block(32, 64, 2)),
        ("avgpool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(64, classes)),
    )
    model = nn.Sequential()
    for name, layer in layers:
        model.add_module(name, layer)
    return model

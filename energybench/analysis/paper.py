"""What the study states: Mei and Stamp, "Energy Considerations for Large Pretrained Neural Networks", arXiv 2506.01311.

Its own data are ImageNet-1K, nine pretrained models, PUE 1.58, a target of less than 1 % of accuracy lost.
"""

from __future__ import annotations

from collections.abc import Mapping

TOLERANCE = 0.01
"""accuracy that a compressor may cost; absolute here, since the paper does not say"""
EPOCH_RATIO = 1.5
"""epochs beyond this multiple of the baseline's are a failure signature"""

HALVED = ("resnet50", "resnet101", "inception_v3", "densenet121", "vgg16", "convnext_base")
"""models whose training energy steganographic capacity reduction is said to more than halve, by torchvision's names"""
LOWRANK_KEEPS = ("alexnet", "resnet18", "resnet50")
"""models whose accuracy low rank is said to keep"""

NAMES = {
    "alexnet": "AlexNet",
    "resnet18": "ResNet18",
    "resnet34": "ResNet34",
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
    "inception_v3": "InceptionV3",
    "densenet121": "DenseNet121",
    "vgg16": "VGG16",
    "convnext_base": "ConvNeXt",
}

ALEXNET_BITS = 24
"""low bits of AlexNet's 32 that are said to be free"""
VGG16_PRUNED_RATE = 0.61
VGG16_BASELINE_ACCURACY = 0.655
VGG16_PRUNED_ACCURACY = 0.616
VGG16_UNTOUCHED_ACCURACY = 0.716
"""torchvision's own weights (IMAGENET1K_V1), without any training: not the paper's figure"""
LOWRANK_RATES = (0.17, 0.43)
LOWRANK_INCEPTION_LOSS = 0.0152
LOWRANK_WORST_LOSS = 0.0458
"""ResNet18's"""
AVERAGE_SAVING = 0.37
AVERAGE_LOSS = 0.008


def name(model: str) -> str:
    """The paper's spelling of a model's torchvision name; other models keep theirs."""
    return NAMES.get(model, model)


def stated(model: str, compressor: str) -> str:
    """What the paper says of this model under this compressor, in a few words; empty where nothing is known."""
    if (model, compressor) in _STATED:
        return _STATED[model, compressor]
    if compressor == "stego" and model in HALVED:
        return "energy < 50 %, time ~ 50 %, loss <= 1"
    if compressor == "lowrank" and model in LOWRANK_KEEPS:
        return "accuracy kept"
    return _GENERAL.get(compressor, "") if model in NAMES else ""


_STATED: Mapping[tuple[str, str], str] = {
    ("alexnet", "stego"): "32 -> 8 bits",
    ("vgg16", "none"): "65.5 %",
    ("vgg16", "prune"): "rate 61 %, 65.5 -> 61.6 %",
    ("inception_v3", "lowrank"): "-1.52 points",
    ("resnet18", "lowrank"): "kept, and -4.58 points",
}
_GENERAL = {"prune": "nothing consistent", "lowrank": "rate 17-43 %, nothing consistent"}

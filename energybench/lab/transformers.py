"""Transformers for the lab: Hugging Face's Llama and ViT in sizes of our own, with random weights.

Both are built of nn.Linear throughout and nothing is tied, so that every compressor covers them. The package
`transformers` is imported when the first of them is built: that takes about 2 seconds.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from energybench.errors import UsageError
from energybench.lab.torchvision_compat import import_torchvision

VOCABULARY = 256
"""a token is a byte, so that no tokenizer has to be had"""
ATTENTION = "sdpa"
"""torch's scaled_dot_product_attention"""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a transformer. Its attention heads share `width` evenly."""

    layers: int
    width: int
    heads: int
    patch: int = 0
    """side of a ViT's patches in pixels; 0: a causal language model"""


SHAPES = {
    "causal_lm": Shape(3, 160, 5),
    "vit": Shape(6, 128, 4, patch=4),
    "causal_lm_10m": Shape(6, 384, 6),
    "causal_lm_85m": Shape(12, 768, 12),
    "vit_b_16": Shape(12, 768, 12, patch=16),
    "causal_lm_1b": Shape(20, 2048, 16),
    "causal_lm_3b": Shape(26, 3072, 24),
}
"""A fine-tune with SGD holds five float32 copies on the device (compressed model, its copy under training, gradient,
momentum, best epoch), 20 bytes a parameter: about 20 GB for causal_lm_1b, 60 GB for causal_lm_3b."""


class CausalLanguageModel(nn.Module):
    """A causal language model in the lab's terms: ids int64 [n, context] to logits [n, vocabulary, context]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor) -> Tensor:
        # Classes second, where cross_entropy and argmax(1) have them for images too. No cache of keys and values.
        return self.network(input_ids=ids, use_cache=False).logits.transpose(1, 2)


class VisionTransformer(nn.Module):
    """A ViT in the lab's terms: images float32 [n, 3, pixels, pixels] to logits [n, classes]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(pixel_values=images).logits


class PatchProjection(nn.Conv2d):
    """ViT's first convolution. The network reads its weight's dtype, so it must stay one layer with a weight.

    The low-rank compressor leaves subclasses of Conv2d alone, which is why this is one.
    """


def check_installed(name: str = "a transformer") -> None:
    """UsageError where the package that the model `name` needs is missing, so that it is said before anything runs."""
    if importlib.util.find_spec("transformers") is None:
        raise UsageError(f"{name} needs the package transformers: pip install 'energybench[llm]'")


def library() -> ModuleType:
    """The package `transformers`. It imports torchvision where that is installed, which may need help."""
    check_installed()
    if importlib.util.find_spec("torchvision") is not None:
        import_torchvision()
    return importlib.import_module("transformers")


def build_causal_lm(name: str, vocabulary: int) -> CausalLanguageModel:
    """Llama's architecture (RMSNorm, rotary positions, SwiGLU) in a shape of SHAPES, with random weights."""
    shape = SHAPES[name]
    configuration = library().LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        # Two thirds of the usual four times the width, since SwiGLU has three matrices (Shazeer, arXiv 2002.05202).
        intermediate_size=64 * -(-8 * shape.width // (3 * 64)),
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        tie_word_embeddings=False,
        use_cache=False,
        initializer_range=shape.width**-0.5,
        attn_implementation=ATTENTION,
    )
    return CausalLanguageModel(library().LlamaForCausalLM(configuration))


def build_vit(name: str, classes: int, pixels: int) -> VisionTransformer:
    """ViT (Dosovitskiy et al., arXiv 2010.11929) in a shape of SHAPES, without dropout, with random weights.

    Initial values have the deviation 1 / sqrt(width), with which a layer keeps the size of what passes through it;
    language models likewise. transformers' own 0.02 suits a width of 2,500: with it six epochs of 2,000 images left
    `vit` at 48 % on mnist5k, and with ours four had reached 78 %; `causal_lm` was at 56 % and 60 % after two epochs.
    """
    shape = SHAPES[name]
    configuration = library().ViTConfig(
        image_size=pixels,
        patch_size=shape.patch,
        hidden_size=shape.width,
        intermediate_size=4 * shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_labels=classes,
        initializer_range=shape.width**-0.5,
        attn_implementation=ATTENTION,
    )
    network: Any = library().ViTForImageClassification(configuration)
    patches = network.vit.embeddings.patch_embeddings
    projection = PatchProjection(3, shape.width, shape.patch, shape.patch, device="meta")
    projection.weight, projection.bias = patches.projection.weight, patches.projection.bias
    patches.projection = projection
    return VisionTransformer(network)

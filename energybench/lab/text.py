"""Text for language models: Python's own help or text files, as windows of consecutive tokens in memory."""

from __future__ import annotations

import hashlib
import importlib
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from energybench.errors import DataError
from energybench.lab.checkpoint import encode
from energybench.lab.parts import PARTS, Data, Part, cut, split_hash
from energybench.lab.profiles import Recipe
from energybench.lab.transformers import VOCABULARY

TEXTS = ("topics", "text")
_LOGITS = 1 << 25  # 128 MiB of float32 in one evaluation batch


class TokenPart:
    """Windows of consecutive tokens held in memory; what is right at each token is the one that follows it."""

    def __init__(self, windows: Tensor, vocabulary: int) -> None:
        """`windows` holds ids below `vocabulary`, uint8 or int32 [n, context + 1]."""
        self.windows = windows
        self._context = windows.shape[1] - 1
        self.evaluation_batch = max(1, min(100, _LOGITS // (self._context * vocabulary)))

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def predictions(self) -> int:
        return len(self) * self._context

    def batches(self, batch: int, device: torch.device, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        if self.windows.device != device:
            self.windows = self.windows.to(device)  # once, as with images
        indices = (torch.arange(len(self)) if order is None else order).to(device)
        for chosen in indices.split(batch):
            ids = self.windows[chosen].long()
            yield ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def load_text(kind: str, path: Path, recipe: Recipe, checkpoint: Path | None = None) -> Data:
    """The text of `topics`, or of the file or folder `path` (`kind` is one of TEXTS), cut as the recipe says.

    Windows of `context` + 1 tokens that share none; image counts of the recipe count windows. Tokens are the bytes of
    UTF-8, or those of the `checkpoint`. Raises DataError where there is no text, or too little of it.
    """
    text = help_topics() if kind == "topics" else read_texts(path)
    if checkpoint is None:
        tokens, vocabulary = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8), VOCABULARY
    else:
        tokens, vocabulary = encode(checkpoint, text)
    content = hashlib.sha256(f"{vocabulary}\0".encode() + tokens.numpy().tobytes()).hexdigest()
    length = recipe.context + 1
    windows = tokens[: len(tokens) // length * length].view(-1, length)
    indices = cut(len(windows), recipe, recipe.split_seed)

    def part(chosen: Tensor) -> Part:
        return TokenPart(windows[chosen], vocabulary)

    return Data(
        id=kind if kind == "topics" else f"{kind}:{path.name}",
        classes=vocabulary,
        pixels=0,
        context=recipe.context,
        split_hash=split_hash(f"{content} {length}", indices),
        **{key: part(indices[key]) for key in PARTS},
    )


@lru_cache(maxsize=1)
def help_topics() -> str:
    """The reference texts behind the running Python's `help()` (PSF licence): 370 kB of English in Python 3.11.

    Topics repeat one another's paragraphs word by word, a fifth of all characters in Python 3.11. Each is kept once: a
    model shall not be asked in `evaluation` what it has read in training.
    """
    try:
        topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    except ModuleNotFoundError as error:
        raise DataError(
            f"this Python comes without the texts of its help ({error}); use --energy-data text:PATH"
        ) from error
    paragraphs = (paragraph.strip() for name in sorted(topics) for paragraph in topics[name].split("\n\n"))
    return "\n\n".join(dict.fromkeys(paragraphs))


def read_texts(path: Path) -> str:
    """The UTF-8 text of a file, or of all .txt files under a folder in the order of their paths, a blank line between.

    Nothing is left out: passages that stand in it twice can be in two parts.
    """
    if not path.exists():
        raise DataError(f"there is no file or folder of text at {path}")
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no .txt file")
    texts: list[str] = []
    for file in files:
        try:
            texts.append(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file} cannot be read as UTF-8 text ({error})") from error
    if not any(texts):
        raise DataError(f"there is no text in {path}")
    return "\n\n".join(texts)


def perplexity(loss: float) -> float | None:
    """exp of a mean cross entropy in nats: the number of tokens an equally uncertain guess would choose among.

    None where that is beyond what a float holds.
    """
    return math.exp(loss) if loss < 709 else None

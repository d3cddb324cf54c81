"""Language models in local folders as Hugging Face saves them: architecture, weights, tokens. Nothing is downloaded."""

from __future__ import annotations

import importlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from energybench.errors import DataError
from energybench.lab.transformers import VOCABULARY, CausalLanguageModel, library


def checkpoint_folder(weights: str) -> Path | None:
    """The folder that `--energy-weights file:PATH` names; None where it names no folder."""
    path = Path(weights.removeprefix("file:")).expanduser()
    return path if weights.startswith("file:") and path.is_dir() else None


def vocabulary(folder: Path) -> int:
    """How many tokens the model of a checkpoint tells apart. DataError where its config.json does not say."""
    try:
        size = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} is not a checkpoint of a causal language model: its config.json gives no vocab_size ({error!r})"
        ) from error
    return int(size)


def encode(folder: Path, text: str) -> tuple[Tensor, int]:
    """The text as int32 ids of the checkpoint's tokenizer, nothing added at either end, and the vocabulary's size.

    A model of 256 tokens without a tokenizer reads bytes. Raises DataError where tokenizer.json is missing, damaged, or
    made for more tokens than the model has.
    """
    size = vocabulary(folder)
    if size == VOCABULARY and not (folder / "tokenizer.json").exists():
        return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).int(), size
    ids = _ids(folder, text)
    if len(ids) and int(ids.max()) >= size:
        raise DataError(f"the tokenizer in {folder} gives ids up to {int(ids.max())}, the model has {size} tokens")
    return ids, size


@lru_cache(maxsize=2)
def _ids(folder: Path, text: str) -> Tensor:
    library()  # says what to install where it is missing; tokenizers comes with it
    tokenizers = importlib.import_module("tokenizers")
    try:
        tokenizer: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the Rust side raises plain Exception
        raise DataError(f"{folder} has no tokenizer.json that can be read ({error})") from error
    return torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids, dtype=torch.int32)


def build_from(folder: Path) -> CausalLanguageModel:
    """The architecture of a checkpoint with random float32 weights; tied embeddings are untied.

    Code that a checkpoint brings along is never run. Raises DataError where transformers cannot build it.
    """
    transformers = library()
    try:
        configuration = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, tie_word_embeddings=False
        )
        network = transformers.AutoModelForCausalLM.from_config(
            configuration, dtype=torch.float32, trust_remote_code=False
        )
    except Exception as error:  # whatever a foreign configuration makes transformers raise
        raise DataError(f"{folder} holds no causal language model that transformers can build ({error})") from error
    return CausalLanguageModel(network)


def load_checkpoint(model: CausalLanguageModel, folder: Path) -> None:
    """Read a checkpoint's weights into the model that `build_from` made, in float32.

    Where the checkpoint ties embedding and head, each gets a copy. Raises DataError where weights are missing or do not
    fit.
    """
    try:
        stored, found = library().AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
        model.network.load_state_dict(stored.state_dict())
    except Exception as error:  # as above
        raise DataError(f"the weights in {folder} cannot be read ({error})") from error
    if found["missing_keys"]:  # transformers fills them with random values
        raise DataError(f"the weights in {folder} are incomplete: {min(found['missing_keys'])} is missing")

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from energybench.compress import StegoReduction
from energybench.errors import DataError
from energybench.lab.checkpoint import build_from, checkpoint_folder, encode, load_checkpoint
from energybench.lab.data import load
from energybench.lab.models import build
from energybench.lab.pretrain import starting_weights
from energybench.lab.profiles import Recipe
from energybench.lab.transformers import CausalLanguageModel, library

WORDS = ("[UNK]", "the", "cat", "sat", "on", "mat")
SMALL = Recipe(context=4, train_images=4, validation_images=4, search_images=4, evaluation_images=4, pretrain_images=4)


def save(folder: Path, *, family: str = "llama", tied: bool = False, size: int = 256, seed: int = 0) -> Any:
    """A small model of a family as Hugging Face saves it; returns the model."""
    transformers = library()
    torch.manual_seed(seed)
    if family == "llama":
        configuration = transformers.LlamaConfig(
            vocab_size=size,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            tie_word_embeddings=tied,
        )
        network = transformers.LlamaForCausalLM(configuration)
    else:
        configuration = transformers.GPT2Config(
            vocab_size=size, n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0
        )
        network = transformers.GPT2LMHeadModel(configuration)
    network.save_pretrained(folder)
    return network.eval()


def add_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def read(folder: Path) -> CausalLanguageModel:
    model = build_from(folder)
    load_checkpoint(model, folder)
    return model.eval()


@pytest.mark.parametrize(("family", "tied"), [("llama", False), ("llama", True), ("gpt2", True)])
def test_a_checkpoint_answers_as_the_model_that_was_saved_and_is_untied(
    tmp_path: Path, family: str, tied: bool
) -> None:
    saved, ids = save(tmp_path, family=family, tied=tied), torch.randint(0, 256, (3, 7))
    model = read(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(model(ids), saved(input_ids=ids).logits.transpose(1, 2))
    assert "network.lm_head.weight" in StegoReduction(bits=4)(model).report.covered


def test_half_precision_weights_are_read_as_float32(tmp_path: Path) -> None:
    save(tmp_path).to(torch.bfloat16).save_pretrained(tmp_path)
    assert {p.dtype for p in read(tmp_path).parameters()} == {torch.float32}


def test_a_folder_stands_in_for_the_architecture_the_weights_and_the_tokens(tmp_path: Path) -> None:
    folder, texts = tmp_path / "model", tmp_path / "texts"
    saved = save(folder, size=6)
    add_tokenizer(folder)
    texts.mkdir()
    (texts / "a.txt").write_text("the cat sat on the mat . " * 30, encoding="utf-8")
    weights = f"file:{folder}"
    data = load(f"text:{texts}", SMALL, checkpoint_folder(weights))
    assert (data.classes, data.unit) == (6, "tokens")
    start = starting_weights("causal_lm", data, SMALL, weights)
    assert start.source == "file:model"
    model = build("causal_lm", data.classes, data.pixels, checkpoint_folder(weights)).eval()
    model.load_state_dict(start.state_dict)
    x, y = next(iter(data.evaluation.batches(4, torch.device("cpu"))))
    with torch.no_grad():
        right = saved(input_ids=x).logits.argmax(-1) == y
    assert start.accuracy == right.sum().item() / 16


def test_tokens_are_those_of_the_tokenizer_and_bytes_without_one(tmp_path: Path) -> None:
    save(tmp_path / "words", size=6)
    add_tokenizer(tmp_path / "words")
    ids, size = encode(tmp_path / "words", "the mat sat\n\non the dog")
    assert (ids.tolist(), size) == ([1, 5, 3, 4, 1, 0], 6)
    save(tmp_path / "bytes")
    ids, size = encode(tmp_path / "bytes", "é!")
    assert (ids.tolist(), size) == ([0xC3, 0xA9, 0x21], 256)


def test_only_a_folder_is_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "w.pt").touch()
    assert checkpoint_folder(f"file:{tmp_path}") == tmp_path
    for weights in (f"file:{tmp_path / 'w.pt'}", f"file:{tmp_path / 'absent'}", "auto", str(tmp_path)):
        assert checkpoint_folder(weights) is None


def test_a_checkpoint_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match=r"bare is not a checkpoint of a causal language model"):
        encode(tmp_path / "bare", "text")
    with pytest.raises(DataError, match=r"bare holds no causal language model"):
        build_from(tmp_path / "bare")

    wide = tmp_path / "wide"
    save(wide, size=6)
    with pytest.raises(DataError, match=r"wide has no tokenizer\.json that can be read"):
        encode(wide, "text")
    add_tokenizer(wide)
    configuration = json.loads((wide / "config.json").read_text(encoding="utf-8"))
    (wide / "config.json").write_text(json.dumps({**configuration, "vocab_size": 3}), encoding="utf-8")
    with pytest.raises(DataError, match="gives ids up to 5, the model has 3 tokens"):
        encode(wide, "the cat sat on the mat")

    torn = tmp_path / "torn"
    save(torn)
    whole = (torn / "model.safetensors").read_bytes()
    (torn / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"the weights in .*torn cannot be read"):
        read(torn)


def test_a_checkpoint_with_weights_missing_is_refused_and_not_filled_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"incomplete: model\.layers\.1\.mlp\.up_proj\.weight is missing"):
        read(tmp_path)


def test_code_that_comes_with_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    configuration = {
        "model_type": "own",
        "vocab_size": 256,
        "auto_map": {"AutoConfig": "own.Configuration", "AutoModelForCausalLM": "own.Model"},
    }
    (tmp_path / "config.json").write_text(json.dumps(configuration), encoding="utf-8")
    with pytest.raises(DataError, match="holds no causal language model that transformers can build"):
        build_from(tmp_path)

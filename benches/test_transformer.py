"""The fine-tune of test_finetune.py on transformers: a causal language model that reads English text, and a ViT.

Answers the second question that the paper leaves open. For the language model accuracy is the share of next tokens that
are right, and perplexity is recorded beside it. Larger models are chosen by `--energy-models`: causal_lm_10m, _85m,
_1b, _3b and vit_b_16. FLOPs count the layers' matrices and not the products of queries, keys and values, which no
compressor touches.
"""

from __future__ import annotations

from typing import Any

from energybench.lab.models import TRANSFORMERS
from energybench.lab.study import Study
from energybench.lab.trial import fine_tune_case

MODELS = TRANSFORMERS


def test_transformer(energy: Any, study: Study, model: str, compressor: str) -> None:
    fine_tune_case(energy, study, model, compressor, "early stopping")

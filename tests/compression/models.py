"""Tiny models of the kinds that the engines' table of decoders lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig

from tests.engines.models import EOS, VOCABULARY, build_tokenizer

_SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
# model_type, class, configuration.
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertForMaskedLM", _SMALL),
    "roberta": ("RobertaForMaskedLM", _SMALL),
    "distilbert": (
        "DistilBertForSequenceClassification",
        {"vocab_size": VOCABULARY, "dim": 64, "hidden_dim": 96, "n_layers": 2, "n_heads": 4},
    ),
    "albert": ("AlbertForMaskedLM", {**_SMALL, "embedding_size": 32}),
    "mobilebert": (
        "MobileBertForMaskedLM",
        {**_SMALL, "embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    ),
    "modernbert": (
        "ModernBertForMaskedLM",
        {**_SMALL, "pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2},
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {
            "vocab_size": VOCABULARY,
            "d_model": 64,
            "d_kv": 16,
            "d_ff": 96,
            "num_layers": 2,
            "num_heads": 4,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": True,
            "decoder_start_token_id": 0,
        },
    ),
}


def save_other(folder: Path, kind: str) -> Path:
    """A checkpoint of that kind with random weights, float32."""
    name, values = OTHERS[kind]
    config = AutoConfig.for_model(kind, **values)
    config.eos_token_id = EOS
    torch.manual_seed(0)
    model = getattr(transformers, name)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.1)
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder

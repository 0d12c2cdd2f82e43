"""Every architecture of the catalog, from a card's real config made small, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, PreTrainedTokenizerFast

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.hfconfig import model_config
from tests.engines.models import ARCHITECTURES, VOCABULARY, build_tokenizer

CATALOG = Catalog.load(asset_folder())
CANNOT_BE_BUILT = {None: "a published method, not a model"}

_WIDTHS: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
_BERT = {**_WIDTHS, "num_hidden_layers": 2, "max_position_embeddings": 128}
_GQA = {**_WIDTHS, "num_key_value_heads": 2, "num_hidden_layers": 3}
# What becomes small beside the vocabulary; all else is as on the card. The architectures that
# tests/engines/models.py knows take theirs from there.
_SMALLER: dict[str, dict[str, Any]] = {
    "bert": _BERT,
    "mobilebert": {**_BERT, "embedding_size": 32, "intra_bottleneck_size": 32},
    "albert": {**_BERT, "embedding_size": 16},
    "modernbert": {**_BERT, "layer_types": ["full_attention", "sliding_attention"]},
    "distilbert": {
        "dim": 64, "hidden_dim": 96, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 128,
    },
    "t5": {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_decoder_layers": 2,
           "num_heads": 4},
    "ernie4_5": {**_GQA, "head_dim": 16},
    "granitemoehybrid": {
        **_GQA, "shared_intermediate_size": 96, "layer_types": ["attention"] * 3,
    },
    "lfm2": {**_GQA, "layer_types": ["conv", "full_attention", "conv"]},
    "lfm3": {
        **_GQA, "head_dim": 16, "sliding_window": 16,
        "layer_types": ["conv", "full_attention", "sliding_attention"],
    },
    "reformer": {
        "hidden_size": 64, "feed_forward_size": 96, "num_attention_heads": 2,
        "attention_head_size": 32, "attn_layers": ["local", "lsh"],
        "axial_pos_shape": [16, 64], "axial_pos_embds_dim": [16, 48], "num_buckets": 4,
    },
}  # fmt: skip
# Models that also see are stored whole: the part that writes is small here, the eye tiny or none.
# What the cards do not know of them (Gemma 4's sharing of KV heads) is as in transformers.
_WHOLE: dict[str, dict[str, Any]] = {
    "qwen3_5": {
        "text_config": {
            **_GQA, "head_dim": 32, "max_position_embeddings": 1024,
            "layer_types": ["linear_attention", "full_attention", "linear_attention"],
            "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
        },
        "vision_config": {
            "depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2,
            "out_hidden_size": 64,
        },
    },
    "gemma4": {
        "text_config": {
            **_GQA, "head_dim": 32, "global_head_dim": 32, "sliding_window": 16,
            "num_hidden_layers": 4, "num_kv_shared_layers": 2, "use_double_wide_mlp": True,
            "hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": VOCABULARY,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
        },
        "vision_config": None,
        "audio_config": None,
    },
}  # fmt: skip
_TOKENS = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}


def one_card_a_kind() -> dict[str, Card]:
    """The first card of every transformers class in the catalog that can be built."""
    found: dict[str, Card] = {}
    for card in CATALOG.cards:
        if card.model_type not in CANNOT_BE_BUILT and not card.shipped:
            found.setdefault(f"{card.model_type}-{card.transformers_class}", card)
    return found


def small_config(card: Card) -> dict[str, Any]:
    """The card's config with a small width, few layers, and the tests' vocabulary."""
    if card.model_type in _WHOLE:
        whole = _WHOLE[card.model_type]
        return {
            "model_type": card.model_type,
            "architectures": [card.transformers_class],
            "tie_word_embeddings": True,
            **whole,
            "text_config": {**whole["text_config"], **_TOKENS},
        }
    config: dict[str, Any] = dict(model_config(card))
    kind = config["model_type"]
    smaller = _SMALLER.get(kind) or ARCHITECTURES[kind]
    config.update(smaller, **_TOKENS, dtype="float32")
    if card.architecture_kind == "encoder-decoder":
        config["decoder_start_token_id"] = 1
    return config


def save_kind(folder: Path, card: Card, class_name: str | None = None) -> Path:
    """A checkpoint of the card's class, or of another head on the same body."""
    values = small_config(card)
    name = class_name or values["architectures"][0]
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    torch.manual_seed(0)
    model = getattr(transformers, name)(config).to(torch.float32)
    model.save_pretrained(folder)
    encodes = card.architecture_kind == "encoder"
    tokenizer = word_tokenizer() if encodes else build_tokenizer(chat_template=None)
    tokenizer.save_pretrained(folder)
    return folder


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, lower case, and the special tokens of BERT."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = "the a fox owl moon hill saw found is was where over at on good bad ? . ,".split()
    vocabulary = {word: number for number, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )

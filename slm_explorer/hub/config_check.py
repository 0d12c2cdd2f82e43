"""A config.json from anywhere: read, and refused where no model can have such numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

Config = Mapping[str, object]

LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers")
DECODER_LAYERS = ("num_decoder_layers", "decoder_layers")
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
EMBEDDING = ("embedding_size", "word_embed_proj_dim")
HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads")
HEAD_DIM = ("head_dim", "d_kv", "attention_head_size")
WIDTH = ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "hidden_dim", "encoder_ffn_dim")
VOCAB = ("vocab_size",)
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
# Far above the largest models known, so that only nonsense is beyond them.
_LIMITS: tuple[tuple[tuple[str, ...], int], ...] = (
    (LAYERS, 2_000),
    (DECODER_LAYERS, 2_000),
    (HIDDEN, 200_000),
    (EMBEDDING, 200_000),
    (HEADS, 2_000),
    (KV_HEADS, 2_000),
    (HEAD_DIM, 20_000),
    (WIDTH, 2_000_000),
    (VOCAB, 10_000_000),
    (POSITIONS, 1_000_000_000),
)
PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def parse_config(text: str) -> Config | None:
    """The config as an object; None where the text is no JSON object."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def config_problem(config: Config) -> str | None:
    """What is impossible about a config, as the end of a sentence; None where nothing is."""
    kind = config.get("model_type")
    if not isinstance(kind, str) or not PLAIN.fullmatch(kind):
        return "names no model_type, so it is no transformers model"
    text = text_part(config)
    for names, limit in _LIMITS:
        for name in names:
            value = text.get(name)
            if isinstance(value, bool | float) or (
                isinstance(value, int) and not 1 <= value <= limit
            ):
                shown = f"{value:,}" if isinstance(value, int) and abs(value) < 10**18 else "absurd"
                return f"says that {name} is {shown}, which no model has"
    hidden, heads = number(text, HIDDEN), number(text, HEADS)
    if hidden and heads and hidden % heads and number(text, HEAD_DIM) is None:
        return (
            f"says that {hidden:,} hidden values are shared by {heads:,} heads, which divides not"
        )
    kv_heads = number(text, KV_HEADS)
    if heads and kv_heads and heads % kv_heads:
        return f"says that {heads:,} heads share {kv_heads:,} KV heads, which divides not"
    return None


def text_part(config: Config) -> Config:
    """Models that also see or hear keep the decoder's numbers in a config of its own."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def first_class(config: Config) -> str | None:
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names else None
    return first if isinstance(first, str) and PLAIN.fullmatch(first) else None


def number(config: Config, names: tuple[str, ...]) -> int | None:
    """The first of `names` that is one number; lists differ by layer and are left unknown."""
    return next((value for name in names if type(value := config.get(name)) is int), None)

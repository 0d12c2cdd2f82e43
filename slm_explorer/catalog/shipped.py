"""The numbers of a shipped model's card, read from its own config.json and weights' headers.

So card and weights cannot differ. Shipped models are plain llamas, BERTs and T5s; what their
architectures all have in common is written here, the rest is read.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from slm_explorer.catalog.cards import Architecture, Card
from slm_explorer.catalog.checkpoint import CheckpointFacts, inspect_checkpoint
from slm_explorer.catalog.components import body_parameters
from slm_explorer.errors import BadCatalog, BadCheckpoint


def with_numbers(card: Card, assets: Path) -> Card:
    """The card with its model's numbers; as it is where the model's files are missing.

    Raises BadCatalog where a config lacks a number.
    """
    try:
        facts = inspect_checkpoint(assets / "sprouts" / card.id)
    except BadCheckpoint:
        return card
    architecture = _ARCHITECTURES.get(facts.model_type, _llama)(facts)
    card = dataclasses.replace(
        card,
        architecture=architecture,
        attention=_attention(facts, architecture),
        parameters=facts.parameters,
        parameters_embedding=architecture.vocab_size * architecture.hidden_size,
        native_dtype=facts.dtypes[0] if facts.dtypes else None,
        chat_template=facts.has_chat_template,
    )
    if facts.model_type == "bert" and facts.class_name != "BertModel":
        body = body_parameters(card)
        return dataclasses.replace(card, parameters=body, parameters_with_head=facts.parameters)
    return card


def _attention(facts: CheckpointFacts, a: Architecture) -> str:
    if facts.model_type == "bert":
        return "MHA (bidirectional)"
    if facts.model_type == "t5":
        return "MHA (encoder, causal decoder, cross)"
    kind = "MHA" if a.num_attention_heads == a.num_key_value_heads else "GQA"
    return f"{kind} ({a.num_attention_heads}/{a.num_key_value_heads})"


def _number(facts: CheckpointFacts, key: str) -> int:
    value = facts.config.get(key)
    if type(value) is not int:
        raise BadCatalog(f"{facts.path / 'config.json'} lacks the number {key!r}: reinstall.")
    return value


def _llama(facts: CheckpointFacts) -> Architecture:
    config = facts.config
    rope = config.get("rope_parameters")
    theta = rope.get("rope_theta") if isinstance(rope, dict) else config.get("rope_theta")
    hidden, heads = _number(facts, "hidden_size"), _number(facts, "num_attention_heads")
    return Architecture(
        num_layers=_number(facts, "num_hidden_layers"),
        hidden_size=hidden,
        embedding_size=hidden,
        num_attention_heads=heads,
        num_key_value_heads=_number(facts, "num_key_value_heads"),
        head_dim=facts.head_dim or hidden // heads,
        intermediate_size=_number(facts, "intermediate_size"),
        vocab_size=_number(facts, "vocab_size"),
        max_position_embeddings=_number(facts, "max_position_embeddings"),
        context_length=_number(facts, "max_position_embeddings"),
        activation="silu (SwiGLU)",
        norm="RMSNorm",
        norm_placement="pre",
        positional="RoPE",
        gated_mlp=True,
        tied_embeddings=config.get("tie_word_embeddings") is True,
        rope_theta=float(theta) if isinstance(theta, int | float) else None,
    )


def _bert(facts: CheckpointFacts) -> Architecture:
    hidden, heads = _number(facts, "hidden_size"), _number(facts, "num_attention_heads")
    return Architecture(
        num_layers=_number(facts, "num_hidden_layers"),
        hidden_size=hidden,
        embedding_size=hidden,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=hidden // heads,
        intermediate_size=_number(facts, "intermediate_size"),
        vocab_size=_number(facts, "vocab_size"),
        max_position_embeddings=_number(facts, "max_position_embeddings"),
        context_length=_number(facts, "max_position_embeddings"),
        activation="gelu",
        norm="LayerNorm",
        norm_placement="post",
        positional="learned absolute",
        gated_mlp=False,
        tied_embeddings=facts.class_name == "BertForMaskedLM",
        qkv_bias=True,
    )


def _t5(facts: CheckpointFacts) -> Architecture:
    heads = _number(facts, "num_heads")
    return Architecture(
        num_layers=_number(facts, "num_layers"),
        num_decoder_layers=_number(facts, "num_decoder_layers"),
        hidden_size=_number(facts, "d_model"),
        embedding_size=_number(facts, "d_model"),
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=_number(facts, "d_kv"),
        intermediate_size=_number(facts, "d_ff"),
        vocab_size=_number(facts, "vocab_size"),
        max_position_embeddings=_number(facts, "n_positions"),
        context_length=_number(facts, "n_positions"),
        activation="relu",
        norm="RMSNorm (T5LayerNorm)",
        norm_placement="pre",
        positional="relative bias (32 buckets)",
        gated_mlp=False,
        tied_embeddings=True,
    )


_ARCHITECTURES = {"llama": _llama, "bert": _bert, "t5": _t5}

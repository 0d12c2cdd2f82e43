"""Configs of encoders and encoder-decoders rebuilt from their cards' numbers; see hfconfig.py
for what is rebuilt and what keeps transformers' defaults."""

from __future__ import annotations

from collections.abc import Callable

from slm_explorer.catalog.cards import Architecture

Config = dict[str, object]


def _bert(a: Architecture) -> Config:
    return {
        "hidden_size": a.hidden_size,
        "intermediate_size": a.intermediate_size,
        "num_hidden_layers": a.num_layers,
        "num_attention_heads": a.num_attention_heads,
        "max_position_embeddings": a.max_position_embeddings,
        "hidden_act": a.activation.partition(" ")[0],
    }


def _distilbert(a: Architecture) -> Config:
    return {
        "dim": a.hidden_size,
        "hidden_dim": a.intermediate_size,
        "n_layers": a.num_layers,
        "n_heads": a.num_attention_heads,
        "max_position_embeddings": a.max_position_embeddings,
        "activation": a.activation,
    }


def _mobilebert(a: Architecture) -> Config:
    return {
        **_bert(a),
        "embedding_size": a.embedding_size,
        "intra_bottleneck_size": a.bottleneck_size,
        "num_feedforward_networks": a.mlps_per_layer,
    }


def _albert(a: Architecture) -> Config:
    return {**_bert(a), "embedding_size": a.embedding_size, "num_hidden_groups": a.layer_groups}


def _modernbert(a: Architecture) -> Config:
    config = {
        **_bert(a),
        "hidden_activation": a.activation.partition(" ")[0],
        "local_attention": a.sliding_window,
        "layer_types": list(a.layer_kinds),
        # The tokenizer's special ids lie outside small vocabularies; shapes need none.
        "pad_token_id": None,
    }
    del config["hidden_act"]
    return config


def _t5(a: Architecture) -> Config:
    return {
        "d_model": a.hidden_size,
        "d_kv": a.head_dim,
        "d_ff": a.intermediate_size,
        "num_layers": a.num_layers,
        "num_decoder_layers": a.num_decoder_layers,
        "num_heads": a.num_attention_heads,
        "feed_forward_proj": "gated-gelu" if a.gated_mlp else a.activation,
    }


ENCODER_BUILDERS: dict[str, Callable[[Architecture], Config]] = {
    "albert": _albert,
    "bert": _bert,
    "distilbert": _distilbert,
    "mobilebert": _mobilebert,
    "modernbert": _modernbert,
    "t5": _t5,
}

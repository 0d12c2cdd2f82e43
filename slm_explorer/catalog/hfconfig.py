"""A transformers config rebuilt from a card's numbers, so that a model can be measured in its
real shape with random weights and nothing downloaded.

Only what decides tensor shapes and the work per token is rebuilt. Values that change neither
(position scaling beyond the trained length, logit multipliers, dropout, special tokens) keep
transformers' defaults: a shape is for measurements, never for text.
"""

from __future__ import annotations

from collections.abc import Callable

from slm_explorer.catalog.cards import Architecture, Card
from slm_explorer.catalog.encoder_configs import ENCODER_BUILDERS
from slm_explorer.errors import InvalidRequest

Config = dict[str, object]

# Settings that no card holds, from the named classes of transformers 5.23 and the cards' notes.
_REFORMER_HASHING: dict[str, Config] = {
    "reformer-crime-and-punishment": {"num_buckets": [64, 128], "num_hashes": 1},
    "reformer-enwik8": {
        "local_attn_chunk_length": 128,
        "lsh_attn_chunk_length": 256,
        "num_hashes": 4,
    },
}


def shape_config(card: Card) -> Config:
    """The config of a decoder's `card` as a plain dict with `model_type` and `dtype`.

    Raises InvalidRequest for what is no decoder and for cards whose numbers are incomplete.
    """
    if card.architecture_kind != "decoder" or card.model_type is None:
        raise InvalidRequest(
            f"{card.name} ({card.architecture_kind}) is no decoder: choose one of the catalog's."
        )
    return model_config(card)


def model_config(card: Card) -> Config:
    """The same for a model of any kind, an encoder or encoder-decoder too.

    Raises InvalidRequest for cards whose numbers are incomplete.
    """
    architecture, kind = card.architecture, card.model_type
    known = kind in _BUILDERS or kind in ENCODER_BUILDERS
    if architecture is None or card.parameters is None or kind is None or not known:
        raise InvalidRequest(
            f"The numbers known of {card.name} do not determine its shape: choose another model "
            "of the catalog."
        )
    config: Config = {
        "model_type": kind,
        "architectures": [card.transformers_class],
        "dtype": card.native_dtype or "float32",
        "vocab_size": architecture.vocab_size,
        "tie_word_embeddings": architecture.tied_embeddings,
    }
    if kind in ENCODER_BUILDERS:
        config.update(ENCODER_BUILDERS[kind](architecture))
    else:
        config.update(_BUILDERS[kind](card, architecture))
    return config


def _usual(card: Card, a: Architecture) -> Config:
    """The names that llama brought, and most later decoders kept."""
    del card
    config: Config = {
        "hidden_size": a.hidden_size,
        "intermediate_size": a.intermediate_size,
        "num_hidden_layers": a.num_layers,
        "num_attention_heads": a.num_attention_heads,
        "num_key_value_heads": a.num_key_value_heads,
        "max_position_embeddings": a.max_position_embeddings,
        "hidden_act": a.activation.partition(" ")[0],
    }
    if a.rope_theta is not None:
        rope: Config = {"rope_type": "default", "rope_theta": a.rope_theta}
        if a.partial_rotary_factor is not None:
            rope["partial_rotary_factor"] = a.partial_rotary_factor
        config["rope_parameters"] = rope
    return config


def _with_head_dim(card: Card, a: Architecture) -> Config:
    return {**_usual(card, a), "head_dim": a.head_dim}


def _llama(card: Card, a: Architecture) -> Config:
    return {**_with_head_dim(card, a), "attention_bias": a.qkv_bias}


def _sliding(card: Card, a: Architecture) -> Config:
    return {**_with_head_dim(card, a), "sliding_window": a.sliding_window}


def _gemma3(card: Card, a: Architecture) -> Config:
    config = {**_sliding(card, a), "layer_types": list(a.layer_kinds)}
    # Its two rope bases (local 10,000, global 1,000,000) are the class's own defaults.
    del config["rope_parameters"]
    del config["hidden_act"]
    return config


def _stablelm(card: Card, a: Architecture) -> Config:
    return {
        **_usual(card, a),
        "use_qkv_bias": a.qkv_bias,
        "use_parallel_residual": a.parallel_residual,
    }


def _phi3(card: Card, a: Architecture) -> Config:
    # Phi-3's padding token (32000) lies outside small vocabularies.
    return {**_usual(card, a), "sliding_window": a.sliding_window, "pad_token_id": None}


def _granite_hybrid(card: Card, a: Architecture) -> Config:
    """The dense variant: attention in every layer, one shared MLP, no experts."""
    return {
        **_usual(card, a),
        "shared_intermediate_size": a.intermediate_size,
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "layer_types": ["attention"] * a.num_layers,
        "position_embedding_type": "rope",
    }


def _lfm2(card: Card, a: Architecture) -> Config:
    config = {
        **_usual(card, a),
        # The card holds the width after the class's own adjustment.
        "block_auto_adjust_ff_dim": False,
        "layer_types": list(a.layer_kinds),
        "conv_L_cache": a.conv_kernel,
    }
    del config["hidden_act"]
    return config


def _lfm3(card: Card, a: Architecture) -> Config:
    config = {
        **_sliding(card, a),
        "layer_types": list(a.layer_kinds),
        "conv_L_cache": a.conv_kernel,
    }
    # Its two rope bases and partial rotation are the class's own defaults.
    del config["rope_parameters"]
    del config["hidden_act"]
    return config


def _qwen3_5(card: Card, a: Architecture) -> Config:
    """The decoder alone, without the vision tower."""
    return {
        **_with_head_dim(card, a),
        "model_type": "qwen3_5_text",
        "architectures": ["Qwen3_5ForCausalLM"],
        "layer_types": list(a.layer_kinds),
        "linear_num_key_heads": a.linear_key_heads,
        "linear_num_value_heads": a.linear_value_heads,
        "linear_key_head_dim": a.linear_head_dim,
        "linear_value_head_dim": a.linear_head_dim,
        "linear_conv_kernel_dim": a.conv_kernel,
    }


def _opt(card: Card, a: Architecture) -> Config:
    del card
    return {
        "hidden_size": a.hidden_size,
        "word_embed_proj_dim": a.embedding_size,
        "ffn_dim": a.intermediate_size,
        "num_hidden_layers": a.num_layers,
        "num_attention_heads": a.num_attention_heads,
        "max_position_embeddings": a.max_position_embeddings,
        "activation_function": a.activation,
    }


def _gpt_neo(card: Card, a: Architecture) -> Config:
    del card
    return {
        "hidden_size": a.hidden_size,
        "intermediate_size": a.intermediate_size,
        "num_layers": a.num_layers,
        "num_heads": a.num_attention_heads,
        "max_position_embeddings": a.max_position_embeddings,
        "activation_function": a.activation,
        "window_size": a.sliding_window,
        "attention_types": [[[kind.removesuffix("_attention")], 1] for kind in a.layer_kinds],
    }


def _gptj(card: Card, a: Architecture) -> Config:
    del card
    return {
        "n_embd": a.hidden_size,
        "n_inner": a.intermediate_size,
        "n_layer": a.num_layers,
        "n_head": a.num_attention_heads,
        "n_positions": a.max_position_embeddings,
        "rotary_dim": int(a.head_dim * (a.partial_rotary_factor or 1)),
        "activation_function": a.activation,
    }


def _falcon(card: Card, a: Architecture) -> Config:
    del card
    return {
        "hidden_size": a.hidden_size,
        "ffn_hidden_size": a.intermediate_size,
        "num_hidden_layers": a.num_layers,
        "num_attention_heads": a.num_attention_heads,
        "max_position_embeddings": a.max_position_embeddings,
        "alibi": a.positional == "ALiBi",
        "multi_query": a.num_key_value_heads == 1,
        "parallel_attn": a.parallel_residual,
        "bias": a.qkv_bias,
        "new_decoder_architecture": False,
    }


def _mpt(card: Card, a: Architecture) -> Config:
    del card
    return {
        "d_model": a.hidden_size,
        "n_heads": a.num_attention_heads,
        "n_layers": a.num_layers,
        "expansion_ratio": a.intermediate_size // a.hidden_size,
        "max_seq_len": a.max_position_embeddings,
        "no_bias": not a.qkv_bias,
        "attn_config": {"alibi": a.positional == "ALiBi"},
    }


def _reformer(card: Card, a: Architecture) -> Config:
    return {
        "hidden_size": a.hidden_size,
        "feed_forward_size": a.intermediate_size,
        "num_attention_heads": a.num_attention_heads,
        "attention_head_size": a.head_dim,
        "max_position_embeddings": a.max_position_embeddings,
        "hidden_act": a.activation,
        "is_decoder": True,
        "attn_layers": list(a.layer_kinds),
        "axial_pos_shape": list(a.axial_shape),
        "axial_pos_embds_dim": list(a.axial_dims),
        **_REFORMER_HASHING[card.id],
    }


_BUILDERS: dict[str, Callable[[Card, Architecture], Config]] = {
    "ernie4_5": _with_head_dim,
    "falcon": _falcon,
    "gemma": _with_head_dim,
    "gemma3_text": _gemma3,
    "gpt_neo": _gpt_neo,
    "gptj": _gptj,
    "granite": _usual,
    "granitemoehybrid": _granite_hybrid,
    "lfm2": _lfm2,
    "lfm3": _lfm3,
    "llama": _llama,
    "mistral": _sliding,
    "mpt": _mpt,
    "olmo2": _usual,
    "opt": _opt,
    "phi": _usual,
    "phi3": _phi3,
    "qwen2": _usual,
    "qwen3": _with_head_dim,
    "qwen3_5": _qwen3_5,
    "reformer": _reformer,
    "smollm3": _usual,
    "stablelm": _stablelm,
}

"""A card made from a repository's config.json, and configs that no model can have.

What a config does not say (where norms stand, whether the MLP is gated) is common to a model
type, so it is taken from the catalog's card of the same type where there is one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from slm_explorer.catalog.cards import Architecture, ArchitectureKind, Card, LayerCount, Source
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.checkpoint import architecture_kind
from slm_explorer.hub.values import Gate

Config = Mapping[str, object]

_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers")
_DECODER_LAYERS = ("num_decoder_layers", "decoder_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
_EMBEDDING = ("embedding_size", "word_embed_proj_dim")
_HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads")
_HEAD_DIM = ("head_dim", "d_kv", "attention_head_size")
_WIDTH = ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "hidden_dim", "encoder_ffn_dim")
_VOCAB = ("vocab_size",)
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
# Far above the largest models known, so that only nonsense is beyond them.
_LIMITS: tuple[tuple[tuple[str, ...], int], ...] = (
    (_LAYERS, 2_000),
    (_DECODER_LAYERS, 2_000),
    (_HIDDEN, 200_000),
    (_EMBEDDING, 200_000),
    (_HEADS, 2_000),
    (_KV_HEADS, 2_000),
    (_HEAD_DIM, 20_000),
    (_WIDTH, 2_000_000),
    (_VOCAB, 10_000_000),
    (_POSITIONS, 1_000_000_000),
)
_CACHING_LAYERS = ("attention", "full_attention", "sliding_attention")
_HEADS_OF_ENCODERS = ("ForMaskedLM", "ForSequenceClassification", "ForQuestionAnswering")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_NOT_STATED = "not stated in its config"


@dataclass(frozen=True)
class RepositoryFacts:
    """What the Hub itself says of a repository; `parameters` by safetensors dtype. `supported`
    is whether the installed transformers builds it.
    """

    hub_id: str
    commit: str
    license: str | None
    gated: Gate
    parameters: Mapping[str, int]
    formats: tuple[str, ...]
    chat_template: bool
    pipeline_tag: str | None
    supported: bool


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
    if not isinstance(kind, str) or not _PLAIN.fullmatch(kind):
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
    hidden, heads = _number(text, _HIDDEN), _number(text, _HEADS)
    if hidden and heads and hidden % heads and _number(text, _HEAD_DIM) is None:
        return (
            f"says that {hidden:,} hidden values are shared by {heads:,} heads, which divides not"
        )
    kv_heads = _number(text, _KV_HEADS)
    if heads and kv_heads and heads % kv_heads:
        return f"says that {heads:,} heads share {kv_heads:,} KV heads, which divides not"
    return None


def make_card(config: Config, facts: RepositoryFacts, catalog: Catalog) -> Card | None:
    """The card of a config without problem; None where its kind is not known."""
    model_type = str(config["model_type"])
    kind = architecture_kind(model_type, config)
    if kind is None:
        return None
    kin = _kin(catalog, model_type)
    a = _architecture(config, kin.architecture if kin else None)
    owner, _, name = facts.hub_id.rpartition("/")
    origin = f"config.json at commit {facts.commit[:7]}"
    counted = sum(facts.parameters.values()) or None
    stored = max(facts.parameters, key=lambda key: facts.parameters[key], default=None)
    named = config.get("dtype") or config.get("torch_dtype")
    return Card(
        id=facts.hub_id,
        name=name,
        family=model_type,
        organisation=owner or "n/a",
        architecture_kind=kind,
        hub_id=facts.hub_id,
        license=facts.license,
        license_id=facts.license,
        gated=facts.gated,
        model_type=model_type,
        transformers_class=first_class(config),
        auto_class=_auto_class(kind, first_class(config) or ""),
        supported_by_transformers=facts.supported,
        architecture=a,
        attention=_attention(a) if a and kind != "encoder" else None,
        parameters=counted,
        parameters_embedding=a.vocab_size * a.embedding_size if a else None,
        native_dtype=_DTYPES.get(stored) if stored else named if isinstance(named, str) else None,
        weights_format=facts.formats,
        chat_template=facts.chat_template,
        tasks=(facts.pipeline_tag,) if facts.pipeline_tag else (),
        sources=(
            Source("architecture", origin),
            Source("parameters", "the Hub's count from the safetensors headers"),
        ),
    )


def text_part(config: Config) -> Config:
    """Models that also see or hear keep the decoder's numbers in a config of its own."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def first_class(config: Config) -> str | None:
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names else None
    return first if isinstance(first, str) and _PLAIN.fullmatch(first) else None


def _auto_class(kind: ArchitectureKind, name: str) -> str:
    if kind != "encoder":
        return "AutoModelForSeq2SeqLM" if kind == "encoder-decoder" else "AutoModelForCausalLM"
    head = next((head for head in _HEADS_OF_ENCODERS if name.endswith(head)), "")
    return f"AutoModel{head}"


def _kin(catalog: Catalog, model_type: str) -> Card | None:
    return next(
        (card for card in catalog.cards if card.model_type == model_type and card.architecture),
        None,
    )


def _architecture(config: Config, kin: Architecture | None) -> Architecture | None:
    """None where a number is missing that everything else needs."""
    text = text_part(config)
    layers, hidden, heads = (_number(text, names) for names in (_LAYERS, _HIDDEN, _HEADS))
    vocab, positions = _number(text, _VOCAB), _number(text, _POSITIONS)
    if positions is None and kin is not None and "relative" in kin.positional:
        positions = kin.max_position_embeddings
    if not (layers and hidden and heads and vocab and positions):
        return None
    activation = _activation(text)
    kinds = text.get("layer_types")
    kinds = [str(each)[:40] for each in kinds] if isinstance(kinds, list) else []
    counts = Counter(kinds)
    window = text.get("sliding_window")
    if type(window) is not int or window < 1 or text.get("use_sliding_window") is False:
        window = None
    tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    bias = text.get("attention_bias")
    return Architecture(
        num_layers=layers,
        hidden_size=hidden,
        embedding_size=_number(text, _EMBEDDING) or hidden,
        num_attention_heads=heads,
        num_key_value_heads=_kv_heads(text, heads),
        head_dim=_number(text, _HEAD_DIM) or hidden // heads,
        # Where a config has no MLP width, it is the usual one of GPTs.
        intermediate_size=_number(text, _WIDTH) or 4 * hidden,
        vocab_size=vocab,
        max_position_embeddings=positions,
        context_length=positions,
        activation=activation,
        norm=kin.norm if kin else _NOT_STATED,
        norm_placement=kin.norm_placement if kin else _NOT_STATED,
        positional=kin.positional if kin else _NOT_STATED,
        # SiLU has come with a gate ever since SwiGLU (Shazeer 2020).
        gated_mlp=kin.gated_mlp if kin else activation.startswith(("silu", "swish", "gated")),
        tied_embeddings=tied if isinstance(tied, bool) else kin.tied_embeddings if kin else True,
        qkv_bias=bias if isinstance(bias, bool) else kin.qkv_bias if kin else False,
        qk_norm=kin.qk_norm if kin else False,
        parallel_residual=kin.parallel_residual if kin else False,
        num_decoder_layers=_number(text, _DECODER_LAYERS)
        or (layers if config.get("is_encoder_decoder") is True else None),
        rope_theta=_rope_theta(text),
        sliding_window=window,
        layers=tuple(LayerCount(*item) for item in counts.items()) if len(counts) > 1 else (),
        kv_layers=sum(counts[kind] for kind in _CACHING_LAYERS) if kinds else None,
    )


def _activation(text: Config) -> str:
    for name in ("hidden_act", "hidden_activation", "activation_function", "feed_forward_proj"):
        value = text.get(name)
        if isinstance(value, str) and _PLAIN.fullmatch(value):
            return value
    return _NOT_STATED


def _rope_theta(text: Config) -> float | None:
    rope = text.get("rope_parameters")
    value = rope.get("rope_theta") if isinstance(rope, Mapping) else text.get("rope_theta")
    return float(value) if type(value) in (int, float) and 0 < value < 1e15 else None  # type: ignore[arg-type,operator]


def _kv_heads(text: Config, heads: int) -> int:
    if text.get("multi_query") is True and text.get("new_decoder_architecture") is not True:
        return 1
    return _number(text, _KV_HEADS) or heads


def _attention(a: Architecture) -> str:
    query, kv = a.num_attention_heads, a.num_key_value_heads
    name = "MHA" if query == kv else "MQA" if kv == 1 else "GQA"
    return f"{name} ({query}/{kv})"


def _number(config: Config, names: tuple[str, ...]) -> int | None:
    """The first of `names` that is one number; lists differ by layer and are left unknown."""
    return next((value for name in names if type(value := config.get(name)) is int), None)

"""A card made from a repository's config.json.

What a config does not say (where norms stand, whether the MLP is gated) is common to a model
type, so it is taken from the catalog's card of the same type where there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from slm_explorer.catalog.cards import (
    DTYPE_BYTES,
    Architecture,
    ArchitectureKind,
    Card,
    LayerCount,
    Source,
)
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.catalog.checkpoint import architecture_kind
from slm_explorer.hub.config_check import (
    DECODER_LAYERS,
    EMBEDDING,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    KV_HEADS,
    LAYERS,
    PLAIN,
    POSITIONS,
    VOCAB,
    WIDTH,
    Config,
    first_class,
    number,
    text_part,
)
from slm_explorer.hub.values import Gate

_CACHING_LAYERS = ("attention", "full_attention", "sliding_attention")
_HEADS_OF_ENCODERS = ("ForMaskedLM", "ForSequenceClassification", "ForQuestionAnswering")
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_NOT_STATED = "not stated in its config"


@dataclass(frozen=True)
class RepositoryFacts:
    """What the Hub itself says of a repository; `parameters` by safetensors dtype, empty where
    it has not counted. `supported` is whether the installed transformers builds it.
    """

    hub_id: str
    commit: str
    license: str | None
    gated: Gate
    parameters: Mapping[str, int]
    weights_bytes: int
    formats: tuple[str, ...]
    chat_template: bool
    pipeline_tag: str | None
    supported: bool


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
    stored = max(facts.parameters, key=lambda key: facts.parameters[key], default=None)
    named = text_part(config).get("dtype") or config.get("dtype") or config.get("torch_dtype")
    dtype = _DTYPES.get(stored) if stored else named if isinstance(named, str) else None
    counted = sum(facts.parameters.values())
    counting = "the Hub's count from the safetensors headers"
    if not counted and dtype in DTYPE_BYTES:
        counted = facts.weights_bytes // DTYPE_BYTES[dtype]
        counting = "the size of its weight files, headers included, over the bytes of a number"
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
        parameters=counted or None,
        parameters_embedding=a.vocab_size * a.embedding_size if a else None,
        native_dtype=dtype if dtype in DTYPE_BYTES else None,
        weights_format=facts.formats,
        chat_template=facts.chat_template,
        tasks=(facts.pipeline_tag,) if facts.pipeline_tag else (),
        sources=(
            Source("architecture", origin),
            Source("parameters", counting),
        ),
    )


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
    layers, hidden, heads = (number(text, names) for names in (LAYERS, HIDDEN, HEADS))
    vocab, positions = number(text, VOCAB), number(text, POSITIONS)
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
        embedding_size=number(text, EMBEDDING) or hidden,
        num_attention_heads=heads,
        num_key_value_heads=_kv_heads(text, heads),
        head_dim=number(text, HEAD_DIM) or hidden // heads,
        # Where a config has no MLP width, it is the usual one of GPTs.
        intermediate_size=number(text, WIDTH) or 4 * hidden,
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
        num_decoder_layers=number(text, DECODER_LAYERS)
        or (layers if config.get("is_encoder_decoder") is True else None),
        rope_theta=_rope_theta(text),
        sliding_window=window,
        layers=tuple(LayerCount(*item) for item in counts.items()) if len(counts) > 1 else (),
        layer_order=tuple(kinds) if len(counts) > 1 else (),
        kv_layers=sum(counts[kind] for kind in _CACHING_LAYERS) if kinds else None,
        layer_groups=number(text, ("num_hidden_groups",)),
        mlps_per_layer=number(text, ("num_feedforward_networks",)) or 1,
        bottleneck_size=number(text, ("intra_bottleneck_size",)),
        linear_key_heads=number(text, ("linear_num_key_heads",)),
        linear_value_heads=number(text, ("linear_num_value_heads",)),
        linear_head_dim=number(text, ("linear_key_head_dim",)),
        conv_kernel=number(text, ("conv_L_cache", "linear_conv_kernel_dim")),
    )


def _activation(text: Config) -> str:
    for name in ("hidden_act", "hidden_activation", "activation_function", "feed_forward_proj"):
        value = text.get(name)
        if isinstance(value, str) and PLAIN.fullmatch(value):
            return value
    return _NOT_STATED


def _rope_theta(text: Config) -> float | None:
    rope = text.get("rope_parameters")
    value = rope.get("rope_theta") if isinstance(rope, Mapping) else text.get("rope_theta")
    return float(value) if type(value) in (int, float) and 0 < value < 1e15 else None  # type: ignore[arg-type,operator]


def _kv_heads(text: Config, heads: int) -> int:
    if text.get("multi_query") is True and text.get("new_decoder_architecture") is not True:
        return 1
    return number(text, KV_HEADS) or heads


def _attention(a: Architecture) -> str:
    query, kv = a.num_attention_heads, a.num_key_value_heads
    name = "MHA" if query == kv else "MQA" if kv == 1 else "GQA"
    return f"{name} ({query}/{kv})"

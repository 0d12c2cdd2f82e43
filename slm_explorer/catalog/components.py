"""Where a model's parameters are: embedding, attention, MLP, norm, head and the rest.

Counted in closed form from a card's numbers, kind by kind, after the classes of transformers
5.23. The parts add up to the card's own count, or there is no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from slm_explorer.catalog.cards import Architecture, Card

# T5 sorts distances between tokens into so many buckets, each with a bias for every head.
_T5_BUCKETS = 32
# OPT's position table has two rows before the first position.
_OPT_OFFSET = 2
_TOKEN_TYPES = 2


@dataclass(frozen=True)
class Components:
    """Unique parameters by what they do; biases count with their matrix.

    `embedding` holds token, position and segment tables and their projections; a head that is
    tied to it counts here, and `head` is then 0. `attention` includes linear attention. `norm`
    includes norms of queries and keys. `other_note` says what `other` is.
    """

    embedding: int = 0
    attention: int = 0
    mlp: int = 0
    norm: int = 0
    head: int = 0
    other: int = 0
    other_note: str | None = None

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    @property
    def parts(self) -> dict[str, int]:
        """The counts by name, in the order in which a diagram shows them."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "other_note"}


def components(card: Card) -> Components | None:
    """The parts of `card`'s model, which add up to `card.parameters` exactly.

    None where the card's numbers are unknown, of a kind that is not in the table, or do not add
    up to its count (as for a fine-tuned model with a head of its own).
    """
    a = card.architecture
    count = None if card.model_type is None else _KINDS.get(card.model_type)
    if card.shipped and a is not None:
        count = count or _decoder
    if a is None or count is None or card.parameters is None:
        return None
    found = count(a)
    if card.parameters_text is not None:
        seeing = card.parameters - card.parameters_text
        found = replace(found, other=found.other + seeing, other_note="vision tower")
    return found if found.total == card.parameters else None


def body_parameters(card: Card) -> int | None:
    """How many parameters the card's model has without a task head, by its shape alone."""
    count = None if card.model_type is None else _KINDS.get(card.model_type)
    return None if count is None or card.architecture is None else count(card.architecture).total


def _attention(a: Architecture, *, out_bias: bool = False) -> int:
    """Query, key, value and output projections of one layer."""
    queries, keys = a.num_attention_heads * a.head_dim, a.num_key_value_heads * a.head_dim
    biases = (queries + 2 * keys if a.qkv_bias else 0) + (a.hidden_size if out_bias else 0)
    return a.hidden_size * (2 * queries + 2 * keys) + biases


def _mlp(a: Architecture, *, bias: bool = False) -> int:
    """The matrices of one layer's MLP: two, or three with a gate."""
    matrices = (3 if a.gated_mlp else 2) * a.hidden_size * a.intermediate_size
    return matrices + (a.intermediate_size + a.hidden_size if bias else 0)


def _decoder(
    a: Architecture,
    *,
    norms: int = 2,
    norm_bias: bool = False,
    out_bias: bool = False,
    mlp_bias: bool = False,
    head_bias: bool = False,
    positions: int = 0,
    wide_qk_norm: bool = False,
) -> Components:
    """The usual decoder: tables, equal layers, a final norm, a head where it is not tied.

    `norms` a layer, of one vector each or two with a bias. A norm of queries and keys is as
    wide as a head, or with `wide_qk_norm` as all of them.
    """
    layers, width = a.num_layers, a.hidden_size * (2 if norm_bias else 1)
    qk_norm = 2 * a.head_dim
    if wide_qk_norm:
        qk_norm = (a.num_attention_heads + a.num_key_value_heads) * a.head_dim
    table = a.vocab_size * a.embedding_size
    head = 0 if a.tied_embeddings else table + (a.vocab_size if head_bias else 0)
    return Components(
        embedding=table + positions * a.embedding_size,
        attention=layers * _attention(a, out_bias=out_bias),
        mlp=layers * _mlp(a, bias=mlp_bias),
        norm=(layers * norms + 1) * width + (layers * qk_norm if a.qk_norm else 0),
        head=head,
    )


def _biased(a: Architecture, norms: int, positions: int = 0) -> Components:
    """Decoders after GPT-2 and GPT-3, with biases in norms and MLPs and on attention's output."""
    return _decoder(
        a, norms=norms, norm_bias=True, out_bias=True, mlp_bias=True, positions=positions
    )


def _gptj(a: Architecture) -> Components:
    return _decoder(a, norms=1, norm_bias=True, mlp_bias=True, head_bias=True)


def _phi(a: Architecture) -> Components:
    return _decoder(a, norms=1, norm_bias=True, out_bias=True, mlp_bias=True, head_bias=True)


def _reformer(a: Architecture) -> Components:
    """Queries and keys are one matrix where they are hashed; the reversible stack ends twice as
    wide."""
    matrix = a.hidden_size * a.num_attention_heads * a.head_dim
    kinds = a.layer_kinds
    positions = sum(
        rows * columns for rows, columns in zip(a.axial_shape, a.axial_dims, strict=True)
    )
    final = 2 * a.hidden_size
    return Components(
        embedding=a.vocab_size * a.hidden_size + positions,
        attention=matrix * (3 * kinds.count("lsh") + 4 * kinds.count("local")),
        mlp=a.num_layers * _mlp(a, bias=True),
        norm=a.num_layers * 4 * a.hidden_size + 2 * final,
        head=a.vocab_size * final + a.vocab_size,
    )


def _lfm(a: Architecture, *, norms: int, gate: bool) -> Components:
    """Short convolutions between attention layers; LFM3 adds a gate for every head."""
    attending = a.kv_layers or 0
    hidden, kernel = a.hidden_size, a.conv_kernel or 0
    gates = hidden * a.num_attention_heads if gate else 0
    return Components(
        embedding=a.vocab_size * hidden,
        attention=attending * (_attention(a) + gates),
        mlp=a.num_layers * _mlp(a),
        norm=(a.num_layers * norms + 1) * hidden + attending * 2 * a.head_dim,
        other=(a.num_layers - attending) * (4 * hidden * hidden + hidden * kernel),
        other_note="short convolutions",
    )


def _qwen3_5(a: Architecture) -> Components:
    """Gated DeltaNet layers between full attention, whose query projection carries a gate."""
    full, linear = a.layer_kinds.count("full_attention"), a.layer_kinds.count("linear_attention")
    hidden, heads = a.hidden_size, a.linear_value_heads or 0
    size, kernel = a.linear_head_dim or 0, a.conv_kernel or 0
    keys, values = (a.linear_key_heads or 0) * size, heads * size
    mixed = 2 * keys + values
    delta_net = hidden * (mixed + 2 * values + 2 * heads) + mixed * kernel + 2 * heads
    gate = hidden * a.num_attention_heads * a.head_dim
    return Components(
        embedding=a.vocab_size * hidden,
        attention=full * (_attention(a) + gate) + linear * delta_net,
        mlp=a.num_layers * _mlp(a),
        norm=(2 * a.num_layers + 1) * hidden + full * 2 * a.head_dim + linear * size,
    )


def _bert(a: Architecture, *, pooler: bool = True, token_types: int = _TOKEN_TYPES) -> Components:
    """BERT, and ALBERT with its shared layers and factorised embedding."""
    hidden, factorised = a.hidden_size, a.embedding_size != a.hidden_size
    rows = a.vocab_size + a.max_position_embeddings + token_types
    layers = a.layer_groups or a.num_layers
    return Components(
        embedding=rows * a.embedding_size + ((a.embedding_size + 1) * hidden if factorised else 0),
        attention=layers * _attention(a, out_bias=True),
        mlp=layers * _mlp(a, bias=True),
        norm=2 * a.embedding_size + layers * 4 * hidden,
        other=(hidden + 1) * hidden if pooler else 0,
        other_note="pooler" if pooler else None,
    )


def _mobilebert(a: Architecture) -> Components:
    """Layers that work at `bottleneck_size` between projections from and to `hidden_size`, with
    several MLPs each. Token tables of three neighbours are projected to the full width."""
    hidden, inner = a.hidden_size, a.bottleneck_size or a.hidden_size
    mlps, layers = a.mlps_per_layer, a.num_layers
    attention = 3 * (inner + 1) * inner + (hidden + 1) * inner
    mlp = 2 * inner * a.intermediate_size + a.intermediate_size + inner
    bottlenecks = 2 * (hidden + 1) * inner + (inner + 1) * hidden
    return Components(
        embedding=a.vocab_size * a.embedding_size
        + (a.max_position_embeddings + _TOKEN_TYPES) * hidden
        + (3 * a.embedding_size + 1) * hidden,
        attention=layers * attention,
        mlp=layers * mlps * mlp,
        norm=2 * hidden + layers * (2 * hidden + 2 * inner * (3 + mlps)),
        other=layers * bottlenecks + (hidden + 1) * hidden,
        other_note="bottleneck projections and pooler",
    )


def _modernbert(a: Architecture) -> Components:
    """No biases; the first layer has no norm before its attention."""
    # One norm less than usual, and one more after the embedding; no head in the body.
    return replace(_decoder(a), head=0)


def _t5(a: Architecture) -> Components:
    """An encoder, and a decoder that also attends to it; each stack has one table of biases."""
    encoder, decoder = a.num_layers, a.num_decoder_layers or a.num_layers
    table = a.vocab_size * a.hidden_size
    biases = 2 * _T5_BUCKETS * a.num_attention_heads
    return Components(
        embedding=table,
        attention=(encoder + 2 * decoder) * _attention(a) + biases,
        mlp=(encoder + decoder) * _mlp(a),
        norm=(2 * encoder + 1 + 3 * decoder + 1) * a.hidden_size,
        head=0 if a.tied_embeddings else table,
    )


_KINDS: dict[str, Callable[[Architecture], Components]] = {
    "albert": _bert,
    "bert": _bert,
    "distilbert": lambda a: _bert(a, pooler=False, token_types=0),
    "ernie4_5": _decoder,
    "falcon": lambda a: _biased(a, norms=2),
    "gemma": _decoder,
    "gemma3_text": lambda a: _decoder(a, norms=4),
    "gpt_neo": lambda a: _biased(a, norms=2, positions=a.max_position_embeddings),
    "gptj": _gptj,
    "granite": _decoder,
    "granitemoehybrid": _decoder,
    "lfm2": lambda a: _lfm(a, norms=2, gate=False),
    "lfm3": lambda a: _lfm(a, norms=4, gate=True),
    "llama": _decoder,
    "mistral": _decoder,
    "mobilebert": _mobilebert,
    "modernbert": _modernbert,
    "mpt": _decoder,
    "olmo2": lambda a: _decoder(a, wide_qk_norm=True),
    "opt": lambda a: _biased(a, norms=2, positions=a.max_position_embeddings + _OPT_OFFSET),
    "phi": _phi,
    "phi3": _decoder,
    "qwen2": _decoder,
    "qwen3": _decoder,
    "qwen3_5": _qwen3_5,
    "reformer": _reformer,
    "smollm3": _decoder,
    "stablelm": lambda a: _decoder(a, norm_bias=True),
    "t5": _t5,
}

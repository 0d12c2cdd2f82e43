"""What a model's blocks look like, as values for a drawing: read from a card's real numbers.

A model is one or two stacks. A stack is an embedding, layers of one or more kinds, a final norm
and a head; a layer is one or more residual branches, each a row of parts in the order in which
the data passes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slm_explorer.catalog.cards import Architecture, Card

PartKind = Literal["norm", "attention", "cross-attention", "convolution", "linear attention", "mlp"]


@dataclass(frozen=True)
class Part:
    """One box. `label` names it, `detail` gives its numbers ("" where there are none).

    Of attention: `heads` query heads on `kv_heads` heads of keys and values, `head_dim` wide,
    seeing the last `window` tokens (None: all). Of an MLP: `width` inside, `gated` or not, and
    `repeats` of them in a row.
    """

    kind: PartKind
    label: str
    detail: str = ""
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    window: int | None = None
    causal: bool | None = None
    width: int | None = None
    gated: bool | None = None
    repeats: int = 1


@dataclass(frozen=True)
class Branch:
    """Parts in order; their output is added to what came in. A norm after the sum (post-norm, as
    in BERT) is `norm_after_sum`."""

    parts: tuple[Part, ...]
    norm_after_sum: Part | None = None


@dataclass(frozen=True)
class Layer:
    """A kind of layer: how many there are, and at which places from 0 on. With `parallel`, the
    branches read the same input, after one `shared_norm`, and are summed together; else one
    follows the other."""

    kind: str
    count: int
    places: tuple[int, ...]
    branches: tuple[Branch, ...]
    parallel: bool = False
    shared_norm: Part | None = None


@dataclass(frozen=True)
class Embedding:
    """The token table of `vocab_size` rows, `size` wide, projected to `hidden_size` where that
    differs (`factorised`). `positions` says how the model knows where a token stands; `norm` is
    what follows the sum of the tables, None where nothing does."""

    vocab_size: int
    size: int
    hidden_size: int
    factorised: bool
    positions: str
    norm: str | None = None


@dataclass(frozen=True)
class Stack:
    """`weight_sets` is fewer than `num_layers` where layers share their weights. `order` is the
    kind of every layer from the first on, empty (like `places`) where only the counts are known.
    `final_norm` is None where the stack ends without."""

    role: Literal["encoder", "decoder"]
    num_layers: int
    weight_sets: int
    order: tuple[str, ...]
    layers: tuple[Layer, ...]
    final_norm: str | None


@dataclass(frozen=True)
class Blocks:
    """`head` is "tied", "own" or None (no language-model head); `note` is the card's remark on
    its layers."""

    card_id: str
    name: str
    embedding: Embedding
    stacks: tuple[Stack, ...]
    head: Literal["tied", "own"] | None
    note: str | None = None


def blocks(card: Card) -> Blocks | None:
    """The blocks of `card`'s model; None where its numbers are not known."""
    a = card.architecture
    if a is None:
        return None
    encodes = card.architecture_kind == "encoder"
    if card.architecture_kind == "encoder-decoder":
        stacks: tuple[Stack, ...] = (
            _stack(card, a, "encoder", a.num_layers),
            _stack(card, a, "decoder", a.num_decoder_layers or a.num_layers, cross=True),
        )
    else:
        stacks = (_stack(card, a, "encoder" if encodes else "decoder", a.num_layers),)
    headless = encodes and card.parameters_with_head is None
    return Blocks(
        card_id=card.id,
        name=card.name,
        embedding=Embedding(
            vocab_size=a.vocab_size,
            size=a.embedding_size,
            hidden_size=a.hidden_size,
            factorised=a.embedding_size != a.hidden_size,
            positions=a.positional,
            norm=a.norm if encodes else None,
        ),
        stacks=stacks,
        head=None if headless else "tied" if a.tied_embeddings else "own",
        note=_note(card, a),
    )


def _stack(
    card: Card,
    a: Architecture,
    role: Literal["encoder", "decoder"],
    count: int,
    *,
    cross: bool = False,
) -> Stack:
    order = a.layer_kinds
    counts = {part.kind: part.layers for part in a.layers if part.layers}
    if cross or not counts:
        counts = {_plain_kind(card, a): count}
    if not order and len(counts) == 1:
        order = tuple(counts) * count
    elif order:
        counts = {kind: order.count(kind) for kind in dict.fromkeys(order)}
    layers = tuple(
        Layer(
            kind=kind,
            count=counts[kind],
            places=tuple(place for place, each in enumerate(order) if each == kind),
            branches=_branches(a, kind, causal=role == "decoder", cross=cross),
            parallel=a.parallel_residual,
            # GPT-J and Phi, the catalog's parallel models, norm once for both branches.
            shared_norm=Part("norm", a.norm) if a.parallel_residual else None,
        )
        for kind in counts
    )
    ends_with_norm = a.norm_placement != "post"
    return Stack(
        role=role,
        num_layers=count,
        weight_sets=a.layer_groups or count,
        order=order,
        layers=layers,
        final_norm=a.norm if ends_with_norm else None,
    )


def _note(card: Card, a: Architecture) -> str | None:
    windowed = a.sliding_window is not None and a.sliding_window < a.context_length
    if windowed and not a.layer_kinds and _plain_kind(card, a) == "full_attention":
        return f"Some layers look at {a.sliding_window:,} tokens only; which is not known here."
    return a.layer_note


def _plain_kind(card: Card, a: Architecture) -> str:
    """All layers are alike; those of Mistral 7B v0.1 all have its window."""
    slides = card.model_type == "mistral" and a.sliding_window is not None
    return "sliding_attention" if slides else "full_attention"


def _branches(a: Architecture, kind: str, *, causal: bool, cross: bool) -> tuple[Branch, ...]:
    mixers = [_mixer(a, kind, causal=causal)]
    if cross:
        mixers.append(_attention(a, "cross-attention", "Cross-attention", None, causal=False))
    sublayers = [*mixers, _mlp(a)]
    norm = Part("norm", a.norm)
    if a.parallel_residual:
        return tuple(Branch((part,)) for part in sublayers)
    if a.norm_placement == "post":
        return tuple(Branch((part,), norm_after_sum=norm) for part in sublayers)
    if a.norm_placement == "post (reordered)":
        return tuple(Branch((part, norm)) for part in sublayers)
    if a.norm_placement.startswith("pre+post"):
        return tuple(Branch((norm, part, norm)) for part in sublayers)
    return tuple(Branch((norm, part)) for part in sublayers)


def _mixer(a: Architecture, kind: str, *, causal: bool) -> Part:
    """What mixes tokens in a layer of that kind."""
    if kind == "conv":
        detail = f"{a.conv_kernel} tokens, gated" if a.conv_kernel else "gated"
        return Part("convolution", "Short convolution", detail, width=a.hidden_size)
    if kind == "linear_attention":
        heads = f"{a.linear_key_heads} key and {a.linear_value_heads} value heads of "
        known = f"{heads}{a.linear_head_dim}, " if a.linear_head_dim else ""
        return Part(
            "linear attention",
            "Linear attention",
            f"{known}state of fixed size",
            heads=a.linear_value_heads,
            kv_heads=a.linear_key_heads,
            head_dim=a.linear_head_dim,
            causal=causal,
        )
    names = {
        "sliding_attention": "Sliding-window attention",
        "local_attention": "Local attention",
        "local": "Local attention in chunks",
        "lsh": "LSH attention",
    }
    window = a.sliding_window if kind in ("sliding_attention", "local_attention") else None
    label = names.get(kind, "Self-attention")
    return _attention(a, "attention", label, window, causal=causal)


def _attention(
    a: Architecture, kind: PartKind, label: str, window: int | None, *, causal: bool
) -> Part:
    heads, groups = a.num_attention_heads, a.num_key_value_heads
    shared = "" if heads == groups else f" on {groups} KV head{'s' if groups > 1 else ''}"
    extras = [f"{heads} head{'s' if heads > 1 else ''}{shared} of {a.head_dim}"]
    if window is not None:
        extras.append(f"{window:,} tokens")
    if a.qk_norm:
        extras.append("normed queries and keys")
    return Part(
        kind,
        label,
        ", ".join(extras),
        heads=heads,
        kv_heads=groups,
        head_dim=a.head_dim,
        window=window,
        causal=causal,
    )


def _mlp(a: Architecture) -> Part:
    activation = a.activation.partition(" ")[0]
    times = f"{a.mlps_per_layer} x " if a.mlps_per_layer > 1 else ""
    inside = a.bottleneck_size or a.hidden_size
    detail = f"{times}{inside:,} to {a.intermediate_size:,} to {inside:,}, {activation}"
    return Part(
        "mlp",
        "Gated MLP" if a.gated_mlp else "MLP",
        detail,
        width=a.intermediate_size,
        gated=a.gated_mlp,
        repeats=a.mlps_per_layer,
    )

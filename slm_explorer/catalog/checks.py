"""What no card can be: numbers that contradict each other or lie beyond any model."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields

from slm_explorer.catalog.cards import Architecture, Card

# Far above the largest models known, so that only nonsense is beyond them.
_LIMITS = {
    "num_layers": 2_000,
    "num_decoder_layers": 2_000,
    "layer_groups": 2_000,
    "mlps_per_layer": 100,
    "num_attention_heads": 2_000,
    "num_key_value_heads": 2_000,
    "linear_key_heads": 2_000,
    "linear_value_heads": 2_000,
    "hidden_size": 200_000,
    "embedding_size": 200_000,
    "bottleneck_size": 200_000,
    "head_dim": 20_000,
    "linear_head_dim": 20_000,
    "intermediate_size": 2_000_000,
    "conv_kernel": 10_000,
    "vocab_size": 10_000_000,
    "sliding_window": 1_000_000_000,
    "max_position_embeddings": 1_000_000_000,
    "context_length": 1_000_000_000,
}
_MAX_PARAMETERS = 100_000_000_000_000
_COUNTS = (
    "parameters", "parameters_with_head", "parameters_text", "parameters_embedding",
)  # fmt: skip


def card_problem(card: Card) -> str | None:
    """The first thing that cannot be about `card`, as "field: sentence"; None where nothing is."""
    if card.release is not None and not re.fullmatch(r"\d{4}(-\d\d){0,2}", card.release):
        return f"'release' should be a date like 2024 or 2024-09, not {card.release!r}"
    for name in _COUNTS:
        count = getattr(card, name)
        if count is not None and not 0 < count <= _MAX_PARAMETERS:
            return f"{name!r} is {count:,}, which no model has"
    table = card.parameters_embedding
    if table is not None and card.parameters is not None and table > card.parameters:
        return f"'parameters_embedding' is more than all {card.parameters:,} parameters"
    return None if card.architecture is None else architecture_problem(card.architecture)


def architecture_problem(a: Architecture) -> str | None:
    """The same for a model's numbers."""
    for name, limit in _LIMITS.items():
        value = getattr(a, name)
        if value is not None and not 1 <= value <= limit:
            return f"{name!r} is {value:,}, which no model has"
    if a.num_attention_heads % a.num_key_value_heads:
        return (
            f"'num_key_value_heads' is {a.num_key_value_heads}, which does not divide "
            f"{a.num_attention_heads} heads"
        )
    if a.kv_layers is not None and not 0 <= a.kv_layers <= a.num_layers:
        return f"'kv_layers' is {a.kv_layers} of {a.num_layers} layers"
    for field in fields(a):
        value = getattr(a, field.name)
        if isinstance(value, float) and not 0 < value < float("inf"):
            return f"{field.name!r} is {value}, which no model has"
    if a.layers and sum(part.layers for part in a.layers) != a.num_layers:
        return f"'layers' do not add up to {a.num_layers}"
    counted = {part.kind: part.layers for part in a.layers if part.layers}
    if a.layer_order and dict(Counter(a.layer_kinds)) != counted:
        return "'layer_order' has other kinds or counts than 'layers'"
    if len(a.axial_shape) != len(a.axial_dims):
        return "'axial_shape' and 'axial_dims' differ in length"
    return None

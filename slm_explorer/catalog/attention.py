"""How a model attends, as normalised traits read from its numbers, not from prose."""

from __future__ import annotations

from typing import Literal

from slm_explorer.catalog.cards import Architecture

AttentionTrait = Literal[
    "MHA", "GQA", "MQA", "sliding window", "shared layers", "linear or hybrid", "LSH"
]
ATTENTION_TRAITS: tuple[AttentionTrait, ...] = (
    "MHA", "GQA", "MQA", "sliding window", "shared layers", "linear or hybrid", "LSH",
)  # fmt: skip
_WINDOWED = frozenset({"sliding_attention", "local_attention", "local"})
_NOT_ATTENTION = frozenset({"conv", "linear_attention", "mamba"})


def attention_traits(architecture: Architecture | None) -> tuple[AttentionTrait, ...]:
    """All that hold, in the order of ATTENTION_TRAITS; none where the numbers are unknown.

    Exactly one of MHA (as many KV heads as heads), MQA (one KV head for several heads) and GQA
    (between). "sliding window": some layer sees less than the documented context. "linear or
    hybrid": some layers replace softmax attention by a convolution, a state space or linear
    attention. "shared layers": fewer sets of weights than layers.
    """
    if architecture is None:
        return ()
    a = architecture
    kinds = {part.kind for part in a.layers if part.layers > 0}
    heads, groups = a.num_attention_heads, a.num_key_value_heads
    found: set[AttentionTrait] = {
        "MHA" if groups == heads else "MQA" if groups == 1 else "GQA",
    }
    window = a.sliding_window is not None and a.sliding_window < a.context_length
    if window or kinds & _WINDOWED:
        found.add("sliding window")
    if a.layer_groups is not None and a.layer_groups < a.num_layers:
        found.add("shared layers")
    if kinds & _NOT_ATTENTION:
        found.add("linear or hybrid")
    if "lsh" in kinds:
        found.add("LSH")
    return tuple(trait for trait in ATTENTION_TRAITS if trait in found)

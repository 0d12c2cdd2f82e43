"""How large a model's KV cache grows with its context."""

from __future__ import annotations

from dataclasses import dataclass

from slm_explorer.catalog.cards import DTYPE_BYTES, Card
from slm_explorer.errors import InvalidRequest

_FULL = frozenset({"full_attention", "global_attention", "attention"})
_SLIDING = "sliding_attention"
# Kinds whose window, where their card has one and does not mix layers, holds for every layer.
_ALL_LAYERS_SLIDE = frozenset({"mistral"})


@dataclass(frozen=True)
class KvCache:
    """`size` in bytes, one sequence. Exact: the keys and values that attention reads; else no
    more than `size`. `note` says why, and what is not counted; None where nothing is to be said.
    """

    size: int
    exact: bool
    note: str | None = None


def kv_cache(card: Card, tokens: int, dtype: str = "float16") -> KvCache | None:
    """The KV cache of `card`'s model after `tokens` tokens, read and written together.

    2 x KV heads x head_dim x bytes of `dtype` for every token and layer that caches; layers with
    a sliding window keep no more tokens than it holds. An encoder-decoder keeps, in every layer
    of its decoder, the read tokens for cross-attention and the written ones for its own.

    None for encoders, which keep none, for methods without numbers, and for Reformer, which
    keeps hidden states and hash buckets instead. Raises InvalidRequest for an unknown dtype and
    a length that is not positive.
    """
    if dtype not in DTYPE_BYTES:
        raise InvalidRequest(f"A KV cache is kept as {', '.join(DTYPE_BYTES)}, not {dtype!r}.")
    if tokens < 1:
        raise InvalidRequest(f"A context has at least 1 token, not {tokens}.")
    a = card.architecture
    if a is None or card.architecture_kind == "encoder" or card.model_type == "reformer":
        return None
    token = 2 * a.num_key_value_heads * a.head_dim * DTYPE_BYTES[dtype]
    if card.architecture_kind == "encoder-decoder":
        return KvCache(token * (a.num_decoder_layers or a.num_layers) * tokens, exact=True)
    kinds, window = a.layer_kinds, a.sliding_window
    if kinds and "local_attention" in kinds:
        note = f"Local layers look at {window} tokens only, and transformers keeps all of them."
        return KvCache(token * a.num_layers * tokens, exact=tokens <= (window or 0), note=note)
    if kinds:
        full = sum(kind in _FULL for kind in kinds)
        sliding = kinds.count(_SLIDING)
        states = len(kinds) - full - sliding
        kept = full * tokens + sliding * min(tokens, window or tokens)
        fixed = f"{states} layers keep a fixed state instead, not counted." if states else None
        return KvCache(token * kept, exact=True, note=fixed)
    if window is not None and window < tokens:
        if card.model_type in _ALL_LAYERS_SLIDE:
            note = f"Every layer looks at {window:,} tokens, so the cache stops growing there."
            return KvCache(token * a.num_layers * window, exact=True, note=note)
        note = "Some layers look at a window only; the card does not know which."
        return KvCache(token * a.num_layers * tokens, exact=False, note=note)
    caching = a.num_layers if a.kv_layers is None else a.kv_layers
    return KvCache(token * caching * tokens, exact=True)

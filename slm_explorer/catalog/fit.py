"""How much memory will a model take, and does it fit? Estimates from numbers, before any load.

The estimate is what one worker process has to itself (USS): what is freed when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slm_explorer.catalog.cards import DTYPE_BYTES, Card
from slm_explorer.catalog.checkpoint import CheckpointFacts
from slm_explorer.errors import InvalidRequest

Recipe = Literal["native", "f32", "bf16", "f16"]
Verdict = Literal["fits", "tight", "too big", "n/a"]

# Private memory (USS) of a worker process besides its model: a forkserver child with torch, the
# engine and transformers' model code preloaded, once it has loaded a model of less than 2 MB and
# written 64 tokens. Measured with torch 2.13.0 CPU, transformers 5.23.0, Linux x86_64, November
# 2026: llama 24 to 38 MB, qwen3 and gemma3 29 to 38 MB.
BASE_BYTES = 40_000_000
BASE_LOW_BYTES = 24_000_000
FIT_CONTEXT_TOKENS = 2048
# The engine reads a prompt in pieces of this many tokens.
PREFILL_TOKENS = 512
_CAST_BYTES = {"f32": 4, "bf16": 2, "f16": 2}
# Allocators keep freed blocks and round sizes up; never seen to matter below this share.
_SLACK = 0.10


@dataclass(frozen=True)
class Footprint:
    """Bytes of one worker. `total` is the sum of the parts; `low` is before the first token,
    `high` adds allocator slack. `kv_cache` and `activations` are None where the config does
    not tell them; the total then lacks them.
    """

    weights: int
    kv_cache: int | None
    activations: int | None
    base: int
    total: int
    low: int
    high: int


@dataclass(frozen=True)
class Fit:
    """Whether a model fits `limit` bytes. `needed` is None where it cannot be estimated."""

    verdict: Verdict
    needed: int | None
    limit: int
    reason: str


@dataclass(frozen=True)
class _Numbers:
    parameters: int | None
    stored_bytes: int
    kv_values_per_token: int | None
    heads: int | None
    hidden: int | None
    intermediate: int | None
    vocab: int | None
    value_bytes: int
    max_tokens: int | None


def estimate_footprint(
    source: CheckpointFacts | Card, *, recipe: str, context_tokens: int
) -> Footprint:
    """Estimate what one worker takes with a context of `context_tokens`, batch 1, on a CPU.

    Method. Weights: parameters x bytes of the dtype (the stored bytes for "native"). KV cache:
    2 x caching layers x KV heads x head_dim x bytes x tokens, no sliding window assumed, so an
    upper bound. Activations: one layer's working set while a piece of at most PREFILL_TOKENS is
    read: piece x (4 hidden + 3 MLP widths) x bytes, the attention scores and their softmax in
    float32, 2 x heads x piece x tokens x 4 (torch's CPU kernel takes the plain formula for a
    masked piece), and one row of float32 logits. Base: BASE_BYTES.

    Beside a measurement, November 2026: ten layers of SmolLM2 135M's width reading 1,024 tokens
    rose by 45 MB; KV cache and activations here say 53.

    Raises InvalidRequest for an unknown recipe, and for a card whose size is not known.
    """
    if recipe != "native" and recipe not in _CAST_BYTES:
        raise InvalidRequest(
            f"No recipe is called {recipe!r}; a model loads as native, {', '.join(_CAST_BYTES)}."
        )
    found = _of_card(source) if isinstance(source, Card) else _of_checkpoint(source)
    if found is None:
        raise InvalidRequest("The size of this model is not known, so its memory is not either.")
    width = _CAST_BYTES.get(recipe, found.value_bytes)
    tokens = context_tokens if found.max_tokens is None else min(context_tokens, found.max_tokens)
    weights = found.stored_bytes
    if recipe != "native" and found.parameters is not None:
        weights = found.parameters * width
    kv_cache = None
    if found.kv_values_per_token is not None:
        kv_cache = found.kv_values_per_token * width * tokens
    activations = None
    if found.hidden is not None and found.vocab is not None:
        # Where the config has no MLP width, the usual one of GPTs: four times hidden.
        values = 4 * found.hidden + 3 * (found.intermediate or 4 * found.hidden)
        piece = min(tokens, PREFILL_TOKENS)
        scores = 2 * 4 * (found.heads or 0) * tokens
        activations = piece * (values * width + scores) + 4 * found.vocab
    total = weights + (kv_cache or 0) + (activations or 0) + BASE_BYTES
    return Footprint(
        weights=weights,
        kv_cache=kv_cache,
        activations=activations,
        base=BASE_BYTES,
        total=total,
        low=weights + BASE_LOW_BYTES,
        high=int(total * (1 + _SLACK)),
    )


def fit(card: Card, limit_bytes: int, *, recipe: str = "native") -> Fit:
    """Does the card's model fit `limit_bytes` with a conversation of 2,048 tokens?

    "tight" means that the estimate fits and its upper end does not.
    """
    if _of_card(card) is None:
        reason = (
            "n/a: its parameter count is not known"
            if card.architecture is not None
            else "n/a: there is no checkpoint, only a method"
            if card.model_type is None
            else "n/a: its weights are not on this machine"
        )
        return Fit("n/a", None, limit_bytes, reason)
    footprint = estimate_footprint(card, recipe=recipe, context_tokens=FIT_CONTEXT_TOKENS)
    verdict: Verdict = (
        "fits"
        if footprint.high <= limit_bytes
        else "tight"
        if footprint.total <= limit_bytes
        else "too big"
    )
    reason = (
        f"estimated {_size(footprint.total)} (weights {_size(footprint.weights)}, KV cache "
        f"{_size(footprint.kv_cache)}, activations {_size(footprint.activations)}, process "
        f"{_size(footprint.base)}) of a limit of {_size(limit_bytes)}"
    )
    return Fit(verdict, footprint.total, limit_bytes, reason)


def card_row(card: Card, limit_bytes: int) -> dict[str, object]:
    """The row of `models --json`: plain values, None for unknown. Bytes and tokens."""
    found = fit(card, limit_bytes)
    return {
        "id": card.id,
        "name": card.name,
        "hub_id": card.hub_id,
        "architecture_kind": card.architecture_kind,
        "model_type": card.model_type,
        "parameters": card.parameters,
        "license": card.license,
        "context_length": card.context_length,
        "attention": card.attention,
        "shipped": card.shipped,
        "fit": found.verdict,
        "needed_bytes": found.needed,
        "fit_reason": found.reason,
        "family": card.family,
        "organisation": card.organisation,
        "release": card.release,
        "commercial_use": card.commercial_use,
        "gated": card.gated,
    }


def _size(count: int | None) -> str:
    if count is None:
        return "n/a"
    return f"{count / 1e9:.2f} GB" if count >= 10**9 else f"{count / 1e6:.1f} MB"


def _of_card(card: Card) -> _Numbers | None:
    a = card.architecture
    if a is None or card.parameters is None or card.native_dtype not in DTYPE_BYTES:
        return None
    width = DTYPE_BYTES[card.native_dtype]
    parameters = card.parameters_text or card.parameters_with_head or card.parameters
    decodes = card.architecture_kind != "encoder"
    return _Numbers(
        parameters=parameters,
        stored_bytes=parameters * width,
        kv_values_per_token=a.kv_values_per_token if decodes else 0,
        heads=a.num_attention_heads,
        hidden=a.hidden_size,
        intermediate=a.intermediate_size,
        vocab=a.vocab_size,
        value_bytes=width,
        max_tokens=a.max_position_embeddings,
    )


def _of_checkpoint(facts: CheckpointFacts) -> _Numbers:
    kv_values = None
    if facts.kv_layers is not None and facts.num_key_value_heads and facts.head_dim:
        kv_values = 2 * facts.kv_layers * facts.num_key_value_heads * facts.head_dim
    return _Numbers(
        parameters=facts.parameters,
        stored_bytes=facts.weights_bytes,
        kv_values_per_token=kv_values,
        heads=facts.num_attention_heads,
        hidden=facts.hidden_size,
        intermediate=facts.intermediate_size,
        vocab=facts.vocab_size,
        value_bytes=DTYPE_BYTES.get(facts.dtypes[0], 2) if facts.dtypes else 2,
        max_tokens=facts.context_length,
    )

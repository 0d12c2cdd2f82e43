"""What decides a model's memory, drawn from a card or from a checkpoint's headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slm_explorer.catalog.cards import DTYPE_BYTES, Architecture, Card
from slm_explorer.catalog.checkpoint import CheckpointFacts
from slm_explorer.catalog.kv import kv_cache

# Families that the engine runs itself, with projections packed for the processor; see
# engines/lean.py, whose conditions these repeat.
_LEAN_TYPES = frozenset(("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite"))
_LEAN_HIDDEN = 512
# Models that transformers runs without a fused attention kernel, in float32.
_EAGER_TYPES = frozenset(("gpt_neo", "gptj", "mpt"))
# Models that keep a causal mask of their longest context in every layer, a byte for each pair.
_MASK_TYPES = frozenset(("gpt_neo", "gpt2"))
_SLIDING = "sliding_attention"


@dataclass(frozen=True)
class ModelNumbers:
    """Sizes in bytes, lengths in tokens; None is unknown. `tables` counts the parameters of the
    tables of tokens and positions, and of a head tied to them, `head` those of a head apart.
    `kv_per_token` is the values that a token adds to layers that keep all tokens, `kv_windowed`
    to those that keep only `window` tokens. `kind` is the architecture kind. `lean` models run
    through engines/lean.py, `eager` ones without a fused attention kernel; `masks` is bytes of
    masks beside the weights.
    """

    parameters: int | None
    stored_bytes: int
    value_bytes: int
    kind: str | None
    kv_per_token: int | None
    kv_windowed: int
    window: int | None
    heads: int | None
    kv_heads: int | None
    head_dim: int | None
    hidden: int | None
    intermediate: int | None
    layers: int | None
    vocab: int | None
    tables: int
    max_tokens: int | None
    head: int
    lean: bool
    eager: bool
    masks: int

    def kv_values(self, tokens: int) -> int | None:
        """Keys and values kept for `tokens` tokens."""
        if self.kv_per_token is None:
            return None
        windowed = min(tokens, self.window or tokens)
        return self.kv_per_token * tokens + self.kv_windowed * windowed


def numbers_of(source: CheckpointFacts | Card) -> ModelNumbers | None:
    """The numbers of either; None for a card without a known size."""
    return _of_card(source) if isinstance(source, Card) else _of_checkpoint(source)


def _of_card(card: Card) -> ModelNumbers | None:
    a = card.architecture
    if a is None or card.parameters is None or card.native_dtype not in DTYPE_BYTES:
        return None
    width = DTYPE_BYTES[card.native_dtype]
    parameters = card.parameters_text or card.parameters_with_head or card.parameters
    every, windowed = _kv_values(card, a)
    return ModelNumbers(
        parameters=parameters,
        stored_bytes=parameters * width,
        value_bytes=width,
        kind=card.architecture_kind,
        kv_per_token=every,
        kv_windowed=windowed,
        window=a.sliding_window,
        heads=a.num_attention_heads,
        kv_heads=a.num_key_value_heads,
        head_dim=a.head_dim,
        hidden=a.hidden_size,
        intermediate=a.intermediate_size,
        layers=a.num_layers,
        vocab=a.vocab_size,
        tables=card.parameters_embedding or a.vocab_size * a.embedding_size,
        max_tokens=a.max_position_embeddings,
        head=0 if a.tied_embeddings else a.vocab_size * a.hidden_size,
        lean=_lean(card.model_type, a.hidden_size, windowed),
        eager=card.model_type in _EAGER_TYPES,
        masks=_masks(card.model_type, a.num_layers, a.max_position_embeddings),
    )


def _kv_values(card: Card, a: Architecture) -> tuple[int, int]:
    """Values a token adds: to layers that keep all tokens, and to those that keep a window.

    From catalog.kv at one token and beyond the window, so that its rules hold here too.
    """
    one = kv_cache(card, 1)
    if one is None:
        return 0, 0
    token = one.size // DTYPE_BYTES["float16"]
    if a.sliding_window is None:
        return token, 0
    far = kv_cache(card, a.sliding_window + 1)
    near = kv_cache(card, a.sliding_window)
    assert far is not None
    assert near is not None
    every = (far.size - near.size) // DTYPE_BYTES["float16"]
    return every, token - every


def _of_checkpoint(facts: CheckpointFacts) -> ModelNumbers:
    tied = facts.config.get("tie_word_embeddings") is True
    every, windowed, window = None, 0, None
    if facts.kv_layers is not None and facts.num_key_value_heads and facts.head_dim:
        token = 2 * facts.num_key_value_heads * facts.head_dim
        sliding, window = _sliding_layers(facts.config, facts.kv_layers)
        every, windowed = token * (facts.kv_layers - sliding), token * sliding
    return ModelNumbers(
        parameters=facts.parameters,
        stored_bytes=facts.weights_bytes,
        value_bytes=DTYPE_BYTES.get(facts.dtypes[0], 2) if facts.dtypes else 2,
        kind=facts.architecture_kind,
        kv_per_token=every,
        kv_windowed=windowed,
        window=window,
        heads=facts.num_attention_heads,
        kv_heads=facts.num_key_value_heads,
        head_dim=facts.head_dim,
        hidden=facts.hidden_size,
        intermediate=facts.intermediate_size,
        layers=facts.num_layers,
        vocab=facts.vocab_size,
        tables=(facts.vocab_size or 0) * (facts.hidden_size or 0),
        max_tokens=facts.context_length,
        head=0 if tied else (facts.vocab_size or 0) * (facts.hidden_size or 0),
        lean=_lean(facts.model_type, facts.hidden_size or 0, windowed),
        eager=facts.model_type in _EAGER_TYPES,
        masks=_masks(facts.model_type, facts.num_layers or 0, facts.context_length or 0),
    )


def _sliding_layers(config: Mapping[str, object], caching: int) -> tuple[int, int | None]:
    """How many caching layers have a window, and how wide it is, where the config names both."""
    nested = config.get("text_config")
    text = nested if isinstance(nested, Mapping) else config
    window, kinds = text.get("sliding_window"), text.get("layer_types")
    if type(window) is not int or window < 1:
        return 0, None
    if isinstance(kinds, list):
        return min(kinds.count(_SLIDING), caching), window
    return (caching, window) if config.get("model_type") == "mistral" else (0, None)


def _lean(model_type: str | None, hidden: int, windowed: int) -> bool:
    return model_type in _LEAN_TYPES and hidden >= _LEAN_HIDDEN and windowed == 0


def _masks(model_type: str | None, layers: int, longest: int) -> int:
    return layers * longest * longest if model_type in _MASK_TYPES else 0

"""How small language models become small, and which models of the catalog do it which way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slm_explorer.catalog.attention import AttentionTrait, attention_traits
from slm_explorer.catalog.cards import Architecture, Card
from slm_explorer.catalog.reading import read_entries

Group = Literal["fewer weights", "smaller numbers", "cheaper attention", "better training"]
Rule = Literal[
    "shared layers",
    "factorised embedding",
    "tied embedding",
    "bottleneck",
    "grouped queries",
    "single KV head",
    "sliding window",
    "linear or hybrid",
    "hashed",
    "trained long",
]
# Training cost alone asks for about 20 tokens for each parameter (arXiv 2203.15556).
LONG_TOKENS_PER_PARAMETER = 100


@dataclass(frozen=True)
class PaperReference:
    """`arxiv` is the number, as in "2305.13245"."""

    title: str
    year: int
    arxiv: str

    @property
    def url(self) -> str:
        return f"https://arxiv.org/abs/{self.arxiv}"


@dataclass(frozen=True)
class Method:
    """One way to be small. Its models follow from their numbers by `rule`, or are listed by id
    in `cards`, with the `source` of the list. `recipes` are those of the compression lab that do
    it to a model."""

    id: str
    name: str
    group: Group
    text: str
    papers: tuple[PaperReference, ...]
    recipes: tuple[str, ...] = ()
    rule: Rule | None = None
    cards: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True)
class Member:
    """A model that is small in this way; `why` says it in its own numbers or source."""

    card_id: str
    why: str


def load_taxonomy(assets: Path) -> tuple[Method, ...]:
    """`assets`/taxonomy.json. Raises BadCatalog, naming the place."""
    return read_entries(assets / "taxonomy.json", "methods", Method)


def members(method: Method, cards: Iterable[Card]) -> tuple[Member, ...]:
    """The models among `cards` that `method` applies to, in their order."""
    found = []
    for card in cards:
        if method.rule is not None:
            why = _RULES[method.rule](card)
        elif card.id in method.cards:
            why = card.compression_technique or card.derivation or method.source
        else:
            why = None
        if why is not None:
            found.append(Member(card.id, why))
    return tuple(found)


def training_tokens(card: Card) -> int | None:
    """The number of tokens at the start of the card's `training_tokens`, like "4T" or "up to
    9T"; None where there is none, or where it comes on top of another model's."""
    text = card.training_tokens or ""
    match = re.match(r"(?:up to )?([\d.]+)([TB])\b", text)
    if match is None or "on top of" in text:
        return None
    return round(float(match[1]) * {"T": 10**12, "B": 10**9}[match[2]])


def _trait(
    trait: AttentionTrait, words: Callable[[Architecture], str]
) -> Callable[[Card], str | None]:
    def why(card: Card) -> str | None:
        a = card.architecture
        return words(a) if a is not None and trait in attention_traits(a) else None

    return why


def _heads(a: Architecture) -> str:
    shared = a.num_key_value_heads
    return f"{a.num_attention_heads} query heads on {shared} KV head{'s' if shared > 1 else ''}"


def _window(a: Architecture) -> str:
    sliding = [kind for kind in a.layer_kinds if "sliding" in kind or "local" in kind]
    share = f" in {len(sliding)} of {a.num_layers} layers" if sliding else ""
    return f"{a.sliding_window:,} tokens{share}" if a.sliding_window else f"chunks{share}"


def _mixed(a: Architecture) -> str:
    return ", ".join(f"{part.layers} {part.kind.replace('_', ' ')}" for part in a.layers)


def _factorised(card: Card) -> str | None:
    a = card.architecture
    if a is None or a.embedding_size >= a.hidden_size:
        return None
    return f"table {a.embedding_size} wide, layers {a.hidden_size}"


def _tied(card: Card) -> str | None:
    a = card.architecture
    if a is None or not a.tied_embeddings or card.architecture_kind == "encoder":
        return None
    saved = a.vocab_size * a.embedding_size
    return f"saves {saved:,} parameters"


def _bottleneck(card: Card) -> str | None:
    a = card.architecture
    if a is None or a.bottleneck_size is None:
        return None
    return f"works at {a.bottleneck_size} between layers {a.hidden_size} wide"


def _trained_long(card: Card) -> str | None:
    tokens = training_tokens(card)
    if tokens is None or not card.parameters:
        return None
    ratio = tokens / card.parameters
    return f"{ratio:,.0f} tokens a parameter" if ratio >= LONG_TOKENS_PER_PARAMETER else None


_RULES: dict[Rule, Callable[[Card], str | None]] = {
    "shared layers": _trait(
        "shared layers", lambda a: f"{a.num_layers} layers, {a.layer_groups} set of weights"
    ),
    "factorised embedding": _factorised,
    "tied embedding": _tied,
    "bottleneck": _bottleneck,
    "grouped queries": _trait("GQA", _heads),
    "single KV head": _trait("MQA", _heads),
    "sliding window": _trait("sliding window", _window),
    "linear or hybrid": _trait("linear or hybrid", _mixed),
    "hashed": _trait("LSH", lambda a: f"{a.layer_kinds.count('lsh')} of {a.num_layers} layers"),
    "trained long": _trained_long,
}

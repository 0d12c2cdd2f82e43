"""The catalog: every card, found by id or by words."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.catalog.cards import Architecture, Card
from slm_explorer.catalog.checkpoint import CheckpointFacts, inspect_checkpoint
from slm_explorer.catalog.checks import card_problem
from slm_explorer.catalog.reading import read_object
from slm_explorer.catalog.schema import build
from slm_explorer.catalog.search import Facets, search
from slm_explorer.errors import BadCatalog, BadCheckpoint, UnknownModel


@dataclass(frozen=True)
class Catalog:
    """All cards, the shipped models first, then in the order of the file."""

    cards: tuple[Card, ...]

    @classmethod
    def load(cls, assets: Path) -> Catalog:
        """Read and check `assets`/catalog.json, and the shipped models' own configs.

        Raises BadCatalog, naming the place. A shipped model whose files are missing keeps its
        card, without numbers.
        """
        path = assets / "catalog.json"
        values = read_object(path)
        texts, entries = values.get("sources"), values.get("cards")
        if not isinstance(texts, list) or not isinstance(entries, list):
            raise BadCatalog(f"{path} needs a list of sources and a list of cards.")
        cards = [_card(entry, texts, f"{path}, card {i + 1}") for i, entry in enumerate(entries)]
        seen: set[str] = set()
        for card in cards:
            if card.id in seen:
                raise BadCatalog(f"{path} has two cards called {card.id!r}.")
            seen.add(card.id)
        filled = [_from_shipped_files(card, assets) if card.shipped else card for card in cards]
        return cls(tuple(sorted(filled, key=lambda card: not card.shipped)))

    def get(self, card_id: str) -> Card:
        """The card of that id; UnknownModel suggests the closest ids."""
        for card in self.cards:
            if card.id == card_id:
                return card
        raise UnknownModel(f"No card is called {card_id!r}.{self.suggestion(card_id)}")

    def find(self, model: str) -> Card | None:
        """The card whose id or Hub id is `model`, in any case; None where there is none."""
        wanted = model.casefold()
        for card in self.cards:
            if wanted == card.id or (card.hub_id and wanted == card.hub_id.casefold()):
                return card
        return None

    def suggestion(self, model: str) -> str:
        """A sentence " Did you mean ...?" with up to three close ids, or "" where none is close."""
        wanted = model.casefold()
        names = {card.id: card.id for card in self.cards}
        if "/" in model:
            names = {card.hub_id.casefold(): card.hub_id for card in self.cards if card.hub_id}
        close = [name for name in names if wanted and wanted in name]
        close = close or difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
        return f" Did you mean {' or '.join(names[name] for name in close[:3])}?" if close else ""

    def search(self, text: str = "", facets: Facets | None = None) -> list[Card]:
        """Cards that match every word of `text` and every facet; see catalog.search."""
        return search(self.cards, text, facets)


def _card(entry: object, texts: list[object], where: str) -> Card:
    """A card from its JSON object, its sources' indices replaced by their texts."""
    if not isinstance(entry, dict):
        raise BadCatalog(f"{where} should be an object.")
    if isinstance(entry.get("id"), str):
        where = f"{where} ({entry['id']})"
    indices = entry.get("sources", {})
    if not isinstance(indices, dict):
        raise BadCatalog(f"{where}, 'sources' should be an object of field names.")
    sources: list[dict[str, object]] = []
    for field, index in indices.items():
        if type(index) is not int or not 0 <= index < len(texts):
            raise BadCatalog(f"{where}, the source of {field!r} is no index of the sources.")
        if field not in {known.name for known in dataclasses.fields(Card)}:
            raise BadCatalog(f"{where} has a source for {field!r}, which no card has.")
        sources.append({"field": field, "text": texts[index]})
    card = build(Card, {**entry, "sources": sources}, where)
    problem = card_problem(card)
    if problem is not None:
        raise BadCatalog(f"{where}, {problem}.")
    return card


def _from_shipped_files(card: Card, assets: Path) -> Card:
    try:
        facts = inspect_checkpoint(assets / "sprouts" / card.id)
    except BadCheckpoint:
        return card
    architecture = _llama_architecture(facts)
    groups = f"{architecture.num_attention_heads}/{architecture.num_key_value_heads}"
    kind = "MHA" if architecture.num_attention_heads == architecture.num_key_value_heads else "GQA"
    return dataclasses.replace(
        card,
        architecture=architecture,
        attention=f"{kind} ({groups})",
        parameters=facts.parameters,
        parameters_embedding=architecture.vocab_size * architecture.hidden_size,
        native_dtype=facts.dtypes[0] if facts.dtypes else None,
        chat_template=facts.has_chat_template,
    )


def _llama_architecture(facts: CheckpointFacts) -> Architecture:
    """Every shipped model is a plain llama, so the rest of the numbers follows."""
    config = facts.config

    def number(key: str) -> int:
        value = config.get(key)
        if type(value) is not int:
            raise BadCatalog(f"{facts.path / 'config.json'} lacks the number {key!r}: reinstall.")
        return value

    rope = config.get("rope_parameters")
    theta = rope.get("rope_theta") if isinstance(rope, dict) else config.get("rope_theta")
    hidden, heads = number("hidden_size"), number("num_attention_heads")
    return Architecture(
        num_layers=number("num_hidden_layers"),
        hidden_size=hidden,
        embedding_size=hidden,
        num_attention_heads=heads,
        num_key_value_heads=number("num_key_value_heads"),
        head_dim=facts.head_dim or hidden // heads,
        intermediate_size=number("intermediate_size"),
        vocab_size=number("vocab_size"),
        max_position_embeddings=number("max_position_embeddings"),
        context_length=number("max_position_embeddings"),
        activation="silu (SwiGLU)",
        norm="RMSNorm",
        norm_placement="pre",
        positional="RoPE",
        gated_mlp=True,
        tied_embeddings=config.get("tie_word_embeddings") is True,
        rope_theta=float(theta) if isinstance(theta, int | float) else None,
    )

"""The catalog: every card, found by id or by words."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from pathlib import Path

from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.checks import card_problem
from slm_explorer.catalog.reading import read_object
from slm_explorer.catalog.schema import build
from slm_explorer.catalog.search import Facets, search
from slm_explorer.catalog.shipped import with_numbers
from slm_explorer.errors import BadCatalog, UnknownModel


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
        filled = [with_numbers(card, assets) if card.shipped else card for card in cards]
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

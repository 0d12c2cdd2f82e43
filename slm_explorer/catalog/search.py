"""Find cards by words and by facets. Pure functions over cards; nothing is kept."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from slm_explorer.catalog.attention import ATTENTION_TRAITS, AttentionTrait, attention_traits
from slm_explorer.catalog.cards import ArchitectureKind, Card
from slm_explorer.catalog.licences import COMMERCIAL_USES, CommercialUse, licence_terms

SizeBand = Literal[
    "under 20 M", "20 M to 200 M", "200 M to 1 B", "1 B to 3 B", "3 B to 8 B", "8 B and more"
]
# Each band's upper end, itself excluded.
SIZE_BANDS: dict[SizeBand, int | None] = {
    "under 20 M": 20_000_000,
    "20 M to 200 M": 200_000_000,
    "200 M to 1 B": 1_000_000_000,
    "1 B to 3 B": 3_000_000_000,
    "3 B to 8 B": 8_000_000_000,
    "8 B and more": None,
}


@dataclass(frozen=True)
class Facets:
    """What a card must be besides matching the words. Empty and None ask for nothing.

    Within one facet any of the values will do; every facet must hold. A card that does not know
    a value never passes a facet on it. Limits are inclusive; lengths in tokens. `fits` is the
    ids of cards that fit, or a function that says so of a card.
    """

    kinds: frozenset[ArchitectureKind] = frozenset()
    families: frozenset[str] = frozenset()
    tasks: frozenset[str] = frozenset()
    licence_ids: frozenset[str] = frozenset()
    commercial_use: frozenset[CommercialUse] = frozenset()
    attention: frozenset[AttentionTrait] = frozenset()
    sizes: frozenset[SizeBand] = frozenset()
    years: frozenset[int] = frozenset()
    min_parameters: int | None = None
    max_parameters: int | None = None
    min_context: int | None = None
    gated: bool | None = None
    shipped: bool | None = None
    fits: Collection[str] | Callable[[Card], bool] | None = None


@dataclass(frozen=True)
class FacetValue:
    """One value of a facet, and how many of the cards have it."""

    value: str
    count: int


def search(cards: Iterable[Card], query: str = "", facets: Facets | None = None) -> list[Card]:
    """The cards, in their order, that match every word of `query` and every facet.

    A word matches where a word of the card begins with it, whatever the case, accents, hyphens
    and spaces: "eleuther", "phi2" and "phi-2" all find their models.
    """
    words = [word for word in (_squashed(part) for part in query.split()) if word]
    return [
        card
        for card in cards
        if (facets is None or _passes(card, facets)) and (not words or _has_all(words, card))
    ]


def facet_values(cards: Sequence[Card]) -> dict[str, tuple[FacetValue, ...]]:
    """For every facet with a choice of values: those that occur, with counts.

    Keys are the names of Facets' fields. Ordered values keep their order, families and tasks
    come by name, years newest first.
    """

    def counted(found: Iterable[str], order: Sequence[str] | None = None) -> tuple[FacetValue, ...]:
        counts = Counter(found)
        names = [name for name in order if counts[name]] if order else sorted(counts)
        return tuple(FacetValue(name, counts[name]) for name in names)

    years = [str(year) for year in map(release_year, cards) if year is not None]
    return {
        "kinds": counted(card.architecture_kind for card in cards),
        "families": counted(card.family for card in cards),
        "tasks": counted(task for card in cards for task in card.tasks),
        "licence_ids": counted(card.license_id for card in cards if card.license_id),
        "commercial_use": counted(
            (licence_terms(card).commercial_use for card in cards), COMMERCIAL_USES
        ),
        "attention": counted(
            (trait for card in cards for trait in attention_traits(card.architecture)),
            ATTENTION_TRAITS,
        ),
        "sizes": counted((band for band in map(size_band, cards) if band), tuple(SIZE_BANDS)),
        "years": counted(years, sorted(set(years), reverse=True)),
    }


def facets_row(card: Card) -> dict[str, object]:
    """What the facets go by, as plain values for a row of `models --json`; None for unknown."""
    terms = licence_terms(card)
    return {
        "commercial": terms.commercial_use,
        "licence_conditions": terms.conditions,
        "access": terms.access,
        "attention_traits": list(attention_traits(card.architecture)),
        "size": size_band(card),
        "year": release_year(card),
        "tasks": list(card.tasks),
        "unverified": list(card.unverified),
    }


def size_band(card: Card) -> SizeBand | None:
    """The band that the card's parameter count falls in; None where it is unknown."""
    if card.parameters is None:
        return None
    return next(
        band for band, limit in SIZE_BANDS.items() if limit is None or card.parameters < limit
    )


def release_year(card: Card) -> int | None:
    """The year of first release; None where it is unknown."""
    return int(card.release[:4]) if card.release else None


def searchable(card: Card) -> str:
    """Everything that words are looked up in: lower case without accents, words by spaces."""
    terms = licence_terms(card)
    parts: Iterable[str | None] = (
        card.id,
        card.name,
        card.hub_id,
        card.family,
        card.organisation,
        card.license,
        card.license_id,
        card.architecture_kind,
        card.model_type,
        card.attention,
        card.compression_technique,
        "shipped" if card.shipped else None,
        "gated" if terms.gated != "no" else None,
        *attention_traits(card.architecture),
        *card.tasks,
        *card.use_cases,
        *card.strengths,
    )
    return _folded(" ".join(part for part in parts if part))


def _passes(card: Card, facets: Facets) -> bool:
    limits = (facets.min_parameters, facets.max_parameters)
    if limits != (None, None):
        count = card.parameters
        low, high = facets.min_parameters or 0, facets.max_parameters
        if count is None or count < low or (high is not None and count > high):
            return False
    if facets.min_context is not None and (card.context_length or 0) < facets.min_context:
        return False
    if facets.gated is not None and (card.gated != "no") != facets.gated:
        return False
    if facets.shipped is not None and card.shipped != facets.shipped:
        return False
    chosen = (
        (facets.kinds, (card.architecture_kind,)),
        (facets.families, (card.family,)),
        (facets.tasks, card.tasks),
        (facets.licence_ids, (card.license_id,)),
        (facets.commercial_use, (licence_terms(card).commercial_use,)),
        (facets.attention, attention_traits(card.architecture)),
        (facets.sizes, (size_band(card),)),
        (facets.years, (release_year(card),)),
    )
    if any(wanted and wanted.isdisjoint(found) for wanted, found in chosen):
        return False
    if facets.fits is None:
        return True
    return facets.fits(card) if callable(facets.fits) else card.id in facets.fits


def _has_all(words: list[str], card: Card) -> bool:
    """Does some word of the card begin with each of `words`? Spaces and hyphens do not count, so
    a word may run on into the next; a digit begins a word too, so that "2.5" finds Qwen2.5."""
    text = searchable(card)
    squashed: list[str] = []
    starts: list[int] = []
    before = ""
    for character in text:
        if character.isalnum():
            if not before.isalnum() or before.isdigit() != character.isdigit():
                starts.append(len(squashed))
            squashed.append(character)
        before = character
    joined = "".join(squashed)
    return all(any(joined.startswith(word, at) for at in starts) for word in words)


def _squashed(text: str) -> str:
    return "".join(character for character in _folded(text) if character.isalnum())


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))

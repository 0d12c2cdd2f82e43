"""The rows of the catalog's table, sent once: the browser searches, filters and sorts them."""

from __future__ import annotations

from collections.abc import Sequence

from slm_explorer.catalog.attention import attention_traits
from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.kv import kv_cache
from slm_explorer.catalog.licences import licence_terms
from slm_explorer.catalog.search import facet_values, release_year, searchable, size_band
from slm_explorer.units import format_bytes

CONTEXT_BANDS: tuple[tuple[str, int | None], ...] = (
    ("under 2 k", 2_000),
    ("2 k to 8 k", 8_000),
    ("8 k to 32 k", 32_000),
    ("32 k to 128 k", 128_000),
    ("128 k and more", None),
)
COMMERCIAL_USE = {
    "yes": "permitted",
    "conditions": "with conditions",
    "no": "not permitted",
    "unknown": "unknown",
}
_KV_TOKENS = 1024


def catalog_rows(cards: Sequence[Card]) -> dict[str, object]:
    """The value of the `catalog` view: a row a card, and the order of each facet's values."""
    return {"rows": [row_view(card) for card in cards], "orders": _orders(cards)}


def row_view(card: Card) -> dict[str, object]:
    """One row; numbers as numbers, for sorting, beside their text. None is unknown."""
    a = card.architecture
    terms = licence_terms(card)
    cache = kv_cache(card, _KV_TOKENS)
    return {
        "id": card.id,
        "name": card.name,
        "family": card.family,
        "organisation": card.organisation,
        "kind": card.architecture_kind,
        "parameters": card.parameters,
        "parameters_text": count_text(card.parameters),
        "size": size_band(card),
        "release": card.release,
        "year": release_year(card),
        "context": card.context_length,
        "context_text": "n/a" if card.context_length is None else f"{card.context_length:,}",
        "band": context_band(card.context_length),
        "attention": list(attention_traits(a)),
        "attention_text": card.attention or "n/a",
        "use": COMMERCIAL_USE[terms.commercial_use],
        "licence": card.license or "n/a",
        "conditions": terms.conditions,
        "tasks": list(card.tasks),
        "layers": a.num_layers if a else None,
        "hidden": a.hidden_size if a else None,
        "kv": cache.size if cache else None,
        "kv_text": format_bytes(cache.size) if cache else "n/a",
        "technique": card.compression_technique,
        "shipped": card.shipped,
        "text": searchable(card),
    }


def context_band(tokens: int | None) -> str | None:
    if tokens is None:
        return None
    return next(band for band, limit in CONTEXT_BANDS if limit is None or tokens < limit)


def count_text(number: int | None) -> str:
    if number is None:
        return "n/a"
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def _orders(cards: Sequence[Card]) -> dict[str, list[str]]:
    """The values of every facet in the order in which they are offered."""
    values = {key: [each.value for each in found] for key, found in facet_values(cards).items()}
    return {
        "kind": values["kinds"],
        "family": values["families"],
        "tasks": values["tasks"],
        "use": [COMMERCIAL_USE[use] for use in values["commercial_use"]],
        "attention": values["attention"],
        "size": values["sizes"],
        "band": [band for band, _ in CONTEXT_BANDS],
        "year": values["years"],
    }

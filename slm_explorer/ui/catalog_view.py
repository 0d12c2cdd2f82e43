"""A model's card as plain values, for assets/page/catalog_card.js."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from slm_explorer.catalog.cards import Architecture, Card, is_verified
from slm_explorer.catalog.claims import Claim
from slm_explorer.catalog.licences import licence_terms
from slm_explorer.catalog.snippets import snippet
from slm_explorer.catalog.taxonomy import Method
from slm_explorer.catalog.uses import uses_of
from slm_explorer.ui.catalog_rows import COMMERCIAL_USE
from slm_explorer.ui.catalog_shape import components_view, shape_view
from slm_explorer.ui.uses import USES
from slm_explorer.units import format_bytes

# Fields that another part of the card shows.
_APART = {
    "id", "name", "notes", "sources", "architecture", "shipped", "benchmarks", "paper",
    "gated", "commercial_use", "license_id", "use_cases", "strengths",
}  # fmt: skip
_LABELS = {
    "hub_id": "Hub id",
    "other_hub_ids": "Other Hub ids",
    "architecture_kind": "Kind",
    "license": "Licence",
    "parameters_with_head": "Parameters with head",
    "parameters_text": "Parameters, text only",
    "parameters_embedding": "Parameters in embeddings",
    "parameters_published": "Parameters as published",
    "supported_by_transformers": "Built into transformers",
}


@dataclass(frozen=True)
class Peak:
    """What a load with `recipe` took on this machine beside what was expected, bytes; `at` is in
    seconds since 1970.
    """

    recipe: str
    measured: int
    expected: int
    at: float


def card_view(card: Card, reason: str | None, peaks: Sequence[Peak] = ()) -> dict[str, object]:
    """The card's head; `reason` says why the model cannot run now, None where it can."""
    return {
        "id": card.id,
        "name": card.name,
        "kind": card.architecture_kind,
        "organisation": card.organisation,
        "shipped": card.shipped,
        "uses": [USES[use].title for use in uses_of(card)],
        "reason": reason,
        "notes": card.notes or "",
        "peaks": [
            {
                "bytes": peak.measured,
                "text": f"{format_bytes(peak.measured)} loading {peak.recipe}, expected "
                f"{format_bytes(peak.expected)}",
                "title": "Peak private memory (USS) of the worker until the first token, on "
                f"{datetime.fromtimestamp(peak.at, UTC):%Y-%m-%d}",
            }
            for peak in peaks
        ],
    }


def details_view(
    card: Card, claims: Sequence[Claim], methods: Sequence[Method]
) -> dict[str, object]:
    """Everything below the card's head: licence, blocks, components, corrections, facts. `claims`
    concern the model, and by `methods` it is small.
    """
    terms, named = licence_terms(card), card.source("license")
    return {
        "id": card.id,
        "licence": {
            "name": card.license or "No licence stated",
            "use": COMMERCIAL_USE[terms.commercial_use],
            "light": {"yes": "good", "conditions": "warn", "no": "bad"}.get(
                terms.commercial_use, "none"
            ),
            "conditions": terms.conditions,
            "access": terms.access or "",
            "source": f"Which: {named.text if named else 'the card'}. Terms: {terms.source}.",
            "verified": terms.verified and (named is None or named.verified),
        },
        "use_cases": _list(card, "use_cases", card.use_cases),
        "strengths": _list(card, "strengths", card.strengths),
        "shape": shape_view(card),
        "components": components_view(card),
        "methods": [{"id": method.id, "name": method.name} for method in methods],
        "claims": [claim_view(claim) for claim in claims],
        "code": [{"use": USES[use].title, "text": snippet(card, use)} for use in uses_of(card)],
        "facts": _facts(card),
        "numbers": _numbers(card),
        "marks": _marks(card),
    }


def claim_view(claim: Claim) -> dict[str, object]:
    return {
        "id": claim.id,
        "topic": claim.topic,
        "claim": claim.claim,
        "fact": claim.fact,
        "source": claim.source,
        "verified": claim.verified,
        "cards": list(claim.cards),
    }


def _list(card: Card, field: str, items: tuple[str, ...]) -> dict[str, object] | None:
    if not items:
        return None
    source = card.source(field)
    return {
        "items": list(items),
        "source": source.text if source else "",
        "verified": source.verified if source else True,
    }


def _facts(card: Card) -> list[dict[str, object]]:
    facts = []
    for field in fields(Card):
        value = getattr(card, field.name)
        if field.name in _APART or value is None or value == ():
            continue
        facts.append(_fact(card, field.name, _label(field.name), _words(value)))
    if card.paper is not None:
        year = f" ({card.paper.year})" if card.paper.year else ""
        address = f" {card.paper.url}" if card.paper.url else ""
        facts.append(_fact(card, "paper", "Paper", f"{card.paper.title}{year}{address}"))
    return facts


def _numbers(card: Card) -> list[dict[str, object]]:
    """The architecture's numbers, all from one source."""
    if card.architecture is None:
        return []
    found = []
    for field in fields(Architecture):
        value = getattr(card.architecture, field.name)
        if value is None or value == () or field.name in ("layers", "layer_order"):
            continue
        found.append(_fact(card, "architecture", _label(field.name), _words(value)))
    if card.architecture.layers:
        kinds = ", ".join(f"{part.layers} {part.kind}" for part in card.architecture.layers)
        found.append(_fact(card, "architecture", "Layers by kind", kinds))
    return found


def _marks(card: Card) -> list[dict[str, object]]:
    """Published figures, each with its own source."""
    return [
        {
            "label": mark.name,
            "text": mark.value + (f" ({mark.setting})" if mark.setting else ""),
            "source": mark.source,
            "verified": is_verified(mark.source),
        }
        for mark in card.benchmarks
    ]


def _fact(card: Card, field: str, label: str, text: str) -> dict[str, object]:
    source = card.source(field)
    return {
        "label": label,
        "text": text,
        "source": source.text if source else "",
        "verified": source.verified if source else True,
    }


def _label(field: str) -> str:
    return _LABELS.get(field) or field.replace("_", " ").capitalize()


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)

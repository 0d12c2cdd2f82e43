"""What the catalog tab shows, as plain values for assets/page/catalog.js."""

from __future__ import annotations

from dataclasses import fields

from slm_explorer.catalog.cards import Architecture, Card
from slm_explorer.catalog.fit import card_row

_LIGHTS = {"fits": "good", "tight": "warn", "too big": "bad", "n/a": "none"}
_ORDER = {"fits": 0, "tight": 1, "too big": 2}

# Fields that the card's head, or another fact, already shows.
_APART = {"id", "name", "notes", "sources", "architecture", "shipped", "benchmarks", "paper"}
_LABELS = {
    "hub_id": "Hub id",
    "other_hub_ids": "Other Hub ids",
    "architecture_kind": "Kind",
    "license": "Licence",
    "license_id": "Licence id",
    "parameters_with_head": "Parameters with head",
    "parameters_text": "Parameters, text only",
    "parameters_embedding": "Parameters in embeddings",
    "parameters_published": "Parameters as published",
    "supported_by_transformers": "Built into transformers",
}


def row_view(card: Card, limit_bytes: int, runs: bool) -> dict[str, object]:
    """One row of the table; numbers as numbers, for sorting, beside their text."""
    row = card_row(card, limit_bytes)
    fit = str(row["fit"])
    searched = (
        card.id, card.name, card.hub_id, card.family, card.organisation, card.license,
        card.architecture_kind, card.model_type, card.attention, card.compression_technique,
        "shipped" if card.shipped else None, *card.tasks, *card.use_cases, *card.strengths,
    )  # fmt: skip
    return {
        "id": card.id,
        "name": card.name,
        "family": card.family,
        "kind": card.architecture_kind,
        "parameters": card.parameters,
        "parameters_text": _count(card.parameters),
        "license": card.license,
        "context": card.context_length,
        "context_text": "n/a" if card.context_length is None else f"{card.context_length:,}",
        "attention": card.attention,
        "fit": fit,
        "fit_order": _ORDER.get(fit),
        "fit_title": row["fit_reason"],
        "light": _LIGHTS[fit],
        "fits": fit in ("fits", "tight"),
        "shipped": card.shipped,
        "runs": runs,
        "text": " ".join(part for part in searched if part).lower(),
    }


def card_view(card: Card, limit_bytes: int, reason: str | None) -> dict[str, object]:
    """One card: its facts, each with its source; `reason` says why it cannot run now."""
    row = card_row(card, limit_bytes)
    return {
        "id": card.id,
        "name": card.name,
        "reason": reason,
        "fit": f"{row['fit']}: {row['fit_reason']}".replace("n/a: n/a:", "n/a:"),
        "light": _LIGHTS[str(row["fit"])],
        "notes": card.notes or "",
        "facts": _facts(card),
    }


def _facts(card: Card) -> list[dict[str, object]]:
    facts = []
    for field in fields(Card):
        value = getattr(card, field.name)
        if field.name in _APART or value is None or value == ():
            continue
        facts.append(_fact(card, field.name, _label(field.name), _words(value)))
    if card.architecture is not None:
        for field in fields(Architecture):
            value = getattr(card.architecture, field.name)
            if value is None or value == () or field.name == "layers":
                continue
            facts.append(_fact(card, "architecture", _label(field.name), _words(value)))
        if card.architecture.layers:
            kinds = ", ".join(f"{part.layers} {part.kind}" for part in card.architecture.layers)
            facts.append(_fact(card, "architecture", "Layers by kind", kinds))
    if card.paper is not None:
        year = f" ({card.paper.year})" if card.paper.year else ""
        address = f" {card.paper.url}" if card.paper.url else ""
        facts.append(_fact(card, "paper", "Paper", f"{card.paper.title}{year}{address}"))
    for mark in card.benchmarks:
        setting = f" ({mark.setting})" if mark.setting else ""
        known = "from memory" not in mark.source and "unverified" not in mark.source
        facts.append(
            {
                "label": mark.name,
                "text": f"{mark.value}{setting}, as published",
                "source": mark.source,
                "verified": known,
            }
        )
    return facts


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


def _count(number: int | None) -> str:
    if number is None:
        return "n/a"
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)

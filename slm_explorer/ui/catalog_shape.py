"""A model's blocks and where its parameters are, as plain values to draw."""

from __future__ import annotations

from dataclasses import asdict

from slm_explorer.catalog.blocks import blocks
from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.components import components
from slm_explorer.ui.catalog_rows import count_text

COMPONENT_NAMES = {
    "embedding": "embedding",
    "attention": "attention",
    "mlp": "MLP",
    "norm": "norms",
    "head": "head",
    "other": "other",
}


def shape_view(card: Card) -> dict[str, object] | None:
    """The fields of catalog.blocks; None without numbers."""
    found = blocks(card)
    return None if found is None else asdict(found)


def components_view(card: Card) -> dict[str, object] | None:
    """The stacked bar of parameters by component; None where they are not counted."""
    found = components(card)
    if found is None:
        return None
    return {
        "total": count_text(found.total),
        "parts": [
            {
                "id": part,
                "name": COMPONENT_NAMES[part],
                "text": count_text(count),
                "share": count / found.total,
                "title": f"{COMPONENT_NAMES[part]}: {count:,} parameters",
            }
            for part, count in found.parts.items()
            if count
        ],
        "note": f"“Other” is {found.other_note}." if found.other_note and found.other else "",
    }

"""The models that can answer here and now, and why the others cannot."""

from __future__ import annotations

from dataclasses import dataclass

from slm_explorer.catalog.cards import Card
from slm_explorer.errors import SlmError
from slm_explorer.services import Services

DEFAULT_LANES = ("sprout-300k", "sprout-1m", "sprout-5m")


@dataclass(frozen=True)
class Choice:
    """A model that a lane can have. `about` is one line of facts from its card."""

    id: str
    name: str
    about: str


def reason_it_cannot_run(services: Services, card: Card) -> str | None:
    """One sentence, or None where the model's weights are here and an engine runs them."""
    try:
        services.chat.spec(card.id)
    except SlmError as error:
        return str(error)
    return None


def runnable(services: Services) -> dict[str, Choice]:
    """By id, shipped ones first, each group from small to large."""
    cards = [card for card in services.catalog.cards if not reason_it_cannot_run(services, card)]
    cards.sort(key=lambda card: (not card.shipped, card.parameters or 0, card.id))
    return {card.id: Choice(card.id, card.name, _about(card)) for card in cards}


def default_lanes(choices: dict[str, Choice]) -> list[str]:
    """Three sprouts of rising size; where they are missing, the first that can run."""
    wanted = [model for model in DEFAULT_LANES if model in choices]
    return wanted or list(choices)[:3]


def _about(card: Card) -> str:
    parts = [
        f"{card.parameters:,} parameters" if card.parameters else None,
        card.model_type,
        f"reads {card.context_length:,} tokens" if card.context_length else None,
        "shipped" if card.shipped else "in the cache",
    ]
    return " · ".join(part for part in parts if part)

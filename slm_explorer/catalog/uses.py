"""What a card's model can be asked."""

from __future__ import annotations

from slm_explorer.catalog.cards import Card
from slm_explorer.tasks import Task, tasks_of


def uses_of(card: Card) -> tuple[Task, ...]:
    """The tasks of the checkpoint that the card describes; none where there is no model."""
    if card.model_type is None:
        return ()
    return tasks_of(card.architecture_kind, card.transformers_class)

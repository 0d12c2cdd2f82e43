"""What a card's model can be asked, and which class of transformers answers."""

from __future__ import annotations

from slm_explorer.catalog.cards import Card
from slm_explorer.tasks import Task, tasks_of


def uses_of(card: Card) -> tuple[Task, ...]:
    """The tasks of the checkpoint that the card describes; none where there is no model."""
    if card.model_type is None:
        return ()
    return tasks_of(card.architecture_kind, card.transformers_class)


# Stored with an eye and run without it: the class that writes has the checkpoint's text half.
_TEXT_HALVES = {"Qwen3_5ForConditionalGeneration": "Qwen3_5ForCausalLM"}


def class_used(card: Card) -> str | None:
    """The class that the engine builds for the card's own use; None where there is no model."""
    name = card.transformers_class
    return None if name is None else _TEXT_HALVES.get(name, name)

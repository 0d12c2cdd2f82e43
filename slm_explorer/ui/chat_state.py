"""One browser's playground as values: what a handler is given, and what other uses left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slm_explorer.tasks import Task
from slm_explorer.ui.conversation import SLOTS, Conversation
from slm_explorer.ui.lane_settings import FIELDS, LaneSettings, SettingsBook, written


@dataclass(frozen=True)
class Chat:
    """Everything that a handler is given, as values. `models` are ids, one a slot."""

    conversation: Conversation
    active: tuple[bool, ...]
    book: SettingsBook
    use: Task
    mode: str
    models: tuple[str | None, ...]

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> Chat:
        """From the components' values, in the order of ChatTab.inputs."""
        conversation, active, book, use, mode = values[:5]
        named = zip(FIELDS, values[5 + SLOTS :], strict=True)
        # A number field that was emptied has no value: then the default holds.
        panel = LaneSettings(**{name: value for name, value in named if value is not None})
        return cls(conversation, active, written(book, panel), use, mode, values[5 : 5 + SLOTS])

    def slots(self) -> list[int]:
        return [slot for slot in range(SLOTS) if self.active[slot]]


@dataclass(frozen=True)
class Workspace:
    """A use as the visitor left it: its lanes, what was asked, and what stands in the writer."""

    conversation: Conversation = field(default_factory=Conversation)
    active: tuple[bool, ...] = (False,) * SLOTS
    models: tuple[str | None, ...] = (None,) * SLOTS
    text: str = ""
    context: str = ""


Shelf = Mapping[Task, Workspace]
"""The uses that a browser has been to and is not looking at."""


def fresh_workspace(models: list[str]) -> Workspace:
    """A lane for each of `models`; the other slots keep the last one ready, or nothing."""
    slots = range(SLOTS)
    last = len(models) - 1
    return Workspace(
        active=tuple(slot <= last for slot in slots),
        models=tuple(models[min(slot, last)] if models else None for slot in slots),
    )

"""What every public endpoint checks: it is called by anybody, with anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import gradio as gr

from slm_explorer.errors import InvalidRequest, SlmError, UnknownModel
from slm_explorer.services import Services
from slm_explorer.tasks import Task
from slm_explorer.ui.models import ModelList, for_what, reason_it_cannot_run
from slm_explorer.ui.uses import USES

MAX_NAME_CHARS = 200
MAX_NUMBER = 2**63


@contextmanager
def shown_errors() -> Iterator[None]:
    """What a user may read crosses to the client as one sentence."""
    try:
        yield
    except SlmError as error:
        raise gr.Error(str(error), print_exception=False) from None


def checked_text(name: str, value: object, limit: int) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be text.")
    if len(value) > limit:
        raise InvalidRequest(f"{name} has {len(value):,} characters; the limit is {limit:,}.")
    return value


def checked_number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{name} must be a number.")
    if not -MAX_NUMBER <= value <= MAX_NUMBER:  # nor infinite, nor NaN
        raise InvalidRequest(f"{name} must be a number of a usual size.")
    return value


def checked_choice(name: str, value: object, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise InvalidRequest(f"{name} is one of {', '.join(allowed)}.")
    return str(value)


def usable_model(services: Services, models: ModelList, name: object, *uses: Task) -> str:
    """The id of a model that can run here for one of `uses`. No path, and no id but those that
    the page offers: a visitor must not be able to name what the host has on its disk.
    """
    models.refresh()
    wanted = checked_text("model", name, MAX_NAME_CHARS)
    choice = models.choices().get(wanted)
    if choice is None:
        card = services.catalog.get(wanted)
        reason = reason_it_cannot_run(services, card)
        raise UnknownModel(reason or f"{card.name} has just arrived: ask again.")
    if not set(uses) & set(choice.uses):
        asked = " or ".join(USES[use].title for use in uses)
        raise InvalidRequest(f"{choice.name} {for_what(choice)}; it cannot do {asked}.")
    return choice.id

"""The public endpoints for encoders: one for each command that asks them, under its names."""

# No `from __future__ import annotations`: gr.api reads the return types as they stand.

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from secrets import token_urlsafe
from typing import Any

import gradio as gr
from gradio.events import api

from slm_explorer.chat import TaskAsk, task_row
from slm_explorer.errors import InvalidRequest
from slm_explorer.services import Services
from slm_explorer.tasks import (
    MAX_TASK_CHARS,
    MAX_TEXTS,
    AskContext,
    Classify,
    Compare,
    FillMask,
    TaskInput,
    TaskStats,
    task_of,
)
from slm_explorer.types import Done, Event, Failed
from slm_explorer.ui.checks import (
    MAX_NAME_CHARS,
    checked_number,
    checked_text,
    shown_errors,
    usable_model,
)
from slm_explorer.ui.models import ModelList
from slm_explorer.ui.stream import coalesce

Row = dict[str, Any]


def add_task_endpoints(services: Services, offered: ModelList, *, concurrency: int) -> None:
    """Add /fill_mask, /classify, /similarity and /answer to the current Blocks."""

    async def perform(
        model: object, recipe: object, given: TaskInput, request: gr.Request | None
    ) -> Row:
        session = (request.session_hash if request else None) or token_urlsafe(16)
        services.classroom.admit(session)
        ask = TaskAsk(
            usable_model(services, offered, model, task_of(given)),
            given,
            recipe=checked_text("recipe", recipe, MAX_NAME_CHARS),
            visitor=session,
        )
        cancel = threading.Event()

        def events() -> Iterator[Event]:
            return services.chat.perform(ask, cancel)

        try:
            async with aclosing(coalesce({0: events}, together=False)) as batches:
                async for batch in batches:
                    for _, event in batch:
                        if isinstance(event, Failed):
                            raise gr.Error(event.error, print_exception=False)
                        if isinstance(event, Done) and isinstance(event.stats, TaskStats):
                            return task_row(ask, event.stats)
        finally:
            cancel.set()
        raise InvalidRequest("The request was stopped before it had a result.")

    # Generators, so that a client who leaves stops the work at the next event.
    async def fill_mask(
        model: str,
        text: str,
        top: int = 5,
        recipe: str = "native",
        request: gr.Request | None = None,
    ) -> AsyncIterator[Row]:
        """The likeliest words at each [MASK] of a text, with probabilities."""
        with shown_errors():
            given = FillMask(_text("text", text), int(checked_number("top", top)))
            yield await perform(model, recipe, given, request)

    async def classify(
        model: str, text: str, recipe: str = "native", request: gr.Request | None = None
    ) -> AsyncIterator[Row]:
        """The labels of a fine-tuned encoder for a text, with probabilities."""
        with shown_errors():
            yield await perform(model, recipe, Classify(_text("text", text)), request)

    async def similarity(
        model: str,
        texts: list[str],
        recipe: str = "native",
        request: gr.Request | None = None,
    ) -> AsyncIterator[Row]:
        """Cosine similarities of 2 to 16 texts, each with each."""
        with shown_errors():
            if not isinstance(texts, list) or len(texts) > MAX_TEXTS:
                raise InvalidRequest(f"texts must be a list of 2 to {MAX_TEXTS} texts.")
            given = Compare(tuple(_text("texts", each) for each in texts))
            yield await perform(model, recipe, given, request)

    async def answer(
        model: str,
        question: str,
        context: str,
        recipe: str = "native",
        request: gr.Request | None = None,
    ) -> AsyncIterator[Row]:
        """Where in `context` the answer to `question` stands."""
        with shown_errors():
            given = AskContext(_text("question", question), _text("context", context))
            yield await perform(model, recipe, given, request)

    for name, endpoint in (
        ("fill_mask", fill_mask),
        ("classify", classify),
        ("similarity", similarity),
        ("answer", answer),
    ):
        api(endpoint, api_name=name, concurrency_limit=concurrency)


def _text(name: str, value: object) -> str:
    return checked_text(name, value, MAX_TASK_CHARS)

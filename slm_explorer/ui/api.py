"""The public endpoints: what the page does, for programs, under the command line's names.

Every limit is checked here: an endpoint is called by anybody, with anything.
"""

# No `from __future__ import annotations`: gr.api reads the return types as they stand.

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from secrets import token_urlsafe
from typing import Any

import gradio as gr
from gradio.events import api

from slm_explorer.chat import Ask, chat_row
from slm_explorer.errors import InvalidRequest
from slm_explorer.meters.readings import snapshot_row
from slm_explorer.services import Services
from slm_explorer.types import (
    ROLES,
    Delta,
    Done,
    Event,
    Failed,
    GenerationStats,
    Message,
    Sampling,
)
from slm_explorer.ui.api_tasks import add_task_endpoints
from slm_explorer.ui.checks import (
    MAX_NAME_CHARS,
    checked_choice,
    checked_number,
    checked_text,
    shown_errors,
    usable_model,
)
from slm_explorer.ui.conversation import MAX_CHAT_CHARS, MAX_TURNS
from slm_explorer.ui.models import ModelList
from slm_explorer.ui.stream import coalesce

CONCURRENT_CHATS = 64
# The keys of chat_row that are known only at the end.
FIGURES = (
    "finish_reason",
    "prompt_tokens",
    "cached_tokens",
    "output_tokens",
    "load_s",
    "queue_s",
    "ttft_s",
    "prefill_tps",
    "decode_tps",
    "memory_bytes",
    "peak_memory_bytes",
    "seed",
    "joules_low",
    "joules_high",
    "energy_method",
    "batch",
)

Row = dict[str, Any]


def add_endpoints(services: Services, offered: ModelList, *, trusted: bool) -> None:
    """Add /models, /chat, /meters and the encoders' tasks to the current Blocks.

    `offered` are the models that the page offers. `trusted` visitors sit at this machine and may
    also use the scripted echo engine.
    """
    engines = ("torch", "transformers", "echo") if trusted else ("torch", "transformers")

    def models(search: str = "") -> list[Row]:
        """The catalog, each model with its fit for this host; `search` words must all match."""
        with shown_errors():
            return services.model_rows(checked_text("search", search, MAX_NAME_CHARS))

    def meters() -> Row:
        """The newest reading of every device and worker."""
        with shown_errors():
            return snapshot_row(services.sampler.latest())

    async def chat(
        model: str,
        prompt: str,
        system: str = "",
        recipe: str = "native",
        engine: str = "torch",
        raw: bool = False,
        max_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        history: list[list[str]] | None = None,
        conversation: str = "",
        request: gr.Request | None = None,
    ) -> AsyncIterator[Row]:
        """Stream one answer: the text so far, and at the end every figure and finish_reason.

        `history` is what was said before, as [role, text] pairs. Requests of one session with
        the same `conversation` keep its KV cache between them.
        """
        session = (request.session_hash if request else None) or token_urlsafe(16)
        with shown_errors():
            services.classroom.admit(session)
            name = checked_text("conversation", conversation, MAX_NAME_CHARS)
            ask = Ask(
                model=usable_model(services, offered, model, "chat", "text-to-text")
                if engine != "echo"
                else "echo",
                messages=() if raw else _messages(system, history, prompt),
                raw=checked_text("prompt", prompt, MAX_CHAT_CHARS) if raw else None,
                recipe=checked_text("recipe", recipe, MAX_NAME_CHARS),
                engine=checked_choice("engine", engine, engines),
                sampling=Sampling(
                    temperature=checked_number("temperature", temperature),
                    top_p=checked_number("top_p", top_p),
                    seed=int(checked_number("seed", seed)),
                    max_tokens=int(checked_number("max_tokens", max_tokens)),
                ),
                visitor=session,
                chat=f"{session}/{name}" if name else None,
            )
        cancel = threading.Event()

        def events() -> Iterator[Event]:
            return services.chat.stream(ask, cancel)

        row: Row = {
            "model": ask.model,
            "recipe": ask.recipe,
            "engine": ask.engine,
            "text": "",
            **dict.fromkeys(FIGURES),
        }
        parts: list[str] = []
        try:
            async with aclosing(coalesce({0: events}, together=False)) as batches:
                async for batch in batches:
                    for _, event in batch:
                        if isinstance(event, Delta):
                            parts.append(event.text)
                        elif isinstance(event, Failed):
                            raise gr.Error(event.error, print_exception=False)
                        elif isinstance(event, Done) and isinstance(event.stats, GenerationStats):
                            row = chat_row(ask, "", event.stats)
                    row = {**row, "text": "".join(parts)}
                    yield row
        finally:
            cancel.set()

    api(models, api_name="models", queue=False)
    api(meters, api_name="meters", queue=False)
    api(chat, api_name="chat", concurrency_limit=CONCURRENT_CHATS)
    add_task_endpoints(services, offered, concurrency=CONCURRENT_CHATS)


def _messages(system: object, history: object, prompt: object) -> tuple[Message, ...]:
    """The conversation in order, every part checked."""
    said: list[Message] = []
    instruction = checked_text("system", system, MAX_CHAT_CHARS)
    if instruction:
        said.append(Message("system", instruction))
    if history is not None and not isinstance(history, list):
        raise InvalidRequest("history must be a list of [role, text] pairs.")
    pairs = history or []
    if len(pairs) > 2 * MAX_TURNS:
        raise InvalidRequest(f"history has {len(pairs)} messages; the limit is {2 * MAX_TURNS}.")
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or pair[0] not in ROLES:
            raise InvalidRequest(f"history must be [role, text] pairs; roles: {', '.join(ROLES)}.")
        said.append(Message(pair[0], checked_text("history", pair[1], MAX_CHAT_CHARS)))
    said.append(Message("user", checked_text("prompt", prompt, MAX_CHAT_CHARS)))
    total = sum(len(message.content) for message in said)
    if total > MAX_CHAT_CHARS:
        raise InvalidRequest(
            f"The conversation has {total:,} characters; the limit is {MAX_CHAT_CHARS:,}."
        )
    return tuple(said)

"""The public endpoints: what the page does, for programs, under the command line's names.

Every limit is checked here: an endpoint is called by anybody, with anything.
"""

# No `from __future__ import annotations`: gr.api reads the return types as they stand.

import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from secrets import token_urlsafe
from typing import Any

import gradio as gr
from gradio.events import api

from slm_explorer.chat import Ask, chat_row
from slm_explorer.errors import InvalidRequest, SlmError
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
from slm_explorer.ui.conversation import MAX_CHAT_CHARS, MAX_TURNS
from slm_explorer.ui.models import reason_it_cannot_run
from slm_explorer.ui.stream import coalesce

CONCURRENT_CHATS = 64
MAX_NAME_CHARS = 200

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
)

Row = dict[str, Any]


def add_endpoints(services: Services, *, trusted: bool) -> None:
    """Add /models, /chat and /meters to the current Blocks. `trusted` visitors sit at this
    machine and may also use the scripted echo engine.
    """
    engines = ("torch", "transformers", "echo") if trusted else ("torch", "transformers")

    def models(search: str = "") -> list[Row]:
        """The catalog, each model with its fit for this host; `search` words must all match."""
        with _shown():
            return services.model_rows(_text("search", search, MAX_NAME_CHARS))

    def meters() -> Row:
        """The newest reading of every device and worker."""
        with _shown():
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
        with _shown():
            name = _text("conversation", conversation, MAX_NAME_CHARS)
            ask = Ask(
                model=_model(services, model) if engine != "echo" else "echo",
                messages=() if raw else _messages(system, history, prompt),
                raw=_text("prompt", prompt, MAX_CHAT_CHARS) if raw else None,
                recipe=_text("recipe", recipe, MAX_NAME_CHARS),
                engine=_one_of("engine", engine, engines),
                sampling=Sampling(
                    temperature=_number("temperature", temperature),
                    top_p=_number("top_p", top_p),
                    seed=int(_number("seed", seed)),
                    max_tokens=int(_number("max_tokens", max_tokens)),
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


@contextmanager
def _shown() -> Iterator[None]:
    """What a user may read crosses to the client as one sentence."""
    try:
        yield
    except SlmError as error:
        raise gr.Error(str(error), print_exception=False) from None


def _text(name: str, value: object, limit: int) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be text.")
    if len(value) > limit:
        raise InvalidRequest(f"{name} has {len(value):,} characters; the limit is {limit:,}.")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{name} must be a number.")
    return value


def _one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise InvalidRequest(f"{name} is one of {', '.join(allowed)}.")
    return str(value)


def _model(services: Services, name: object) -> str:
    """The id of a card that can run here. No path and no id outside the catalog: a visitor must
    not be able to name what the host has on its disk.
    """
    card = services.catalog.get(_text("model", name, MAX_NAME_CHARS))
    reason = reason_it_cannot_run(services, card)
    if reason is not None:
        raise InvalidRequest(reason)
    return card.id


def _messages(system: object, history: object, prompt: object) -> tuple[Message, ...]:
    """The conversation in order, every part checked."""
    said: list[Message] = []
    instruction = _text("system", system, MAX_CHAT_CHARS)
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
        said.append(Message(pair[0], _text("history", pair[1], MAX_CHAT_CHARS)))
    said.append(Message("user", _text("prompt", prompt, MAX_CHAT_CHARS)))
    total = sum(len(message.content) for message in said)
    if total > MAX_CHAT_CHARS:
        raise InvalidRequest(
            f"The conversation has {total:,} characters; the limit is {MAX_CHAT_CHARS:,}."
        )
    return tuple(said)

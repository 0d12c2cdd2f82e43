"""The chat tab's behaviour: what each click does to the conversation, and the one stream of
all lanes. A browser's state is values; what runs for it is in Runs, by its session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from secrets import token_urlsafe
from typing import Any

import gradio as gr

from slm_explorer.chat import Ask
from slm_explorer.errors import InvalidRequest
from slm_explorer.services import Services
from slm_explorer.types import Event, Failed
from slm_explorer.ui import conversation as chats
from slm_explorer.ui.board import Lane, board_view
from slm_explorer.ui.chat_layout import ChatLayout, build_chat_layout
from slm_explorer.ui.components import sent
from slm_explorer.ui.conversation import LETTERS, SLOTS, Answer, Conversation
from slm_explorer.ui.examples import examples
from slm_explorer.ui.lane_settings import (
    FIELDS,
    LaneSettings,
    SettingsBook,
    chips,
    of_lane,
    of_scope,
    written,
)
from slm_explorer.ui.models import Choice, default_lanes
from slm_explorer.ui.runs import Run, Runs
from slm_explorer.ui.stream import Source, coalesce
from slm_explorer.ui.uses import Prompt, writer_of

# A browser has one run at a time, so this is how many browsers may be answered at once.
CONCURRENT_RUNS = 64


@dataclass(frozen=True)
class Chat:
    """Everything that a chat handler is given, as values."""

    conversation: Conversation
    active: tuple[bool, ...]
    book: SettingsBook
    mode: str
    models: tuple[str | None, ...]

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> Chat:
        """From the components' values, in the order of ChatTab.inputs."""
        conversation, active, book, mode = values[:4]
        named = zip(FIELDS, values[4 + SLOTS :], strict=True)
        # A number field that was emptied has no value: then the default holds.
        panel = LaneSettings(**{name: value for name, value in named if value is not None})
        return cls(conversation, active, written(book, panel), mode, values[4 : 4 + SLOTS])

    def slots(self) -> list[int]:
        return [slot for slot in range(SLOTS) if self.active[slot]]


class ChatTab:
    """Builds the tab inside the current Blocks and wires it."""

    def __init__(self, services: Services, choices: dict[str, Choice], runs: Runs) -> None:
        self._services = services
        self.choices = choices
        self._runs = runs
        self.layout: ChatLayout = build_chat_layout(choices, services.threads)
        count = len(default_lanes(choices))
        self._conversation = gr.State(Conversation())
        self.active = gr.State(tuple(slot < count for slot in range(SLOTS)))
        self._book = gr.State(SettingsBook())
        it = self.layout
        self.inputs = [
            self._conversation, self.active, self._book, it.mode, *it.models, *it.controls
        ]  # fmt: skip
        self.lane_outputs = [self._conversation, self.active, *it.columns, it.add, it.board]
        self._wire()

    def busy(self, request: gr.Request) -> bool:
        """Whether this browser's lanes are answering: then the stream owns the board."""
        return self._runs.busy(_session(request))

    def _wire(self) -> None:
        it = self.layout
        quick: dict[str, Any] = {
            "queue": False, "show_progress": "hidden", "api_visibility": "private"
        }  # fmt: skip
        run: dict[str, Any] = {
            "fn": self._run,
            "inputs": self.inputs,
            "outputs": [self._conversation, it.board],
            "concurrency_limit": CONCURRENT_RUNS,
            "concurrency_id": "lanes",
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        said = [self._conversation, it.board, it.prompt]
        for trigger in (it.prompt.submit, it.send.click):
            trigger(self._send, [it.prompt, *self.inputs], said, **quick).then(**run)
        for name, handler in (
            ("example", self._example),
            ("retry", self._retry),
            ("edit", self._edit),
        ):
            getattr(it.board, name)(
                handler, self.inputs, [self._conversation, it.board], **quick
            ).then(**run)
        it.board.undo(self._undo, self.inputs, said, **quick)
        it.clear.click(self._clear, self.inputs, [self._conversation, it.board], **quick)
        it.board.halt(self._halt, None, None, **quick)
        it.stop.click(self._stop_all, None, None, **quick)
        it.add.click(self._add, self.inputs, self.lane_outputs, **quick)
        for slot, button in enumerate(it.removes):
            button.click(self._remover(slot), self.inputs, self.lane_outputs, **quick)
        for model in it.models:
            model.input(self._redraw, self.inputs, it.board, **quick)
        it.scope.input(
            self._show_scope, [it.scope, *self.inputs], [self._book, *it.controls], **quick
        )

    # What may be asked, before it is asked. Each returns the conversation and the board.

    def _change(
        self, request: gr.Request, chat: Chat, change: Callable[[Conversation], Conversation]
    ) -> tuple[Conversation | object, object, bool]:
        """Apply a change; a refusal leaves the conversation and is said on the board. While
        lanes answer nothing changes at all: their stream owns the conversation and the board.
        """
        if self.busy(request):
            return gr.skip(), gr.skip(), False
        try:
            after = change(chat.conversation)
            if after.todo and not chat.slots():
                raise InvalidRequest("There is no lane to answer: add one first.")
        except InvalidRequest as error:
            return chat.conversation, self._board(chat, notice=str(error)), False
        if not after.key:
            after = replace(after, key=token_urlsafe(16))
        return after, self._board(replace(chat, conversation=after)), True

    def _send(self, request: gr.Request, prompt: str, *values: Any) -> tuple[Any, ...]:
        chat = Chat.of(values)
        after, board, sent = self._change(request, chat, lambda old: chats.ask(old, [prompt]))
        return after, board, "" if sent else prompt

    def _example(self, request: gr.Request, event: gr.EventData, *values: Any) -> tuple[Any, ...]:
        index = _whole(event, "index")
        shown = examples("chat")
        if not 0 <= index < len(shown):
            return gr.skip(), gr.skip()
        return self._change(
            request, Chat.of(values), lambda old: chats.ask(old, shown[index].prompts)
        )[:2]

    def _retry(self, request: gr.Request, *values: Any) -> tuple[Any, ...]:
        return self._change(request, Chat.of(values), chats.retry)[:2]

    def _edit(self, request: gr.Request, event: gr.EventData, *values: Any) -> tuple[Any, ...]:
        index, text = _whole(event, "index"), str(sent(event, "text") or "")
        return self._change(request, Chat.of(values), lambda old: chats.edit(old, index, text))[:2]

    def _undo(self, request: gr.Request, *values: Any) -> tuple[Any, ...]:
        taken: list[Prompt] = []

        def undo(old: Conversation) -> Conversation:
            after, prompt = chats.undo(old)
            taken.append(prompt)
            return after

        after, board, done = self._change(request, Chat.of(values), undo)
        return after, board, writer_of(taken[0])[0] if done else gr.skip()

    def _clear(self, request: gr.Request, *values: Any) -> tuple[Any, ...]:
        # A new key: the workers must not continue from what the visitor wanted gone.
        return self._change(request, Chat.of(values), lambda _: Conversation())[:2]

    # The stream.

    async def _run(
        self, request: gr.Request, *values: Any
    ) -> AsyncIterator[tuple[Conversation | object, object]]:
        """Answer every prompt in line, in all lanes; yields whole values, so that Gradio can
        send differences.
        """
        chat = Chat.of(values)
        if not chat.conversation.todo:
            yield gr.skip(), gr.skip()
            return
        session, slots = _session(request), chat.slots()
        try:
            run = self._runs.start(session, slots)
        except InvalidRequest:
            yield gr.skip(), gr.skip()
            return
        together = chat.mode == "race"
        try:
            while chat.conversation.todo and not run.ended:
                answers = {slot: self._answer_to_come(chat, slot, together) for slot in slots}
                chat = replace(chat, conversation=chats.begin(chat.conversation, answers))
                yield chat.conversation, self._board(chat, running=True)
                sources = {slot: self._source(chat, slot, run, session) for slot in slots}
                async with aclosing(coalesce(sources, together=together)) as batches:
                    async for batch in batches:
                        after = chats.advance(chat.conversation, batch)
                        chat = replace(chat, conversation=after)
                        yield after, self._board(chat, running=True)
        finally:
            self._runs.finish(session, run)
        chat = replace(chat, conversation=replace(chat.conversation, todo=()))
        yield chat.conversation, self._board(chat)

    def _answer_to_come(self, chat: Chat, slot: int, together: bool) -> Answer:
        return Answer(chat.models[slot] or "", chips(chat.book, slot), together=together)

    def _source(self, chat: Chat, slot: int, run: Run, session: str) -> Source:
        def events() -> Iterator[Event]:
            cancel = run.cancels[slot]
            model, settings = chat.models[slot], of_lane(chat.book, slot)
            if cancel.is_set():
                yield Failed("Stopped before it began.", "Cancelled")
                return
            try:
                if model not in self.choices:
                    raise InvalidRequest(f"Choose a model for lane {LETTERS[slot]} first.")
                ask = Ask(
                    model=model,
                    messages=chats.history(chat.conversation, slot, settings.system),
                    recipe=settings.recipe,
                    sampling=settings.sampling(chat.conversation.retries),
                    visitor=session,
                    chat=f"{chat.conversation.key}/{slot}",
                )
            except InvalidRequest as error:
                yield Failed(str(error), "InvalidRequest")
                return
            yield from self._services.chat.stream(ask, cancel)

        return events

    # Stopping reaches only what this browser runs: its session id is known to nobody else.

    def _halt(self, request: gr.Request, event: gr.EventData) -> None:
        self._runs.stop(_session(request), _whole(event, "slot"))

    def _stop_all(self, request: gr.Request) -> None:
        self._runs.stop(_session(request))

    # Lanes and their settings.

    def _add(self, request: gr.Request, *values: Any) -> tuple[Any, ...]:
        chat = Chat.of(values)
        free = [slot for slot in range(SLOTS) if not chat.active[slot]]
        if not free:
            return self.lanes(chat)
        return self._set_lane(request, chat, free[0], True)

    def _remover(self, slot: int) -> Callable[..., tuple[Any, ...]]:
        def remove(request: gr.Request, *values: Any) -> tuple[Any, ...]:
            chat = Chat.of(values)
            forgotten = chats.without_lane(chat.conversation, slot)
            return self._set_lane(request, replace(chat, conversation=forgotten), slot, False)

        return remove

    def _set_lane(
        self, request: gr.Request, chat: Chat, slot: int, active: bool
    ) -> tuple[Any, ...]:
        if self.busy(request):
            return tuple(gr.skip() for _ in range(SLOTS + 4))
        now = tuple(active if i == slot else old for i, old in enumerate(chat.active))
        return self.lanes(replace(chat, active=now))

    def lanes(self, chat: Chat) -> tuple[Any, ...]:
        """Values for `lane_outputs`."""
        columns = [gr.update(visible=on) for on in chat.active]
        add = gr.update(interactive=not all(chat.active))
        return chat.conversation, chat.active, *columns, add, self._board(chat)

    def _redraw(self, request: gr.Request, *values: Any) -> object:
        # A running stream draws the board itself, and must not be drawn over.
        return gr.skip() if self.busy(request) else self._board(Chat.of(values))

    def _show_scope(self, scope: str, *values: Any) -> tuple[Any, ...]:
        book = replace(Chat.of(values).book, shown=scope)
        shown = of_scope(book, scope)
        return book, *(getattr(shown, name) for name in FIELDS)

    def _board(self, chat: Chat, *, running: bool = False, notice: str = "") -> dict[str, object]:
        lanes = [
            Lane(slot, self.choices.get(chat.models[slot] or ""), chips(chat.book, slot))
            for slot in chat.slots()
        ]
        return board_view(chat.conversation, lanes, self.choices, running=running, notice=notice)


def _session(request: gr.Request) -> str:
    # A raw call may come without one; it must not meet others that do the same.
    return request.session_hash or token_urlsafe(16)


def _whole(event: gr.EventData, name: str) -> int:
    """A number that the page sent with an event; -1 where it sent something else."""
    value = sent(event, name)
    return value if isinstance(value, int) else -1

"""The chat tab's behaviour: what each click does to the conversation, and the one stream of
all lanes. A browser's state is values; what runs for it is in Runs, by its session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from secrets import token_urlsafe
from typing import Any

import gradio as gr

from slm_explorer.chat import Ask, TaskAsk
from slm_explorer.errors import InvalidRequest
from slm_explorer.services import Services
from slm_explorer.types import Event, Failed
from slm_explorer.ui import conversation as chats
from slm_explorer.ui.chat_lanes import Lanes, session_of
from slm_explorer.ui.chat_layout import ChatLayout, build_chat_layout
from slm_explorer.ui.chat_state import Chat
from slm_explorer.ui.components import sent
from slm_explorer.ui.conversation import LETTERS, SLOTS, Answer, Conversation
from slm_explorer.ui.examples import examples
from slm_explorer.ui.lane_settings import SettingsBook, chips, of_lane
from slm_explorer.ui.live import FIRST_FLUSHES, LiveRuns
from slm_explorer.ui.models import ModelList, default_lanes
from slm_explorer.ui.runs import Run, Runs
from slm_explorer.ui.stream import Source, coalesce
from slm_explorer.ui.uses import USES, Prompt, prompt_of, writer_of
from slm_explorer.ui.zero_gpu import Turn, zero_gpu

# A browser has one run at a time, so this is how many browsers may be answered at once.
CONCURRENT_RUNS = 64
_QUICK: dict[str, Any] = {
    "queue": False, "show_progress": "hidden", "api_visibility": "private"
}  # fmt: skip


class ChatTab:
    """Builds the tab inside the current Blocks and wires it."""

    def __init__(self, services: Services, models: ModelList, runs: Runs, live: LiveRuns) -> None:
        self._services = services
        self._runs = runs
        self._live = live
        self._gpu = zero_gpu(services.chat)
        self._lanes = lanes = Lanes(services, models, runs)
        choices = models.choices("chat")
        self.layout: ChatLayout = build_chat_layout(
            choices, lanes.uses_view("chat"), services.threads
        )
        count = len(default_lanes(choices))
        self._conversation = gr.State(Conversation())
        self._active = gr.State(tuple(slot < count for slot in range(SLOTS)))
        self._book = gr.State(SettingsBook())
        self._use = gr.State("chat")
        self._shelf = gr.State({})
        self._listed = gr.State(lanes.listed("chat"))
        # What the stream begins with, as one value: Gradio redraws the page sixty times a second
        # for every visible input of an event that is not done, to count its seconds.
        self._asked = gr.State(None)
        it = self.layout
        self._inputs = [
            self._conversation, self._active, self._book, self._use, it.mode, *it.models,
            *it.controls,
        ]  # fmt: skip
        self._lane_outputs = [self._conversation, self._active, *it.columns, it.add, it.board]
        self._use_inputs = [it.prompt, it.context, self._shelf, *self._inputs]
        self._use_outputs = [
            *self._lane_outputs, *it.models, *it.controls, self._use, self._shelf, self._listed,
            it.uses, it.prompt, it.context, it.mask, it.code,
        ]  # fmt: skip
        self._offered = [self._listed, it.uses, *it.models, *self._lane_outputs[1:]]
        self._wire()

    def opens(self, trigger: Callable[..., Any], tabs: gr.Tabs) -> None:
        """Let an event that sends a model's `id`, or the `ids` of several, put them into lanes, and
        show this tab.
        """

        def open_models(request: gr.Request, event: gr.EventData, *values: Any) -> Any:
            several = sent(event, "ids")
            wanted = several[:SLOTS] if isinstance(several, list) else [sent(event, "id")]
            shown = self._lanes.open_models(request, wanted, *values)
            return (*shown, gr.update(selected="chat")) if isinstance(shown, tuple) else shown

        trigger(open_models, self._use_inputs, [*self._use_outputs, tabs], **_QUICK)

    def refreshes(self, trigger: Callable[..., Any]) -> None:
        """Let an event look whether models came or went."""
        trigger(self._lanes.refresh, [self._listed, *self._inputs], self._offered, **_QUICK)

    def _wire(self) -> None:
        it, lanes = self.layout, self._lanes
        run: dict[str, Any] = {
            "fn": self._run,
            "inputs": self._asked,
            "outputs": [self._conversation, it.board],
            "concurrency_limit": CONCURRENT_RUNS,
            "concurrency_id": "lanes",
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        said = [self._conversation, it.board, it.prompt]
        asked = [self._conversation, it.board, self._asked]
        for trigger in (it.prompt.submit, it.send.click):
            trigger(
                self._send, [it.prompt, it.context, *self._inputs], [*asked, it.prompt], **_QUICK
            ).then(**run)
        it.board.example(self._example, self._inputs, [*asked, it.context], **_QUICK).then(**run)
        it.board.retry(self._retry, self._inputs, asked, **_QUICK).then(**run)
        it.board.edit(self._edit, self._inputs, asked, **_QUICK).then(**run)
        it.board.undo(self._undo, self._inputs, [*said, it.context], **_QUICK)
        it.clear.click(self._clear, self._inputs, [self._conversation, it.board], **_QUICK)
        it.board.halt(self._halt, None, None, **_QUICK)
        it.stop.click(self._stop_all, None, None, **_QUICK)
        it.add.click(lanes.add, self._inputs, self._lane_outputs, **_QUICK)
        for slot, button in enumerate(it.removes):
            button.click(lanes.remover(slot), self._inputs, self._lane_outputs, **_QUICK)
        for model in it.models:
            model.input(lanes.redraw, self._inputs, it.board, **_QUICK)
            model.focus(lanes.arrivals, [self._listed, *self._inputs], self._offered, **_QUICK)
        it.scope.input(
            lanes.show_scope, [it.scope, *self._inputs], [self._book, *it.controls], **_QUICK
        )
        it.uses.use(lanes.choose_use, self._use_inputs, self._use_outputs, **_QUICK)
        it.board.code(lanes.code, self._inputs, it.code, **_QUICK)
        it.code.close(lambda: {}, None, it.code, **_QUICK)

    # What may be asked, before it is asked. Each returns the conversation and the board.

    def _change(
        self, request: gr.Request, chat: Chat, change: Callable[[Conversation], Conversation]
    ) -> tuple[Conversation | object, object, bool]:
        """Apply a change; a refusal leaves the conversation and is said on the board. While
        lanes answer nothing changes at all: their stream owns the conversation and the board.
        """
        if self._lanes.busy(request):
            return gr.skip(), gr.skip(), False
        try:
            after = change(chat.conversation)
            if after.todo and not chat.slots():
                raise InvalidRequest("There is no lane to answer: add one first.")
        except InvalidRequest as error:
            return chat.conversation, self._lanes.board(chat, notice=str(error)), False
        if not after.key:
            after = replace(after, key=token_urlsafe(16))
        return after, self._lanes.board(replace(chat, conversation=after)), True

    def _ask(
        self, request: gr.Request, chat: Chat, change: Callable[[Conversation], Conversation]
    ) -> tuple[Conversation | object, object, Chat | None]:
        """The same for a change that lanes answer: the last value is what they begin with."""
        after, board, done = self._change(request, chat, change)
        if not isinstance(after, Conversation) or not done:
            return after, board, None
        return after, board, replace(chat, conversation=after)

    def _send(self, request: gr.Request, text: str, context: str, *values: Any) -> tuple[Any, ...]:
        chat = Chat.of(values)
        after, board, asked = self._ask(
            request, chat, lambda old: chats.ask(old, [prompt_of(chat.use, text, context)])
        )
        return after, board, asked, text if asked is None else ""

    def _example(self, request: gr.Request, event: gr.EventData, *values: Any) -> tuple[Any, ...]:
        chat, index = Chat.of(values), _whole(event, "index")
        shown = examples(chat.use)
        if not 0 <= index < len(shown):
            return gr.skip(), gr.skip(), None, gr.skip()
        prompts = shown[index].prompts
        after, board, asked = self._ask(request, chat, lambda old: chats.ask(old, prompts))
        # Ready for a question of one's own about the same text.
        context = writer_of(prompts[-1])[1]
        return after, board, asked, context if asked and context else gr.skip()

    def _retry(self, request: gr.Request, *values: Any) -> tuple[Any, ...]:
        return self._ask(request, Chat.of(values), chats.retry)

    def _edit(self, request: gr.Request, event: gr.EventData, *values: Any) -> tuple[Any, ...]:
        chat, index, text = Chat.of(values), _whole(event, "index"), str(sent(event, "text") or "")

        def edit(old: Conversation) -> Conversation:
            # What stands beside the edited words, as the context of a question, stays.
            turns = old.turns[index : index + 1] if index >= 0 else ()
            context = writer_of(turns[0].prompt)[1] if turns else ""
            return chats.edit(old, index, prompt_of(chat.use, text, context))

        return self._ask(request, chat, edit)

    def _undo(self, request: gr.Request, *values: Any) -> tuple[Any, ...]:
        taken: list[Prompt] = []

        def undo(old: Conversation) -> Conversation:
            after, prompt = chats.undo(old)
            taken.append(prompt)
            return after

        after, board, done = self._change(request, Chat.of(values), undo)
        text, context = writer_of(taken[0]) if done else (gr.skip(), gr.skip())
        return after, board, text, context

    def _clear(self, request: gr.Request, *values: Any) -> tuple[Any, ...]:
        # A new key: the workers must not continue from what the visitor wanted gone.
        return self._change(request, Chat.of(values), lambda _: Conversation())[:2]

    # The stream.

    async def _run(
        self, request: gr.Request, chat: Chat | None
    ) -> AsyncIterator[tuple[Conversation | object, object]]:
        """Answer every prompt in line, in all lanes. Yields what begins and ends it, and what lies
        between where the page does not ask for that itself.
        """
        if chat is None:
            yield gr.skip(), gr.skip()
            return
        session, slots = session_of(request), chat.slots()
        try:
            run = self._runs.start(session, slots)
        except InvalidRequest:
            yield gr.skip(), gr.skip()
            return
        together = chat.mode == "race"
        live = self._live.start(run.stop)
        try:
            while chat.conversation.todo and not run.ended:
                answers = {slot: self._answer_to_come(chat, slot, together) for slot in slots}
                chat = replace(chat, conversation=chats.begin(chat.conversation, answers))
                yield chat.conversation, self._lanes.board(chat, live=live)
                gpu = self._gpu_turn(chat, session)
                sources = {slot: self._source(chat, slot, run, session, gpu) for slot in slots}
                async with aclosing(coalesce(sources, together=together)) as batches:
                    first = live.flush
                    async for batch in batches:
                        after = chats.advance(chat.conversation, batch)
                        chat = replace(chat, conversation=after)
                        live.show(partial(self._lanes.newest, chat))
                        if not live.heard or live.flush - first <= FIRST_FLUSHES:
                            yield after, self._lanes.board(chat, live=live)
        finally:
            self._live.finish(live)
            self._runs.finish(session, run)
        chat = replace(chat, conversation=replace(chat.conversation, todo=()))
        yield chat.conversation, self._lanes.board(chat)

    def _answer_to_come(self, chat: Chat, slot: int, together: bool) -> Answer:
        said = chips(chat.book, slot, USES[chat.use].settings)
        return Answer(chat.models[slot] or "", said, together=together)

    def _gpu_turn(self, chat: Chat, session: str) -> Turn | None:
        """One call for all lanes, where the host lends a GPU for seconds."""
        asks: dict[int, Ask] = {}
        for slot in chat.slots() if self._gpu else ():
            with suppress(InvalidRequest):  # its own lane says it
                ask = self._ask_of(chat, slot, session)
                if isinstance(ask, Ask):
                    asks[slot] = ask
        return self._gpu.turn(asks) if self._gpu else None

    def _ask_of(self, chat: Chat, slot: int, session: str) -> Ask | TaskAsk:
        """What the lane is asked for the prompt at hand; InvalidRequest says why it cannot be."""
        model, settings = chat.models[slot], of_lane(chat.book, slot)
        if model is None or model not in self._lanes.models.choices(chat.use):
            raise InvalidRequest(_no_model(model, slot))
        prompt = chat.conversation.turns[-1].prompt
        if not isinstance(prompt, str):
            return TaskAsk(model, prompt, settings.recipe, visitor=session)
        alone = chat.use != "chat"
        return Ask(
            model=model,
            messages=chats.latest(chat.conversation)
            if alone
            else chats.history(chat.conversation, slot, settings.system),
            recipe=settings.recipe,
            sampling=settings.sampling(chat.conversation.retries),
            visitor=session,
            chat=None if alone else f"{chat.conversation.key}/{slot}",
        )

    def _source(self, chat: Chat, slot: int, run: Run, session: str, gpu: Turn | None) -> Source:
        def events() -> Iterator[Event]:
            cancel = run.cancels[slot]
            if cancel.is_set():
                yield Failed("Stopped before it began.", "Cancelled")
                return
            try:
                self._services.classroom.admit(session)
                ask = self._ask_of(chat, slot, session)
            except InvalidRequest as error:
                yield Failed(str(error), "InvalidRequest")
                return
            if isinstance(ask, TaskAsk):
                yield from self._services.chat.perform(ask, cancel)
            elif gpu is not None and gpu.takes(slot):
                yield from gpu.stream(slot, cancel)
            else:
                yield from self._services.chat.stream(ask, cancel)

        return events

    # Stopping reaches only what this browser runs: its session id is known to nobody else.

    def _halt(self, request: gr.Request, event: gr.EventData) -> None:
        self._runs.stop(session_of(request), _whole(event, "slot"))

    def _stop_all(self, request: gr.Request) -> None:
        self._runs.stop(session_of(request))


def _no_model(model: str | None, slot: int) -> str:
    if model is None:
        return f"Choose a model for lane {LETTERS[slot]} first."
    return f"{model} is no longer on this machine: choose another for lane {LETTERS[slot]}."


def _whole(event: gr.EventData, name: str) -> int:
    """A number that the page sent with an event; -1 where it sent something else."""
    value = sent(event, name)
    return value if isinstance(value, int) else -1

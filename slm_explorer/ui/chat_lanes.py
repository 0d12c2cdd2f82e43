"""The lanes above the chat: which use they serve, which models they hold, and their settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from secrets import token_urlsafe
from typing import Any

import gradio as gr

from slm_explorer.catalog.snippets import snippet
from slm_explorer.catalog.uses import uses_of
from slm_explorer.services import Services
from slm_explorer.tasks import Task
from slm_explorer.ui import conversation as chats
from slm_explorer.ui.board import Lane, board_view, newest_answers
from slm_explorer.ui.chat_state import Chat, Shelf, Workspace, fresh_workspace
from slm_explorer.ui.components import sent
from slm_explorer.ui.conversation import LETTERS, SLOTS
from slm_explorer.ui.lane_settings import FIELDS, chips, of_scope
from slm_explorer.ui.live import Live
from slm_explorer.ui.models import ModelList, default_lanes, for_what
from slm_explorer.ui.runs import Runs
from slm_explorer.ui.uses import USES

Options = tuple[tuple[str, str], ...]
Updates = Any
"""A value for each output of a handler; one gr.skip() leaves all of them as they are."""


@dataclass(frozen=True)
class Lanes:
    """Handlers' bodies: from values to values. What runs for a browser is in `runs`."""

    services: Services
    models: ModelList
    runs: Runs

    def busy(self, request: gr.Request) -> bool:
        """Whether this browser's lanes are answering: then the stream owns the board."""
        return self.runs.busy(session_of(request))

    def board(self, chat: Chat, *, live: Live | None = None, notice: str = "") -> dict[str, object]:
        """Everything; `live` is the run that the lanes are at."""
        known, settings = self.models.choices(), USES[chat.use].settings
        lanes = [
            Lane(slot, known.get(chat.models[slot] or ""), chips(chat.book, slot, settings))
            for slot in chat.slots()
        ]
        return board_view(
            chat.conversation,
            lanes,
            known,
            use=chat.use,
            live=live,
            notice=notice,
            missing="" if lanes else self._missing(chat.use),
        )

    def newest(self, chat: Chat) -> dict[str, object]:
        """Of a board that is shown already, what a run changes."""
        return newest_answers(chat.conversation, self.models.choices())

    def _missing(self, use: Task) -> str:
        if self.models.choices(use):
            return "There is no lane: add one to ask something."
        nothing = "No model on this machine can do this yet."
        able = [
            card
            for card in self.services.catalog.cards
            if card.parameters and card.hub_id and use in uses_of(card)
        ]
        if not able:
            return nothing
        card = min(able, key=lambda each: each.parameters or 0)
        return (
            f"{nothing} The smallest of the catalog that can is {card.name} "
            f"({card.parameters:,} parameters): slm-explorer download {card.id}"
        )

    def lanes(self, chat: Chat) -> tuple[Any, ...]:
        """The lanes and the board as they now are."""
        columns = [gr.update(visible=on) for on in chat.active]
        add = gr.update(interactive=not all(chat.active))
        return chat.conversation, chat.active, *columns, add, self.board(chat)

    def add(self, request: gr.Request, *values: Any) -> Updates:
        chat = Chat.of(values)
        free = [slot for slot in range(SLOTS) if not chat.active[slot]]
        if not free:
            return self.lanes(chat)
        return self._set_active(request, chat, free[0], True)

    def remover(self, slot: int) -> Callable[..., Updates]:
        def remove(request: gr.Request, *values: Any) -> Updates:
            chat = Chat.of(values)
            forgotten = chats.without_lane(chat.conversation, slot)
            return self._set_active(request, replace(chat, conversation=forgotten), slot, False)

        return remove

    def _set_active(self, request: gr.Request, chat: Chat, slot: int, active: bool) -> Updates:
        if self.busy(request):
            return gr.skip()
        now = tuple(active if i == slot else old for i, old in enumerate(chat.active))
        return self.lanes(replace(chat, active=now))

    def redraw(self, request: gr.Request, *values: Any) -> object:
        # A running stream draws the board itself, and must not be drawn over.
        return gr.skip() if self.busy(request) else self.board(Chat.of(values))

    def show_scope(self, scope: str, *values: Any) -> tuple[Any, ...]:
        chat = Chat.of(values)
        book = replace(chat.book, shown=scope)
        before, after = of_scope(chat.book, chat.book.shown), of_scope(book, scope)
        # What stays is not sent: a visitor may have changed it while this was on its way.
        pairs = ((getattr(before, name), getattr(after, name)) for name in FIELDS)
        return book, *(gr.skip() if old == new else new for old, new in pairs)

    # Models that came or went since the page was built.

    def uses_view(self, chosen: Task) -> dict[str, object]:
        """For assets/page/playground.js."""
        known = self.models.choices().values()
        return {
            "chosen": chosen,
            "about": USES[chosen].about,
            "uses": [
                {
                    "id": use.task,
                    "label": use.title,
                    "count": (count := sum(use.task in choice.uses for choice in known)),
                    "title": f"{use.about} Models here that can: {count}.",
                }
                for use in USES.values()
            ],
            "others": [
                {"name": choice.name, "reason": for_what(choice)}
                for choice in known
                if chosen not in choice.uses
            ],
        }

    def listed(self, use: Task) -> Options:
        """The dropdowns' options for a use: name and id."""
        return tuple((choice.name, choice.id) for choice in self.models.choices(use).values())

    def refresh(self, request: gr.Request, listed: Options, *values: Any) -> Updates:
        """New options for the dropdowns where the disk has changed; else nothing is sent."""
        self.models.refresh()
        chat = Chat.of(values)
        return self._offer(request, listed, self.listed(chat.use), chat)

    def arrivals(self, request: gr.Request, listed: Options, *values: Any) -> Updates:
        """As `refresh`, for a dropdown that is open: Gradio fails where one of its options goes,
        so those of models that are gone stay for now.
        """
        self.models.refresh()
        chat = Chat.of(values)
        now = self.listed(chat.use)
        gone = tuple(option for option in listed if option not in now)
        return self._offer(request, listed, (*now, *gone), chat)

    def _offer(self, request: gr.Request, listed: Options, now: Options, chat: Chat) -> Updates:
        if now == listed or self.busy(request):
            return gr.skip()
        ids = [model for _, model in now]
        kept = [model if model in ids else (ids[0] if ids else None) for model in chat.models]
        chat = replace(chat, models=tuple(kept))
        updates = [gr.update(choices=list(now), value=model) for model in kept]
        return now, self.uses_view(chat.use), *updates, *self.lanes(chat)[1:]

    # Another use: its own lanes, conversation and writer.

    def choose_use(self, request: gr.Request, event: gr.EventData, *values: Any) -> Updates:
        use = sent(event, "id")
        found = next((task for task in USES if task == use), None)
        if found is None or self.busy(request):
            return gr.skip()
        return self._show(found, *values)

    def open_models(self, request: gr.Request, wanted: Sequence[object], *values: Any) -> Updates:
        """Put models into free lanes, or else into the last ones, in a use that all of them have.
        Several have the lanes to themselves where nothing was asked yet.
        """
        self.models.refresh()
        known = self.models.choices()
        found = [known.get(model) for model in wanted if isinstance(model, str)]
        chosen = [choice for choice in found if choice is not None]
        if not chosen or len(chosen) != len(wanted) or self.busy(request):
            return gr.skip()
        uses = [use for use in chosen[0].uses if all(use in choice.uses for choice in chosen)]
        if not uses:
            return gr.skip()
        now = Chat.of(values[3:])
        use = now.use if now.use in uses else uses[0]
        return self._show(use, *values, models=[choice.id for choice in chosen])

    def _show(
        self,
        use: Task,
        text: str,
        context: str,
        shelf: Shelf,
        *values: Any,
        models: Sequence[str] = (),
    ) -> tuple[Any, ...]:
        """Everything that changes with the use, in the order of ChatTab.use_outputs. `models` are
        put into lanes.
        """
        chat = Chat.of(values)
        self.models.refresh()
        choices = self.models.choices(use)
        left = Workspace(chat.conversation, chat.active, chat.models, text, context)
        shelf = {**shelf, chat.use: left}
        space = shelf.get(use) or fresh_workspace(default_lanes(choices))
        ids = list(choices)
        held = [m if m in choices else (ids[0] if ids else None) for m in space.models]
        active, said = space.active, space.conversation
        if len(models) > 1 and not said.turns:
            active = (False,) * SLOTS
        free = [slot for slot in range(SLOTS) if not active[slot]]
        taken = [slot for slot in reversed(range(SLOTS)) if active[slot]]
        for slot, model in zip(sorted((*free, *taken)[: len(models)]), models, strict=True):
            said = said if slot in free else chats.without_lane(said, slot)
            held[slot] = model
            active = tuple(on or i == slot for i, on in enumerate(active))
        now = replace(chat, use=use, conversation=said, active=active, models=tuple(held))
        about, listed = USES[use], self.listed(use)
        return (
            *self.lanes(now),
            *(gr.update(choices=list(listed), value=each) for each in held),
            *(gr.update(visible=name in about.settings) for name in FIELDS),
            use,
            shelf,
            listed,
            self.uses_view(use),
            gr.update(value=space.text, placeholder=about.placeholder, lines=about.lines),
            gr.update(value=space.context, visible=about.needs_context),
            gr.update(visible=use == "fill-mask"),
            {},
        )  # fmt: skip

    # A lane's model as code.

    def code(self, event: gr.EventData, *values: Any) -> dict[str, object]:
        """For the page: runnable Python for the model of a lane in the present use."""
        chat, slot = Chat.of(values), sent(event, "slot")
        if not isinstance(slot, int) or not 0 <= slot < SLOTS:
            return {}
        choice = self.models.choices(chat.use).get(chat.models[slot] or "")
        if choice is None:
            return {}
        card = self.services.catalog.find(choice.id)
        title = f"Lane {LETTERS[slot]}: {choice.name}"
        if card is None:
            return {"title": title, "code": "# n/a: this model has no card", "note": ""}
        return {
            "title": title,
            "code": snippet(card, chat.use),
            "note": "needs torch and transformers; run it in this checkout"
            if card.shipped
            else "needs torch and transformers",
        }


def session_of(request: gr.Request) -> str:
    # A raw call may come without one; it must not meet others that do the same.
    return request.session_hash or token_urlsafe(16)

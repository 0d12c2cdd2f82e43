"""The page: a header strip and three tabs over the services, and the public endpoints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from slm_explorer.services import Services
from slm_explorer.ui.api import add_endpoints
from slm_explorer.ui.catalog_tab import CatalogTab
from slm_explorer.ui.chat_tab import Chat, ChatTab
from slm_explorer.ui.components import sent
from slm_explorer.ui.conversation import SLOTS, without_lane
from slm_explorer.ui.meters_tab import LOOPBACK, MetersTab, Strip
from slm_explorer.ui.models import runnable
from slm_explorer.ui.runs import Runs

# Gradio has no way to switch a timer from the browser but a handler that runs only there.
_SWITCH_TIMERS = "() => window.slm.timers()"


def build_app(services: Services) -> gr.Blocks:
    """The whole page. Loads no model and reads no weights; the sampler is started by whoever
    serves the page.
    """
    choices = runnable(services)
    runs = Runs()
    page = gr.Blocks(title="SLM Explorer", analytics_enabled=False, fill_width=True)
    with page:
        strip = Strip(services)
        with gr.Tabs(elem_id="slm-tabs") as tabs:
            with gr.Tab("Chat", id="chat") as chat_item:
                chat = ChatTab(services, choices, runs)
            with gr.Tab("Catalog", id="catalog") as catalog_item:
                catalog = CatalogTab(services, choices)
            with gr.Tab("Meters", id="meters") as meters_item:
                meters = MetersTab(services)
        _open_in_chat(chat, catalog, tabs)
        timers: dict[str, Any] = {
            "fn": None,
            "inputs": None,
            "outputs": [strip.timer, meters.timer],
            "js": _SWITCH_TIMERS,
            "queue": False,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        for switch in (chat_item.select, catalog_item.select, meters_item.select):
            switch(**timers)
        strip.html.visibility(**timers)
        # At once, for the first tick is two seconds away.
        meters_item.select(
            meters.read, None, meters.html, queue=False, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        page.load(strip.read, None, strip.html, queue=False, show_progress="hidden",
                  api_visibility="private")  # fmt: skip

        # A closed tab: the stream ends at its next yield, and this ends it where none comes.
        def closed(request: gr.Request) -> None:
            runs.stop(request.session_hash or "")

        page.unload(closed)
        add_endpoints(services, trusted=services.settings.host in LOOPBACK)
    return page


def _open_in_chat(chat: ChatTab, catalog: CatalogTab, tabs: gr.Tabs) -> None:
    """The card's button puts its model into the first free lane, or else into the last."""
    it = chat.layout

    def open_chat(request: gr.Request, event: gr.EventData, *values: Any) -> tuple[Any, ...]:
        model = sent(event, "id")
        if model not in chat.choices or chat.busy(request):
            return tuple(gr.skip() for _ in range(2 * SLOTS + 5))
        now = Chat.of(values)
        free = [slot for slot in range(SLOTS) if not now.active[slot]]
        slot = free[0] if free else SLOTS - 1
        conversation = now.conversation if free else without_lane(now.conversation, slot)
        now = replace(
            now,
            conversation=conversation,
            active=tuple(on or i == slot for i, on in enumerate(now.active)),
            models=tuple(model if i == slot else old for i, old in enumerate(now.models)),
        )
        models = [gr.update(value=model) if i == slot else gr.skip() for i in range(SLOTS)]
        return *chat.lanes(now), *models, gr.update(selected="chat")

    catalog.card.open_chat(
        open_chat,
        chat.inputs,
        [*chat.lane_outputs, *it.models, tabs],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )

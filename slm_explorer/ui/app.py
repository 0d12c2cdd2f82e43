"""The page: a header strip and five tabs over the services, and the public endpoints."""

from __future__ import annotations

from typing import Any

import gradio as gr

from slm_explorer.services import Services
from slm_explorer.ui.api import add_endpoints
from slm_explorer.ui.catalog_tab import CatalogTab
from slm_explorer.ui.chat_tab import ChatTab
from slm_explorer.ui.class_tab import ClassTab
from slm_explorer.ui.lab_tab import LabTab
from slm_explorer.ui.live import LiveRuns
from slm_explorer.ui.meters_tab import MetersTab, Strip
from slm_explorer.ui.models import ModelList
from slm_explorer.ui.runs import Runs

# Gradio has no way to switch a timer from the browser but a handler that runs only there.
_SWITCH_TIMERS = "() => window.slm.timers()"


def build_app(services: Services, live: LiveRuns) -> gr.Blocks:
    """The whole page; its chat is seen through `live` too. Loads no model and reads no weights; the
    sampler is started by whoever serves the page.
    """
    # Whoever sits at this machine may see and use more of it than a visitor.
    trusted = services.settings.trusted
    models = ModelList(services, cardless=trusted or services.settings.public_hub)
    runs = Runs()
    page = gr.Blocks(title="SLM Explorer", analytics_enabled=False, fill_width=True)
    with page:
        strip = Strip(services)
        with gr.Tabs(elem_id="slm-tabs") as tabs:
            with gr.Tab("Chat", id="chat") as chat_item:
                chat = ChatTab(services, models, runs, live)
            with gr.Tab("Catalog", id="catalog") as catalog_item:
                catalog = CatalogTab(services, models)
            with gr.Tab("Lab", id="lab") as lab_item:
                lab = LabTab(services, models, trusted=trusted)
            with gr.Tab("Meters", id="meters") as meters_item:
                meters = MetersTab(services, strip)
            with gr.Tab("Class", id="class") as class_item:
                classroom = ClassTab(services, models, strip)
        chat.opens(catalog.card.open_chat, tabs)
        chat.opens(catalog.hub.local.open_chat, tabs)
        chat.opens(lab.run.open_pair, tabs)
        chat.refreshes(chat_item.select)
        chat.refreshes(page.load)
        catalog.refreshes(catalog_item.select)
        lab.opens(lab_item.select)
        timers: dict[str, Any] = {
            "fn": None,
            "inputs": None,
            "outputs": [meters.timer, lab.timer],
            "js": _SWITCH_TIMERS,
            "queue": False,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        for item in (chat_item, catalog_item, lab_item, meters_item, class_item):
            item.select(**timers)
        strip.html.visibility(**timers)
        # At once, for the first tick is two seconds away.
        meters_item.select(
            meters.read, None, meters.html, queue=False, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip

        # A link of the class leads to its tab.
        def to_the_class(request: gr.Request) -> object:
            return gr.Tabs(selected="class") if "class" in request.query_params else gr.skip()

        page.load(to_the_class, None, tabs, queue=False, show_progress="hidden",
                  api_visibility="private")  # fmt: skip

        # A closed tab: the stream ends at its next yield, and this ends it where none comes.
        def closed(request: gr.Request) -> None:
            runs.stop(request.session_hash or "")
            classroom.closed(request.session_hash or "")

        page.unload(closed)
        add_endpoints(services, models, trusted=trusted)
    return page

"""The catalog tab: all cards in one table, and the card of the chosen model."""

from __future__ import annotations

from typing import Any

import gradio as gr

from slm_explorer.errors import UnknownModel
from slm_explorer.services import Services
from slm_explorer.ui.catalog_view import card_view, row_view
from slm_explorer.ui.components import sent, view
from slm_explorer.ui.models import Choice, reason_it_cannot_run

_QUIET: dict[str, Any] = {
    "queue": False, "show_progress": "hidden", "api_visibility": "private"
}  # fmt: skip


class CatalogTab:
    """The rows travel once; searching, filtering and sorting happen in the browser."""

    def __init__(self, services: Services, choices: dict[str, Choice]) -> None:
        self._services = services
        limit = services.memory_limit
        rows = [row_view(card, limit, card.id in choices) for card in services.catalog.cards]
        with gr.Row(elem_id="slm-catalog-row"):
            table = view("catalog", {"rows": rows}, sends=("choose",), elem_id="slm-catalog")
            self.card = view("card", {}, sends=("open_chat",), elem_id="slm-card")
        table.choose(self._choose, None, self.card, **_QUIET)

    def _choose(self, event: gr.EventData) -> object:
        try:
            card = self._services.catalog.get(str(sent(event, "id")))
        except UnknownModel:
            return gr.skip()
        reason = reason_it_cannot_run(self._services, card)
        return card_view(card, self._services.memory_limit, reason)

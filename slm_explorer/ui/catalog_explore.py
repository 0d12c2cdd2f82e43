"""Explore: the searchable table with its lights, and the card of the chosen model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.claims import Claim, claims_about
from slm_explorer.catalog.taxonomy import Method, members
from slm_explorer.errors import StorageError, UnknownModel
from slm_explorer.services import Services
from slm_explorer.ui.catalog_fit import FitChoice, fit_view
from slm_explorer.ui.catalog_rows import catalog_rows
from slm_explorer.ui.catalog_view import Peak, card_view, details_view
from slm_explorer.ui.components import LATEST, sent, view
from slm_explorer.ui.models import ModelList, reason_it_cannot_run


class Explore:
    """Rows travel once; a change of device, precision or context brings only their lights.

    `panels` is an empty column on the card, under its head, for what is done with the chosen
    model; `chosen` is a state with its card's id.
    """

    def __init__(
        self,
        services: Services,
        models: ModelList,
        claims: tuple[Claim, ...],
        methods: tuple[Method, ...],
    ) -> None:
        self._services = services
        self._models = models
        self._claims = claims
        cards = services.catalog.cards
        self._methods: dict[str, list[Method]] = {card.id: [] for card in cards}
        for method in methods:
            for member in members(method, cards):
                self._methods[member.card_id].append(method)
        first = cards[0]
        self.choice = gr.State(FitChoice())
        self.chosen = gr.State(first.id)
        self.fit = view(
            "fit",
            fit_view(services, FitChoice(), models.choices()),
            latest=("fit",),
            elem_id="slm-fit",
        )
        with gr.Row(elem_id="slm-catalog-row"):
            self.table = view(
                "catalog", catalog_rows(cards), latest=("choose", "pick"), elem_id="slm-catalog"
            )
            with gr.Column(elem_id="slm-card-column", min_width=0):
                self.card = view(
                    "card",
                    self._card(first),
                    sends=("open_chat",),
                    latest=("pick",),
                    elem_id="slm-card",
                )
                with gr.Column(elem_id="slm-card-panels", min_width=0) as self.panels:
                    pass
                self.details = view("details", self._details(first), elem_id="slm-details")
        self.fit.fit(self._fit, None, [self.fit, self.choice], **LATEST)
        self.chooses(self.table.choose)

    def chooses(self, event: Any) -> None:
        """Show the card whose id is sent with the event."""
        event(self._choose, None, [self.card, self.details, self.chosen], **LATEST)

    def refreshes(self, event: Any) -> None:
        """Look again, at this event, which models are here and what was measured of them."""
        event(self._refresh, [self.choice, self.chosen], [self.fit, self.card], **LATEST)

    def _fit(self, event: gr.EventData) -> tuple[object, FitChoice]:
        choice = FitChoice.of(sent(event, "device"), sent(event, "recipe"), sent(event, "context"))
        return fit_view(self._services, choice, self._models.choices()), choice

    def _refresh(self, choice: FitChoice, chosen: str) -> tuple[object, object]:
        self._models.refresh()
        lights = fit_view(self._services, choice, self._models.choices())
        return lights, self._card(self._services.catalog.get(chosen), self._peaks(chosen))

    def _choose(self, event: gr.EventData) -> tuple[object, object, object]:
        try:
            card = self._services.catalog.get(str(sent(event, "id")))
        except UnknownModel:
            return gr.skip(), gr.skip(), gr.skip()
        return self._card(card, self._peaks(card.id)), self._details(card), card.id

    def _card(self, card: Card, peaks: Sequence[Peak] = ()) -> dict[str, object]:
        return card_view(card, reason_it_cannot_run(self._services, card), peaks)

    def _peaks(self, card_id: str) -> list[Peak]:
        """The last measured load with each recipe; none where nothing was measured or kept."""
        try:
            loads = self._services.store.peaks(card_id)
        except StorageError:
            return []
        last = {load.recipe: load for load in loads if load.measured_bytes is not None}
        return [
            Peak(load.recipe, load.measured_bytes or 0, load.loaded_bytes, load.at)
            for load in last.values()
        ]

    def _details(self, card: Card) -> dict[str, object]:
        claims = claims_about(self._claims, card.id)
        return details_view(card, claims, self._methods[card.id])

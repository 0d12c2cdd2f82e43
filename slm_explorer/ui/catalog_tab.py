"""The catalog tab: explore, compare, plots, the ways to be small, claims, an advisor, the Hub."""

from __future__ import annotations

from typing import Any

import gradio as gr

from slm_explorer.catalog.claims import load_claims
from slm_explorer.catalog.taxonomy import load_taxonomy
from slm_explorer.services import Services
from slm_explorer.ui.advisor_tab import AdvisorTab
from slm_explorer.ui.catalog_claims import Claims
from slm_explorer.ui.catalog_compare import Compare
from slm_explorer.ui.catalog_explore import Explore
from slm_explorer.ui.catalog_plots import Plots
from slm_explorer.ui.catalog_ways import ways_view
from slm_explorer.ui.components import view
from slm_explorer.ui.hub_tab import HubTab
from slm_explorer.ui.models import ModelList
from slm_explorer.ui.shape_panel import ShapePanel


class CatalogTab:
    """`card` sends `open_chat` with a card's id; `explore.panels` is where the card's own work
    goes, with `explore.chosen` as its model; `hub.local` sends `open_chat` too.
    """

    def __init__(self, services: Services, models: ModelList) -> None:
        claims, methods = load_claims(services.assets), load_taxonomy(services.assets)
        with gr.Tabs(elem_id="slm-catalog-tabs"):
            with gr.Tab("Explore", id="explore"):
                self.explore = Explore(services, models, claims, methods)
                with self.explore.panels:
                    self._shape = ShapePanel(services, self.explore.chosen)
            with gr.Tab("Compare", id="compare"):
                compare = Compare(services)
            with gr.Tab("Plots", id="plots") as plots_item:
                plots = Plots(services, compare.picks, self.explore.choice)
            with gr.Tab("How they become small", id="ways"):
                view("ways", ways_view(methods, services.catalog.cards), elem_id="slm-ways")
            with gr.Tab("Claims", id="claims") as claims_item:
                corrected = Claims(services, claims)
            with gr.Tab("Advisor", id="advisor"):
                advisor = AdvisorTab(services)
            with gr.Tab("Hub", id="hub") as hub_item:
                self.hub = HubTab(services, models)
        self.card = self.explore.card
        for view_with_picks in (self.explore.table, self.explore.card):
            compare.picked_by(view_with_picks.pick)
        self.explore.chooses(compare.table.choose)
        self.explore.chooses(advisor.html.choose)
        plots.opens(plots_item.select)
        corrected.opens(claims_item.select)
        self.hub.opens(hub_item.select)

    def refreshes(self, event: Any) -> None:
        """Look again, at this event, which models are here and what was measured of them."""
        self.explore.refreshes(event)
        self._shape.refreshes(event)

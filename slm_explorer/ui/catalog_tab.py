"""The catalog tab: explore, compare, plots, the ways to be small, and claims set right."""

from __future__ import annotations

from collections.abc import Mapping

import gradio as gr

from slm_explorer.catalog.claims import load_claims
from slm_explorer.catalog.taxonomy import load_taxonomy
from slm_explorer.services import Services
from slm_explorer.ui.catalog_explore import Explore
from slm_explorer.ui.models import Choice


class CatalogTab:
    """`card` sends `open_chat` with a card's id; `explore.panels` is where the card's own work
    goes, with `explore.chosen` as its model.
    """

    def __init__(self, services: Services, choices: Mapping[str, Choice]) -> None:
        claims, methods = load_claims(services.assets), load_taxonomy(services.assets)
        with gr.Tabs(elem_id="slm-catalog-tabs") as self.tabs, gr.Tab("Explore", id="explore"):
            self.explore = Explore(services, choices, claims, methods)
        self.card = self.explore.card

"""The Lab: make a model smaller while watching, and see what that gained and lost. What runs is
the service's; a browser only looks at it, so a run goes on when its tab is closed.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from slm_explorer.services import Services
from slm_explorer.ui.lab_builder import Builder
from slm_explorer.ui.lab_watch import Watch
from slm_explorer.ui.models import ModelList

REFUSED = (
    "Making models smaller is off, because this page is served to other machines: start the app "
    "on 127.0.0.1 to use it, or set SLM_EXPLORER_PUBLIC_LAB=1 to let visitors do it."
)


class LabTab:
    """`run` sends `open_pair` with the `ids` of a run's parent and its model."""

    def __init__(self, services: Services, models: ModelList, *, trusted: bool) -> None:
        refused = "" if trusted or services.settings.public_lab else REFUSED
        with gr.Row(elem_id="slm-lab-row"):
            self._builder = Builder(services, models, refused)
            with gr.Column(elem_id="slm-lab-main", min_width=0):
                self._watch = Watch(services, models, trusted=trusted, refused=refused)
        self._watch.follows(self._builder.started)
        self.run = self._watch.run
        self.timer = self._watch.timer

    def opens(self, event: Any) -> None:
        """Look again, at this event, at the models and the runs."""
        self._builder.opens(event)
        self._watch.opens(event)

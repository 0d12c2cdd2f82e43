"""The meters tab and the header strip: one sampler for all browsers, polled only where seen."""

from __future__ import annotations

from typing import Any

import gradio as gr

from slm_explorer.services import Services
from slm_explorer.ui.components import sent, view
from slm_explorer.ui.meters_view import meters_view, strip_view

TICK_S = 2.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_QUIET: dict[str, Any] = {
    "queue": False, "show_progress": "hidden", "api_visibility": "private"
}  # fmt: skip


class Strip:
    """The header strip, on every tab. Sends `visibility` when the page is hidden or shown."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.html = view("strip", {}, sends=("visibility",), elem_id="slm-strip")
        self.timer = gr.Timer(TICK_S)
        self.timer.tick(self.read, None, self.html, **_QUIET)

    def read(self) -> dict[str, object]:
        return strip_view(self._services.sampler.latest())


class MetersTab:
    """Everything the sampler knows, and Unload for each worker where the host is this machine:
    elsewhere one visitor could end what another is using.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._may_unload = services.settings.host in LOOPBACK
        self.html = view("meters", {}, sends=("end_worker",), elem_id="slm-meters")
        # Outside its tab's visit it is inactive: see the switch in app.py.
        self.timer = gr.Timer(TICK_S, active=False)
        self.timer.tick(self.read, None, self.html, **_QUIET)
        self.html.end_worker(self._unload, None, self.html, **_QUIET)

    def read(self) -> dict[str, object]:
        sampler = self._services.sampler
        return meters_view(sampler.latest(), sampler.history(), may_unload=self._may_unload)

    def _unload(self, event: gr.EventData) -> dict[str, object]:
        key = sent(event, "key")
        if self._may_unload and isinstance(key, str):
            self._services.manager.unload(key)
        return self.read()

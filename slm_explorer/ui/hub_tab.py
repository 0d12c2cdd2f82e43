"""The Hub: look a model up, download it, and see or delete what is on this disk."""

from __future__ import annotations

from typing import Any

import gradio as gr

from slm_explorer.catalog.fit import fit
from slm_explorer.errors import SlmError
from slm_explorer.hub.service import LOOK_UPS_AT_ONCE
from slm_explorer.services import Services
from slm_explorer.ui.components import EVERY, LATEST, sent, view
from slm_explorer.ui.hub_view import downloads_view, local_view, look_up_view
from slm_explorer.ui.models import ModelList

TICK_S = 1.0
REFUSED = (
    "Looking up, downloading and deleting are off, because this page is served to other machines: "
    "start the app on 127.0.0.1 to use them, or use its command line."
)


class HubTab:
    """`local` sends `open_chat` with a model's id."""

    def __init__(self, services: Services, models: ModelList) -> None:
        self._services = services
        self._models = models
        # Elsewhere a visitor could fill this disk or empty it, and read what is on it.
        allowed = services.settings.trusted or services.settings.public_hub
        self._refused = "" if allowed else REFUSED
        self.found = view(
            "hub",
            look_up_view(self._refused),
            sends=("download",),
            latest=("look_up",),
            elem_id="slm-hub",
        )
        self.downloads = view(
            "downloads", self._downloading(), sends=("cancel", "again"), elem_id="slm-downloads"
        )
        self.local = view(
            "local", self._local(), sends=("delete", "open_chat"), elem_id="slm-local"
        )
        # Active only while something is being downloaded.
        self._timer = gr.Timer(TICK_S, active=False)
        shown = [self.downloads, self.local, self._timer]
        # It waits for the Hub, up to half a minute: in the queue, out of everybody's way.
        self.found.look_up(
            self._look_up, None, self.found, show_progress="hidden", api_visibility="private",
            trigger_mode="always_last", concurrency_limit=LOOK_UPS_AT_ONCE,
        )  # fmt: skip
        self.found.download(self._download, None, [self.downloads, self._timer], **EVERY)
        self.downloads.again(self._download, None, [self.downloads, self._timer], **EVERY)
        self.downloads.cancel(self._cancel, None, shown, **EVERY)
        self.local.delete(self._delete, None, self.local, **EVERY)
        self._timer.tick(self._read, None, shown, **LATEST)

    def opens(self, event: Any) -> None:
        """Look again, at this event, at the downloads and at what is on this disk."""
        event(self._read, None, [self.downloads, self.local, self._timer], **LATEST)

    def _look_up(self, event: gr.EventData) -> dict[str, object]:
        if self._refused:
            return look_up_view(self._refused)
        hub_id, revision = _text(event, "id"), _text(event, "revision")
        if not hub_id:
            return look_up_view("", error="Type a model's id on the Hub, such as maker/model.")
        try:
            found = self._services.hub.look_up(hub_id, revision or None)
        except SlmError as error:
            return look_up_view("", error=str(error))
        limit, correction = self._services.memory_limit, self._services.correction
        fits = fit(found.card, limit, correction=correction) if found.card else None
        return look_up_view("", found=found, fit=fits)

    def _download(self, event: gr.EventData) -> tuple[object, object]:
        if self._refused:
            return self._downloading(), gr.skip()
        try:
            self._services.hub.download(_text(event, "id"), _text(event, "revision") or None)
        except SlmError as error:
            return self._downloading(str(error)), gr.skip()
        return self._downloading(), gr.Timer(active=True)

    def _cancel(self, event: gr.EventData) -> tuple[object, object, object]:
        if not self._refused:
            try:
                self._services.hub.cancel(_text(event, "id"))
            except SlmError as error:
                return self._downloading(str(error)), gr.skip(), gr.skip()
        return self._read()

    def _delete(self, event: gr.EventData) -> dict[str, object]:
        if self._refused:
            return self._local()
        model = _text(event, "id")
        try:
            self._services.hub.delete(model)
        except SlmError as error:
            return self._local({model: str(error)})
        self._models.refresh()
        return self._local()

    def _read(self) -> tuple[object, object, object]:
        """The downloads; once all have ended, what is on this disk, and no further ticks."""
        # Read before the states: what they show as running may have ended since.
        running = any(not each.ended for each in self._services.hub.downloads())
        if not running:
            self._models.refresh()
        local = gr.skip() if running else self._local()
        return self._downloading(), local, gr.Timer(active=running)

    def _downloading(self, error: str = "") -> dict[str, object]:
        states = () if self._refused else self._services.hub.downloads()
        return downloads_view(states, self._refused, error)

    def _local(self, errors: dict[str, str] | None = None) -> dict[str, object]:
        try:
            models = self._services.hub.local_models()
        except SlmError as error:
            return local_view((), self._refused, {"": str(error)})
        if self._refused:
            models = tuple(each for each in models if self._services.catalog.find(each.id))
        return local_view(models, self._refused, errors)


def _text(event: gr.EventData, name: str) -> str:
    value = sent(event, name)
    return value.strip() if isinstance(value, str) else ""

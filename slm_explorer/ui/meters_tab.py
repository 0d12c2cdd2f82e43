"""The meters tab and the header strip: one sampler for all browsers, polled only where seen."""

from __future__ import annotations

import threading
import time

import gradio as gr

from slm_explorer.errors import StorageError
from slm_explorer.meters.history import flat, to_csv
from slm_explorer.services import Services
from slm_explorer.ui.components import EVERY, LATEST, QUIET, sent, view
from slm_explorer.ui.meters_hours import csv_file, hours_view
from slm_explorer.ui.meters_picture import SPAN_S
from slm_explorer.ui.meters_rows import energy_title, joules
from slm_explorer.ui.meters_view import meters_view, strip_view

TICK_S = 2.0


class Strip:
    """The header strip, on every tab. The page asks for it itself, see live.py, but where a tab's
    own news bring it along. Sends `visibility` when the page is hidden or shown.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self.html = view("strip", {}, sends=("visibility",), elem_id="slm-strip")

    def read(self) -> dict[str, object]:
        return strip_view(self._services.sampler.latest())


class MetersTab:
    """Everything the sampler knows, and Unload for each worker where the host is this machine:
    elsewhere one visitor could end what another is using.
    """

    def __init__(self, services: Services, strip: Strip) -> None:
        self._services = services
        self._strip = strip
        self._may_unload = services.settings.trusted
        self._lock = threading.Lock()
        self._drawn: tuple[float, dict[str, object]] | None = None
        self.html = view("meters", {}, sends=("end_worker",), elem_id="slm-meters")
        self.hours = view(
            "hours",
            {},
            sends=("save_seconds", "save_minutes"),
            latest=("show_hours",),
            elem_id="slm-hours",
        )
        # Inactive but while its tab is seen, see the switch in app.py; brings the strip along.
        self.timer = gr.Timer(TICK_S, active=False)
        self.timer.tick(self.read_both, None, [self.html, strip.html], **QUIET)
        self.html.end_worker(self._unload, None, self.html, **EVERY)
        self.hours.show_hours(self._show_hours, None, self.hours, **LATEST)
        self.hours.save_seconds(self._save_seconds, None, self.hours, **QUIET)
        self.hours.save_minutes(self._save_minutes, None, self.hours, **QUIET)

    def read(self) -> dict[str, object]:
        """The whole tab, drawn once a snapshot for all browsers."""
        meters = self._services.meters
        snapshot = meters.sampler.latest()
        with self._lock:
            if self._drawn is None or self._drawn[0] != snapshot.at:
                drawn = meters_view(
                    snapshot,
                    meters.sampler.history(),
                    may_unload=self._may_unload,
                    marks=meters.events.since(snapshot.at - SPAN_S),
                    energy=self._energy(),
                )
                self._drawn = (snapshot.at, drawn)
            return self._drawn[1]

    def read_both(self) -> tuple[dict[str, object], dict[str, object]]:
        return self.read(), self._strip.read()

    def _energy(self) -> dict[str, object]:
        meters = self._services.meters
        spent, idle = meters.session(), meters.energy.idle_watts()
        seen = "" if idle is None else f"When idle this machine takes {idle:.1f} W."
        return {
            "text": joules(spent),
            "session": energy_title(spent),
            "method": meters.energy.method().removeprefix("n/a: "),
            "idle": seen,
            "joules_low": spent.joules_low,
            "joules_high": spent.joules_high,
        }

    def _unload(self, event: gr.EventData) -> dict[str, object]:
        key = sent(event, "key")
        if self._may_unload and isinstance(key, str):
            self._services.manager.unload(key)
            with self._lock:
                self._drawn = None
        return self.read()

    def _rows(self) -> tuple[list[dict[str, object]], str]:
        try:
            return self._services.store.runs("meters"), ""
        except StorageError as error:
            return [], str(error)

    def _show_hours(self) -> dict[str, object]:
        rows, problem = self._rows()
        return {"note": problem} if problem else hours_view(rows, time.time())

    def _save_seconds(self) -> dict[str, object]:
        meters = self._services.meters
        history = meters.sampler.history()
        marks = meters.events.since(history[0].at if history else 0.0)
        text = to_csv((flat(each) for each in history), marks)
        note = f"{len(history)} seconds were saved."
        return {"note": note, "file": csv_file("seconds", text, time.time())}

    def _save_minutes(self) -> dict[str, object]:
        rows, problem = self._rows()
        if problem or not rows:
            return {"note": problem or "Nothing has been kept yet: a row is written every minute."}
        text = to_csv(rows)
        note = f"{len(rows)} minutes were saved."
        return {"note": note, "file": csv_file("minutes", text, time.time())}

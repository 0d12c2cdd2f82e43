"""Measure a model's shape on this machine: its real sizes, with random weights, nothing to
download. One measurement at a time for the whole app, for two would slow each other down.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from slm_explorer.bench import BenchPlan
from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.devices import THIS_MACHINE
from slm_explorer.catalog.fit import FIT_CONTEXT_TOKENS
from slm_explorer.errors import InvalidRequest, SlmError, StorageError
from slm_explorer.services import Services
from slm_explorer.ui.components import LATEST, QUIET, sent, view
from slm_explorer.units import format_bytes

TICK_S = 1.0
PLAN = BenchPlan(prompt_tokens=64, max_tokens=32, repeats=3)
RECIPES = {"native": "as stored", "int8": "int8", "int4": "int4"}
REFUSED = "Measuring is off, because this page is served to other machines."


@dataclass(frozen=True)
class ShapeRun:
    """The newest measurement: `line` is what it does, `error` why it ended without a result."""

    card: Card
    recipe: str
    line: str = "starting"
    running: bool = True
    error: str = ""


class ShapeRuns:
    """The one measurement of the app, in a thread of its own; results go into the store."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._newest: ShapeRun | None = None
        self._cancel = threading.Event()

    @property
    def newest(self) -> ShapeRun | None:
        with self._lock:
            return self._newest

    def start(self, card: Card, recipe: str) -> None:
        """Raises InvalidRequest where one runs already, or the model can not be measured here."""
        reason = self.refusal(card, recipe)
        if reason:
            raise InvalidRequest(reason)
        with self._lock:
            if self._newest is not None and self._newest.running:
                raise InvalidRequest(
                    f"{self._newest.card.name} is being measured: wait until it is done."
                )
            self._newest = ShapeRun(card, recipe)
            self._cancel = cancel = threading.Event()
        threading.Thread(target=self._run, args=(card, recipe, cancel), daemon=True).start()

    def stop(self) -> None:
        """End the measurement within one token; nothing of it is kept."""
        with self._lock:
            self._cancel.set()

    def refusal(self, card: Card, recipe: str) -> str:
        """Why the card's shape cannot be measured here, in one sentence; empty where it can."""
        try:
            self._services.shape_spec(card, recipe, "torch")
            found = self._services.fits(THIS_MACHINE, recipe, FIT_CONTEXT_TOKENS)[card.id]
        except SlmError as error:
            return str(error)
        if found.verdict in ("fits", "tight"):
            return ""
        return f"{card.name} is not measured here: {found.verdict}, {found.reason}."

    def _run(self, card: Card, recipe: str, cancel: threading.Event) -> None:
        error = ""
        try:
            self._services.bench(None, card.id, [recipe], ["torch"], PLAN, self._report, cancel)
        except SlmError as failure:
            error = str(failure)
        except Exception as failure:  # the page's boundary: nobody else hears of this thread
            error = f"The measurement failed: {type(failure).__name__}: {failure}"
        with self._lock:
            if self._newest is not None:
                self._newest = replace(self._newest, running=False, error=error)

    def _report(self, line: str) -> None:
        with self._lock:
            if self._newest is not None:
                self._newest = replace(self._newest, line=line)


class ShapePanel:
    """A button on the card, and every measurement of its model's shape that was kept."""

    def __init__(self, services: Services, chosen: gr.State) -> None:
        self._services = services
        self._runs = ShapeRuns(services)
        self._allowed = services.settings.trusted or services.settings.public_measure
        self._chosen = chosen
        self._html = view("shape", {}, sends=("measure", "stop"), elem_id="slm-shape-panel")
        self._timer = gr.Timer(TICK_S, active=False)
        self._outputs = [self._html, self._timer]
        self._html.measure(self._measure, chosen, self._outputs, **QUIET)
        self._html.stop(self._stop, chosen, self._outputs, **QUIET)
        self._timer.tick(self._read, chosen, self._outputs, **LATEST)
        self.refreshes(chosen.change)

    def refreshes(self, event: Any) -> None:
        """Show, at this event, the chosen model's measurements."""
        event(self._read, self._chosen, self._outputs, **LATEST)

    def _read(self, chosen: str, error: str = "") -> tuple[dict[str, object], gr.Timer]:
        newest = self._runs.newest
        running = newest is not None and newest.running
        return self._value(chosen, newest, error), gr.Timer(active=running)

    def _measure(self, chosen: str, event: gr.EventData) -> tuple[dict[str, object], gr.Timer]:
        recipe = sent(event, "recipe")
        if not self._allowed or not isinstance(recipe, str) or recipe not in RECIPES:
            return self._read(chosen)
        try:
            self._runs.start(self._services.catalog.get(chosen), recipe)
        except SlmError as error:
            return self._read(chosen, str(error))
        return self._read(chosen)

    def _stop(self, chosen: str) -> tuple[dict[str, object], gr.Timer]:
        if self._allowed:
            self._runs.stop()
        return self._read(chosen)

    def _value(self, chosen: str, newest: ShapeRun | None, error: str) -> dict[str, object]:
        card = self._services.catalog.get(chosen)
        running = newest is not None and newest.running
        if newest is not None and newest.card.id == card.id:
            error = error or newest.error
        return {
            "id": card.id,
            "refused": self._runs.refusal(card, "native") if self._allowed else REFUSED,
            "recipes": list(RECIPES.items()),
            "running": running,
            "line": f"{newest.line} ({RECIPES[newest.recipe]})" if newest and running else "",
            "error": error,
            "results": self._results(card),
        }

    def _results(self, card: Card) -> list[dict[str, str]]:
        """The newest of each recipe."""
        try:
            rows = self._services.store.runs("bench")
        except StorageError:
            return []
        mine = [row for row in rows if row.get("model") == card.id and row.get("shape") is True]
        return [result_view(row) for row in {str(row["recipe"]): row for row in mine}.values()]


def result_view(row: dict[str, object]) -> dict[str, str]:
    """A kept row of Services.bench in words: what was measured, and under which conditions."""

    def number(key: str, unit: str) -> str:
        value = row.get(key)
        return f"{value:,.1f} {unit}" if isinstance(value, int | float) else "n/a"

    at, peak = row.get("at"), row.get("peak_memory_bytes")
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if isinstance(at, float) else "n/a"
    return {
        "recipe": RECIPES.get(str(row["recipe"]), str(row["recipe"])),
        "speed": f"{number('decode_tps', 'tokens/s')} written (slowest "
        f"{number('decode_tps_min', 'tokens/s')})",
        "prefill": f"{number('prefill_tps', 'tokens/s')} read",
        "memory": f"{format_bytes(peak)} at the peak" if isinstance(peak, int) else "memory n/a",
        "note": f"random weights in this shape, measured on this machine at {when}, "
        f"{row.get('threads')} threads, {row.get('prompt_tokens')} tokens read and "
        f"{row.get('max_tokens')} written, the median of {row.get('repeats')}",
    }

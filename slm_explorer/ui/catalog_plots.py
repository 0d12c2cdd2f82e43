"""Plots that answer a question each, drawn when their tab is first opened and then only when
what they show is chosen otherwise: an update takes a plot's zoom away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from slm_explorer.catalog.cards import Card
from slm_explorer.catalog.comparison import PRECISION_BITS, weights_by_precision
from slm_explorer.catalog.components import components
from slm_explorer.catalog.kv import kv_cache
from slm_explorer.services import Services
from slm_explorer.ui import figures
from slm_explorer.ui.catalog_compare import chosen_cards
from slm_explorer.ui.catalog_fit import FitChoice, device_of
from slm_explorer.ui.catalog_shape import COMPONENT_NAMES
from slm_explorer.ui.components import LATEST

# Where nothing is chosen: each attends in another way, so that their curves differ.
EXAMPLES = (
    "smollm2-135m-instruct", "gemma-3-1b-it", "llama-3-2-1b-instruct", "lfm2-1-2b",
    "phi-3-5-mini-instruct", "mistral-7b-v0-1",
)  # fmt: skip
_SHORTEST = 512


@dataclass(frozen=True)
class Drawn:
    """What each plot of one browser shows now; None before the first visit."""

    over_time: bool = False
    memory: tuple[object, ...] | None = None
    parts: tuple[str, ...] | None = None


class Plots:
    """`opens` draws what the chosen models have changed when the tab is selected."""

    def __init__(self, services: Services, picks: gr.State, choice: gr.State) -> None:
        self._services = services
        self._drawn = gr.State(Drawn())
        self._note = gr.Markdown(elem_classes="slm-plot-note")
        gr.Markdown("### What does a longer context cost in memory?")
        self._precisions = gr.CheckboxGroup(
            list(PRECISION_BITS),
            value=["bfloat16", "int4"],
            label="Weights held as",
            elem_id="slm-plot-precisions",
        )
        self._memory = _plot("slm-plot-memory")
        gr.Markdown("### Where are the parameters?")
        self._parts = _plot("slm-plot-parts")
        gr.Markdown("### How large were small models, year by year?")
        self._time = _plot("slm-plot-time")
        self._inputs = [picks, choice, self._precisions, self._drawn]
        self._outputs = [self._note, self._memory, self._parts, self._time, self._drawn]
        self._precisions.input(self._draw, self._inputs, self._outputs, **LATEST)

    def opens(self, event: Any) -> None:
        """Draw at this event."""
        event(self._draw, self._inputs, self._outputs, **LATEST)

    def _draw(
        self, picks: Sequence[str], choice: FitChoice, precisions: list[str], drawn: Drawn
    ) -> tuple[object, ...]:
        cards = chosen_cards(self._services, picks or EXAMPLES)
        ids = tuple(card.id for card in cards)
        held = [name for name in PRECISION_BITS if name in precisions]
        device = device_of(self._services, choice)
        memory_key = (ids, tuple(held), device.id)
        memory, parts, time = gr.skip(), gr.skip(), gr.skip()
        if drawn.memory != memory_key:
            curves = [curve for card in cards for curve in memory_curves(card, held)]
            memory = figures.memory_by_context(curves, device.usable_bytes, device.name)
        if drawn.parts != ids:
            parts = figures.parameters_by_component(component_bars(cards), COMPONENT_NAMES)
        if not drawn.over_time:
            time = figures.parameters_over_time(points(self._services.catalog.cards))
        now = replace(drawn, over_time=True, memory=memory_key, parts=ids)
        note = (
            f"Of the {len(cards)} models chosen to compare."
            if picks
            else "Of six examples, until you choose models to compare in Explore."
        )
        return note, memory, parts, time, now


def _plot(elem_id: str) -> gr.Plot:
    return gr.Plot(show_label=False, container=False, elem_id=elem_id)


def memory_curves(card: Card, precisions: Sequence[str]) -> list[figures.Curve]:
    """Weights and KV cache by context up to what the makers document; none without numbers. The
    cache is float32 beside float32 weights, else 16 bits wide.
    """
    parameters, longest = card.parameters_text or card.parameters, card.context_length
    if parameters is None or longest is None:
        return []
    lengths = [_SHORTEST * 2**step for step in range(12) if _SHORTEST * 2**step < longest]
    tokens = (*lengths, longest)
    curves = []
    for precision in precisions:
        weights = weights_by_precision(parameters)[precision]
        cache = "float32" if precision == "float32" else "float16"
        sizes = tuple(
            weights + (found.size if (found := kv_cache(card, count, cache)) else 0)
            for count in tokens
        )
        curves.append(figures.Curve(card.name, precision, tokens, sizes))
    return curves


def component_bars(cards: Sequence[Card]) -> list[figures.Bar]:
    """Those of the cards whose parts are counted."""
    counted = ((card, components(card)) for card in cards)
    return [figures.Bar(card.name, found.parts) for card, found in counted if found is not None]


def points(cards: Sequence[Card]) -> list[figures.Point]:
    """The cards with a release and a count of parameters, by kind."""
    return [
        figures.Point(card.name, card.release, card.parameters, card.architecture_kind)
        for card in cards
        if card.release is not None and card.parameters is not None
    ]

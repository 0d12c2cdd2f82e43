"""The Lab's recipe builder: a parent, a recipe, what to expect of it, and Start."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from slm_explorer.errors import SlmError
from slm_explorer.lab.types import Choice, Order, Sensitivity
from slm_explorer.services import Services
from slm_explorer.ui.chat_lanes import session_of
from slm_explorer.ui.components import LATEST, QUIET, sent, view
from slm_explorer.ui.lab_build import Building, Parent, build_view, recipe_error
from slm_explorer.ui.lab_parent import parent_of
from slm_explorer.ui.models import ModelList, default_lanes

_GONE = "This model is no longer on this machine: choose another parent."


class Builder:
    """`started` is a state with the id of the run that this browser has started last."""

    def __init__(self, services: Services, models: ModelList, refused: str) -> None:
        self._services = services
        self._models = models
        self._refused = refused
        # What each browser waits for, by its session, so that it can stop it.
        self._halts: dict[str, threading.Event] = {}
        self._building = gr.State(Building())
        self.started = gr.State(None)
        self._html = view(
            "lab-build", {}, elem_id="slm-lab-build",
            sends=("start", "curve", "halt"), latest=("choose_parent", "recipe"),
        )  # fmt: skip
        built = [self._html, self._building]
        self._html.choose_parent(self._parent, self._building, built, **LATEST)
        self._html.recipe(self._recipe, self._building, built, **LATEST)
        self._html.start(self._start, self._building, [*built, self.started], **QUIET)
        # It reads a text with the model: in the queue, out of everybody's way.
        self._html.curve(
            self._curve, self._building, built, show_progress="hidden", api_visibility="private",
            concurrency_limit=1,
        )  # fmt: skip
        self._html.halt(self._halt, None, None, **QUIET)

    def opens(self, event: Any) -> None:
        """Look again, at this event, at the models and at what may be done to them."""
        event(self._open, self._building, [self._html, self._building], **LATEST)

    def _open(self, building: Building) -> tuple[object, Building]:
        self._models.refresh()
        known = self._models.choices()
        if building.model not in known:
            # The last of the default lanes is the largest that is shipped.
            building = Building(model=next(iter(default_lanes(known)[-1:]), ""))
        return self._built(building)

    def _built(self, building: Building) -> tuple[dict[str, object], Building]:
        building = replace(building, answer=building.answer + 1)
        parent = Parent()
        choices: Sequence[Choice] = ()
        estimate: Choice | None = None
        lab = self._services.lab
        if building.model:
            try:
                parent = parent_of(self._services, building.model)
                choices = lab.choices(building.model)
                if not recipe_error(building.recipe, parent):
                    estimate = lab.estimate(building.model, building.recipe)
            except SlmError as error:
                parent = Parent(unusable=str(error))
        shown = build_view(
            building,
            self._models.choices(),
            parent,
            choices,
            estimate,
            refused=self._refused,
        )
        return shown, building

    def _parent(self, building: Building, event: gr.EventData) -> tuple[object, Building]:
        model = sent(event, "id")
        if not isinstance(model, str) or model not in self._models.choices():
            return self._built(building)
        return self._built(Building(model=model, answer=building.answer))

    def _recipe(self, building: Building, event: gr.EventData) -> tuple[object, Building]:
        recipe = sent(event, "recipe")
        if isinstance(recipe, str):
            building = replace(building, recipe=recipe, failed="")
        return self._built(building)

    def _start(
        self, request: gr.Request, building: Building, event: gr.EventData
    ) -> tuple[object, Building, object]:
        model, recipe, text = (sent(event, name) for name in ("model", "recipe", "text"))
        self._models.refresh()
        if self._refused or not isinstance(recipe, str):
            return *self._built(building), gr.skip()
        if not isinstance(model, str) or model not in self._models.choices():
            return *self._built(replace(building, failed=_GONE)), gr.skip()
        learn = text if isinstance(text, str) and text.strip() else None
        try:
            run = self._services.lab.submit(Order(model, recipe, learn, session_of(request)))
        except SlmError as error:
            return *self._built(replace(building, failed=str(error))), gr.skip()
        return *self._built(replace(building, recipe=recipe, failed="")), run

    def _curve(self, request: gr.Request, building: Building) -> tuple[object, Building]:
        if self._refused:
            return self._built(building)
        session, cancel = session_of(request), threading.Event()
        self._halts[session] = cancel
        curve: Sensitivity | None = None
        error = ""
        try:
            curve = self._services.lab.sensitivity(building.model, cancel)
        except SlmError as failure:
            error = str(failure)
        finally:
            self._halts.pop(session, None)
        return self._built(replace(building, curve=curve, curve_error=error))

    def _halt(self, request: gr.Request) -> None:
        cancel = self._halts.get(session_of(request))
        if cancel is not None:
            cancel.set()

"""The Lab's runs: the one looked at with its report and its tokens, and the list of all."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr

from slm_explorer.errors import SlmError
from slm_explorer.lab.types import Run
from slm_explorer.services import Services
from slm_explorer.ui.chat_lanes import session_of
from slm_explorer.ui.components import EVERY, LATEST, sent, view
from slm_explorer.ui.lab_parent import expected_matrices
from slm_explorer.ui.lab_report import Push, report_view
from slm_explorer.ui.lab_run import run_view, runs_view, title_of
from slm_explorer.ui.lab_tokens import tokens_view
from slm_explorer.ui.models import ModelList

TICK_S = 1.0
# These wait for models or the Hub: in the queue, out of everybody's way.
_SLOW: dict[str, Any] = {
    "show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 1,
}  # fmt: skip
_RUN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Looking:
    """What one browser looks at. `run` is what was chosen (None: the run that works, or else the
    newest). Only a visitor's acts change it: a tick under way could write an older choice back.
    """

    run: str | None = None
    push: Push = field(default_factory=Push)
    error: str = ""


@dataclass(frozen=True)
class Drawn:
    """What one browser was sent last, so that nothing is sent twice."""

    run: tuple[object, ...] = ()
    listed: tuple[object, ...] = ()
    tokens: str | None = None


class Watch:
    """`run` sends `open_pair` with the `ids` of a run's parent and its model."""

    def __init__(
        self, services: Services, models: ModelList, *, trusted: bool, refused: str
    ) -> None:
        self._services = services
        self._models = models
        self._trusted = trusted
        self._refused = refused
        self._expected: dict[str, tuple[str, ...]] = {}
        self._looking = gr.State(Looking())
        self._drawn = gr.State(Drawn())
        self.run = view(
            "lab-run", {}, elem_id="slm-lab-run",
            sends=("cancel", "pause", "resume", "finish", "push", "open_pair"),
        )  # fmt: skip
        self._tokens = view("lab-tokens", {}, sends=("read",), elem_id="slm-lab-tokens")
        self._runs = view(
            "lab-runs", {}, sends=("delete",), latest=("show",), elem_id="slm-lab-runs"
        )
        # Outside its tab's visit it is inactive: see the switch in app.py.
        self.timer = gr.Timer(TICK_S, active=False)
        self._seen = [self._looking, self._drawn]
        self._shown = [self.run, self._tokens, self._runs, self._drawn]
        acted = [*self._shown, self._looking]
        lab = services.lab
        for event, act in (
            (self.run.cancel, lab.cancel), (self.run.pause, lab.pause),
            (self.run.resume, lab.resume), (self.run.finish, lab.finish),
        ):  # fmt: skip
            event(self._control(act), self._seen, acted, **EVERY)
        self.run.push(self._push, self._seen, acted, **_SLOW)
        self._runs.show(self._show, self._seen, acted, **LATEST)
        self._runs.delete(self._delete, self._seen, acted, **EVERY)
        self._tokens.read(self._read, None, self._tokens, **_SLOW)
        self.timer.tick(self._tick, self._seen, self._shown, **LATEST)

    def opens(self, event: Any) -> None:
        """Draw all, at this event."""
        event(self._all, self._seen, self._shown, **LATEST)

    def follows(self, started: gr.State) -> None:
        """Look at the run whose id this state comes to hold."""
        started.change(
            self._started, [started, *self._seen], [*self._shown, self._looking], **LATEST
        )

    # Drawing.

    def _tick(self, request: gr.Request, looking: Looking, before: Drawn) -> tuple[object, ...]:
        """What has changed since the last time; nothing is sent where nothing has."""
        runs = self._visible()
        run = _looked_at(runs, looking.run)
        listed = (run.id if run else None, *((each.id, each.state, each.ahead) for each in runs))
        finished = run.id if run is not None and run.model_id is not None else None
        now = Drawn(_state_of(run), listed, finished)
        if now == before:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return (
            self._run_view(run, request, looking.push) if now.run != before.run else gr.skip(),
            self._tokens_view(run) if now.tokens != before.tokens else gr.skip(),
            self._runs_view(runs, run, looking.error) if listed != before.listed else gr.skip(),
            now,
        )

    def _all(self, request: gr.Request, looking: Looking, before: Drawn) -> tuple[object, ...]:
        """The tokens stay as they are while the run is the same: somebody may be reading them."""
        return self._tick(request, looking, Drawn(tokens=before.tokens))

    def _after(self, request: gr.Request, looking: Looking, before: Drawn) -> tuple[object, ...]:
        """All, after an act that made it so."""
        return (*self._all(request, looking, before), looking)

    def _visible(self) -> tuple[Run, ...]:
        """Newest first; on a page that others see, only of models that the catalog names."""
        runs = self._services.lab.runs()
        if self._trusted:
            return runs
        return tuple(run for run in runs if self._services.catalog.find(run.order.model))

    def _found(self, event: gr.EventData) -> Run | None:
        """The run that an event names, if this visitor may see it."""
        wanted = sent(event, "id")
        return next((run for run in self._visible() if run.id == wanted), None)

    def _run_view(self, run: Run | None, request: gr.Request, push: Push) -> dict[str, object]:
        if run is None:
            return run_view(None, may_control=False)
        mine = self._trusted or run.order.visitor == session_of(request)
        return run_view(
            run,
            expected=() if run.ended else self._matrices(run),
            may_control=mine and not self._refused,
            report=report_view(
                run,
                code=self._code(run),
                files=not self._refused,
                push=push if self._trusted else None,
            ),
        )

    def _code(self, run: Run) -> str:
        """The lines that load the model where its archive was unpacked; empty where it is gone."""
        try:
            return self._services.lab.snippet(run.id, f"{run.id}/model") if run.kept else ""
        except SlmError:
            return ""

    def _matrices(self, run: Run) -> tuple[str, ...]:
        if run.id not in self._expected:
            self._expected = {run.id: expected_matrices(self._services, run.order)}
        return self._expected.get(run.id, ())

    def _tokens_view(self, run: Run | None) -> dict[str, object]:
        if run is None or run.model_id is None:
            return tokens_view(None)
        return tokens_view(run.id, refused=self._refused)

    def _runs_view(self, runs: Sequence[Run], run: Run | None, error: str) -> dict[str, object]:
        shown = run.id if run else None
        return runs_view(runs, shown, may_delete=self._trusted, error=error)

    # What a visitor does.

    def _started(
        self, request: gr.Request, started: str | None, looking: Looking, before: Drawn
    ) -> tuple[object, ...]:
        return self._after(request, replace(looking, run=started), before)

    def _show(
        self, request: gr.Request, looking: Looking, before: Drawn, event: gr.EventData
    ) -> tuple[object, ...]:
        run = self._found(event)
        return self._after(
            request, replace(looking, run=run.id if run else None, push=Push()), before
        )

    def _control(self, act: Callable[[str], None]) -> Callable[..., tuple[object, ...]]:
        def control(
            request: gr.Request, looking: Looking, before: Drawn, event: gr.EventData
        ) -> tuple[object, ...]:
            run = self._found(event)
            mine = run is not None and (self._trusted or run.order.visitor == session_of(request))
            error = ""
            if run is not None and mine and not self._refused:
                try:
                    act(run.id)
                except SlmError as failure:
                    error = str(failure)
            return self._after(request, replace(looking, error=error), before)

        return control

    def _delete(
        self, request: gr.Request, looking: Looking, before: Drawn, event: gr.EventData
    ) -> tuple[object, ...]:
        run, error = self._found(event), ""
        if run is not None and self._trusted:
            try:
                self._services.lab.delete(run.id)
            except SlmError as failure:
                error = str(failure)
            self._models.refresh()
        return self._after(request, replace(looking, error=error), before)

    def _push(
        self, request: gr.Request, looking: Looking, before: Drawn, event: gr.EventData
    ) -> tuple[object, ...]:
        run, hub_id, said, error = self._found(event), sent(event, "hub_id"), "", ""
        if run is not None and self._trusted and isinstance(hub_id, str):
            try:
                said = f"It is at {self._services.lab.push(run.id, hub_id.strip())}, to you alone."
            except SlmError as failure:
                error = str(failure)
        push = Push(looking.push.answer + 1, said, error)
        return self._after(request, replace(looking, push=push), before)

    def _read(self, request: gr.Request, event: gr.EventData) -> dict[str, object]:
        run, text, ask = self._found(event), sent(event, "text"), sent(event, "ask")
        if run is None or not isinstance(text, str) or self._refused:
            return tokens_view(None)
        answer = ask if isinstance(ask, int) else 0
        names = (run.name or run.order.model, title_of(run))
        try:
            found = self._services.lab.per_token(run.id, text, session_of(request))
        except SlmError as failure:
            return tokens_view(run.id, error=str(failure), answer=answer)
        return tokens_view(run.id, names=names, found=found, answer=answer)


def _looked_at(runs: Sequence[Run], chosen: str | None) -> Run | None:
    """The chosen run, or else the one that works, or else the newest."""
    for wanted in (
        (run for run in runs if run.id == chosen),
        (run for run in runs if run.state in ("compressing", "proving")),
        iter(runs),
    ):
        if found := next(wanted, None):
            return found
    return None


def _state_of(run: Run | None) -> tuple[object, ...]:
    """All of a run that its drawing shows, in little."""
    if run is None:
        return (None,)
    return (
        run.id, run.state, run.ahead, run.stage, run.fraction, len(run.layers), len(run.training),
        round(run.seconds), run.memory_bytes, run.paused, run.can_pause, run.kept,
    )  # fmt: skip

"""The models of a class: loaded while the class lasts, so that no student's question loads one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from slm_explorer.chat import ChatService
from slm_explorer.classroom.limits import Pace
from slm_explorer.classroom.types import Seat, SeatStatus
from slm_explorer.errors import InvalidRequest, SlmError
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.types import ModelSpec, WorkerState

MAX_MODELS = 8


@dataclass
class _Held:
    model: str
    name: str
    status: SeatStatus = "loading"
    fraction: float = 0.0
    error: str = ""
    spec: ModelSpec | None = None
    leave: threading.Event = field(default_factory=threading.Event)


class Seats:
    """The allowed models. Each is leased, so that neither another model's need nor its idle
    timeout unloads it. Safe to call from any thread.
    """

    def __init__(self, chat: ChatService, manager: ModelManager) -> None:
        self._chat = chat
        self._manager = manager
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        self.pace = Pace()

    def allow(self, models: Mapping[str, str]) -> None:
        """These models, names by id, and no others: new ones begin to load, in the background."""
        if len(models) > MAX_MODELS:
            raise InvalidRequest(f"A class has at most {MAX_MODELS} models.")
        with self._lock:
            for model in [each for each in self._held if each not in models]:
                self._held.pop(model).leave.set()
            for model, name in models.items():
                if model in self._held and self._held[model].status != "failed":
                    continue
                held = self._held[model] = _Held(model, name)
                threading.Thread(
                    target=self._hold, args=(held,), daemon=True, name=f"class {model}"
                ).start()

    def release(self) -> None:
        self.allow({})

    def models(self) -> tuple[tuple[str, str], ...]:
        """(id, name) of those that have not failed."""
        with self._lock:
            return tuple(
                (each.model, each.name) for each in self._held.values() if each.status != "failed"
            )

    def all(self) -> tuple[Seat, ...]:
        """Every allowed model with its line at this moment."""
        states = {each.spec: each for each in self._manager.states()}
        with self._lock:
            return tuple(self._seat(each, states) for each in self._held.values())

    def ready(self, model: object) -> Seat:
        """The seat of a model that may be asked now. InvalidRequest says why not."""
        found = next((each for each in self.all() if each.model == model), None)
        if found is None:
            raise InvalidRequest("The teacher has not allowed this model: choose another.")
        if found.status == "failed":
            raise InvalidRequest(f"{found.name} could not be loaded: choose another model.")
        if found.status == "loading":
            raise InvalidRequest(f"{found.name} is still being loaded: wait a moment.")
        return found

    def note_wait(self, model: str, waiting: int, queue_s: float) -> None:
        with self._lock:
            self.pace.note(model, waiting, queue_s)

    def _hold(self, held: _Held) -> None:
        try:
            spec = self._chat.spec(held.model)
            with self._manager.lease(spec, visitor="class", cancel=held.leave) as lease:
                for event in lease.loading():
                    with self._lock:
                        held.fraction = event.fraction
                with self._lock:
                    held.spec, held.status = spec, "ready"
                held.leave.wait()
        except SlmError as error:
            with self._lock:
                held.status, held.error = "failed", str(error)

    def _seat(self, held: _Held, states: Mapping[ModelSpec, WorkerState]) -> Seat:
        state = None if held.spec is None else states.get(held.spec)
        busy, waiting, wait = False, 0, None
        if state is not None and state.phase != "idle":
            busy, waiting = True, state.waiting
            wait = self.pace.wait_s(held.model, waiting)
        return Seat(
            held.model, held.name, held.status, held.fraction, held.error, busy, waiting, wait
        )

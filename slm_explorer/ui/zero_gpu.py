"""ZeroGPU: all lanes of a prompt that are worth a GPU in one call of it, the others on the CPU.

After the documented behaviour of the `spaces` package, and not yet run on ZeroGPU itself. A
visitor has a few GPU minutes a day, counted by what a call declares: so it declares little.
"""

from __future__ import annotations

import contextvars
import os
import queue
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.chat import Ask, ChatService
from slm_explorer.errors import SlmError
from slm_explorer.runtime.gpu_call import LaneOrder, answer_lanes
from slm_explorer.types import Done, Event, Failed, GenerateRequest, Loading

WORTH_BYTES = 200 * 10**6
"""Weights below it stay with the CPU workers: being granted a GPU would cost more than it saves."""
_PLAIN = ("native", "bf16", "f16", "f32")  # packed weights are for the CPU
# What a call declares. Reserved, not measured: too little ends an answer, too much costs quota.
_LEAST_S, _MOST_S = 10, 60
_START_S, _BYTES_PER_S, _TOKENS_PER_S = 3.0, 0.5e9, 25.0
_LOOK_S = 0.1

GpuCall = Callable[[tuple[LaneOrder, ...]], Iterator[tuple[int, Event]]]


class Cancel(Protocol):
    def is_set(self) -> bool: ...


def declared_seconds(orders: tuple[LaneOrder, ...]) -> int:
    """How long the call of these lanes may take, by the tokens asked for and the models' size."""
    seconds = sum(
        _START_S
        + order.weights_bytes / _BYTES_PER_S
        + order.request.sampling.max_tokens / _TOKENS_PER_S
        for order in orders
    )
    return round(min(_MOST_S, max(_LEAST_S, seconds)))


def quota_sentence(said: str) -> str:
    """What a refused GPU call means for the visitor, with the next step."""
    figures = re.search(r"\((\d+)s requested vs\. (\d+)s left\)", said)
    if figures or "quota" in said.lower():
        left = (
            f": this answer asks for {figures[1]} s and {figures[2]} s are left today"
            if figures
            else ""
        )
        return (
            f"Your GPU time on Hugging Face is used up{left}. Sign in there for more, ask for "
            "fewer tokens, or choose a small model, which runs on this Space's CPU."
        )
    if "aborted" in said.lower() or "timeout" in said.lower() or "timed out" in said.lower():
        return "The GPU was taken back before the answer was complete: ask for fewer tokens."
    return "No GPU could be had for this answer: try again in a minute, or choose a small model."


class ZeroGpu:
    """The one function that borrows the GPU. Made before the page is launched, as ZeroGPU asks."""

    def __init__(self, spaces: Any, chat: ChatService) -> None:
        self._chat = chat
        self._call: GpuCall = spaces.GPU(duration=declared_seconds)(answer_lanes)

    def turn(self, asks: Mapping[int, Ask]) -> Turn:
        """The lanes of one prompt. Called in the request's own context, for the quota is the
        visitor's, told by a header of the request.
        """
        orders = [self._order(slot, ask) for slot, ask in asks.items()]
        return Turn(self._call, tuple(order for order in orders if order is not None))

    def _order(self, slot: int, ask: Ask) -> LaneOrder | None:
        try:
            spec = self._chat.spec(ask.model, ask.recipe, ask.engine)
            if spec.path is None or spec.engine != "torch" or spec.recipe not in _PLAIN:
                return None
            size = inspect_checkpoint(Path(spec.path)).weights_bytes
            request = GenerateRequest(
                id=uuid.uuid4().hex,
                visitor=ask.visitor,
                sampling=ask.sampling,
                messages=ask.messages,
                raw=ask.raw,
            )
        except SlmError:
            return None  # the CPU lane says what is wrong with it
        return (
            LaneOrder(slot, replace(spec, engine="transformers", device="cuda"), request, size)
            if size >= WORTH_BYTES
            else None
        )


class Turn:
    """One call for all its lanes; the first lane that is read begins it."""

    def __init__(self, call: GpuCall, orders: tuple[LaneOrder, ...]) -> None:
        self._call = call
        self._orders = orders
        self._context = contextvars.copy_context()
        self._events: dict[int, queue.SimpleQueue[Event]] = {
            order.slot: queue.SimpleQueue() for order in orders
        }
        self._left = {order.slot: threading.Event() for order in orders}
        self._lock = threading.Lock()
        self._begun = False

    def takes(self, slot: int) -> bool:
        return slot in self._events

    def stream(self, slot: int, cancel: Cancel) -> Iterator[Event]:
        """The lane's events; exactly one Done or Failed ends them. Once nobody reads any lane, the
        call is closed and the GPU given back.
        """
        self._begin()
        try:
            yield Loading(0.0, "waiting for a GPU")
            while not cancel.is_set():
                try:
                    event = self._events[slot].get(timeout=_LOOK_S)
                except queue.Empty:
                    continue
                yield event
                if isinstance(event, Done | Failed):
                    return
            yield Failed("Stopped.", "Cancelled")
        finally:
            self._left[slot].set()

    def _begin(self) -> None:
        with self._lock:
            if self._begun:
                return
            self._begun = True
        threading.Thread(
            target=self._context.run, args=(self._pump,), daemon=True, name="gpu"
        ).start()

    def _pump(self) -> None:
        sentence, kind = "The GPU call ended before this lane was answered: ask again.", "SlmError"
        try:
            calls = self._call(self._orders)
            try:
                for slot, event in calls:
                    self._events[slot].put(event)
                    if all(left.is_set() for left in self._left.values()):
                        return
            finally:
                close = getattr(calls, "close", None)
                if close is not None:
                    close()
        except Exception as error:  # the page's boundary: `spaces` raises Gradio's own errors
            sentence, kind = quota_sentence(str(error)), type(error).__name__
        finally:
            # A lane that has ended already reads no further.
            for events in self._events.values():
                events.put(Failed(sentence, kind))


def zero_gpu(chat: ChatService) -> ZeroGpu | None:
    """None where the host is no ZeroGPU Space; the package is that host's and not ours."""
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "true", "t"):
        return None
    return ZeroGpu(import_module("spaces"), chat)
